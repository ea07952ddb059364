//! Whole conversations: a handler that reads and writes its connection as it likes.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use squall_proto::Origin;
use std::net::Shutdown;

use squall_socket::Socket;
use tokio::sync::Notify;

use super::StreamLimits;
use super::listener::Open;
use crate::control::Control;
use crate::hooks::{ServerError, panic_message};
use crate::stats::Counter;
use crate::verdict::contain;

/// Talks on a connection from its first byte to its last, on a thread of its own.
///
/// When it returns, what it wrote is sent and the connection is closed. When the server stops, its
/// reads come to the end of the stream.
///
/// ```
/// use std::io::{self, BufRead, Read, Write};
/// use squall::Conversation;
///
/// fn greet(conversation: &mut Conversation) -> io::Result<()> {
///     let mut name = String::new();
///     Read::take(&mut *conversation, 100).read_line(&mut name)?;
///     writeln!(conversation, "hello {}", name.trim())
/// }
/// # let _ = squall::Service::conversation("greet", greet);
/// ```
pub trait StreamHandler: Send + Sync + 'static {
    /// Talks on `conversation`.
    ///
    /// # Errors
    /// Those of the connection; they are counted, and end this conversation alone.
    fn handle(&self, conversation: &mut Conversation) -> io::Result<()>;
}

impl<F> StreamHandler for F
where
    F: Fn(&mut Conversation) -> io::Result<()> + Send + Sync + 'static,
{
    fn handle(&self, conversation: &mut Conversation) -> io::Result<()> {
        self(conversation)
    }
}

/// A connection with buffered reads and writes. A read waits as long as the service's idle limit, a
/// write as long as its write limit; then a read fails with `WouldBlock` and a write with `TimedOut`.
#[derive(Debug)]
pub struct Conversation {
    origin: Origin,
    input: BufReader<Shared>,
    output: BufWriter<Shared>,
}

/// One socket for both directions and for the server, who shuts it down.
#[derive(Clone, Debug)]
struct Shared {
    socket: Arc<Socket>,
    opened: Instant,
    limits: StreamLimits,
}

/// A conversation has lasted for as long as any may.
#[derive(Debug, thiserror::Error)]
#[error("the conversation has lasted for its whole lifetime")]
struct LifetimeOver;

impl Conversation {
    /// Who is at the other end, and where it connected to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Both halves, to read a line while writing an answer.
    pub fn split(&mut self) -> (&mut impl BufRead, &mut impl Write) {
        (&mut self.input, &mut self.output)
    }
}

impl Read for Conversation {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl BufRead for Conversation {
    /// What was written before is sent first: the peer may be waiting for it.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.input.buffer().is_empty() {
            self.output.flush()?;
        }
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
    }
}

impl Write for Conversation {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl Shared {
    /// What is left of the lifetime.
    fn left(&self) -> io::Result<Duration> {
        let left = self.limits.lifetime.saturating_sub(self.opened.elapsed());
        if left.is_zero() { Err(io::Error::other(LifetimeOver)) } else { Ok(left) }
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left()?;
        if left >= self.limits.idle {
            return (&*self.socket).read(buffer);
        }
        self.socket.set_read_timeout(Some(left))?;
        (&*self.socket).read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::other(LifetimeOver),
            _ => error,
        })
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left()?;
        // The system says `WouldBlock` for a time-out of either kind.
        (&*self.socket).write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The conversations of a listener.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    open: Mutex<HashMap<u64, Arc<Socket>>>,
    next: AtomicU64,
    ended: Notify,
}

impl Conversations {
    /// Starts a conversation on a thread of its own.
    pub(crate) fn start(
        self: &Arc<Self>,
        control: &Arc<Control>,
        handler: &Arc<dyn StreamHandler>,
        socket: Socket,
        origin: Origin,
        limits: StreamLimits,
        guard: Open,
    ) {
        let (conversations, control, handler) = (Arc::clone(self), Arc::clone(control), Arc::clone(handler));
        let socket = Arc::new(socket);
        let number = {
            let mut open = self.lock();
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            open.insert(number, Arc::clone(&socket));
            number
        };
        let stats = Arc::clone(&guard.stats);
        let talk = move || {
            let result = contain(|| converse(&socket, origin, limits, &*handler));
            match result {
                Ok(Ok(())) => {
                    guard.stats.add(Counter::Answered, 1);
                    control.count_handled();
                }
                Ok(Err(error)) => guard.stats.add(ending(&error), 1),
                Err(panic) => {
                    guard.stats.add(Counter::Panicked, 1);
                    let service = guard.stats.service().to_owned();
                    let message = panic_message(&*panic);
                    control.hooks().report(&ServerError::Panicked { service, message });
                }
            }
            conversations.lock().remove(&number);
            drop((socket, guard));
            conversations.ended.notify_one();
        };
        stats.add(Counter::Received, 1);
        if thread::Builder::new().name("squall-conversation".into()).spawn(talk).is_err() {
            self.lock().remove(&number);
            stats.add(Counter::Shed, 1);
        }
    }

    /// Lets every conversation see the end of its stream, and waits until all have ended.
    pub(crate) async fn finish(&self) {
        loop {
            let ended = self.ended.notified();
            {
                let open = self.lock();
                if open.is_empty() {
                    return;
                }
                for socket in open.values() {
                    // One that is closed already needs no end.
                    let _ = socket.shutdown(Shutdown::Read);
                }
            }
            ended.await;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Socket>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn converse(
    socket: &Arc<Socket>,
    origin: Origin,
    limits: StreamLimits,
    handler: &dyn StreamHandler,
) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(limits.idle))?;
    socket.set_write_timeout(Some(limits.write))?;
    let shared = Shared { socket: Arc::clone(socket), opened: Instant::now(), limits };
    let input = BufReader::new(shared.clone());
    let output = BufWriter::new(shared);
    let mut conversation = Conversation { origin, input, output };
    handler.handle(&mut conversation)?;
    conversation.flush()
}

fn ending(error: &io::Error) -> Counter {
    match error.kind() {
        _ if error.get_ref().is_some_and(|reason| reason.is::<LifetimeOver>()) => Counter::Lifetime,
        io::ErrorKind::WouldBlock => Counter::Idle,
        io::ErrorKind::TimedOut => Counter::SlowReader,
        _ => Counter::ConnectionFailed,
    }
}
