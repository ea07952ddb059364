//! Whether a peer is where it says ([RFC 9175 §2](https://www.rfc-editor.org/rfc/rfc9175#section-2)).

use alloc::boxed::Box;
use alloc::vec;
use core::time::Duration;

use super::mac::{self, Mac};
use crate::{Origin, Time};

/// An Echo option's value: a coarse time and what only this server can make of it and the peer.
pub(super) type EchoValue = [u8; 12];

/// Makes Echo values, knows them again, and remembers who sent one back.
///
/// A value needs no memory: it says when it was made. Who sent one back in time is remembered in a table
/// of fixed size, and by the Echo alone where the table has forgotten.
#[derive(Debug)]
pub(super) struct Echoes {
    mac: Mac,
    fresh: Duration,
    remembered: Duration,
    table: Box<[Entry]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    /// From when on it has been known without a gap.
    since: Time,
    until: Time,
}

impl Echoes {
    /// Values that are good for `fresh`, at most 2³¹ seconds, and peers that are remembered for
    /// `remembered` after their last one.
    pub(super) fn new(key: u128, peers: usize, fresh: Duration, remembered: Duration) -> Self {
        let peers = peers.clamp(WAYS, 1 << 20).next_power_of_two();
        Self {
            mac: Mac::new(key ^ PURPOSE),
            fresh,
            remembered,
            table: vec![Entry::default(); peers].into_boxed_slice(),
        }
    }

    /// A value for `origin` to send back.
    pub(super) fn value(&self, now: Time, origin: &Origin) -> EchoValue {
        let seconds = seconds(now).to_be_bytes();
        let mut value = [0; 12];
        value[..4].copy_from_slice(&seconds);
        value[4..].copy_from_slice(&self.mac.hash(&[&seconds, &mac::peer(origin)]).to_be_bytes());
        value
    }

    /// Whether `origin` sends back a value that it was given, not too long ago; then it is remembered.
    pub(super) fn admit(&mut self, now: Time, origin: &Origin, value: &[u8]) -> bool {
        let Some((made, hash)) = value.split_first_chunk::<4>() else { return false };
        let age = seconds(now).wrapping_sub(u32::from_be_bytes(*made));
        let expected = self.mac.hash(&[made, &mac::peer(origin)]).to_be_bytes();
        // All bytes are compared, so that the time that it takes tells nothing.
        let differs = hash
            .iter()
            .zip(expected)
            .fold(hash.len() ^ expected.len(), |differs, (one, other)| differs | usize::from(one ^ other));
        if differs != 0 || u64::from(age) > self.fresh.as_secs() {
            return false;
        }
        self.remember(now, origin);
        true
    }

    /// Since when `origin` is known, if it has sent back a value and is not forgotten.
    pub(super) fn known_since(&self, now: Time, origin: &Origin) -> Option<Time> {
        let key = self.key(origin);
        let known = self.table[self.set(key)].iter().find(|entry| entry.key == key && entry.until > now);
        known.map(|entry| entry.since)
    }

    fn remember(&mut self, now: Time, origin: &Origin) {
        let key = self.key(origin);
        let until = now + self.remembered;
        let range = self.set(key);
        let set = &mut self.table[range];
        let way = set
            .iter()
            .position(|entry| entry.key == key)
            .or_else(|| set.iter().enumerate().min_by_key(|(_, entry)| entry.until).map(|(way, _)| way));
        if let Some(way) = way {
            let is_known = set[way].key == key && set[way].until > now;
            let since = if is_known { set[way].since } else { now };
            set[way] = Entry { key, since, until };
        }
    }

    fn key(&self, origin: &Origin) -> u64 {
        self.mac.hash(&[&mac::peer(origin)])
    }

    fn set(&self, key: u64) -> core::ops::Range<usize> {
        let first = (key as usize & (self.table.len() / WAYS - 1)) * WAYS;
        first..first + WAYS
    }
}

fn seconds(now: Time) -> u32 {
    (now.as_nanos() / 1_000_000_000) as u32
}

/// Entries of one set, the oldest of which makes room.
const WAYS: usize = 4;
/// Keeps these hashes apart from others under the same key.
const PURPOSE: u128 = 0x4563_686f;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Peer, Transport};

    fn origin(peer: &str) -> Origin {
        Origin {
            peer: Peer::Ip(peer.parse().unwrap()),
            local: None,
            transport: Transport::Udp,
            validated: false,
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_epoch(Duration::from_secs(seconds))
    }

    fn echoes() -> Echoes {
        Echoes::new(7, 4, Duration::from_secs(60), Duration::from_secs(100))
    }

    #[test]
    fn a_value_is_good_for_its_peer_and_its_time_alone() {
        let mut echoes = echoes();
        let (one, other) = (origin("192.0.2.1:5000"), origin("192.0.2.1:5001"));
        let value = echoes.value(at(100), &one);
        assert!(!echoes.admit(at(100), &other, &value), "another port");
        assert!(!echoes.admit(at(161), &one, &value), "too late");
        assert!(!echoes.admit(at(99), &one, &value), "from the future");
        assert!(!echoes.admit(at(100), &one, &value[..11]), "cut off");
        assert!(!echoes.admit(at(100), &one, &[]), "empty");
        let mut forged = value;
        forged[11] ^= 1;
        assert!(!echoes.admit(at(100), &one, &forged));
        assert_eq!(echoes.known_since(at(100), &one), None);
        assert!(echoes.admit(at(160), &one, &value));
        assert_eq!(echoes.known_since(at(259), &one), Some(at(160)));
        assert_eq!(echoes.known_since(at(260), &one), None, "it is forgotten");
        assert_eq!(echoes.known_since(at(160), &other), None);
    }

    #[test]
    fn a_full_table_forgets_the_oldest() {
        let mut echoes = echoes();
        for port in 1..=5 {
            let peer = origin(&alloc::format!("192.0.2.1:{port}"));
            let value = echoes.value(at(port), &peer);
            assert!(echoes.admit(at(port), &peer, &value));
        }
        assert_eq!(echoes.known_since(at(5), &origin("192.0.2.1:1")), None);
        for port in 2..=5 {
            assert!(echoes.known_since(at(5), &origin(&alloc::format!("192.0.2.1:{port}"))).is_some());
        }
    }
}
