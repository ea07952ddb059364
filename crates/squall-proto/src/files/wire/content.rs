//! What goes over the streams beside the control stream.

use alloc::vec::Vec;

use super::field::{Reader, put_varint};
use super::{Modified, WireError};
use crate::files::{CHUNK, Hash};

/// What a stream of the sender carries, as its first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Small files, one behind the other.
    Pack,
    /// A chunk of a file.
    Chunk,
}

impl Content {
    /// The first byte of the stream.
    pub fn kind(self) -> u8 {
        match self {
            Content::Pack => PACK,
            Content::Chunk => CHUNK_KIND,
        }
    }

    /// What a stream with this first byte carries.
    ///
    /// # Errors
    /// [`WireError::Kind`].
    pub fn of(kind: u8) -> Result<Self, WireError> {
        match kind {
            PACK => Ok(Content::Pack),
            CHUNK_KIND => Ok(Content::Chunk),
            kind => Err(WireError::Kind { what: "a stream of content", kind }),
        }
    }
}

/// What precedes the bytes of a small file in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedFile {
    /// Which file.
    pub entry: u64,
    /// When it was last changed before it was read.
    pub modified: Modified,
    /// The BLAKE3 hash of all of it.
    pub hash: Hash,
    /// Its bytes, which follow: [`CHUNK`] at most.
    pub length: usize,
}

impl PackedFile {
    /// Appends what precedes the bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.entry);
        self.modified.put(out);
        out.extend_from_slice(&self.hash);
        put_varint(out, self.length as u64);
    }

    /// Reads what precedes the bytes of the first file in `bytes`, and how long that is; `None` if it is not all there.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn split(bytes: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let mut reader = Reader::new(bytes);
        let read = |reader: &mut Reader<'_>| {
            Ok(Self {
                entry: reader.varint("an entry's number")?,
                modified: Modified::read(reader)?,
                hash: reader.hash("a file's hash")?,
                length: reader.number(CHUNK, "the length of a packed file")? as usize,
            })
        };
        match read(&mut reader) {
            Ok(file) => Ok(Some((file, reader.position()))),
            Err(WireError::Cut { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What precedes the bytes of a chunk, behind the kind of the stream. A chunk without bytes is all zeros, as those in the
/// holes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Which file.
    pub entry: u64,
    /// Which of its chunks.
    pub index: u64,
}

impl ChunkHeader {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.entry);
        put_varint(out, self.index);
    }

    /// Reads it from the start of `bytes`, and how long it is; `None` if it is not all there.
    pub fn split(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        let entry = reader.varint("an entry's number").ok()?;
        let index = reader.varint("a chunk's index").ok()?;
        Some((Self { entry, index }, reader.position()))
    }
}

/// A chunk that the receiver has; runs come in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The index of its first chunk.
    pub first: u64,
    /// How many hashes follow, each of the chunk behind the one before; [`MAX_RUN`] at most.
    pub count: usize,
}

/// Chunks in a run.
pub const MAX_RUN: usize = 256;

impl Run {
    /// Appends it. The hashes follow.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.first);
        put_varint(out, self.count as u64);
    }

    /// Reads the first in `bytes`, and how long it is without its hashes; `None` if it is not all there.
    ///
    /// # Errors
    /// [`WireError::Range`].
    pub fn split(bytes: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let mut reader = Reader::new(bytes);
        let Ok(first) = reader.varint("a chunk's index") else { return Ok(None) };
        match reader.number(MAX_RUN as u64, "a number of hashes") {
            Ok(count) => Ok(Some((Self { first, count: count as usize }, reader.position()))),
            Err(WireError::Cut { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Appends what a stream of hashes of the receiver begins with.
pub fn encode_comparison(entry: u64, out: &mut Vec<u8>) {
    out.push(COMPARISON);
    put_varint(out, entry);
}

/// Reads what a stream of the receiver begins with: the number of the entry, and how long that is; `None` if it is not
/// all there.
///
/// # Errors
/// [`WireError::Kind`].
pub fn read_comparison(bytes: &[u8]) -> Result<Option<(u64, usize)>, WireError> {
    match bytes {
        [] => Ok(None),
        [COMPARISON, rest @ ..] => {
            let mut reader = Reader::new(rest);
            let entry = reader.varint("an entry's number").ok();
            Ok(entry.map(|entry| (entry, 1 + reader.position())))
        }
        [kind, ..] => Err(WireError::Kind { what: "a stream of the receiver", kind: *kind }),
    }
}

const PACK: u8 = 1;
const CHUNK_KIND: u8 = 2;
const COMPARISON: u8 = 1;
