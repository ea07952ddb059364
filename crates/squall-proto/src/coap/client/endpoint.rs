//! What a client remembers of a server: the message IDs that it may not use, the exchanges that are open, the
//! requests that wait for them, and what it acknowledged.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::Time;
use crate::coap::message::Token;

/// One server, at one address.
#[derive(Debug)]
pub(super) struct Endpoint {
    next_id: u16,
    /// The IDs that may not be used again yet, oldest first: until when, and how many.
    used: VecDeque<(Time, u32)>,
    in_use: u32,
    /// Exchanges that count for NSTART.
    pub(super) open: u32,
    /// Requests that wait for a place, in the order in which they came.
    pub(super) queue: VecDeque<u64>,
    /// Whose messages are answered by an acknowledgement or reset of an ID.
    pub(super) by_id: BTreeMap<u16, u64>,
    /// The confirmable messages that were acknowledged, newest last, so that a copy is acknowledged again.
    heard: VecDeque<(Time, u16, Token)>,
    /// What the server wants to see again, to know that the client is where it says
    /// ([RFC 9175 §2](https://www.rfc-editor.org/rfc/rfc9175#section-2)).
    pub(super) echo: Option<Vec<u8>>,
    /// Before this nothing more goes to a server that has not answered what was sent unconfirmed
    /// (PROBING_RATE, [RFC 7252 §4.7](https://www.rfc-editor.org/rfc/rfc7252#section-4.7)).
    pub(super) probed_until: Time,
    /// Requests that name it.
    pub(super) calls: u32,
    /// Datagrams sent to it since it was heard last.
    pub(super) unheard: u32,
    /// When its queue is looked at again, if it waits for time to pass.
    pub(super) wake: Option<Time>,
}

impl Endpoint {
    pub(super) fn new(first_id: u16) -> Self {
        Self {
            next_id: first_id,
            used: VecDeque::new(),
            in_use: 0,
            open: 0,
            queue: VecDeque::new(),
            by_id: BTreeMap::new(),
            heard: VecDeque::new(),
            echo: None,
            probed_until: Time::ZERO,
            calls: 0,
            unheard: 0,
            wake: None,
        }
    }

    /// A message ID that was not used in the last `lifetime`.
    ///
    /// IDs are taken in order, so that the one in question is always the one that was used longest ago.
    ///
    /// # Errors
    /// When one will be free, if all 65,536 are in use.
    pub(super) fn take_id(&mut self, now: Time, lifetime: Duration) -> Result<u16, Time> {
        self.forget(now);
        match self.used.front() {
            Some(&(until, _)) if self.in_use > u32::from(u16::MAX) => return Err(until),
            _ => {}
        }
        // By whole seconds, so that a busy client remembers some hundred points in time and not each ID.
        let until = whole_second(now + lifetime);
        match self.used.back_mut() {
            // An ID with a shorter lifetime is not free before those that were taken before it.
            Some((last, count)) if *last >= until => *count += 1,
            _ => self.used.push_back((until, 1)),
        }
        self.in_use += 1;
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        Ok(id)
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&mut self, now: Time) -> bool {
        self.forget(now);
        self.in_use == 0 && self.calls == 0 && self.heard.is_empty()
    }

    /// Notes a confirmable message that is acknowledged now.
    pub(super) fn hear(&mut self, now: Time, lifetime: Duration, id: u16, token: Token) {
        if self.heard.len() == HEARD {
            self.heard.pop_front();
        }
        self.heard.push_back((now + lifetime, id, token));
    }

    /// Whether such a message was acknowledged before.
    pub(super) fn has_heard(&mut self, now: Time, id: u16, token: Token) -> bool {
        self.forget(now);
        self.heard.iter().any(|&(_, heard_id, heard_token)| (heard_id, heard_token) == (id, token))
    }

    fn forget(&mut self, now: Time) {
        while let Some(&(_, count)) = self.used.front().filter(|(until, _)| *until <= now) {
            self.used.pop_front();
            self.in_use -= count;
        }
        while self.heard.front().is_some_and(|(until, ..)| *until <= now) {
            self.heard.pop_front();
        }
    }
}

fn whole_second(time: Time) -> Time {
    const SECOND: u64 = 1_000_000_000;
    Time::from_nanos(time.as_nanos().saturating_add(SECOND - 1) / SECOND * SECOND)
}

/// How many acknowledged messages are remembered for each server. The oldest is forgotten for a new one: its copy
/// is then reset, which at worst ends an observation that its server can be asked for again.
const HEARD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(247);

    #[test]
    fn no_message_id_is_used_twice_within_its_lifetime() {
        let mut endpoint = Endpoint::new(65_000);
        let mut now = Time::ZERO;
        let mut last: BTreeMap<u16, Time> = BTreeMap::new();
        let mut waits = 0;
        for _ in 0..200_000 {
            match endpoint.take_id(now, LIFETIME) {
                Ok(id) => {
                    if let Some(before) = last.insert(id, now) {
                        assert!(now.since(before) >= LIFETIME, "{id} at {before} and {now}");
                    }
                    now += Duration::from_micros(500);
                }
                Err(free) => {
                    assert!(free > now && last.len() == 65_536);
                    now = free;
                    waits += 1;
                }
            }
            assert!(endpoint.used.len() <= 249);
        }
        assert!(waits > 0);
    }

    #[test]
    fn it_is_idle_once_its_ids_are_free() {
        let mut endpoint = Endpoint::new(0);
        assert!(endpoint.is_idle(Time::ZERO));
        endpoint.take_id(Time::ZERO, LIFETIME).unwrap();
        assert!(!endpoint.is_idle(Time::from_nanos(246_000_000_000)));
        assert!(endpoint.is_idle(Time::from_nanos(247_000_000_000)));
    }

    #[test]
    fn a_copy_of_what_was_acknowledged_is_known_for_its_lifetime() {
        let mut endpoint = Endpoint::new(0);
        let token = Token::from(1);
        endpoint.hear(Time::ZERO, LIFETIME, 7, token);
        assert!(endpoint.has_heard(Time::ZERO, 7, token));
        assert!(!endpoint.has_heard(Time::ZERO, 7, Token::from(2)), "the same ID for something else");
        assert!(!endpoint.has_heard(Time::ZERO + LIFETIME, 7, token));
        for id in 0..1000 {
            endpoint.hear(Time::ZERO, LIFETIME, id, token);
        }
        assert_eq!(endpoint.heard.len(), HEARD);
    }
}
