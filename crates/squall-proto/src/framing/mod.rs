//! How requests are cut out of a stream, and how replies are wrapped.

use alloc::vec::Vec;

/// How the bytes of a stream become requests, and replies become bytes.
///
/// Datagrams need none of it: each is one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Whatever one read gives is a request, and a reply is sent as it is. The boundaries are the
    /// network's, not the sender's: only for services that answer any piece of their input by itself.
    #[default]
    AsRead,
    /// A request ends with a line feed; one carriage return before it belongs to the end. What follows
    /// the last line feed when the stream ends is a request too.
    Lines {
        /// The longest request, in bytes, without its line end.
        max: usize,
    },
    /// A request is a number, 32 bits, big-endian, and then as many bytes.
    LengthPrefixed {
        /// The longest request, in bytes, without the number.
        max: usize,
    },
}

impl Framing {
    /// Appends the reply `frame` to `out` as it goes into the stream. `max` limits what a peer sends,
    /// not what it is sent. A line feed within a reply is sent as it is; with [`Lines`](Self::Lines) the peer
    /// sees two lines.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when the length does not fit the prefix, with nothing appended.
    pub fn wrap(&self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            Framing::AsRead => out.extend_from_slice(frame),
            Framing::Lines { .. } => {
                out.reserve(frame.len() + 1);
                out.extend_from_slice(frame);
                out.push(b'\n');
            }
            Framing::LengthPrefixed { .. } => {
                let length = u32::try_from(frame.len())
                    .map_err(|_| FrameError::TooLong { limit: u32::MAX as usize })?;
                out.reserve(frame.len() + PREFIX);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(frame);
            }
        }
        Ok(())
    }
}

/// Why a stream cannot be cut into requests any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer's request is longer than the framing allows.
    #[error("a request on the stream is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The stream ended within a request.
    #[error("the stream ended after {have} of the {expected} bytes of a request")]
    Truncated {
        /// The bytes that arrived, those of the length prefix counted.
        have: usize,
        /// The bytes that were announced, those of the length prefix counted; while the prefix itself
        /// is not complete, its 4.
        expected: usize,
    },
}

/// Cuts one stream into requests.
///
/// A request that lies wholly in what was read is borrowed from there; only what a read left incomplete
/// is kept, and never more of it than the framing's `max` and one byte. A stream that waits between
/// requests, or within a length prefix, holds no memory beyond this value.
///
/// ```
/// use squall_proto::framing::{Deframer, Framing};
///
/// let mut deframer = Deframer::new(Framing::Lines { max: 1000 });
/// let mut lines = Vec::new();
/// for chunk in [b"one\r\ntw".as_slice(), b"o\nthree"] {
///     let mut input = chunk;
///     while let Some(line) = deframer.next(&mut input)? {
///         lines.push(line.to_vec());
///     }
/// }
/// lines.extend(deframer.finish()?.map(<[u8]>::to_vec));
/// assert_eq!(lines, [b"one".as_slice(), b"two", b"three"]);
/// # Ok::<(), squall_proto::framing::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Deframer {
    framing: Framing,
    /// The beginning of a request whose rest has not arrived.
    carry: Vec<u8>,
    /// Whether `carry` holds a request that the last call handed out.
    spent: bool,
    /// The length prefix, as far as it has been read.
    prefix: [u8; PREFIX],
    prefix_len: usize,
    failed: Option<FrameError>,
}

impl Deframer {
    /// A deframer at the beginning of a stream.
    pub const fn new(framing: Framing) -> Self {
        Self { framing, carry: Vec::new(), spent: false, prefix: [0; PREFIX], prefix_len: 0, failed: None }
    }

