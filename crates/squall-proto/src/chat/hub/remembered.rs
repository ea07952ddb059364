//! What is remembered of members that left, should they come back.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use hashbrown::HashTable;

use super::members::Lines;
use crate::chat::Liveness;
use crate::chat::wire::{Name, RoomName};
use crate::{Origin, Time};

/// What a member left behind.
#[derive(Debug)]
pub(super) struct Left {
    /// When what it said will have been paid for: who leaves and comes back owes the same.
    pub(super) paid: Time,
    /// When it was last told to slow down.
    pub(super) told: Option<Time>,
    /// What it finds again, until some time, if it was evicted for its silence.
    pub(super) settings: Option<Box<Settings>>,
    pub(super) until: Time,
}

/// What an evicted member finds again.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) name: Option<Name>,
    pub(super) room: RoomName,
    pub(super) numbers: bool,
    pub(super) watches: bool,
    pub(super) lines: Lines,
    /// So that the gap counts that it was evicted for: else no loss that is long enough to evict a live member would
    /// ever be known.
    pub(super) liveness: Liveness,
}

#[derive(Debug)]
struct Memory {
    origin: Origin,
    hash: u64,
    left: Left,
}

/// Those that left last: those that were evicted, and apart from them, so that they push none of those out, who left by
/// itself and may owe something.
#[derive(Debug)]
pub(super) struct Remembered {
    evicted: Queue,
    debtors: Queue,
}

impl Remembered {
    pub(super) fn new() -> Self {
        Self { evicted: Queue::new(MAX_EVICTED), debtors: Queue::new(MAX_DEBTORS) }
    }

    /// Remembers the member of `origin`, whose hash is `hash`. The oldest goes out when there are too many.
    pub(super) fn put(&mut self, origin: Origin, hash: u64, left: Left) {
        self.take(&origin, hash);
        let queue = if left.settings.is_some() { &mut self.evicted } else { &mut self.debtors };
        queue.put(origin, hash, left);
    }

    /// What is remembered of `origin`.
    pub(super) fn get(&self, origin: &Origin, hash: u64) -> Option<&Left> {
        self.evicted.get(origin, hash).or_else(|| self.debtors.get(origin, hash))
    }

    /// Takes what is remembered of `origin`.
    pub(super) fn take(&mut self, origin: &Origin, hash: u64) -> Option<Left> {
        self.evicted.take(origin, hash).or_else(|| self.debtors.take(origin, hash))
    }
}

#[derive(Debug)]
struct Queue {
    /// Oldest first; `None` where one came back.
    queue: VecDeque<Option<Memory>>,
    /// Running numbers in the queue, by origin.
    index: HashTable<u64>,
    /// The first one's running number.
    first: u64,
    most: usize,
}

impl Queue {
    fn new(most: usize) -> Self {
        Self { queue: VecDeque::new(), index: HashTable::new(), first: 0, most }
    }

    fn put(&mut self, origin: Origin, hash: u64, left: Left) {
        if self.queue.len() == self.most {
            if let Some(Some(memory)) = self.queue.pop_front()
                && let Ok(entry) = self.index.find_entry(memory.hash, |number| *number == self.first)
            {
                entry.remove();
            }
            self.first += 1;
        }
        let number = self.first + self.queue.len() as u64;
        self.queue.push_back(Some(Memory { origin, hash, left }));
        let (queue, first) = (&self.queue, self.first);
        self.index.insert_unique(hash, number, |number| {
            queue[(number - first) as usize].as_ref().map_or(0, |memory| memory.hash)
        });
    }

    fn get(&self, origin: &Origin, hash: u64) -> Option<&Left> {
        let number = self.index.find(hash, |number| self.is_of(*number, origin))?;
        self.queue[(number - self.first) as usize].as_ref().map(|memory| &memory.left)
    }

    fn take(&mut self, origin: &Origin, hash: u64) -> Option<Left> {
        let (queue, first) = (&self.queue, self.first);
        let same = |number: &u64| {
            queue[(number - first) as usize].as_ref().is_some_and(|memory| memory.origin == *origin)
        };
        let (number, _) = self.index.find_entry(hash, same).ok()?.remove();
        Some(self.queue[(number - first) as usize].take()?.left)
    }

    fn is_of(&self, number: u64, origin: &Origin) -> bool {
        let memory = &self.queue[(number - self.first) as usize];
        memory.as_ref().is_some_and(|memory| memory.origin == *origin)
    }
}

/// Evicted members that are remembered at most, and others.
const MAX_EVICTED: usize = 16_384;
const MAX_DEBTORS: usize = 4096;
