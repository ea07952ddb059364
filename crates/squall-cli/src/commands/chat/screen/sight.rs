//! What there is to be seen: a conversation, whoever fills it.

use std::borrow::Cow;
use std::time::Duration;

/// What a frame is drawn from.
pub(crate) struct Sight<'a> {
    /// The hub's address, as it was asked for.
    pub(crate) hub: &'a str,
    pub(crate) room: &'a str,
    /// What the user is called, if anything.
    pub(crate) name: Option<&'a str>,
    pub(crate) connection: Connection,
    pub(crate) members: &'a [Member],
    /// Members that are there but not among `members`.
    pub(crate) more_members: u64,
    pub(crate) rooms: &'a [Room],
    pub(crate) transcript: &'a dyn Transcript,
}

/// How it stands with the hub.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Connection {
    /// Nothing came of it yet; the next try is then.
    Connecting { attempt: u32, next: Option<Duration> },
    /// It answers: how fast, and what share of the questions it or the network lost.
    Online { round_trip: Option<Duration>, loss: Option<f32> },
    /// Nothing came for so long.
    Quiet { since: Duration },
    /// It is lost; the next try is then.
    Gone { why: String, next: Option<Duration> },
}

/// A member of the room.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) is_self: bool,
    /// Whether it was heard of within the time it usually takes.
    pub(crate) is_present: bool,
    /// The share of its heartbeats that is lost, where it is measured.
    pub(crate) loss: Option<f32>,
}

/// A room of the hub.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) members: u64,
    pub(crate) is_current: bool,
    pub(crate) unread: u64,
}

/// What was said and what happened, in order.
pub(crate) trait Transcript {
    fn len(&self) -> usize;
    /// The entry at `index`, which is less than [`len`](Self::len).
    fn get(&self, index: usize) -> Entry<'_>;
}

/// A message or a notice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    /// Its own number, which it keeps while it is in the transcript.
    pub(crate) id: u64,
    /// When, in milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) kind: Kind<'a>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    Said {
        name: Cow<'a, str>,
        text: Cow<'a, str>,
        /// What is known of an own message.
        receipt: Option<Receipt<'a>>,
        /// Whether it came later than it was said, from what the hub keeps.
        was_missed: bool,
    },
    /// Something to know of: who came, what was asked for.
    Notice(Cow<'a, str>),
    /// Something that went wrong.
    Trouble(Cow<'a, str>),
}

/// What became of an own message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Receipt<'a> {
    Pending,
    Delivered,
    /// Its copy did not come back.
    Missing,
    Refused(Cow<'a, str>),
}
