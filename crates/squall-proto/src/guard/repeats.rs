//! Echo loops, which no shape gives away.

use alloc::boxed::Box;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::Refusal;
use crate::guard::hash;

/// How many peers [`Repeats`] tells apart, and how long a run it lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatsConfig {
    slots: usize,
    run: u8,
}

impl RepeatsConfig {
    /// The size of the table: default 1024, from 1 to 2²⁰ (other values are taken to the nearest bound),
    /// rounded up to a power of two. Each slot takes 8 bytes. Peers beyond the number of slots share them.
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots.clamp(1, 1 << 20).next_power_of_two();
        self
    }

    /// How many requests in a row may be repeats before one is withheld: default 32, from 1 to 255 (0
    /// counts as 1). A lower number ends loops sooner; an honest client that sends one text again and
    /// again loses one answer in `run` + 2.
    pub fn run(mut self, run: u8) -> Self {
        self.run = run.max(1);
        self
    }
}

impl Default for RepeatsConfig {
    fn default() -> Self {
        Self { slots: 1024, run: 32 }
    }
}

/// Ends loops between an echo service and whatever answers it with what it was sent: the peer's
/// datagrams all repeat earlier answers, and after a run of such repeats one answer is withheld.
///
/// A datagram that is lost ends its loop, so one missing answer is enough; an honest client sees a lost
/// datagram, which it must expect anyway. Several datagrams that circle at once are told from new
/// ones too, up to a number of about two dozen for each peer, and end one after another; beyond that
/// the rate limit drops the surplus, which ends those as well.
///
/// It can be asked from many threads at once, takes no lock and allocates nothing after
/// [`new`](Self::new). Peers that fall into the same slot share one run: at worst one of them loses the
/// answer that the other was to lose.
#[derive(Debug)]
pub struct Repeats {
    slots: Box<[AtomicU64]>,
    run: u8,
    seed: u64,
}

impl Repeats {
    /// An empty table. The seed spreads peers over the slots and should be a number that peers cannot guess.
    pub fn new(config: &RepeatsConfig, seed: u64) -> Self {
        let slots = (0..config.slots).map(|_| AtomicU64::new(0)).collect();
        Self { slots, run: config.run, seed }
    }

    /// Whether `peer` may be sent `answer`, for a service whose answer is its request. Counts the answer
    /// as sent if so.
    ///
    /// # Errors
    /// [`Refusal::Loop`] for the one answer that is withheld after a run of repeats; the run then
    /// starts again.
    pub fn admit(&self, peer: SocketAddr, answer: &[u8]) -> Result<(), Refusal> {
        let address = hash::number(self.seed ^ u64::from(peer.port()), hash::address(peer.ip()));
        let slot = &self.slots[address as usize & (self.slots.len() - 1)];
        let text = hash::bytes(self.seed ^ address, answer);
        let next = |word| Slot(word).after(text, self.run).unwrap_or(Slot::EMPTY);
        // Threads exchange nothing but this word, so the order of other memory does not matter.
        let before = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(next(word).0));
        let before = before.unwrap_or_else(|word| word);
        match Slot(before).after(text, self.run) {
            Some(_) => Ok(()),
            None => Err(Refusal::Loop("the peer keeps returning what it was sent")),
        }
    }
}

/// What is known of the peers of one slot: a set of what they were sent lately, one bit for each hash, in
/// the low bits, and above it how many requests in a row were in the set.
///
/// A set, and not the last hash alone, because two datagrams that circle between two servers would
/// otherwise hide each other.
#[derive(Clone, Copy)]
struct Slot(u64);

impl Slot {
    const EMPTY: Slot = Slot(0);

    /// The slot after one more answer, or `None` if it ends a run of `run` repeats.
    fn after(self, text: u64, run: u8) -> Option<Slot> {
        let bit = 1 << ((u128::from(text) * u128::from(SET_BITS)) >> 64) as u32;
        let set = self.0 & SET;
        let repeats = self.0 >> SET_BITS;
        if set & bit == 0 {
            // Half full, the set would take every second new text for a repeat: it starts anew.
            let kept = if set.count_ones() < SET_BITS / 2 { set } else { 0 };
            Some(Slot(kept | bit))
        } else if repeats < u64::from(run) {
            Some(Slot(set | (repeats + 1) << SET_BITS))
        } else {
            None
        }
    }
}

const SET_BITS: u32 = 56;
const SET: u64 = (1 << SET_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// How many rounds `count` datagrams that circle with one peer last; `None` if more than 100,000.
    fn rounds(repeats: &Repeats, count: usize) -> Option<usize> {
        let mut circling: alloc::vec::Vec<_> = (0..count as u64).collect();
        (1..100_000).find(|_| {
            circling.retain(|text| repeats.admit(peer(5000), &text.to_le_bytes()).is_ok());
            circling.is_empty()
        })
    }

    #[test]
    fn after_a_run_of_repeats_one_answer_is_withheld_and_the_run_starts_again() {
        let repeats = Repeats::new(&RepeatsConfig::default().run(3), 1);
        for round in 0..3 {
            for request in 0..4 {
                assert_eq!(repeats.admit(peer(5000), b"ping"), Ok(()), "{round} {request}");
            }
            assert!(matches!(repeats.admit(peer(5000), b"ping"), Err(Refusal::Loop(_))), "{round}");
        }
    }

    #[test]
    fn the_default_lets_33_equal_requests_pass() {
        let repeats = Repeats::new(&RepeatsConfig::default(), 1);
        assert_eq!((0..).take_while(|_| repeats.admit(peer(5000), b"ping").is_ok()).count(), 33);
    }

    #[test]
    fn datagrams_that_circle_together_all_end() {
        for count in [1, 2, 3, 7, 20] {
            let repeats = Repeats::new(&RepeatsConfig::default(), 1);
            let rounds = rounds(&repeats, count).expect("the loop ends");
            assert!(rounds < 200, "{count} datagrams last {rounds} rounds");
        }
    }

    #[test]
    fn a_peer_that_counts_is_never_refused() {
        let repeats = Repeats::new(&RepeatsConfig::default(), 1);
        let mut random = SplitMix64::new(1);
        for _ in 0..200_000 {
            assert_eq!(repeats.admit(peer(5000), &random.next_u64().to_le_bytes()), Ok(()));
        }
    }

    #[test]
    fn one_peer_does_not_cost_another_its_answers() {
        let repeats = Repeats::new(&RepeatsConfig::default().slots(1 << 16).run(1), 1);
        for port in 1..100 {
            assert_eq!(repeats.admit(peer(port), b"ping"), Ok(()), "{port}");
            assert_eq!(repeats.admit(peer(port), b"ping"), Ok(()), "{port}");
        }
    }

    #[test]
    fn threads_that_ask_at_once_lose_no_count() {
        extern crate std;
        let repeats = Repeats::new(&RepeatsConfig::default().slots(1).run(8), 1);
        let refused: usize = std::thread::scope(|scope| {
            let ask = || (0..10_000).filter(|_| repeats.admit(peer(5000), b"ping").is_err()).count();
            let threads = [(); 4].map(|()| scope.spawn(ask));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(refused, 40_000 / 10);
    }
}
