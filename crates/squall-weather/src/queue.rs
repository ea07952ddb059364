//! What is under way.

use alloc::collections::BinaryHeap;
use core::cmp::{Ordering, Reverse};
use squall_time::Time;

/// Items that wait for their time, bounded in number and in bytes. Those with equal times come out in
/// the order they went in.
///
/// It allocates until it has once held as much as it ever holds, and not after.
///
/// ```
/// use squall_time::Time;
/// use squall_weather::Queue;
///
/// let mut queue = Queue::new(1000, 1_000_000);
/// queue.push(Time::from_nanos(9), 100, "late").unwrap();
/// queue.push(Time::from_nanos(5), 100, "early").unwrap();
/// assert_eq!(queue.poll_timeout(), Some(Time::from_nanos(5)));
/// assert_eq!(queue.pop(Time::from_nanos(5)), Some("early"));
/// assert_eq!(queue.pop(Time::from_nanos(5)), None);
/// ```
#[derive(Clone, Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    max_items: usize,
    max_bytes: usize,
    bytes: usize,
    pushed: u64,
    refused: u64,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    at: Time,
    order: u64,
    size: usize,
    item: T,
}

impl<T> Queue<T> {
    /// An empty queue for at most `items` items of together at most `bytes` bytes.
    pub fn new(items: usize, bytes: usize) -> Self {
        Self { heap: BinaryHeap::new(), max_items: items, max_bytes: bytes, bytes: 0, pushed: 0, refused: 0 }
    }

    /// Keeps an item of `size` bytes until `at`.
    ///
    /// # Errors
    /// The item, when the queue is full; this is counted.
    pub fn push(&mut self, at: Time, size: usize, item: T) -> Result<(), T> {
        if self.heap.len() >= self.max_items || size > self.max_bytes - self.bytes {
            self.refused += 1;
            return Err(item);
        }
        self.bytes += size;
        self.heap.push(Reverse(Entry { at, order: self.pushed, size, item }));
        self.pushed += 1;
        Ok(())
    }

    /// When the next item comes out; `None` when there is none.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next item whose time has come by `now`.
    pub fn pop(&mut self, now: Time) -> Option<T> {
        if self.poll_timeout()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.bytes -= entry.size;
        Some(entry.item)
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many items were turned away because the queue was full.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Forgets all that waits. Its room stays allocated.
    pub fn clear(&mut self) {
        self.heap.clear();
        self.bytes = 0;
    }
}

impl<T> Entry<T> {
    fn key(&self) -> (Time, u64) {
        (self.at, self.order)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn items_come_out_by_time_and_those_of_one_time_in_order() {
        let mut queue = Queue::new(100, 100);
        for (nanos, item) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b'), (9, 'f'), (5, 'e')] {
            queue.push(at(nanos), 1, item).unwrap();
        }
        let out: Vec<char> = core::iter::from_fn(|| queue.pop(at(8))).collect();
        assert_eq!(out, ['a', 'b', 'c', 'd', 'e']);
        assert_eq!((queue.len(), queue.bytes(), queue.poll_timeout()), (1, 1, Some(at(9))));
        queue.clear();
        assert!(queue.is_empty() && queue.bytes() == 0 && queue.poll_timeout().is_none());
    }

    #[test]
    fn a_full_queue_gives_the_item_back_and_counts_it() {
        let mut queue = Queue::new(2, 10);
        assert_eq!(queue.push(at(1), 11, 'x'), Err('x'));
        queue.push(at(1), 6, 'a').unwrap();
        assert_eq!(queue.push(at(1), 5, 'x'), Err('x'), "too many bytes");
        queue.push(at(1), 4, 'b').unwrap();
        assert_eq!(queue.push(at(1), 0, 'x'), Err('x'), "too many items");
        assert_eq!(queue.refused(), 3);
        assert_eq!(queue.pop(at(1)), Some('a'));
        queue.push(at(1), 6, 'c').unwrap();
        assert_eq!(queue.bytes(), 10);
    }
}
