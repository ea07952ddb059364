//! The datagrams of one session that were not read yet.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What gives way when a session's inbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The datagram that just came, as the kernel does it: what was queued stays in order and whole.
    #[default]
    DropNewest,
    /// The ones that wait longest: right where a new datagram makes an old one worthless, as positions
    /// and measurements do.
    DropOldest,
}

/// A bounded queue of datagrams.
#[derive(Clone, Debug)]
pub struct Inbox {
    datagrams: VecDeque<Vec<u8>>,
    bytes: usize,
    max_datagrams: usize,
    max_bytes: usize,
    overflow: Overflow,
}

impl Inbox {
    /// An empty inbox for up to `max_datagrams` (one at least) of up to `max_bytes` together. An empty
    /// datagram takes no bytes. Memory is taken for what waits, and no more.
    pub fn new(max_datagrams: usize, max_bytes: usize, overflow: Overflow) -> Self {
        let datagrams = VecDeque::new();
        Self { datagrams, bytes: 0, max_datagrams: max_datagrams.max(1), max_bytes, overflow }
    }

    /// Puts a copy of `payload` at the end, and returns how many datagrams were dropped for it or,
    /// when it is dropped itself, instead of it. One that is longer than the inbox is always dropped.
    pub fn push(&mut self, payload: &[u8]) -> usize {
        let mut dropped = 0;
        while self.datagrams.len() >= self.max_datagrams || payload.len() > self.max_bytes - self.bytes {
            if self.overflow == Overflow::DropNewest || payload.len() > self.max_bytes {
                return 1;
            }
            let oldest = self.datagrams.pop_front();
            self.bytes -= oldest.map_or(0, |oldest| oldest.len());
            dropped += 1;
        }
        self.bytes += payload.len();
        self.datagrams.push_back(payload.to_vec());
        dropped
    }

    /// The length of the datagram that waits longest, in bytes.
    pub fn next_len(&self) -> Option<usize> {
        self.datagrams.front().map(Vec::len)
    }

    /// Takes the datagram that waits longest.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let datagram = self.datagrams.pop_front()?;
        self.bytes -= datagram.len();
        Some(datagram)
    }

    /// How many datagrams wait.
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// The bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contents(mut inbox: Inbox) -> Vec<Vec<u8>> {
        core::iter::from_fn(|| inbox.pop()).collect()
    }

    #[test]
    fn a_full_inbox_drops_the_newest_or_the_oldest() {
        let mut newest = Inbox::new(2, 100, Overflow::DropNewest);
        let mut oldest = Inbox::new(2, 100, Overflow::DropOldest);
        for (payload, dropped) in [(b"a", 0), (b"b", 0), (b"c", 1)] {
            assert_eq!(newest.push(payload), dropped);
            assert_eq!(oldest.push(payload), dropped);
        }
        assert_eq!(contents(newest), [b"a", b"b"]);
        assert_eq!(contents(oldest), [b"b", b"c"]);
    }

    #[test]
    fn bytes_bound_it_too() {
        let mut inbox = Inbox::new(10, 5, Overflow::DropOldest);
        assert_eq!(inbox.push(b"12"), 0);
        assert_eq!(inbox.push(b"34"), 0);
        assert_eq!(inbox.push(b"567"), 1, "two bytes make room enough");
        assert_eq!(inbox.push(b"890abc"), 1, "it would never fit, and drops nothing but itself");
        assert_eq!(inbox.bytes(), 5);
        assert_eq!(contents(inbox), [b"34".as_slice(), b"567"]);
    }

    #[test]
    fn empty_datagrams_are_datagrams() {
        let mut inbox = Inbox::new(2, 0, Overflow::DropNewest);
        assert_eq!((inbox.push(b""), inbox.push(b""), inbox.push(b"")), (0, 0, 1));
        assert_eq!(inbox.next_len(), Some(0));
        assert_eq!(inbox.len(), 2);
    }

    proptest! {
        #[test]
        fn no_row_of_datagrams_breaks_a_bound(
            lengths in prop::collection::vec(0usize..40, 0..60),
            newest: bool,
        ) {
            let overflow = if newest { Overflow::DropNewest } else { Overflow::DropOldest };
            let mut inbox = Inbox::new(8, 64, overflow);
            let (mut dropped, mut popped) = (0, 0);
            for (index, length) in lengths.iter().enumerate() {
                dropped += inbox.push(&alloc::vec![0; *length]);
                if index % 5 == 0 {
                    popped += usize::from(inbox.pop().is_some());
                }
                prop_assert!(inbox.len() <= 8 && inbox.bytes() <= 64);
            }
            prop_assert_eq!(dropped + popped + inbox.len(), lengths.len(), "each is somewhere");
        }
    }
}
