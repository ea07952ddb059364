//! The hub's side: nothing here waits for a disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use squall::chat::wire::{Key, RoomName};
use squall::chat::{History, Message, Query, Recall, RecallError, Recalled};

use super::database::{LAST_NUMBER, MOST_ROOMS};
use super::search::Asked;
use super::shared::{ENOUGH, Shared, add};

/// A [`History`] whose messages are written by another thread.
pub(super) struct Front {
    shared: Arc<Shared>,
    questions: SyncSender<(Recall, Asked)>,
    rooms: HashMap<Box<str>, u32>,
    /// Their names, by what these are unique by.
    spellings: HashMap<Key, RoomName>,
    /// The last number of each room, by its identifier.
    last: Vec<u64>,
    /// The name and the identifier of the room of the last message: most of the time the next one's too.
    current: (String, u32),
    /// As high as any number of a room that is no longer known.
    floor: u64,
}

impl Front {
    /// `rooms`: name, identifier, last number.
    pub(super) fn new(
        shared: Arc<Shared>,
        questions: SyncSender<(Recall, Asked)>,
        rooms: impl Iterator<Item = (Box<str>, u32, u64)>,
        floor: u64,
    ) -> Self {
        let mut front = Self {
            shared,
            questions,
            rooms: HashMap::new(),
            spellings: HashMap::new(),
            last: Vec::new(),
            // No room has an empty name.
            current: (String::new(), 0),
            floor,
        };
        for (name, id, last) in rooms {
            let at = id as usize;
            if front.last.len() <= at {
                front.last.resize(at + 1, 0);
            }
            front.last[at] = last;
            front.insert(&name, id);
        }
        front
    }

    fn insert(&mut self, name: &str, id: u32) {
        // Whatever is in a file: a room that no member can ask for has no spelling.
        if let Ok(room) = RoomName::new(name) {
            let last = |name: &str| self.rooms.get(name).map_or(0, |id| self.last[*id as usize]);
            let others = self.spellings.get(&room.key()).map_or(0, |other| last(other.as_str()));
            // Of several, the one that was spoken in most.
            if others <= self.last[id as usize] {
                self.spellings.insert(room.key(), room);
            }
        }
        self.rooms.insert(name.into(), id);
    }

    /// The identifier of a room, a new one if need be; `None` if there are too many.
    fn room(&mut self, name: &str) -> Option<u32> {
        if self.current.0 == name && !name.is_empty() {
            return Some(self.current.1);
        }
        let id = match self.rooms.get(name) {
            Some(id) => *id,
            None => self.new_room(name)?,
        };
        // Its memory is used again: rooms take turns.
        self.current.0.clear();
        self.current.0.push_str(name);
        self.current.1 = id;
        Some(id)
    }

    fn new_room(&mut self, name: &str) -> Option<u32> {
        let mut queue = self.shared.queue();
        let id = if self.rooms.len() < self.shared.config.rooms {
            let id = u32::try_from(self.last.len()).ok().filter(|id| *id < MOST_ROOMS)?;
            self.last.push(0);
            id
        } else {
            loop {
                let (id, last) = queue.empty_rooms.pop()?;
                // Unless something was said there since.
                if self.last[id as usize] == last {
                    self.rooms.retain(|_, other| *other != id);
                    self.spellings.retain(|_, room| self.rooms.contains_key(room.as_str()));
                    self.floor = self.floor.max(last);
                    break id;
                }
            }
        };
        queue.batch.rooms.push((id, name.into()));
        drop(queue);
        self.last[id as usize] = self.floor;
        self.insert(name, id);
        Some(id)
    }
}

impl History for Front {
    fn last_number(&mut self, room: &str) -> u64 {
        self.rooms.get(room).map_or(self.floor, |id| self.last[*id as usize])
    }

    fn spelling(&mut self, room: &RoomName) -> Option<RoomName> {
        self.spellings.get(&room.key()).cloned()
    }

    fn keep(&mut self, message: &Message<'_>) {
        let counts = &self.shared.counts;
        if message.number == 0 || message.number > LAST_NUMBER {
            add(&counts.shed, 1);
            return;
        }
        let Some(id) = self.room(message.room) else {
            let counts = &self.shared.counts;
            add(&counts.rooms_refused, 1);
            add(&counts.shed, 1);
            return;
        };
        let last = &mut self.last[id as usize];
        // Higher with each message, also where a room began below the number that its place had: by this it is seen that
        // something was said since the room was empty.
        *last = message.number.max(*last + 1);
        let shared = &self.shared;
        let mut queue = shared.queue();
        let was_empty = queue.batch.has_no_rows();
        if !queue.closed && queue.batch.push(id, message, shared.config.queue) {
            let wake = was_empty || queue.batch.len() == ENOUGH;
            drop(queue);
            add(&shared.counts.kept, 1);
            if wake {
                shared.wake();
            }
        } else {
            drop(queue);
            add(&shared.counts.shed, 1);
        }
    }

    fn ask(&mut self, recall: Recall, query: &Query<'_>) -> Result<Option<Vec<Recalled>>, RecallError> {
        add(&self.shared.counts.questions, 1);
        match self.questions.try_send((recall, Asked::new(query))) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(_)) => {
                add(&self.shared.counts.questions_refused, 1);
                Err(RecallError::Busy)
            }
            Err(TrySendError::Disconnected(_)) => {
                add(&self.shared.counts.questions_failed, 1);
                Err(RecallError::Failed)
            }
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.wake();
    }
}
