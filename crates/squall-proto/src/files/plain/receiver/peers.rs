//! Whom a receiver knows: who uploads, and who did lately.

use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashTable;

use super::keeper::UploadId;
use crate::guard::hash;
use crate::{Origin, Time};

/// An address and what becomes of its datagrams.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) origin: Origin,
    pub(super) state: State,
    hash: u32,
}

#[derive(Debug)]
pub(super) enum State {
    /// They are an upload.
    Uploads(Upload),
    /// They are the rest of what was turned away or broken off.
    Discarded,
    /// Its last upload has ended by `bye`: another one is the same.
    SaidBye,
    /// Its last upload has ended without: what comes next is the rest of it.
    Lapsed,
}

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: UploadId,
    pub(super) began: Time,
    pub(super) last: Time,
    pub(super) bytes: u64,
    pub(super) datagrams: u64,
    pub(super) dropped: u64,
    pub(super) lacks_beginning: bool,
    /// The address whose network it counts for, if it does.
    pub(super) counted: Option<IpAddr>,
}

/// All of them, by a number and by their origin.
#[derive(Debug)]
pub(super) struct Peers {
    slots: Vec<Option<Known>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    seed: u64,
    uploads: u32,
    /// Who spoke last: datagrams of one sender come in rows.
    last: Option<(Origin, u32)>,
}

impl Peers {
    pub(super) fn new(seed: u64) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), index: HashTable::new(), seed, uploads: 0, last: None }
    }

    /// How many upload.
    pub(super) fn uploads(&self) -> u32 {
        self.uploads
    }

    /// How many are known that do not.
    pub(super) fn others(&self) -> usize {
        self.index.len() - self.uploads as usize
    }

    pub(super) fn find(&mut self, origin: &Origin) -> Option<u32> {
        if let Some((last, index)) = &self.last
            && last == origin
        {
            return Some(*index);
        }
        let slots = &self.slots;
        let found = self.index.find(hash::spread(hash::origin(self.seed, origin)), |index| {
            slots[*index as usize].as_ref().is_some_and(|known| known.origin == *origin)
        })?;
        self.last = Some((*origin, *found));
        Some(*found)
    }

    /// Adds one that is not known yet.
    pub(super) fn add(&mut self, origin: Origin, state: State) -> u32 {
        self.uploads += u32::from(state.is_upload());
        let hash = hash::origin(self.seed, &origin);
        let known = Some(Known { origin, state, hash });
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = known;
                index
            }
            None => {
                self.slots.push(known);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash::spread(hash), index, |index| {
            hash::spread(slots[*index as usize].as_ref().map_or(0, |known| known.hash))
        });
        index
    }

    /// Gives one another state, and returns the one that it had.
    pub(super) fn set(&mut self, index: u32, state: State) -> Option<State> {
        let known = self.slots.get_mut(index as usize)?.as_mut()?;
        self.uploads += u32::from(state.is_upload());
        let old = core::mem::replace(&mut known.state, state);
        self.uploads -= u32::from(old.is_upload());
        Some(old)
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Known> {
        let known = self.slots.get_mut(index as usize)?.take()?;
        if let Ok(entry) = self.index.find_entry(hash::spread(known.hash), |other| *other == index) {
            entry.remove();
        }
        self.uploads -= u32::from(known.state.is_upload());
        self.free.push(index);
        self.last = None;
        Some(known)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Known> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// The numbers of those who upload.
    pub(super) fn uploading(&self) -> Vec<u32> {
        let uploads = |slot: &Option<Known>| slot.as_ref().is_some_and(|known| known.state.is_upload());
        (0..).zip(&self.slots).filter(|(_, slot)| uploads(slot)).map(|(index, _)| index).collect()
    }
}

impl State {
    fn is_upload(&self) -> bool {
        matches!(self, State::Uploads(_))
    }
}
