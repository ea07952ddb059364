//! Members that were evicted for their silence, should they come back.

use alloc::collections::VecDeque;

use hashbrown::HashTable;

use super::members::Lines;
use crate::chat::wire::{Name, RoomName};
use crate::{Origin, Time};

/// What a member finds again.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) name: Option<Name>,
    pub(super) room: RoomName,
    pub(super) numbers: bool,
    pub(super) watches: bool,
    pub(super) lines: Lines,
}

#[derive(Debug)]
struct Memory {
    origin: Origin,
    hash: u64,
    until: Time,
    settings: Settings,
}

/// The settings of those that left last.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Oldest first; `None` where one came back.
    queue: VecDeque<Option<Memory>>,
    /// Running numbers in the queue, by origin.
    index: HashTable<u64>,
    /// The first one's running number.
    first: u64,
}

impl Remembered {
    /// Remembers the member of `origin`, whose hash is `hash`, until `until`. The oldest goes out when
    /// there are too many.
    pub(super) fn put(&mut self, origin: Origin, hash: u64, until: Time, settings: Settings) {
        self.take(&origin, hash, Time::ZERO);
        if self.queue.len() == MAX_REMEMBERED {
            if let Some(Some(memory)) = self.queue.pop_front()
                && let Ok(entry) = self.index.find_entry(memory.hash, |number| *number == self.first)
            {
                entry.remove();
            }
            self.first += 1;
        }
        let number = self.first + self.queue.len() as u64;
        self.queue.push_back(Some(Memory { origin, hash, until, settings }));
        let (queue, first) = (&self.queue, self.first);
        self.index.insert_unique(hash, number, |number| {
            queue[(number - first) as usize].as_ref().map_or(0, |memory| memory.hash)
        });
    }

    /// Takes what is remembered of `origin`, if that is not too long ago.
    pub(super) fn take(&mut self, origin: &Origin, hash: u64, now: Time) -> Option<Settings> {
        let (queue, first) = (&self.queue, self.first);
        let same = |number: &u64| {
            queue[(number - first) as usize].as_ref().is_some_and(|memory| memory.origin == *origin)
        };
        let (number, _) = self.index.find_entry(hash, same).ok()?.remove();
        let memory = self.queue[(number - first) as usize].take()?;
        (now <= memory.until).then_some(memory.settings)
    }
}

/// Members that are remembered at most.
pub(super) const MAX_REMEMBERED: usize = 4096;
