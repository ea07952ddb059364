//! Connections of a protocol: what they bring goes to its shard, what it writes comes back to them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squall_proto::Origin;
use squall_proto::framing::Deframer;
use squall_socket::Waker;
use tokio::time::{Instant, timeout};

use super::connection::{Context, End, Stream};
use super::line::Line;
use crate::engine::returns::Replies;
use crate::stats::Counter;

/// What connections tell the shard of their protocol. It holds one batch of frames and three words for
/// each connection at most: a connection reads on only when its last batch was taken.
#[derive(Debug)]
pub(crate) struct Bridge {
    told: Mutex<Vec<Told>>,
    pub(crate) waker: Waker,
}

/// Something that happened on a connection.
#[derive(Debug)]
pub(crate) enum Told {
    Opened(Arc<Line>),
    Frames(Arc<Line>, Replies),
    Closed(Arc<Line>),
    Writable(Arc<Line>),
}

impl Bridge {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { told: Mutex::default(), waker: Waker::new()? })
    }

    pub(crate) fn tell(&self, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        self.waker.wake();
    }

    /// Takes all that was told into `told`, in place of what it held.
    pub(crate) fn take(&self, told: &mut Vec<Told>) {
        told.clear();
        std::mem::swap(told, &mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Serves one connection of a protocol to its end. It lives for as long as the peer and the protocol want:
/// of the limits only that on a frame's time holds, and the system asks a silent peer whether it lives.
pub(super) async fn run(context: &Context, bridge: &Bridge, stream: Stream, origin: Origin) -> End {
    let line = Line::new(origin, Arc::clone(&context.stats), context.service.framing);
    bridge.tell(Told::Opened(Arc::clone(&line)));
    let deframer = Deframer::new(context.service.framing);
    let mut connection = Connection {
        context,
        bridge,
        stream,
        line,
        deframer,
        begun: None,
        away: false,
        open: true,
        writing: Vec::new(),
        written: 0,
        closing: false,
    };
    let end = connection.serve().await;
    let Connection { line, .. } = connection;
    line.end();
    bridge.tell(Told::Closed(line));
    end
}

struct Connection<'a> {
    context: &'a Context,
    bridge: &'a Bridge,
    stream: Stream,
    line: Arc<Line>,
    deframer: Deframer,
    /// When the first byte of an unfinished frame came.
    begun: Option<Instant>,
    /// Whether frames are with the shard: nothing is read until it has taken them.
    away: bool,
    /// Whether the peer may still send something.
    open: bool,
    /// What is being written, and how much of it is with the kernel.
    writing: Vec<u8>,
    written: usize,
    /// Whether the connection ends when all is written.
    closing: bool,
}

impl Connection<'_> {
    async fn serve(&mut self) -> End {
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.written = 0;
                // A connection that waits keeps no buffer.
                self.writing.shrink_to(KEPT);
                self.closing = self.line.take(&mut self.writing);
            }
            if self.closing && self.writing.is_empty() {
                return End::Stopped;
            }
            // A peer that has said all it had to say may still listen, until it is answered.
            if !self.open && !self.away && self.writing.is_empty() {
                return End::Peer;
            }
            let late = match self.begun {
                Some(begun) => self.context.service.limits.frame.saturating_sub(begun.elapsed()),
                None => Duration::MAX,
            };
            let reads = self.open && !self.away && !self.closing;
            tokio::select! {
                () = self.line.taken.notified(), if self.away => self.away = false,
                () = self.line.wake.notified() => {}
                ready = self.stream.writable(), if !self.writing.is_empty() => {
                    if ready.is_err() || self.write().is_err() {
                        return End::Failed;
                    }
                }
                ready = timeout(late, self.stream.readable()), if reads => match ready {
                    Err(_) => return End::SlowFrame,
                    Ok(Err(_)) => return End::Failed,
                    Ok(Ok(())) => if let Err(end) = self.read() {
                        return end;
                    },
                },
            }
        }
    }

    /// Reads once and gives what is whole to the shard.
    fn read(&mut self) -> Result<(), End> {
        let mut frames = Replies::default();
        let bad = self.context.with_input(|input| {
            let mut rest = match self.stream.try_read(input) {
                Ok(0) => {
                    self.open = false;
                    return match self.deframer.finish() {
                        Ok(last) => {
                            last.into_iter().for_each(|frame| frames.push(frame));
                            Ok(())
                        }
                        Err(_) => Err(End::BadFrame),
                    };
                }
                Ok(count) => &input[..count],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(End::Failed),
            };
            loop {
                match self.deframer.next(&mut rest) {
                    Ok(Some(frame)) => {
                        self.begun = None;
                        frames.push(frame);
                    }
                    Ok(None) => return Ok(()),
                    Err(_) => return Err(End::BadFrame),
                }
            }
        });
        self.begun = self.deframer.is_within().then(|| self.begun.unwrap_or_else(Instant::now));
        if !frames.is_empty() {
            self.away = true;
            self.bridge.tell(Told::Frames(Arc::clone(&self.line), frames));
        }
        bad
    }

    fn write(&mut self) -> std::io::Result<()> {
        let count = match self.stream.try_write(&self.writing[self.written..]) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        self.written += count;
        self.context.stats.add(Counter::ReplyBytes, count as u64);
        if self.line.written(count) {
            self.bridge.tell(Told::Writable(Arc::clone(&self.line)));
        }
        Ok(())
    }
}

/// Bytes of buffer that a connection keeps while it waits.
const KEPT: usize = 0;
