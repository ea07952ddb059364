//! What the hub has to be told anew whenever it does not know this client.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::Time;
use crate::chat::wire::{Command, Key, Name, RoomName};

/// What the client wants to be, and what of it the hub has confirmed.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) name: Option<Name>,
    pub(super) room: Option<RoomName>,
    numbers: bool,
    watch: bool,
    named: Settled,
    joined: Settled,
    /// Whether the user knows that the name is refused.
    told: bool,
    /// Whether the client was called so: whoever has the name then may be its own former self.
    had: bool,
    /// What was wanted before, as long as the hub has not said whether the name can be had.
    pub(super) before: Option<Before>,
    /// When to ask for a name once more that the client had, and how often yet.
    again: Option<Time>,
    tries: u32,
    wait: Duration,
    due: Option<Time>,
}

/// A name, or none, that is wanted again if another cannot be had.
#[derive(Debug)]
pub(super) struct Before {
    name: Option<Name>,
    named: Settled,
    told: bool,
    had: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Open,
    Confirmed,
    /// Asked for again later, since whoever is in the way may go.
    Refused,
}

impl Setup {
    pub(super) fn new(name: Option<Name>, room: Option<RoomName>) -> Self {
        Self {
            name,
            room,
            numbers: false,
            watch: false,
            named: Settled::Open,
            joined: Settled::Open,
            told: false,
            had: false,
            before: None,
            again: None,
            tries: TRIES,
            wait: FIRST,
            due: None,
        }
    }

    /// Nothing is confirmed any more; all of it goes out with the next lines.
    pub(super) fn forget(&mut self, now: Time) {
        (self.numbers, self.watch) = (false, false);
        (self.named, self.joined) = (Settled::Open, Settled::Open);
        if let Some(before) = &mut self.before {
            before.named = Settled::Open;
        }
        (self.again, self.tries) = (None, TRIES);
        (self.wait, self.due) = (FIRST, Some(now));
    }

