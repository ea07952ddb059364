//! What a sender says on the control stream.

use alloc::vec::Vec;

use super::field::{MAX_VARINT, Reader, put_block, put_varint};
use super::{Reason, WireError, message};
use crate::files::{Hash, MAX_NAME, MAX_TARGET, Name};

/// Who sends: the same for the same command on the same machine, so that one which is started again takes over from a
/// connection of its own that has not been given up yet.
pub type Source = [u8; 16];

/// When a file was last changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Modified {
    /// Seconds since 1970-01-01T00:00Z, before it too.
    pub seconds: i64,
    /// Nanoseconds behind that, below a thousand million.
    pub nanos: u32,
}

/// What a sender wants of a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Files that are there and differ are replaced.
    pub force: bool,
    /// Contents are compared also where size and time say that nothing changed.
    pub checksum: bool,
    /// Nothing is to be written; only what would be is asked.
    pub dry_run: bool,
}

/// A message of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offer<'a> {
    /// The first one.
    Start {
        /// Who sends.
        source: Source,
        /// What it wants.
        options: Options,
    },
    /// A directory; what follows is in it, up to its [`Offer::Leave`].
    Enter {
        /// Its name.
        name: Name<'a>,
        /// Its permissions, `07777` at most.
        mode: u32,
        /// When it was last changed.
        modified: Modified,
    },
    /// Back to the directory above. It is an entry too, which is settled when everything in the directory is.
    Leave,
    /// A file.
    File {
        /// Its name.
        name: Name<'a>,
        /// Its permissions, `07777` at most.
        mode: u32,
        /// When it was last changed.
        modified: Modified,
        /// Its bytes; `None` for what is read from a pipe.
        size: Option<u64>,
    },
    /// A symbolic link.
    Link {
        /// Its name.
        name: Name<'a>,
        /// What it says, which may lead anywhere: for the receiver to judge.
        target: &'a [u8],
        /// When it was last changed.
        modified: Modified,
    },
    /// All chunks of a file that differ are sent.
    Whole {
        /// Which file.
        entry: u64,
        /// The chunks sent for it until now.
        chunks: u64,
        /// Its bytes.
        size: u64,
        /// When it was last changed before it was read.
        modified: Modified,
        /// The BLAKE3 hash of all of it.
        hash: Hash,
    },
    /// A file is not as it was offered, or changed while it was read: what is there of it is to be told again.
    Again {
        /// Which file.
        entry: u64,
        /// The chunks sent for it until now.
        chunks: u64,
        /// Its bytes now.
        size: u64,
        /// When it was last changed.
        modified: Modified,
    },
    /// A file that was offered cannot be sent.
    Withdraw {
        /// Which entry.
        entry: u64,
        /// What kind of reason.
        reason: Reason,
        /// In words.
        text: &'a str,
    },
    /// Nothing more is offered.
    End,
}

impl<'a> Offer<'a> {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        message(out, |out| self.encode_body(out));
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match *self {
            Offer::Start { source, options } => {
                out.push(START);
                out.extend_from_slice(&source);
                let flags = [options.force, options.checksum, options.dry_run];
                out.push(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
            }
            Offer::Enter { name, mode, modified } => {
                out.push(ENTER);
                put_head(out, name, mode, modified);
            }
            Offer::Leave => out.push(LEAVE),
            Offer::File { name, mode, modified, size } => {
                out.push(if size.is_some() { FILE } else { PIPE });
                put_head(out, name, mode, modified);
                if let Some(size) = size {
                    put_varint(out, size);
                }
            }
            Offer::Link { name, target, modified } => {
                out.push(LINK);
                put_head(out, name, 0o777, modified);
                put_block(out, target);
            }
            Offer::Whole { entry, chunks, size, modified, hash } => {
                out.push(WHOLE);
                for number in [entry, chunks, size] {
                    put_varint(out, number);
                }
                modified.put(out);
                out.extend_from_slice(&hash);
            }
            Offer::Again { entry, chunks, size, modified } => {
                out.push(AGAIN);
                for number in [entry, chunks, size] {
                    put_varint(out, number);
                }
                modified.put(out);
            }
            Offer::Withdraw { entry, reason, text } => {
                out.push(WITHDRAW);
                put_varint(out, entry);
                out.push(reason as u8);
                put_block(out, shortened(text).as_bytes());
            }
            Offer::End => out.push(END),
        }
    }

