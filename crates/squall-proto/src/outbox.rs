//! What a handler or protocol wants sent, until its driver sends it.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::{MAX_DATAGRAM, Origin, Refusal, Request, Status};

/// The datagrams and frames that wait to be sent, with their destinations.
///
/// A driver owns one outbox, lends it for each input, sends what it holds and clears it; its memory is
/// reused. Replies to one peer lie one behind the other, so that a driver can send a row of them as
/// one segmented datagram without copying. Bytes and frames are bounded; what does not fit is refused.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    frames: Vec<Entry>,
    destinations: Vec<Origin>,
    closes: Vec<Origin>,
    isolated: Vec<Origin>,
    refusal: Option<Refusal>,
    max_bytes: usize,
    max_frames: usize,
}

/// A datagram or stream frame that waits in an [`Outbox`].
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What is to be sent.
    pub payload: &'a [u8],
    /// To whom: the origin of the request that it answers.
    pub destination: &'a Origin,
    /// A number equal for frames that follow one another to the same destination.
    pub destination_index: u32,
    /// Where the payload begins in [`Outbox::bytes`].
    pub start: usize,
}

/// A point that an [`Outbox`] can be taken back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    bytes: usize,
    frames: usize,
    destinations: usize,
    closes: usize,
    isolated: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    destination: u32,
    start: u32,
    end: u32,
}

impl Outbox {
    /// An empty outbox for up to 256 KiB in up to 65,536 frames.
    pub fn new() -> Self {
        Self::with_limits(256 * 1024, 65_536)
    }

    /// An empty outbox for up to `max_bytes` in up to `max_frames` frames. The bytes are reserved now,
    /// though the system gives memory only for those that are written; room for frames grows with use.
    /// `max_bytes` is at most 2³¹.
    pub fn with_limits(max_bytes: usize, max_frames: usize) -> Self {
        let max_bytes = max_bytes.min(1 << 31);
        Self {
            bytes: Vec::with_capacity(max_bytes),
            frames: Vec::with_capacity(max_frames.min(128)),
            destinations: Vec::with_capacity(max_frames.min(128)),
            closes: Vec::new(),
            isolated: Vec::new(),
            refusal: None,
            max_bytes,
            max_frames,
        }
    }

    /// A reply to `request`. To a peer whose address is not validated it may hold three times the
    /// request at most, headers counted.
    pub fn answer(&mut self, request: &Request<'_>) -> Reply<'_> {
        let origin = &request.origin;
        let budget = if origin.validated {
            usize::MAX
        } else {
            AMPLIFICATION_LIMIT * (request.payload.len() + origin.header_size())
        };
        self.open(origin, budget)
    }

    /// A message to `origin` that answers no request of the moment. A protocol that sends to addresses
    /// that are not validated keeps their amplification limit itself.
    pub fn to(&mut self, origin: &Origin) -> Reply<'_> {
        self.open(origin, usize::MAX)
    }

    /// Ends the connection `origin` once what was written to it before is sent. Means nothing for a
    /// peer without a connection.
    ///
    /// # Errors
    /// [`Refusal::Full`] when as many connections as frames are allowed wait to be ended.
    pub fn close(&mut self, origin: &Origin) -> Result<(), Refusal> {
        if self.closes.len() == self.max_frames {
            return Err(Refusal::Full);
        }
        self.closes.push(*origin);
        Ok(())
    }

    /// Says that the input at hand gets no answer, for the driver to count.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
    }
}

