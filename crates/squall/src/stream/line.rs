//! What a protocol writes to one of its connections, until the connection has sent it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use squall_proto::Origin;
use squall_proto::framing::Framing;
use tokio::sync::Notify;

use crate::stats::SocketStats;

/// One connection as its protocol's shard sees it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) origin: Origin,
    pub(crate) stats: Arc<SocketStats>,
    framing: Framing,
    out: Mutex<Out>,
    /// Wakes the connection's task: there are bytes to write, or it is to end.
    pub(crate) wake: Notify,
    /// Wakes the connection's task: the shard has taken its frames.
    pub(crate) taken: Notify,
}

#[derive(Debug, Default)]
struct Out {
    /// Framed, and not yet with the task.
    bytes: Vec<u8>,
    /// With the task, and not yet with the kernel.
    under_way: usize,
    /// The protocol was told to write no more.
    full: bool,
    /// To be ended when all is written.
    closing: bool,
    /// Over; nobody will write what is put here.
    closed: bool,
}

/// What became of a frame that was put into a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Taken,
    /// Taken, and the line is now full: the protocol is to be told, this once.
    Filled,
    /// No room, though the protocol was told; or the frame is longer than the framing allows.
    Dropped,
    /// The connection has ended.
    Gone,
}

impl Line {
    pub(crate) fn new(origin: Origin, stats: Arc<SocketStats>, framing: Framing) -> Arc<Self> {
        let (wake, taken) = (Notify::new(), Notify::new());
        Arc::new(Self { origin, stats, framing, out: Mutex::default(), wake, taken })
    }

    /// Frames `payload` and puts it behind what waits.
    pub(crate) fn put(&self, payload: &[u8]) -> Put {
        let mut out = self.lock();
        if out.closed || out.closing {
            return Put::Gone;
        }
        let (before, waiting) = (out.bytes.len(), out.waiting());
        if waiting + payload.len() > LIMIT || self.framing.wrap(payload, &mut out.bytes).is_err() {
            out.bytes.truncate(before);
            return Put::Dropped;
        }
        let filled = !out.full && out.waiting() >= FULL;
        out.full |= filled;
        drop(out);
        if before == 0 {
            self.wake.notify_one();
        }
        if filled { Put::Filled } else { Put::Taken }
    }

    /// Ends the connection once what was put before is written.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    /// Whether it ends once what was put before is written.
    pub(crate) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Whether the protocol was told to write no more, and will be told when it may.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().full
    }

    /// For the task: takes what waits to be written into `bytes`, which is empty, and tells whether the
    /// connection is to end after it.
    pub(crate) fn take(&self, bytes: &mut Vec<u8>) -> bool {
        let mut out = self.lock();
        std::mem::swap(&mut out.bytes, bytes);
        out.under_way = bytes.len();
        out.closing
    }

    /// For the task: `count` bytes more are with the kernel. True when a line that was full is
    /// writable again.
    pub(crate) fn written(&self, count: usize) -> bool {
        let mut out = self.lock();
        out.under_way -= count;
        let writable = out.full && out.waiting() <= FULL / 2;
        out.full &= !writable;
        writable
    }

    /// For the task: nothing more will be written. The bytes that never left.
    pub(crate) fn end(&self) -> usize {
        let mut out = self.lock();
        out.closed = true;
        out.bytes = Vec::new();
        out.waiting()
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    fn waiting(&self) -> usize {
        self.bytes.len() + self.under_way
    }
}

/// Bytes that wait for one connection when its protocol is told to write no more to it.
const FULL: usize = 64 * 1024;
/// Bytes that wait for one connection at most: what a protocol may write before it is told.
const LIMIT: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use squall_proto::{Peer, Transport};

    use super::*;

    fn line() -> Arc<Line> {
        let origin = Origin { peer: Peer::Conn(1), local: None, transport: Transport::Unix, validated: true };
        let stats = SocketStats::new("test", String::new(), Transport::Unix, 0);
        Line::new(origin, Arc::new(stats), Framing::Lines { max: 100_000 })
    }

    #[test]
    fn a_line_says_once_that_it_is_full_and_once_that_it_is_writable() {
        let line = line();
        let frame = vec![b'x'; FULL / 2];
        assert_eq!(line.put(&frame), Put::Taken);
        assert_eq!(line.put(&frame), Put::Filled);
        assert_eq!(line.put(&frame), Put::Taken, "it was told already");
        let mut bytes = Vec::new();
        assert!(!line.take(&mut bytes));
        assert_eq!(bytes.len(), 3 * (FULL / 2 + 1));
        assert!(!line.written(FULL), "half a queue and more waits");
        assert!(line.written(bytes.len() - FULL));
        assert!(!line.is_full());
        assert_eq!(line.put(b"x"), Put::Taken);
        assert_eq!(line.put(&vec![b'x'; FULL]), Put::Filled);
        assert!(line.is_full(), "what was told of it before holds no more");
    }

    #[test]
    fn a_line_holds_no_more_than_its_limit() {
        let line = line();
        let frame = vec![b'x'; FULL];
        let taken = (0..100).filter(|_| line.put(&frame) != Put::Dropped).count();
        assert!(taken * (FULL + 1) <= LIMIT + FULL && taken >= LIMIT / (FULL + 1) - 1, "{taken}");
    }

    #[test]
    fn nothing_is_put_into_a_line_that_ends() {
        let line = line();
        line.put(b"bye");
        line.close();
        assert_eq!(line.put(b"more"), Put::Gone);
        let mut bytes = Vec::new();
        assert!(line.take(&mut bytes), "and then it ends");
        assert_eq!(bytes, b"bye\n");
        assert_eq!(line.end(), 4);
        assert_eq!(line.put(b"more"), Put::Gone);
    }
}
