//! The peers of Unix datagram sockets, by number.

use std::collections::HashMap;

use squall_proto::Peer;
use squall_socket::UnixAddress;

/// Gives each peer of a shard's Unix datagram sockets a number for as long as it is remembered. The
/// table is bounded; a new peer takes the place of the one that joined first.
#[derive(Debug)]
pub(crate) struct UnixPeers {
    numbers: HashMap<(usize, UnixAddress), u32>,
    /// By slot: the endpoint and the peer's address, and how often the slot was given away, so that a
    /// number of an earlier holder does not reach a later one.
    slots: Vec<((usize, UnixAddress), u16)>,
    next: usize,
    limit: usize,
}

impl UnixPeers {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(usize::from(u16::MAX));
        Self { numbers: HashMap::new(), slots: Vec::new(), next: 0, limit }
    }

    /// The peer at `address` as seen by `endpoint`; a socket without a name is a peer that nobody can
    /// answer.
    pub(crate) fn intern(&mut self, endpoint: usize, address: UnixAddress) -> Peer {
        if address.is_unnamed() {
            return Peer::Conn(UNNAMED);
        }
        let address = (endpoint, address);
        if let Some(number) = self.numbers.get(&address) {
            return Peer::Conn(*number);
        }
        let slot = if self.slots.len() < self.limit {
            self.slots.push((address, 0));
            self.slots.len() - 1
        } else {
            let slot = self.next;
            self.next = (self.next + 1) % self.limit;
            let (holder, turn) = &mut self.slots[slot];
            self.numbers.remove(holder);
            *holder = address;
            *turn = turn.wrapping_add(1);
            slot
        };
        // The highest bit is for connected peers.
        let number = u32::from(self.slots[slot].1 & TURNS) << 16 | slot as u32;
        self.numbers.insert(address, number);
        Peer::Conn(number)
    }

    /// The endpoint and the address where `number` is reached; `None` when it is forgotten or has no name.
    pub(crate) fn address(&self, number: u32) -> Option<(usize, UnixAddress)> {
        let (address, turn) = self.slots.get(number as usize & 0xFFFF)?;
        (u32::from(*turn & TURNS) == number >> 16).then_some(*address)
    }
}

/// How often a slot is given away before its numbers come again, less one.
const TURNS: u16 = (1 << 15) - 1;
/// No slot has this number: the limit is 65,535 slots.
const UNNAMED: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(peer: Peer) -> u32 {
        match peer {
            Peer::Conn(number) => number,
            Peer::Ip(_) => unreachable!("a Unix peer"),
        }
    }

    #[test]
    fn a_forgotten_peer_s_number_reaches_nobody_else() {
        let mut peers = UnixPeers::new(2);
        let names = ["/a", "/b", "/c"].map(|path| UnixAddress::from_path(path).unwrap());
        let a = number(peers.intern(0, names[0]));
        let b = number(peers.intern(0, names[1]));
        assert_eq!(number(peers.intern(0, names[0])), a);
        let c = number(peers.intern(0, names[2]));
        assert_eq!(peers.address(a), None, "the oldest went");
        assert_eq!(peers.address(b), Some((0, names[1])));
        assert_eq!(peers.address(c), Some((0, names[2])));
        assert_ne!(a, c);
    }

    #[test]
    fn an_unnamed_peer_has_no_address() {
        let mut peers = UnixPeers::new(2);
        let unnamed = number(peers.intern(0, UnixAddress::UNNAMED));
        assert_eq!(peers.address(unnamed), None);
    }
}
