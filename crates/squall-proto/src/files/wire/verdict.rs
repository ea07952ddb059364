//! What a receiver says on the control stream.

use alloc::vec::Vec;

use super::field::{Reader, put_block, put_varint};
use super::offer::{read_text, shortened};
use super::{WireError, message};

/// A message of the receiver. Those about several entries name the first and how many follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict<'a> {
    /// Offers are welcome; the first message.
    Ready,
    /// They are there as offered, or were made at once, as directories are. They are settled.
    Unchanged {
        /// The first.
        first: u64,
        /// How many.
        count: u64,
    },
    /// All of them is wanted.
    Wanted {
        /// The first.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Some of it is there: the hashes of its chunks come over a stream of their own. Said again when what came does
    /// not fit together.
    Compare {
        /// Which.
        entry: u64,
    },
    /// They are on disk under their names, and stay there. They are settled.
    Stored {
        /// The first.
        first: u64,
        /// How many.
        count: u64,
    },
    /// It is not taken. It is settled.
    Refused {
        /// Which.
        entry: u64,
        /// What kind of reason.
        reason: Reason,
        /// In words.
        text: &'a str,
    },
    /// Everything that was offered is settled and on disk; the last message.
    Complete,
}

/// Why an entry is not taken, for programs; people get it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Another file of that name is there, and was not to be replaced.
    Exists,
    /// Something else than a file, or than a directory, has the name.
    OtherKind,
    /// The name is not wanted here.
    Name,
    /// A link that leads out of the directory.
    Link,
    /// The disk is full, or a quota is used up.
    Space,
    /// The system does not allow it.
    Permission,
    /// Another transfer writes it.
    Busy,
    /// It changed again and again while it was sent, or what came is not what was said.
    Content,
    /// Reading or writing failed.
    Failed,
}

impl Verdict<'_> {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        message(out, |out| match *self {
            Verdict::Ready => out.push(READY),
            Verdict::Unchanged { first, count } => put_run(out, UNCHANGED, first, count),
            Verdict::Wanted { first, count } => put_run(out, WANTED, first, count),
            Verdict::Compare { entry } => {
                out.push(COMPARE);
                put_varint(out, entry);
            }
            Verdict::Stored { first, count } => put_run(out, STORED, first, count),
            Verdict::Refused { entry, reason, text } => {
                out.push(REFUSED);
                put_varint(out, entry);
                out.push(reason as u8);
                put_block(out, shortened(text).as_bytes());
            }
            Verdict::Complete => out.push(COMPLETE),
        });
    }

    /// Reads the body of a message, as [`split_message`](super::split_message) gives it.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(body: &[u8]) -> Result<Verdict<'_>, WireError> {
        let mut reader = Reader::new(body);
        let verdict = match reader.byte("a verdict's kind")? {
            READY => Verdict::Ready,
            UNCHANGED => {
                let (first, count) = read_run(&mut reader)?;
                Verdict::Unchanged { first, count }
            }
            WANTED => {
                let (first, count) = read_run(&mut reader)?;
                Verdict::Wanted { first, count }
            }
            COMPARE => Verdict::Compare { entry: reader.varint("an entry's number")? },
            STORED => {
                let (first, count) = read_run(&mut reader)?;
                Verdict::Stored { first, count }
            }
            REFUSED => Verdict::Refused {
                entry: reader.varint("an entry's number")?,
                reason: Reason::read(&mut reader)?,
                text: read_text(&mut reader)?,
            },
            COMPLETE => Verdict::Complete,
            kind => return Err(WireError::Kind { what: "a verdict", kind }),
        };
        reader.end("a verdict")?;
        Ok(verdict)
    }
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Exists,
        Self::OtherKind,
        Self::Name,
        Self::Link,
        Self::Space,
        Self::Permission,
        Self::Busy,
        Self::Content,
        Self::Failed,
    ];

    /// In a word, for programs that read events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::OtherKind => "other-kind",
            Self::Name => "name",
            Self::Link => "link",
            Self::Space => "space",
            Self::Permission => "permission",
            Self::Busy => "busy",
            Self::Content => "content",
            Self::Failed => "failed",
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let kind = reader.byte("a reason")?;
        let reason = Self::ALL.into_iter().find(|reason| *reason as u8 == kind);
        reason.ok_or(WireError::Kind { what: "a reason", kind })
    }
}

fn put_run(out: &mut Vec<u8>, kind: u8, first: u64, count: u64) {
    out.push(kind);
    put_varint(out, first);
    put_varint(out, count);
}

fn read_run(reader: &mut Reader<'_>) -> Result<(u64, u64), WireError> {
    let first = reader.varint("an entry's number")?;
    let count = reader.number(crate::files::WINDOW as u64, "a number of entries")?;
    Ok((first, count))
}

const READY: u8 = 1;
const UNCHANGED: u8 = 2;
const WANTED: u8 = 3;
const COMPARE: u8 = 4;
const STORED: u8 = 5;
const REFUSED: u8 = 6;
const COMPLETE: u8 = 7;