/// For drivers.
impl Outbox {
    /// What waits, in the order in which it was written.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = Frame<'_>> {
        self.frames.iter().map(|entry| Frame {
            payload: &self.bytes[entry.start as usize..entry.end as usize],
            destination: &self.destinations[entry.destination as usize],
            destination_index: entry.destination,
            start: entry.start as usize,
        })
    }

    /// The destination of a frame, by its [`destination_index`](Frame::destination_index).
    ///
    /// # Panics
    /// When no frame has this index.
    pub fn destination_at(&self, index: u32) -> &Origin {
        &self.destinations[index as usize]
    }

    /// The payloads, one behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The connections to end after the frames are sent.
    pub fn closes(&self) -> &[Origin] {
        &self.closes
    }

    /// The refusal of the last input, if it was refused; none the next time.
    pub fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// The number of frames that wait.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.closes.is_empty() && self.isolated.is_empty()
    }

    /// Whether half of the outbox is free, and the longest datagram fits; if not, the driver sends first.
    /// So an answer of up to half of the limit (128 KiB by default) is never refused for what others left.
    ///
    /// No more than 1024 frames wait then, so that a protocol that writes for as long as there is room, and goes on
    /// when it is called next, leaves its driver some milliseconds of sending and not a tenth of a second, in
    /// which nobody reads what arrives.
    pub fn has_room(&self) -> bool {
        let free = self.max_bytes - self.bytes.len();
        free >= MAX_DATAGRAM.max(self.max_bytes / 2) && self.frames.len() <= TURN.min(self.max_frames / 2)
    }

    /// Forgets all that waits and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.destinations.clear();
        self.closes.clear();
        self.isolated.clear();
        self.refusal = None;
    }

    /// The present point, to come back to.
    pub fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes.len(),
            frames: self.frames.len(),
            destinations: self.destinations.len(),
            closes: self.closes.len(),
            isolated: self.isolated.len(),
        }
    }

    /// Forgets all that came since `mark`: what a handler wrote before it failed.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.frames.truncate(mark.frames);
        self.destinations.truncate(mark.destinations);
        self.closes.truncate(mark.closes);
        self.isolated.truncate(mark.isolated);
        self.refusal = None;
    }

    fn open(&mut self, origin: &Origin, budget: usize) -> Reply<'_> {
        let limit = if origin.transport.is_stream() { usize::MAX } else { MAX_DATAGRAM };
        self.open_limited(origin, budget, limit)
    }

    fn open_limited(&mut self, origin: &Origin, budget: usize, limit: usize) -> Reply<'_> {
        let mark = self.mark();
        let destination = self.destination(origin);
        Reply {
            header: origin.header_size(),
            start: self.bytes.len(),
            outbox: self,
            destination,
            limit,
            budget,
            open: false,
            refused: None,
            mark,
            joined: false,
            says: Says::default(),
        }
    }

    /// The index of `origin`, which is that of the last one if they are the same.
    fn destination(&mut self, origin: &Origin) -> u32 {
        if self.destinations.last() != Some(origin) {
            self.destinations.push(*origin);
        }
        (self.destinations.len() - 1) as u32
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

/// The answer to one request while it is being written.
///
/// [`write`](Self::write) adds to the current datagram or frame, [`next`](Self::next) ends it and begins another.
/// The first write begins a datagram, an empty one too; a reply without a write sends nothing. What is
/// open when the reply is dropped is sent, unless a write was refused: half an answer is worse than none.
#[derive(Debug)]
pub struct Reply<'a> {
    outbox: &'a mut Outbox,
    destination: u32,
    /// Bytes of header that each datagram costs.
    header: usize,
    /// The longest payload of one datagram.
    limit: usize,
    /// Bytes that may still be sent, headers and the open datagram counted.
    budget: usize,
    /// Where the open datagram begins.
    start: usize,
    open: bool,
    refused: Option<Refusal>,
    mark: Mark,
    /// Whether everything goes into one frame, whatever the handler cuts.
    joined: bool,
    says: Says,
}

/// By what an answer that comes later finds its request: see [`Reply::defer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

/// What a handler says of its answer beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) status: Option<Status>,
    pub(crate) content_format: Option<u16>,
    /// In seconds.
    pub(crate) max_age: Option<u32>,
    pub(crate) etag: Option<u64>,
    /// By which a later answer is given, where the server can take one.
    pub(crate) ticket: Option<Ticket>,
    /// Whether the answer comes later.
    pub(crate) deferred: bool,
}

/// What only means something on CoAP, and is passed over elsewhere. Each is said once for the whole
/// answer, at any time before it ends.
impl Reply<'_> {
    /// How the request went. Without this it is 2.05 Content to a `Get` or `Fetch`, 2.02 Deleted to a
    /// `Delete`, and 2.04 Changed to others.
    pub fn status(&mut self, status: Status) -> &mut Self {
        self.says.status = Some(status);
        self
    }

    /// The Content-Format of the answer, by its number in the
    /// [registry](https://www.iana.org/assignments/core-parameters/core-parameters.xhtml#content-formats).
    pub fn content_format(&mut self, format: u16) -> &mut Self {
        self.says.content_format = Some(format);
        self
    }

    /// How long the answer may be kept and given again; a client takes a minute where nothing is said.
    /// Rounded up to seconds, at most 2³² − 1 of them.
    pub fn max_age(&mut self, age: Duration) -> &mut Self {
        let seconds = age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0));
        self.says.max_age = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// Says that the answer comes later, by the ticket that is given; what is written now is not sent.
    /// `None` where a transport or server cannot wait, and the handler has to answer now.
    pub fn defer(&mut self) -> Option<Ticket> {
        self.says.deferred = self.says.ticket.is_some();
        self.says.ticket
    }

    /// A number that is another one when the resource's representation is another one, so that a client
    /// can ask whether what it has is still good.
    pub fn etag(&mut self, etag: u64) -> &mut Self {
        self.says.etag = Some(etag);
        self
    }
}