    /// Reads the body of a message, as [`split_message`](super::split_message) gives it.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let offer = match reader.byte("an offer's kind")? {
            START => {
                let mut source = [0; 16];
                source.copy_from_slice(reader.bytes(16, "the sender's mark")?);
                let bits = reader.byte("the sender's options")?;
                if bits > 7 {
                    return Err(WireError::Range { what: "the sender's options", value: bits.into() });
                }
                let flag = |place: u8| bits >> place & 1 == 1;
                let options = Options { force: flag(0), checksum: flag(1), dry_run: flag(2) };
                Offer::Start { source, options }
            }
            ENTER => {
                let (name, mode, modified) = read_head(&mut reader)?;
                Offer::Enter { name, mode, modified }
            }
            LEAVE => Offer::Leave,
            kind @ (FILE | PIPE) => {
                let (name, mode, modified) = read_head(&mut reader)?;
                let size = if kind == FILE { Some(read_size(&mut reader)?) } else { None };
                Offer::File { name, mode, modified, size }
            }
            LINK => {
                let (name, _, modified) = read_head(&mut reader)?;
                let target = reader.block(MAX_TARGET, "a link's target")?;
                if target.is_empty() || target.contains(&0) {
                    return Err(WireError::Range {
                        what: "the length of a link's target",
                        value: target.iter().take_while(|byte| **byte != 0).count() as u64,
                    });
                }
                Offer::Link { name, target, modified }
            }
            WHOLE => Offer::Whole {
                entry: reader.varint("an entry's number")?,
                chunks: reader.varint("a number of chunks")?,
                size: read_size(&mut reader)?,
                modified: Modified::read(&mut reader)?,
                hash: reader.hash("a file's hash")?,
            },
            AGAIN => Offer::Again {
                entry: reader.varint("an entry's number")?,
                chunks: reader.varint("a number of chunks")?,
                size: read_size(&mut reader)?,
                modified: Modified::read(&mut reader)?,
            },
            WITHDRAW => Offer::Withdraw {
                entry: reader.varint("an entry's number")?,
                reason: Reason::read(&mut reader)?,
                text: read_text(&mut reader)?,
            },
            END => Offer::End,
            kind => return Err(WireError::Kind { what: "an offer", kind }),
        };
        reader.end("an offer")?;
        Ok(offer)
    }
}

impl Modified {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        // The sign goes into the lowest bit, so that small numbers of both signs are short. Sixty-one bits of seconds
        // are far more than any file system has.
        let sign = u64::from(self.seconds < 0);
        put_varint(out, self.seconds.unsigned_abs().min(MAX_VARINT >> 1) << 1 | sign);
        put_varint(out, self.nanos.into());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let signed = reader.varint("a time")?;
        // Below 2⁶¹, so both signs fit.
        let seconds = (signed >> 1) as i64;
        let nanos = reader.number(999_999_999, "the nanoseconds of a time")? as u32;
        Ok(Self { seconds: if signed & 1 == 1 { -seconds } else { seconds }, nanos })
    }
}

fn put_head(out: &mut Vec<u8>, name: Name<'_>, mode: u32, modified: Modified) {
    put_block(out, name.as_bytes());
    put_varint(out, mode.into());
    modified.put(out);
}

fn read_head<'a>(reader: &mut Reader<'a>) -> Result<(Name<'a>, u32, Modified), WireError> {
    let name = Name::new(reader.block(MAX_NAME, "a name")?)?;
    let mode = reader.number(0o7777, "permissions")? as u32;
    Ok((name, mode, Modified::read(reader)?))
}

fn read_size(reader: &mut Reader<'_>) -> Result<u64, WireError> {
    // Offsets of files are signed (off_t).
    reader.number(i64::MAX as u64, "a file's size")
}

pub(super) fn read_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, WireError> {
    let bytes = reader.block(MAX_TEXT, "a reason")?;
    core::str::from_utf8(bytes).map_err(|error| WireError::Range {
        what: "a character of a reason",
        value: error.valid_up_to() as u64,
    })
}

/// As much of `text` as a message may have.
pub(super) fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Bytes of a reason in words.
const MAX_TEXT: usize = 512;

const START: u8 = 1;
const ENTER: u8 = 2;
const LEAVE: u8 = 3;
const FILE: u8 = 4;
const PIPE: u8 = 5;
const LINK: u8 = 6;
const WHOLE: u8 = 7;
const WITHDRAW: u8 = 8;
const END: u8 = 9;
const AGAIN: u8 = 10;
