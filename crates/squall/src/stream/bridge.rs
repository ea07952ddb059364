//! Connections of a protocol: what they bring goes to its shard, what it writes comes back to them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use squall_proto::Origin;
use squall_proto::framing::Deframer;
use squall_socket::Waker;
use tokio::time::{Instant, timeout};

use super::connection::{Context, End, Stream};
use super::line::Line;
use super::listener::Open;
use crate::engine::returns::Replies;
use crate::stats::Counter;

/// What connections tell the shard of their protocol. It holds one batch of frames and a few words for
/// each connection at most: a connection reads on only when its last batch was taken, and one that has ended
/// keeps its place among those that are open until it is closed and the shard knows of its end.
#[derive(Debug)]
pub(crate) struct Bridge {
    inbox: Mutex<Inbox>,
    pub(crate) waker: Waker,
}

#[derive(Debug, Default)]
struct Inbox {
    told: Vec<Told>,
    /// The shard has stopped.
    ended: bool,
}

/// Something that happened on a connection.
#[derive(Debug)]
pub(crate) enum Told {
    Opened(Arc<Line>),
    Frames(Arc<Line>, Replies),
    Closed(Arc<Line>, Arc<Open>),
    Writable(Arc<Line>),
}

impl Bridge {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { inbox: Mutex::default(), waker: Waker::new()? })
    }

    pub(crate) fn tell(&self, told: Told) {
        let mut inbox = self.lock();
        if inbox.ended {
            // Accepted just before the server stopped: nobody else would end it.
            if let Told::Opened(line) = told {
                line.close();
            }
            return;
        }
        inbox.told.push(told);
        drop(inbox);
        self.waker.wake();
    }

    /// Takes all that was told into `told`, in place of what it held.
    pub(crate) fn take(&self, told: &mut Vec<Told>) {
        told.clear();
        std::mem::swap(told, &mut self.lock().told);
    }

    /// Ends the connections that the shard has not heard of, and those that come now: it takes nothing any more.
    pub(crate) fn end(&self) {
        let mut inbox = self.lock();
        inbox.ended = true;
        let told = std::mem::take(&mut inbox.told);
        drop(inbox);
        for told in told {
            if let Told::Opened(line) = told {
                line.close();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection of a protocol to its end. It lives for as long as the peer and the protocol want:
/// of the limits only that on a frame's time holds, and that on a write once the connection is to end; the
/// system asks a silent peer whether it lives.
pub(super) async fn run(context: &Context, bridge: &Bridge, stream: Stream, origin: Origin, place: Open) {
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
        broken: false,
        writing: Vec::new(),
        written: 0,
        closing: false,
        stuck: None,
    };
    let end = connection.serve().await;
    if let Some(counter) = end.counter() {
        context.stats.add(counter, 1);
    }
    connection.line.end();
    let place = Arc::new(place);
    bridge.tell(Told::Closed(Arc::clone(&connection.line), Arc::clone(&place)));
    if end == End::BadFrame && connection.broken {
        // To the protocol it is over; among those that are open it keeps its place.
        connection.drain().await;
    }
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
    /// Whether the peer broke the framing, and is to be told so.
    broken: bool,
    /// What is being written, and how much of it is with the kernel.
    writing: Vec<u8>,
    written: usize,
    /// Whether the connection ends when all is written.
    closing: bool,
    /// Since when a peer that is written to for the last time takes nothing.
    stuck: Option<Instant>,
}

impl Connection<'_> {
    async fn serve(&mut self) -> End {
        loop {
            // Behind the answers to what came before.
            if self.broken && !self.away && !self.line.is_closing() {
                if let Some(word) = &self.context.service.last_word {
                    self.line.put(word);
                }
                self.line.close();
            }
            if self.written == self.writing.len() {
                self.writing.clear();
                self.written = 0;
                // A connection that waits keeps no buffer.
                self.writing.shrink_to(KEPT);
                self.closing = self.line.take(&mut self.writing);
            } else {
                self.closing = self.line.is_closing();
            }
            if self.closing && self.writing.is_empty() {
                return if self.broken { End::BadFrame } else { End::Stopped };
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
            // The protocol decides about a slow peer; nobody else does once it or the peer has ended it.
            let ends = (self.closing || !self.open) && !self.writing.is_empty();
            let patience = match ends {
                true => {
                    let since = self.stuck.get_or_insert_with(Instant::now);
                    self.context.service.limits.write.saturating_sub(since.elapsed())
                }
                false => Duration::MAX,
            };
            tokio::select! {
                () = self.line.taken.notified(), if self.away => self.away = false,
                () = self.line.wake.notified() => {}
                ready = timeout(patience, self.stream.writable()), if !self.writing.is_empty() => match ready {
                    Err(_) => return End::SlowReader,
                    Ok(ready) => if ready.is_err() || self.write().is_err() {
                        return End::Failed;
                    },
                },
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
        let bad = match bad {
            Err(End::BadFrame) if self.context.service.last_word.is_some() => {
                (self.open, self.broken) = (false, true);
                Ok(())
            }
            bad => bad,
        };
        self.begun = self.deframer.is_within().then(|| self.begun.unwrap_or_else(Instant::now));
        if !frames.is_empty() {
            self.away = true;
            self.bridge.tell(Told::Frames(Arc::clone(&self.line), frames));
        }
        bad
    }

    /// Lets the peer read what it was told, until it closes: a connection that is closed with something unread is
    /// reset, and a reset takes away what the peer has not read yet
    /// ([RFC 1122 §4.2.2.13](https://www.rfc-editor.org/rfc/rfc1122#page-88)).
    async fn drain(&mut self) {
        let mut stop = self.context.control.stop_signal.subscribe();
        let read = async {
            self.stream.shutdown().await?;
            loop {
                self.stream.readable().await?;
                match self.context.with_input(|input| self.stream.try_read(input)) {
                    Ok(0) => return Ok::<_, std::io::Error>(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        tokio::select! {
            // Whatever became of it, nothing more can be done for the peer.
            _ = timeout(LAST_WORD, read) => {}
            _ = stop.wait_for(|stopping| *stopping) => {}
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let count = match self.stream.try_write(&self.writing[self.written..]) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        self.written += count;
        self.stuck = None;
        self.context.stats.add(Counter::ReplyBytes, count as u64);
        if self.line.written(count) {
            self.bridge.tell(Told::Writable(Arc::clone(&self.line)));
        }
        Ok(())
    }
}

/// How long a peer that broke the framing may take to read what it is told.
const LAST_WORD: Duration = Duration::from_secs(5);
/// Bytes of buffer that a connection keeps while it waits.
const KEPT: usize = 0;

#[cfg(test)]
mod tests {
    use squall_proto::framing::Framing;
    use squall_proto::{Peer, Transport};

    use super::*;
    use crate::stats::SocketStats;

    #[test]
    fn a_connection_that_comes_when_the_shard_has_stopped_ends_at_once() {
        let line = || {
            let origin =
                Origin { peer: Peer::Conn(1), local: None, transport: Transport::Unix, validated: true };
            let stats = SocketStats::new("test", String::new(), Transport::Unix, 0);
            Line::new(origin, Arc::new(stats), Framing::AsRead)
        };
        let bridge = Bridge::new().unwrap();
        let (before, after) = (line(), line());
        bridge.tell(Told::Opened(Arc::clone(&before)));
        assert!(!before.is_closing());
        bridge.end();
        bridge.tell(Told::Opened(Arc::clone(&after)));
        assert!(before.is_closing() && after.is_closing());
        let mut told = Vec::new();
        bridge.take(&mut told);
        assert!(told.is_empty(), "nothing is kept that nobody takes");
    }
}