    /// The next request. What it takes is cut off the front of `input`, which holds bytes just read;
    /// with `None` all of `input` is taken, and the next bytes of the stream are wanted.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]. The stream cannot be read further: this and all later calls fail alike.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<&'s [u8]>, FrameError> {
        self.settle()?;
        let found = match self.framing {
            Framing::AsRead => Ok(whole(input)),
            Framing::Lines { max } => self.line(input, max),
            Framing::LengthPrefixed { max } => self.prefixed(input, max),
        };
        match found {
            Ok(Found::Here(frame)) => Ok(Some(frame)),
            Ok(Found::Carried(len)) => {
                self.spent = true;
                Ok(Some(&self.carry[..len]))
            }
            Ok(Found::Nothing) => {
                if self.carry.is_empty() {
                    self.carry = Vec::new();
                }
                Ok(None)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The last request, once the stream has ended: with [`Framing::Lines`] what followed the last line
    /// feed, if anything did. A second call gives `None`.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] when the stream ended within a length-prefixed request;
    /// [`FrameError::TooLong`] for a last line over the limit, and when an earlier call failed so.
    pub fn finish(&mut self) -> Result<Option<&[u8]>, FrameError> {
        self.settle()?;
        match self.framing {
            Framing::AsRead => Ok(None),
            Framing::Lines { max } if self.carry.len() > max => {
                Err(self.fail(FrameError::TooLong { limit: max }))
            }
            Framing::Lines { .. } if self.carry.is_empty() => Ok(None),
            Framing::Lines { .. } => {
                self.spent = true;
                Ok(Some(&self.carry))
            }
            Framing::LengthPrefixed { .. } if self.prefix_len == 0 => Ok(None),
            Framing::LengthPrefixed { .. } => {
                let body = if self.prefix_len < PREFIX { 0 } else { self.announced() };
                let have = self.prefix_len + self.carry.len();
                Err(self.fail(FrameError::Truncated { have, expected: PREFIX + body }))
            }
        }
    }

    /// The bytes of memory held for a request whose rest has not arrived.
    pub fn held(&self) -> usize {
        self.carry.capacity()
    }

    /// Whether a request has begun whose rest has not arrived. With [`Framing::AsRead`] none ever has.
    pub fn is_within(&self) -> bool {
        self.prefix_len > 0 || (!self.carry.is_empty() && !self.spent)
    }

    /// Forgets the request that the last call handed out; fails if an earlier call did.
    fn settle(&mut self) -> Result<(), FrameError> {
        if self.spent {
            self.carry.clear();
            self.spent = false;
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn fail(&mut self, error: FrameError) -> FrameError {
        self.carry = Vec::new();
        self.failed = Some(error);
        error
    }

    fn line<'i>(&mut self, input: &mut &'i [u8], max: usize) -> Result<Found<'i>, FrameError> {
        // A carriage return may follow the longest line, before it is known to belong to its end.
        let bound = max.saturating_add(1);
        let too_long = Err(FrameError::TooLong { limit: max });
        let end = input.iter().position(|&byte| byte == b'\n');
        let piece = take(input, end.unwrap_or(input.len()));
        if piece.len() > bound - self.carry.len() {
            return too_long;
        }
        let whole_line = end.is_some();
        if whole_line {
            take(input, 1);
            if self.carry.is_empty() {
                let line = piece.strip_suffix(b"\r").unwrap_or(piece);
                return if line.len() > max { too_long } else { Ok(Found::Here(line)) };
            }
        }
        self.keep(piece, bound);
        let line = self.carry.strip_suffix(b"\r").unwrap_or(&self.carry);
        match line.len() {
            len if len > max => too_long,
            len if whole_line => Ok(Found::Carried(len)),
            _ => Ok(Found::Nothing),
        }
    }

    fn prefixed<'i>(&mut self, input: &mut &'i [u8], max: usize) -> Result<Found<'i>, FrameError> {
        let piece = take(input, PREFIX - self.prefix_len);
        self.prefix[self.prefix_len..][..piece.len()].copy_from_slice(piece);
        self.prefix_len += piece.len();
        if self.prefix_len < PREFIX {
            return Ok(Found::Nothing);
        }
        let len = self.announced();
        if len > max {
            return Err(FrameError::TooLong { limit: max });
        }
        let body = take(input, len - self.carry.len());
        if body.len() == len {
            self.prefix_len = 0;
            return Ok(Found::Here(body));
        }
        self.keep(body, len);
        if self.carry.len() < len {
            return Ok(Found::Nothing);
        }
        self.prefix_len = 0;
        Ok(Found::Carried(len))
    }

    /// The length in the prefix, which is complete.
    fn announced(&self) -> usize {
        usize::try_from(u32::from_be_bytes(self.prefix)).unwrap_or(usize::MAX)
    }

    /// Adds `piece` to the carried bytes, which will not be more than `bound`. Memory grows with what has
    /// arrived, not with what a peer announces, and the doubling stops at the bound.
    fn keep(&mut self, piece: &[u8], bound: usize) {
        let needed = self.carry.len() + piece.len();
        debug_assert!(needed <= bound, "the caller has checked it");
        if needed > self.carry.capacity() {
            let doubled = self.carry.capacity().saturating_mul(2).max(needed).min(bound);
            self.carry.reserve_exact(doubled - self.carry.len());
        }
        self.carry.extend_from_slice(piece);
    }
}

/// Where a request lies.
enum Found<'i> {
    /// In the bytes just read.
    Here(&'i [u8]),
    /// In the first bytes of those carried over, so many.
    Carried(usize),
    /// Nowhere yet.
    Nothing,
}

/// The bytes of a length prefix.
const PREFIX: usize = 4;

fn whole<'i>(input: &mut &'i [u8]) -> Found<'i> {
    match take(input, input.len()) {
        [] => Found::Nothing,
        all => Found::Here(all),
    }
}

/// Cuts the first `count` bytes off `input`, or all if there are fewer.
fn take<'i>(input: &mut &'i [u8], count: usize) -> &'i [u8] {
    let (front, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    front
}

#[cfg(test)]
mod tests;
