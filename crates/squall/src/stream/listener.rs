//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use squall_proto::{Origin, Peer, Transport};
use squall_socket::Socket;
use squall_socket::errno::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::bridge;
use super::connection::{self, Context, End, Stream};
use super::conversation::Conversations;
use super::{StreamApp, StreamService};
use crate::control::Control;
use crate::engine::canonical;
use crate::hooks::ServerError;
use crate::stats::{Counter, SocketStats};

/// A listening socket and whom its connections talk to.
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    pub(crate) transport: Transport,
    pub(crate) service: StreamService,
    pub(crate) stats: Arc<SocketStats>,
}

/// Accepts connections and serves them until the server stops; then lets those that are inside a
/// request finish it, up to the deadline.
pub(crate) async fn serve(control: Arc<Control>, listener: Listener) -> io::Result<()> {
    let Listener { socket, transport, service, stats } = listener;
    let socket = Acceptor::new(socket, transport)?;
    let context = Arc::new(Context::new(Arc::clone(&control), service, Arc::clone(&stats)));
    let open = Arc::new(AtomicUsize::new(0));
    let mut stop = control.stop_signal.subscribe();
    let mut tasks = JoinSet::new();
    let mut reported = None;
    let conversations = Arc::new(Conversations::default());
    loop {
        // Tasks that have ended are forgotten.
        while tasks.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stopping| *stopping) => break,
            accepted = socket.accept() => accepted,
        };
        let (stream, peer, local) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                stats.add(Counter::AcceptFailed, 1);
                let lasting = matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM));
                // Said once in a while, however often it is tried.
                if reported.is_none_or(|last: Instant| last.elapsed() > REPORT_PAUSE) {
                    reported = Some(Instant::now());
                    let address = stats.address().to_owned();
                    control.hooks().report(&ServerError::Accept { address, source: error });
                }
                // A connection that was gone before it was accepted says nothing of the next; without
                // descriptors the next would fail as well, for as long as none is closed.
                if lasting {
                    tokio::select! {
                        _ = stop.wait_for(|stopping| *stopping) => break,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
                continue;
            }
        };
        stats.add(Counter::Accepted, 1);
        if open.fetch_add(1, Ordering::Relaxed) >= context.service.limits.connections {
            open.fetch_sub(1, Ordering::Relaxed);
            stats.add(Counter::ConnectionsFull, 1);
            continue;
        }
        let guard = Open { open: Arc::clone(&open), stats: Arc::clone(&stats) };
        // A handshake has shown that the peer is where it says; Unix peers are on this machine.
        let origin = Origin { peer, local, transport, validated: true };
        if let StreamApp::Conversation(handler) = &context.service.app {
            match stream.into_socket() {
                Ok(socket) => {
                    conversations.start(&control, handler, socket, origin, context.service.limits, guard);
                }
                Err(_) => stats.add(Counter::ConnectionFailed, 1),
            }
            continue;
        }
        let context = Arc::clone(&context);
        tasks.spawn(async move {
            if let StreamApp::Protocol(bridge) = &context.service.app {
                return bridge::run(&context, bridge, stream, origin, guard).await;
            }
            let end = connection::run(&context, stream, origin).await;
            if let Some(counter) = end.counter() {
                context.stats.add(counter, 1);
            }
            drop(guard);
        });
    }
    let until = control.stopping().map_or(Duration::ZERO, |until| until.since(control.now()));
    let all = async {
        while tasks.join_next().await.is_some() {}
        conversations.finish().await;
    };
    if tokio::time::timeout(until, all).await.is_err() {
        control.add_unfinished((tasks.len() + conversations.len()) as u64);
    }
    Ok(())
}

/// A connection's place among those that are open.
#[derive(Debug)]
pub(crate) struct Open {
    open: Arc<AtomicUsize>,
    pub(crate) stats: Arc<SocketStats>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.stats.add(Counter::Closed, 1);
    }
}

/// A listening socket of either family.
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(socket: Socket, transport: Transport) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        match transport {
            Transport::Unix => Ok(Acceptor::Unix(UnixListener::from_std(socket.into())?)),
            _ => Ok(Acceptor::Tcp(TcpListener::from_std(socket.into())?)),
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer, Option<SocketAddr>)> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // A reply is a whole message: waiting for more to go with it only delays it.
                stream.set_nodelay(true)?;
                let local = canonical(stream.local_addr()?);
                Ok((Stream::Tcp(stream), Peer::Ip(canonical(peer)), Some(local)))
            }
            Acceptor::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((
                    Stream::Unix(stream),
                    Peer::Conn(NUMBER.fetch_add(1, Ordering::Relaxed) | CONNECTED),
                    None,
                ))
            }
        }
    }
}

/// In the number of each connected Unix peer, and of no peer of a Unix datagram socket: one protocol can have both.
const CONNECTED: u32 = 1 << 31;
/// Numbers for connected Unix peers, which have no address.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The pause between two reports that accepting fails.
const REPORT_PAUSE: Duration = Duration::from_secs(10);
/// The pause after a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Stream {
    fn into_socket(self) -> io::Result<Socket> {
        match self {
            Stream::Tcp(stream) => Ok(stream.into_std()?.into()),
            Stream::Unix(stream) => Ok(stream.into_std()?.into()),
        }
    }
}

impl End {
    pub(super) fn counter(self) -> Option<Counter> {
        match self {
            End::Peer | End::Stopped => None,
            End::Idle => Some(Counter::Idle),
            End::SlowFrame => Some(Counter::SlowFrame),
            End::SlowReader => Some(Counter::SlowReader),
            End::BadFrame => Some(Counter::BadFrame),
            End::Lifetime => Some(Counter::Lifetime),
            End::Failed => Some(Counter::ConnectionFailed),
        }
    }
}
