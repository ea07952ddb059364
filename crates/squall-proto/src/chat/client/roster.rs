//! Who is in the room, and which rooms there are.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::Client;
use crate::chat::wire::{Command, Key, Member, RoomName};
use crate::{Time, Transport};

/// A member of the client's room, as the hub told last.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour {
    /// Its name, or `~` and its number.
    pub name: String,
    /// How it is connected; `None` as long as only its coming was told.
    pub via: Option<Transport>,
    /// When anything came of it.
    pub heard: Time,
    /// The measured interval of its heartbeats.
    pub every: Option<Duration>,
    /// The measured share of its heartbeats that is lost, from 0 to 1.
    pub loss: Option<f32>,
    /// How long it may be silent.
    pub limit: Option<Duration>,
}

/// A room of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its name.
    pub name: String,
    /// How many are there.
    pub members: u64,
    /// The number of its last message; 0 where there was none.
    pub number: u64,
}

/// Members and rooms. The hub's lists come in parts that can be lost: what a list has is taken at once, and what it has
/// not goes only if all of the list has come.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub(super) members: BTreeMap<String, Neighbour>,
    pub(super) total: u64,
    pub(super) rooms: BTreeMap<String, Room>,
    listing: Option<Listing>,
    rooms_listing: Option<RoomsListing>,
    limit: usize,
    /// Whether a list was asked for that has not come, of members and of rooms.
    awaited: (bool, bool),
    /// The room whose members the user asked for last, if it was named, and whether the list that comes is of those.
    pub(super) wanted: Option<Key>,
    pub(super) is_wanted: bool,
}

#[derive(Debug)]
struct Listing {
    room: String,
    total: u64,
    seen: BTreeMap<String, Neighbour>,
}

#[derive(Debug)]
struct RoomsListing {
    total: u64,
    seen: BTreeMap<String, Room>,
    /// Whether the next page was asked for.
    goes_on: bool,
}

impl Roster {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The client is in another room.
    pub(super) fn clear_members(&mut self) {
        self.members.clear();
        self.total = 0;
        self.listing = None;
    }

    /// A list of members of `room` comes, which may be none that the user asked for.
    pub(super) fn is_of(&mut self, room: &str) {
        self.is_wanted = self.wanted.as_ref().is_none_or(|wanted| *wanted == Key::of(room));
    }

    /// A list of members begins, or goes on.
    pub(super) fn begin(&mut self, room: &str, total: u64) {
        match &mut self.listing {
            Some(listing) if listing.room == room && listing.seen.len() < listing.total as usize => {
                listing.total = total
            }
            listing => *listing = Some(Listing { room: room.to_string(), total, seen: BTreeMap::new() }),
        }
        self.total = total;
    }

    /// A new list is asked for: what came of the last one is no part of it.
    pub(super) fn ask(&mut self) {
        self.listing = None;
        self.rooms_listing = None;
        self.awaited = (true, true);
    }

    /// Whether all that was asked for has come.
    pub(super) fn is_complete(&self) -> bool {
        self.awaited == (false, false)
    }

    /// A member of the list.
    pub(super) fn member(&mut self, now: Time, member: &Member<'_>) {
        let heard = Time::from_nanos(now.as_nanos().saturating_sub(Time::from_epoch(member.idle).as_nanos()));
        let Member { via, every, loss, limit, .. } = *member;
        let name = member.name.to_string();
        let neighbour = Neighbour { name: name.clone(), via: Some(via), heard, every, loss, limit };
        let Some(listing) = &mut self.listing else { return };
        if listing.seen.len() < self.limit {
            listing.seen.insert(name.clone(), neighbour.clone());
        }
        if listing.seen.len() as u64 >= listing.total || listing.seen.len() >= self.limit {
            self.members = core::mem::take(&mut listing.seen);
            self.listing = None;
            self.awaited.0 = false;
        } else if self.members.len() < self.limit || self.members.contains_key(&name) {
            self.members.insert(name, neighbour);
        }
    }

    /// The list goes on behind a name: what asks for more, unless enough are listed.
    pub(super) fn more(&mut self, after: &str) -> Option<Command<'static>> {
        let listing = self.listing.as_ref().filter(|listing| listing.seen.len() < self.limit)?;
        let room = RoomName::new(&listing.room).ok()?;
        Some(Command::Who { room: Some(room), after: Some(after.to_string().into()) })
    }

    pub(super) fn came(&mut self, now: Time, name: &str) {
        if self.members.contains_key(name) {
            return;
        }
        self.total += 1;
        if self.members.len() < self.limit {
            let name = name.to_string();
            let neighbour =
                Neighbour { name: name.clone(), via: None, heard: now, every: None, loss: None, limit: None };
            self.members.insert(name, neighbour);
        }
    }

    pub(super) fn went(&mut self, name: &str) {
        if self.members.remove(name).is_some() || self.members.len() >= self.limit {
            self.total = self.total.saturating_sub(1);
        }
    }

    pub(super) fn renamed(&mut self, old: &str, new: &str) {
        if let Some(mut neighbour) = self.members.remove(old) {
            neighbour.name = new.to_string();
            if self.members.insert(new.to_string(), neighbour).is_some() {
                // It was counted before, and came back as another member.
                self.total = self.total.saturating_sub(1);
            }
        }
    }

    /// Somebody said something.
    pub(super) fn spoke(&mut self, now: Time, name: &str) {
        if let Some(neighbour) = self.members.get_mut(name) {
            neighbour.heard = now;
        }
    }

    /// A list of so many rooms begins, or goes on.
    pub(super) fn begin_rooms(&mut self, total: u64) {
        match &mut self.rooms_listing {
            Some(listing) if listing.goes_on => (listing.total, listing.goes_on) = (total, false),
            listing => *listing = Some(RoomsListing { total, seen: BTreeMap::new(), goes_on: false }),
        }
    }

    pub(super) fn room(&mut self, name: &str, members: u64, number: u64) {
        let room = Room { name: name.to_string(), members, number };
        let Some(listing) = &mut self.rooms_listing else { return };
        listing.seen.insert(room.name.clone(), room.clone());
        if listing.seen.len() as u64 >= listing.total {
            self.rooms = core::mem::take(&mut listing.seen);
            self.rooms_listing = None;
            self.awaited.1 = false;
        } else if self.rooms.len() < MAX_ROOMS || self.rooms.contains_key(name) {
            self.rooms.insert(room.name.clone(), room);
        }
        // A hub that lists more rooms than there can be is not believed.
        if self.rooms_listing.as_ref().is_some_and(|listing| listing.seen.len() > MAX_ROOMS) {
            self.rooms_listing = None;
            self.awaited.1 = false;
        }
    }

    /// The list of rooms goes on behind a name: what asks for more.
    pub(super) fn more_rooms(&mut self, after: &str) -> Option<Command<'static>> {
        let listing = self.rooms_listing.as_mut()?;
        let after = RoomName::new(after).ok()?;
        listing.goes_on = true;
        Some(Command::Rooms(Some(after)))
    }
}

impl Client {
    /// Asks the hub at once who is in the room and which rooms there are; what is known of that may be half a minute
    /// old. [`Event::Roster`](super::Event::Roster) tells that something came, [`is_listed`](Self::is_listed) that all has.
    pub fn list(&mut self, now: Time) {
        self.roster.ask();
        self.roster_due = Some(now);
    }

    /// Whether the lists of members and rooms that were asked for last have come.
    pub fn is_listed(&self) -> bool {
        self.roster.is_complete()
    }
}

/// As many as a hub has by default.
const MAX_ROOMS: usize = 1024;
