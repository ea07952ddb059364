//! One connection: bytes in, frames out, replies back.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use squall_proto::framing::{Deframer, Framing};
use squall_proto::{Origin, Outbox, Refusal, Request, Time};
use tokio::io::AsyncWrite;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{StreamApp, StreamService};
use crate::control::{Busy, Control};
use crate::engine::returns::Outcome;
use crate::hooks::{ServerError, panic_message};
use crate::offload::OwnedRequest;
use crate::pool::{Back, Job};
use crate::stats::{Counter, SocketStats};
use crate::verdict::{self, Handled, Verdict};

/// A connection of either family.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer closed it.
    Peer,
    /// The server stops.
    Stopped,
    Idle,
    SlowFrame,
    SlowReader,
    BadFrame,
    Lifetime,
    Failed,
}

/// What one read brought.
enum Read {
    /// Nothing yet.
    Later,
    /// The end of the stream.
    End,
    /// An error of the connection.
    Failed,
    /// A frame that its framing does not allow.
    Bad,
    /// Bytes that are still to be answered; none, often.
    Rest(Vec<u8>),
}

/// What the connections of a listener share.
pub(crate) struct Context {
    pub(crate) control: Arc<Control>,
    pub(crate) service: StreamService,
    pub(crate) stats: Arc<SocketStats>,
    /// Since when a handler runs; one for all connections, which share a thread.
    busy: Arc<Busy>,
    /// One buffer for all: it is used between two waits only, so that connections that wait cost none.
    scratch: Mutex<Scratch>,
}

struct Scratch {
    input: Box<[u8]>,
    outbox: Outbox,
}

impl Context {
    pub(crate) fn new(control: Arc<Control>, service: StreamService, stats: Arc<SocketStats>) -> Self {
        let outbox = Outbox::with_limits(OUTPUT, 4096);
        let scratch = Mutex::new(Scratch { input: vec![0; INPUT].into_boxed_slice(), outbox });
        let busy = control.add_busy();
        Self { control, service, stats, busy, scratch }
    }

    /// Lends the buffer that all connections read into.
    pub(super) fn with_input<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        read(&mut scratch.input)
    }

    /// Runs a handler where the watchdog sees for how long.
    fn timed<T>(&self, now: Time, handle: impl FnOnce() -> T) -> T {
        self.busy.set(now);
        let result = handle();
        self.busy.clear();
        result
    }
}

/// Serves one connection to its end.
pub(crate) async fn run(context: &Context, stream: Stream, origin: Origin) -> End {
    let limits = context.service.limits;
    let mut connection = Connection {
        context,
        stream,
        origin,
        deframer: Deframer::new(context.service.framing),
        begun: None,
        replies: Vec::new(),
    };
    match timeout(limits.lifetime, connection.serve()).await {
        Ok(Ok(end) | Err(end)) => end,
        Err(_) => End::Lifetime,
    }
}

struct Connection<'a> {
    context: &'a Context,
    stream: Stream,
    origin: Origin,
    deframer: Deframer,
    /// When the first byte of an unfinished frame came.
    begun: Option<Instant>,
    /// Replies that wait to be written, framed.
    replies: Vec<u8>,
}