    /// The commands for what is not confirmed. The room comes before the name, which has to be free only there.
    pub(super) fn commands(&mut self, now: Time) -> Vec<Command<'static>> {
        if self.again.is_some_and(|again| again <= now) {
            self.ask_again(now);
        }
        let mut commands = Vec::new();
        if !self.numbers {
            commands.push(Command::Numbers(true));
        }
        if !self.watch {
            commands.push(Command::Watch(true));
        }
        if let Some(room) = self.room.as_ref().filter(|_| self.joined == Settled::Open) {
            commands.push(Command::Join(room.clone()));
        }
        if let Some(name) = self.name.as_ref().filter(|_| self.named == Settled::Open) {
            commands.push(Command::Name(Some(name.clone())));
        }
        self.due = (!commands.is_empty()).then(|| now + self.wait);
        self.wait = (self.wait * 2).min(LONGEST);
        commands
    }

    pub(super) fn rename(&mut self, name: Name, now: Time) {
        let Self { named, told, had, .. } = *self;
        let name = self.name.replace(name);
        self.before.get_or_insert(Before { name, named, told, had });
        (self.named, self.told, self.had) = (Settled::Open, false, false);
        (self.again, self.tries) = (None, TRIES);
        (self.wait, self.due) = (FIRST, Some(now));
    }

    pub(super) fn join(&mut self, room: RoomName, now: Time) {
        (self.room, self.joined) = (Some(room), Settled::Open);
        (self.wait, self.due) = (FIRST, Some(now));
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.due.into_iter().chain(self.again).min()
    }

    /// Whether messages can be said: under the right name, in the right room, with numbers in their receipts.
    pub(super) fn is_ready(&self) -> bool {
        let name = self.name.is_none() || self.named != Settled::Open;
        let room = self.room.is_none() || self.joined != Settled::Open;
        self.numbers && name && room
    }

    /// Whether the hub has confirmed that it sends numbers.
    pub(super) fn has_numbers(&self) -> bool {
        self.numbers
    }

    pub(super) fn numbers(&mut self, on: bool, now: Time) {
        self.numbers = on;
        self.settle(now);
    }

    pub(super) fn watch(&mut self, on: bool, now: Time) {
        self.watch = on;
        self.settle(now);
    }

    /// The hub calls this client so. Whether the user knows that it was refused this name before.
    pub(super) fn is_called(&mut self, label: &str, now: Time) -> bool {
        let mut was_refused = false;
        if self.name.as_ref().is_some_and(|name| name.as_str() == label) {
            (self.named, self.had, self.before) = (Settled::Confirmed, true, None);
            (self.again, self.tries) = (None, TRIES);
            was_refused = core::mem::take(&mut self.told);
        } else if self.named == Settled::Confirmed {
            self.named = Settled::Open;
        }
        self.settle(now);
        was_refused
    }

    /// The hub has this client in a room. It may write the room that is wanted in its own way, which it is asked for in from
    /// then on.
    pub(super) fn is_in(&mut self, room: &str, now: Time) {
        let is_wanted = |wanted: &RoomName| wanted.as_str() == room || wanted.key() == Key::of(room);
        if self.room.as_ref().is_some_and(is_wanted) {
            self.joined = Settled::Confirmed;
            self.room = RoomName::new(room).ok().or(self.room.take());
        } else if self.joined == Settled::Confirmed {
            self.joined = Settled::Open;
        }
        self.settle(now);
    }

    /// A name is refused, which the hub may tell. Whether the user should know and does not yet. The one that was wanted before
    /// is wanted again; without one this one is asked for later, and at `again` if the client was called so.
    pub(super) fn name_refused(&mut self, refused: Option<&str>, again: Time, now: Time) -> bool {
        let wanted = self.name.as_ref().map(Name::as_str);
        if self.named != Settled::Open || refused.is_some_and(|refused| wanted != Some(refused)) {
            // It was asked for before something else was, or twice.
            return false;
        }
        let is_news = !core::mem::replace(&mut self.told, true);
        if let Some(Before { name, named, told, had }) = self.before.take() {
            (self.name, self.named, self.told, self.had) = (name, named, told, had);
        } else {
            self.named = Settled::Refused;
        }
        if self.named == Settled::Refused && self.had && self.tries > 0 {
            self.tries -= 1;
            self.again = Some(again);
        }
        self.settle(now);
        is_news
    }

    /// Somebody is not called so any more; it may be the name that this client could not have.
    pub(super) fn is_free(&mut self, name: &str, now: Time) {
        if self.name.as_ref().is_some_and(|wanted| wanted.as_str() == name) {
            self.ask_again(now);
        }
    }

    /// Whether the client waits to be in another room.
    pub(super) fn is_moving(&self) -> bool {
        self.room.is_some() && self.joined == Settled::Open
    }

    /// The room is refused, so that the client stays in `present`.
    pub(super) fn room_refused(&mut self, present: Option<&String>, now: Time) {
        if self.joined == Settled::Open {
            self.room = present.and_then(|room| RoomName::new(room).ok());
            self.joined = Settled::Confirmed;
        }
        self.settle(now);
    }

    /// Asks for a name that was refused once more.
    pub(super) fn ask_again(&mut self, now: Time) {
        self.again = None;
        if self.named == Settled::Refused {
            self.named = Settled::Open;
            (self.wait, self.due) = (FIRST, Some(now));
        }
    }

    fn settle(&mut self, now: Time) {
        let open = !self.is_ready() || !self.watch;
        self.due = match self.due {
            Some(due) if open => Some(due),
            None if open => Some(now),
            _ => None,
        };
    }
}

/// The wait for a confirmation, doubled with each that does not come.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
/// How often a name that the client had is asked for soon: for about two minutes, in which a hub has missed whoever had it,
/// if that was the client itself.
const TRIES: u32 = 24;
