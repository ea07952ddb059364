//! What a client tells its user.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::Time;
use crate::chat::history::Recalled;

/// How a client is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It tries to reach the hub.
    Connecting {
        /// Which attempt in a row this is, from 1 on.
        attempt: u32,
        /// When the next one begins.
        next: Time,
        /// Why it is not connected any more, or yet.
        why: Why,
    },
    /// The hub answers.
    Online,
    /// The hub's answers are missing since then; the client asks again and again.
    Quiet {
        /// When the last one came.
        since: Time,
    },
    /// It is over; nothing happens by itself any more.
    Gone(Why),
}

/// Why a client is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It has only begun.
    New,
    /// The hub does not answer.
    Silent,
    /// The hub said `bye bye`.
    Bye,
    /// The connection ended.
    Closed,
    /// The system says that it cannot be reached, in its words.
    Unreachable(String),
    /// The client left.
    Left,
}

/// What has happened. What a client knows can be asked for at any time; events say when to look.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// How it is connected has changed.
    State(State),
    /// A stream has to be opened: the driver tells by [`Input::Opened`](crate::Input::Opened) that it is,
    /// or by [`Client::unreachable`](super::Client::unreachable) that it cannot be.
    Connect,
    /// A message was added, the client's own ones too: its [`Entry::id`].
    Message(u64),
    /// A message has changed, or its place has: what became of its receipt.
    Changed(u64),
    /// Messages were lost and nobody keeps them: so many.
    Lost(u64),
    /// The client is called so now.
    Named(String),
    /// The client is in a room now.
    Joined(String),
    /// The members or the rooms that are known have changed.
    Roster,
    /// A member came into the room. One without a name is waited for a moment, so that it is told with its name.
    Came(String),
    /// A member went, and why: `quit`, `silent`, `joined ROOM`, …
    Went(String, String),
    /// Another member has another name now: the old one and the new one.
    Renamed(String, String),
    /// The hub refuses something, in its words.
    Refused(String),
    /// The hub was started anew; who was in it comes back.
    HubRestarted,
    /// The hub had taken this client out, as its operator can have it do, and has let it in again.
    Removed,
    /// Messages were missed, and the hub keeps none: told once for each of its runs.
    NothingKept,
    /// This reader was too slow: the hub dropped so many lines of its own accord.
    TooSlow(u64),
    /// What was searched for, oldest first; `None` if the hub did not answer.
    Found {
        /// What was typed.
        words: String,
        /// What has it.
        messages: Option<Vec<Recalled>>,
    },
    /// A line of the hub that means nothing to the client: `/help`'s, and those of later hubs.
    Line(String),
}

/// A message in a client's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which one it is, as long as the client lives.
    pub id: u64,
    /// Its number in the room, once it is known.
    pub number: Option<u64>,
    /// When it was said, as far as is known: milliseconds since 1970-01-01T00:00Z.
    pub at: u64,
    /// Who said it: a name, or `~` and a number.
    pub name: String,
    /// What was said.
    pub text: String,
    /// How it came here.
    pub how: How,
    /// Whether `number` is of the hub's present count, and when it came.
    pub(super) counts: bool,
    pub(super) heard: Time,
}

/// How a message came into a client's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// As it was said.
    Live,
    /// Out of the hub's history, since it was said before the client came.
    History,
    /// Out of the hub's history, since it was missed.
    Missed,
    /// It is the client's own, and its receipt has not come.
    Pending {
        /// Whether it was sent: not before the client is connected.
        sent: bool,
    },
    /// It is the client's own, and everybody in the room was sent it; after this long.
    Delivered(Duration),
    /// It is the client's own, and no receipt has come. It may have been said; it is not sent again.
    NoReceipt,
    /// It is the client's own, and the hub refused it, in its words.
    Refused(String),
    /// No message but a notice, which no one said: who came, what the hub answers, what is lost.
    Note,
}

impl Entry {
    /// Whether the hub still counts it: it has a number, and not one of a hub that has begun to count anew or has lost
    /// its last messages.
    pub fn is_counted(&self) -> bool {
        self.counts
    }

    /// Whether the client itself said it.
    pub fn is_own(&self) -> bool {
        !matches!(self.how, How::Live | How::History | How::Missed | How::Note)
    }
}

/// What a client counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Datagrams, or lines of a stream, that were sent.
    pub sent: u64,
    /// Those for which the driver had no room.
    pub unsent: u64,
    /// Lines that came.
    pub lines: u64,
    /// Messages that were there already.
    pub duplicates: u64,
    /// Messages without a number, which are not shown, since their copies with a number are asked for.
    pub unnumbered: u64,
    /// Messages that came out of the history because they had been missed.
    pub recovered: u64,
    /// Messages that were missed and that nobody keeps.
    pub lost: u64,
    /// What came from elsewhere than the hub.
    pub strays: u64,
    /// Events that were dropped because nobody took them.
    pub events_dropped: u64,
    /// Times that the hub was lost.
    pub disconnects: u64,
}