impl Connection<'_> {
    async fn serve(&mut self) -> Result<End, End> {
        let limits = self.context.service.limits;
        let mut stop = self.context.control.stop_signal.subscribe();
        loop {
            let (wait, late) = match self.begun {
                Some(begun) => (limits.frame.saturating_sub(begun.elapsed()), End::SlowFrame),
                None => (limits.idle, End::Idle),
            };
            tokio::select! {
                biased;
                ready = timeout(wait, self.stream.readable()) => match ready {
                    Err(_) => return Err(late),
                    Ok(Err(_)) => return Err(End::Failed),
                    Ok(Ok(())) => {}
                },
                _ = stop.wait_for(|stopping| *stopping) => return Ok(End::Stopped),
            }
            if !self.read().await? {
                return Ok(End::Peer);
            }
            if self.context.control.stopping().is_some() {
                return Ok(End::Stopped);
            }
        }
    }

    /// Reads once and answers what is whole; false at the end of the stream.
    async fn read(&mut self) -> Result<bool, End> {
        let rest = match self.read_now() {
            Read::Later => return Ok(true),
            Read::End => return self.finish().await.map(|()| false),
            Read::Failed => return Err(End::Failed),
            Read::Bad => {
                self.write().await?;
                return Err(End::BadFrame);
            }
            Read::Rest(rest) => rest,
        };
        self.write().await?;
        let mut rest = rest.as_slice();
        while self.context.control.stopping().is_none() {
            let Some(frame) = self.deframer.next(&mut rest).map_err(|_| End::BadFrame)? else { break };
            let frame = frame.to_vec();
            self.begun = None;
            self.answer(frame).await?;
        }
        self.begun = self.deframer.is_within().then(|| self.begun.unwrap_or_else(Instant::now));
        Ok(true)
    }

    /// Reads into the shared buffer. A handler that needs no waiting answers the frames there, so that
    /// nothing is copied; what is left is for after the first wait.
    fn read_now(&mut self) -> Read {
        let mut scratch = self.context.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch { input, outbox } = &mut *scratch;
        let count = match self.stream.try_read(input) {
            Ok(0) => return Read::End,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::Later,
            Err(_) => return Read::Failed,
        };
        let mut rest = &input[..count];
        let StreamApp::Inline(handler) = &self.context.service.app else { return Read::Rest(rest.to_vec()) };
        let now = self.context.control.now();
        while self.replies.len() <= OUTPUT && self.context.control.stopping().is_none() {
            let frame = match self.deframer.next(&mut rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return Read::Bad,
            };
            // The next frame has the whole time.
            self.begun = None;
            let request = Request::new(now, frame, self.origin);
            outbox.clear();
            let verdict = match self.context.control.hooks().admit(&request) {
                Ok(()) => {
                    let handled = self.context.timed(now, || verdict::answer(&**handler, &request, outbox));
                    self.context.verdict(handled)
                }
                Err(verdict) => verdict,
            };
            let frames = outbox.frames().map(|frame| frame.payload);
            let wrapped = wrap(self.context.service.framing, frames, &mut self.replies);
            self.context.settle(&request, if wrapped { verdict } else { TOO_LONG });
        }
        Read::Rest(rest.to_vec())
    }

    /// The end of the stream: the last frame, if its framing lets the end close it.
    async fn finish(&mut self) -> Result<(), End> {
        match self.deframer.finish() {
            Ok(Some(frame)) => {
                let frame = frame.to_vec();
                self.answer(frame).await
            }
            Ok(None) => Ok(()),
            Err(_) => Err(End::BadFrame),
        }
    }

    /// Answers one frame and writes its replies.
    async fn answer(&mut self, frame: Vec<u8>) -> Result<(), End> {
        let now = self.context.control.now();
        let request = Request::new(now, &frame, self.origin);
        if let Err(verdict) = self.context.control.hooks().admit(&request) {
            self.context.settle(&request, verdict);
            return Ok(());
        }
        let Outcome { replies, verdict, panic } = self.handle(now, &frame).await;
        self.context.report_panic(panic);
        let wrapped = wrap(self.context.service.framing, replies.iter(), &mut self.replies);
        self.context.settle(&request, if wrapped { verdict } else { TOO_LONG });
        self.write().await
    }

    async fn handle(&self, now: Time, frame: &[u8]) -> Outcome {
        let (arrived, origin) = (now, self.origin);
        match &self.context.service.app {
            StreamApp::Inline(handler) => {
                let mut scratch = self.context.scratch.lock().unwrap_or_else(PoisonError::into_inner);
                scratch.outbox.clear();
                let request = Request::new(now, frame, origin);
                let answer = || verdict::answer(&**handler, &request, &mut scratch.outbox);
                let handled = self.context.timed(now, answer);
                Outcome::of(handled, &scratch.outbox)
            }
            StreamApp::Pool(pool, handler) => {
                let (sender, answer) = oneshot::channel();
                let back = Back::Connection(sender);
                let handler = Arc::clone(handler);
                let job = Job { handler, arrived, origin, payload: frame.to_vec(), back };
                if let Err(refusal) = pool.submit(job) {
                    return Outcome::without(Verdict::Refused(refusal));
                }
                pool.kick();
                answer.await.unwrap_or(Outcome::without(Verdict::Panicked))
            }
            StreamApp::Asynchronous(handler) => {
                if !handler.begin() {
                    let busy = Refusal::Overload("too many requests are waiting");
                    return Outcome::without(Verdict::Refused(busy));
                }
                handler.clone().answer(OwnedRequest { now, payload: frame.to_vec(), origin }).await
            }
            StreamApp::Protocol(_) | StreamApp::Conversation(_) => {
                unreachable!("these read their connections themselves")
            }
        }
    }

    /// Writes the replies that wait.
    async fn write(&mut self) -> Result<(), End> {
        let mut rest = self.replies.as_slice();
        self.context.stats.add(Counter::ReplyBytes, rest.len() as u64);
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match timeout(self.context.service.limits.write, self.stream.writable()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Err(End::Failed),
                        Err(_) => return Err(End::SlowReader),
                    }
                }
                Err(_) => return Err(End::Failed),
            }
        }
        // A connection that waits keeps no buffer.
        self.replies = Vec::new();
        Ok(())
    }
}

impl Context {
    /// The verdict on what was handled; a panic is reported.
    fn verdict(&self, handled: Handled) -> Verdict {
        handled.unwrap_or_else(|panic| {
            self.report_panic(Some(panic_message(&*panic)));
            Verdict::Panicked
        })
    }

    fn report_panic(&self, message: Option<String>) {
        if let Some(message) = message {
            let service = self.stats.service().to_owned();
            self.control.hooks().report(&ServerError::Panicked { service, message });
        }
    }

    /// Counts what became of a request.
    fn settle(&self, request: &Request<'_>, verdict: Verdict) {
        self.stats.add(Counter::Received, 1);
        self.stats.add(Counter::ReceivedBytes, request.payload.len() as u64);
        self.stats.add(verdict.counter(), 1);
        if let Verdict::Answered(replies) = verdict {
            self.stats.add(Counter::Replies, replies as u64);
        }
        self.control.hooks().observe(self.stats.service(), request, verdict);
        if verdict.is_handled() {
            self.control.count_handled();
        }
    }
}

/// Frames `replies` into `out`; false, and nothing of them, when one is longer than the framing allows.
fn wrap<'a>(framing: Framing, mut replies: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let whole = replies.all(|reply| framing.wrap(reply, out).is_ok());
    if !whole {
        out.truncate(before);
    }
    whole
}

impl Stream {
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.readable().await,
            Stream::Unix(stream) => stream.readable().await,
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.writable().await,
            Stream::Unix(stream) => stream.writable().await,
        }
    }

    /// Ends what is sent; the peer may go on sending.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|context| match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        })
        .await
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_read(buffer),
            Stream::Unix(stream) => stream.try_read(buffer),
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
        }
    }
}

/// Bytes that one read takes.
const INPUT: usize = 64 * 1024;
/// Bytes of replies to one frame, and after which replies to the frames of one read are written.
const OUTPUT: usize = 1024 * 1024;
const TOO_LONG: Verdict = Verdict::Refused(Refusal::TooLong { limit: OUTPUT });