/// For servers that make one message of an answer.
impl Outbox {
    /// Begins one frame to `origin` with `header`; what is written behind it stays in this frame and is
    /// checked for room in the outbox alone. Without room for the header, [`Reply::finish`] says so.
    pub(crate) fn begin(&mut self, origin: &Origin, header: &[u8]) -> Reply<'_> {
        let mut reply = self.open_limited(origin, usize::MAX, usize::MAX);
        reply.joined = true;
        // The reply keeps the reason.
        let _ = reply.write(header);
        reply
    }

    /// What was written since `mark`.
    pub(crate) fn since(&self, mark: Mark) -> &[u8] {
        &self.bytes[mark.bytes..]
    }

    /// Takes the last byte of the last frame away.
    pub(crate) fn pop(&mut self) {
        if let Some(last) = self.frames.last_mut().filter(|last| last.end > last.start) {
            last.end -= 1;
            self.bytes.truncate(last.end as usize);
        }
    }
}

impl Reply<'_> {
    /// What the handler said so far.
    pub(crate) fn says(&self) -> Says {
        self.says
    }

    /// Lets the handler answer later, by `ticket`.
    pub(crate) fn offer(&mut self, ticket: Ticket) {
        self.says.ticket = Some(ticket);
    }

    /// Adds `bytes` to the current datagram or frame.
    ///
    /// # Errors
    /// A [`Refusal`] when the datagram would be too long, the answer would break the amplification
    /// limit, or the outbox is full. The whole answer is then discarded, whatever is written later.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if let Some(refusal) = self.refused {
            return Err(refusal);
        }
        let header = if self.open { 0 } else { self.header };
        let refusal = if self.outbox.bytes.len() - self.start + bytes.len() > self.limit {
            Refusal::TooLong { limit: self.limit }
        } else if header + bytes.len() > self.budget {
            Refusal::Amplification
        } else if bytes.len() > self.outbox.max_bytes - self.outbox.bytes.len()
            || self.outbox.frames.len() == self.outbox.max_frames
        {
            Refusal::Full
        } else {
            self.open = true;
            if self.budget != usize::MAX {
                self.budget -= header + bytes.len();
            }
            self.outbox.bytes.extend_from_slice(bytes);
            return Ok(());
        };
        self.refused = Some(refusal);
        Err(refusal)
    }

    /// Ends the current datagram or frame, an empty one if nothing was written to it. The next write
    /// begins another.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[expect(clippy::should_implement_trait, reason = "it ends a datagram as an iterator never would")]
    pub fn next(&mut self) -> Result<(), Refusal> {
        if let Some(refusal) = self.refused {
            return Err(refusal);
        }
        if !self.open {
            self.write(&[])?;
        }
        if !self.joined {
            self.end();
        }
        Ok(())
    }

    /// What was written so far, datagram after datagram; `None` where there is no answer yet.
    pub fn written(&self) -> Option<&[u8]> {
        let some = self.open || self.outbox.frames.len() > self.mark.frames;
        some.then(|| self.outbox.since(self.mark))
    }

    /// How many bytes the current datagram can still take, by its transport and the amplification limit.
    pub fn room(&self) -> usize {
        let header = if self.open { 0 } else { self.header };
        let written = self.outbox.bytes.len() - self.start;
        (self.limit - written)
            .min(self.budget.saturating_sub(header))
            .min(self.outbox.max_bytes - self.outbox.bytes.len())
    }

    /// Ends the reply with the handler's verdict: the number of datagrams or frames that it holds, or
    /// why it holds none.
    ///
    /// # Errors
    /// The handler's refusal, or that of an earlier write that the handler passed over.
    pub fn finish(mut self, outcome: Result<(), Refusal>) -> Result<usize, Refusal> {
        if let Err(refusal) = outcome {
            self.refused = Some(refusal);
        }
        self.end();
        match self.refused {
            Some(refusal) => Err(refusal),
            None => Ok(self.outbox.frames.len() - self.mark.frames),
        }
    }

    fn end(&mut self) {
        if self.refused.is_some() {
            self.outbox.rewind(self.mark);
        } else if !self.open {
            if self.outbox.frames.len() == self.mark.frames {
                // Nothing was written: the destination is not needed.
                self.outbox.rewind(self.mark);
            }
        } else {
            let end = self.outbox.bytes.len();
            let entry = Entry { destination: self.destination, start: self.start as u32, end: end as u32 };
            self.outbox.frames.push(entry);
            self.start = end;
        }
        self.open = false;
    }
}

impl fmt::Write for Reply<'_> {
    /// Formats into the current datagram. The error carries no reason; it is kept, and the whole answer
    /// is refused with it.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// How many times a request an answer may be to an address that is not validated, headers counted
/// ([RFC 9000 §8.1](https://www.rfc-editor.org/rfc/rfc9000#section-8.1)).
const AMPLIFICATION_LIMIT: usize = 3;
/// Frames that wait while there is room: a kernel takes about 3 µs to send one.
const TURN: usize = 1024;

mod fan;
mod isolate;
#[cfg(test)]
mod tests;
