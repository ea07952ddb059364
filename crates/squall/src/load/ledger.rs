//! Which reply belongs to which request, and what that counts as.

use std::collections::VecDeque;

use super::coap::Coap;
use super::flight::{Flight, Match};
use super::tally::Tally;
use super::token;

/// The requests in flight and what came of the others. Times are nanoseconds since the driver's start.
pub(super) struct Ledger {
    pub(super) flight: Flight,
    pub(super) tally: Tally,
    /// For each peer the groups that wait, oldest first; `None` when replies carry a token.
    waiting: Option<Vec<VecDeque<u32>>>,
    /// Which replies count, where they are CoAP's.
    coap: Option<Coap>,
    /// Where the token stood in the last reply: it mostly does in the next, too.
    offset: usize,
}

impl Ledger {
    /// With `peers`, replies carry no token and answer their peer's oldest request.
    pub(super) fn new(flight: Flight, tally: Tally, peers: Option<usize>, coap: Option<Coap>) -> Self {
        let waiting = peers.map(|peers| vec![VecDeque::new(); peers]);
        Self { flight, tally, waiting, coap, offset: 0 }
    }

    /// Any reply to `peer` answers the requests of `group`, after those that it waits for already.
    pub(super) fn expect_any(&mut self, peer: usize, group: u32) {
        if let Some(waiting) = &mut self.waiting {
            waiting[peer].push_back(group);
        }
    }

    /// Counts a reply that came to `peer` at `now`; true when it answers a request.
    pub(super) fn take(&mut self, peer: usize, reply: &[u8], now: u64) -> bool {
        let outcome = match &mut self.waiting {
            Some(waiting) => take_any(&mut self.flight, &mut waiting[peer]),
            None => self.take_token(reply),
        };
        match outcome {
            Match::Answer { since } => self.tally.answer(since, now),
            Match::Late => self.tally.late += 1,
            Match::Duplicate => self.tally.duplicates += 1,
            Match::Foreign => self.tally.strays += 1,
        }
        matches!(outcome, Match::Answer { .. })
    }

    /// Gives up the requests that were sent before `time`.
    pub(super) fn give_up(&mut self, time: u64) {
        let Self { flight, tally, waiting, .. } = self;
        flight.expire(time, |group, since, count| {
            tally.lose(since, count);
            for waiting in waiting.iter_mut().flatten() {
                waiting.retain(|number| *number != group);
            }
        });
    }

    fn take_token(&mut self, reply: &[u8]) -> Match {
        if let Some(coap) = &self.coap {
            return coap.token(reply).map_or(Match::Foreign, |token| self.flight.finish(token));
        }
        if let Some(token) = reply.get(self.offset..).and_then(token::decode) {
            match self.flight.finish(token) {
                Match::Foreign => {}
                known => return known,
            }
        }
        for (offset, token) in token::find(reply) {
            match self.flight.finish(token) {
                Match::Foreign => {}
                known => {
                    self.offset = offset;
                    return known;
                }
            }
        }
        Match::Foreign
    }
}

fn take_any(flight: &mut Flight, waiting: &mut VecDeque<u32>) -> Match {
    let Some(&group) = waiting.front() else { return Match::Foreign };
    let Some(since) = flight.finish_any(group) else { return Match::Foreign };
    if flight.remaining(group) == 0 {
        waiting.pop_front();
    }
    Match::Answer { since }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(peers: Option<usize>) -> Ledger {
        Ledger::new(Flight::new(4, 1, 0), Tally::new(0, 1_000_000), peers, None)
    }

    #[test]
    fn a_reply_is_known_wherever_its_token_stands() {
        let mut ledger = ledger(None);
        for prefix in ["", "[Wed Aug 15 20:35:08 2012] ", "0123456789abcdef", "x"] {
            let (_, token) = ledger.flight.start(1, 1).unwrap();
            let text = String::from_utf8(token::encode(token).to_vec()).unwrap();
            assert!(ledger.take(0, format!("{prefix}{text}.").as_bytes(), 2), "{prefix}");
        }
        assert!(!ledger.take(0, b"something else", 3));
        assert!(!ledger.take(0, b"", 3));
        assert_eq!(ledger.tally.strays, 2);
    }

    #[test]
    fn without_tokens_a_reply_answers_its_own_peer_s_oldest_request() {
        let mut ledger = ledger(Some(2));
        for (peer, since) in [(0, 1), (1, 2), (1, 3)] {
            let (group, _) = ledger.flight.start(since, since).unwrap();
            ledger.expect_any(peer, group);
        }
        assert!(ledger.take(0, b"", 10));
        assert!(!ledger.take(0, b"", 10));
        ledger.give_up(3);
        assert_eq!((ledger.tally.strays, ledger.tally.lost), (1, 1));
        assert!(ledger.take(1, b"", 13), "the later one, since the older was given up");
        assert!(ledger.flight.is_empty());
    }
}
