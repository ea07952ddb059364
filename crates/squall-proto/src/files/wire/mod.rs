//! What a sender and a receiver of files say to each other over QUIC.
//!
//! **Control stream**, bidirectional, opened by the sender: a row of messages, each a length
//! ([QUIC's variable-length integer](https://www.rfc-editor.org/rfc/rfc9000#section-16)) and so many bytes, the first of
//! which is its kind. The sender says [`Offer`]s, the receiver [`Verdict`]s. Entries are numbered from zero on in the
//! order in which they are offered: directories as they are entered and as they are left, files and links.
//!
//! **Content**, unidirectional, from the sender: a kind, then a pack ([`PackedFile`]s, small files whole) or one chunk
//! ([`ChunkHeader`], then its bytes to the end of the stream).
//!
//! **Comparison**, unidirectional, from the receiver: a kind, the entry's number, then the hashes of the chunks that it
//! has ([`Run`]), in ascending order. The sender sends those that differ or are missing.
//!
//! A tree is offered depth first. A name is never a path: a directory is entered and left.

mod closing;
mod content;
mod error;
mod field;
mod offer;
mod verdict;

#[cfg(test)]
mod tests;

pub use closing::Closing;
pub use content::{ChunkHeader, Content, MAX_RUN, PackedFile, Run, encode_comparison, read_comparison};
pub use error::WireError;
pub use offer::{Modified, Offer, Options, Source};
pub use verdict::{Reason, Verdict};

use alloc::vec::Vec;

use field::{Reader, put_varint, varint_len};

/// Bytes of the longest message of the control stream.
pub const MAX_MESSAGE: usize = 8192;

/// The first message of the control stream in `bytes`: its body and how many bytes it took with its length; `None` if it
/// is not all there yet.
///
/// # Errors
/// [`WireError::TooLong`] if it is longer than [`MAX_MESSAGE`].
pub fn split_message(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, WireError> {
    let mut reader = Reader::new(bytes);
    let Ok(length) = reader.varint("a message's length") else { return Ok(None) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE {
        return Err(WireError::TooLong { what: "a message", limit: MAX_MESSAGE });
    }
    let start = reader.position();
    Ok(bytes.get(start..start + length).map(|body| (body, start + length)))
}

/// Appends a message whose body `write` appends.
fn message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let length = out.len() - start;
    debug_assert!(length <= MAX_MESSAGE);
    let prefix = varint_len(length as u64);
    out.resize(out.len() + prefix, 0);
    out.copy_within(start..start + length, start + prefix);
    let mut prefixed = Vec::new();
    put_varint(&mut prefixed, length as u64);
    out[start..start + prefix].copy_from_slice(&prefixed);
}
