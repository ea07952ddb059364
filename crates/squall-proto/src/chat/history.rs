//! Where a hub keeps what was said.

use alloc::string::String;
use alloc::vec::Vec;

use super::wire::RoomName;

/// A message as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The room's name.
    pub room: &'a str,
    /// Its number in the room, from 1 on.
    pub number: u64,
    /// When it was said, in milliseconds since 1970-01-01T00:00Z.
    pub at: u64,
    /// Who said it: a name, or `~` and the member's number.
    pub name: &'a str,
    /// What was said.
    pub text: &'a str,
}

/// What a member asks of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query<'a> {
    /// The last messages of a room, at most `count`.
    Last {
        /// The room's name.
        room: &'a str,
        /// The most that are wanted.
        count: u32,
    },
    /// The messages of a room with a number greater than `number`: the first `count` of them.
    Since {
        /// The room's name.
        room: &'a str,
        /// The last number that is known.
        number: u64,
        /// The most that are wanted.
        count: u32,
    },
    /// The last messages of a room that have all of these words, at most `count`.
    Find {
        /// The room's name.
        room: &'a str,
        /// What was typed. It is text: no operator means anything in it.
        words: &'a str,
        /// The most that are wanted.
        count: u32,
    },
}

/// A message that was found, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// As [`Message::number`].
    pub number: u64,
    /// As [`Message::at`].
    pub at: u64,
    /// As [`Message::name`].
    pub name: String,
    /// As [`Message::text`].
    pub text: String,
}

/// A question that waits for its answer, by the hub's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recall(pub u64);

/// Why a question gets no messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecallError {
    /// Nothing is kept here.
    #[error("nothing is kept here")]
    NotKept,
    /// Too many questions wait.
    #[error("too many questions wait; ask again")]
    Busy,
    /// The search was given up.
    #[error("the search takes too long; ask for rarer words")]
    TooLong,
    /// The storage failed; its operator knows why.
    #[error("the history cannot be read")]
    Failed,
}

/// What keeps messages for a hub. Nothing here waits: an implementation that writes to a disk does so
/// elsewhere, sheds what it has no room for, and counts that.
pub trait History: Send {
    /// The number of the last message that is kept of `room`; 0 where there is none. Asked when a room comes to be.
    fn last_number(&mut self, room: &str) -> u64;

    /// How a room is written that is kept already and is one with `room`, by what names of rooms are unique by
    /// ([`RoomName::key`]); `None` where there is none. Asked when a room comes to be, which is then named so: `den` and
    /// `Den` are one room, also in what is kept. Without this all rooms are as they are written first in a run.
    fn spelling(&mut self, room: &RoomName) -> Option<RoomName> {
        let _ = room;
        None
    }

    /// Takes a message.
    fn keep(&mut self, message: &Message<'_>);

    /// Takes a question, whose answer goes to the hub later; `Ok(Some(_))` is the answer
    /// itself, where it can be had at once.
    ///
    /// # Errors
    /// [`RecallError`], when there will be no answer.
    fn ask(&mut self, recall: Recall, query: &Query<'_>) -> Result<Option<Vec<Recalled>>, RecallError>;
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHistory;

impl History for NoHistory {
    fn last_number(&mut self, _room: &str) -> u64 {
        0
    }

    fn keep(&mut self, _message: &Message<'_>) {}

    fn ask(&mut self, _recall: Recall, _query: &Query<'_>) -> Result<Option<Vec<Recalled>>, RecallError> {
        Err(RecallError::NotKept)
    }
}
