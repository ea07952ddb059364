//! A relay: what clients send goes to one server and its answers come back, in the weather that one asks for.
//!
//! Over UDP each client has a flow: a socket of its own towards the server, so that the server sees as many
//! peers as there are. All flows share the two directions of the weather: it is one road. Over TCP bytes wait
//! and are paced, and stay in order.

mod control;
mod counts;
mod flows;
mod outbox;
mod pool;
mod record;
mod road;
mod running;
mod tcp;
mod udp;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use squall::socket::errno::EACCES;
use squall::socket::{Address, Family, Kind, Socket, Waker};
use squall::{BindError, IpFamily, Offload, OpenSocket, Transport, Uri, UriError};
use squall_weather::{Decider, Record, RecordError, Weather};

pub use counts::{DirectionCounts, RelayCounts};
pub use running::{Answer, InForce, RelayHandle, RunningRelay};

use crate::record_file::is_same_file;
use record::{RecordFile, Recording};
use road::Road;
use running::Mode;
use udp::{Parts, Udp};

/// A relay before it runs.
#[derive(Clone, Debug)]
pub struct Relay {
    on: Uri,
    to: Uri,
    weather: Weather,
    seed: u64,
    flows: usize,
    idle: Duration,
    memory: usize,
    family: IpFamily,
    gso: Offload,
    record: Option<PathBuf>,
    replay: Option<PathBuf>,
}

/// Why a relay could not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// An address cannot be had.
    #[error("cannot relay to {0}")]
    To(#[source] UriError),
    /// The server's address is no address of one server.
    #[error("cannot relay to {to}: {reason}")]
    NoServer {
        /// The address.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// The two addresses differ in their transport, or it is none that can be relayed.
    #[error("cannot relay {on} to {to}: both are udp://, or both are tcp://")]
    Transport {
        /// Where it would listen.
        on: String,
        /// Where it would relay to.
        to: String,
    },
    /// It would send everything to itself, for ever.
    #[error("cannot relay {on} to {to}: that is the relay itself")]
    Itself {
        /// Where it listens.
        on: String,
        /// The server.
        to: String,
    },
    /// It cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The weather has what only datagrams can meet.
    #[error(
        "cannot relay tcp:// in weather with {key}: TCP repairs what happens to its packets, and programs see delay, jitter, rate and blackouts alone"
    )]
    Stream {
        /// The key.
        key: String,
    },
    /// Records are of datagrams.
    #[error("cannot record or replay tcp://: where its bytes are cut is chance")]
    StreamRecord,
    /// A record cannot be written.
    #[error("cannot record to {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A record would be destroyed before it is played.
    #[error("cannot record to {}: --record and --replay name the same file", path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// A record cannot be played.
    #[error("cannot replay {}: {reason}", path.display())]
    Replay {
        /// The file.
        path: PathBuf,
        /// Why not, with the line.
        reason: String,
    },
    /// A thread or a poller could not be made.
    #[error("cannot start the relay: {0}")]
    Start(#[source] io::Error),
    /// The system failed it while it ran.
    #[error("the relay ended: {0}")]
    Failed(#[source] io::Error),
    /// It failed, or its record could not be finished, after it had done this.
    #[error("{problem}")]
    Ended {
        /// [`Failed`](Self::Failed) or [`Record`](Self::Record).
        problem: Box<RelayError>,
        /// What it did.
        counts: Box<RelayCounts>,
    },
}

impl RelayError {
    /// Whether the caller asked for something that cannot be, rather than the system refusing it.
    pub fn is_usage(&self) -> bool {
        match self {
            RelayError::To(source) => !source.is_temporary(),
            RelayError::NoServer { .. } | RelayError::Transport { .. } | RelayError::Itself { .. } => true,
            RelayError::Bind(source) => source.is_usage(),
            RelayError::Replay { .. } | RelayError::SameFile { .. } => true,
            RelayError::Stream { .. } | RelayError::StreamRecord => true,
            RelayError::Record { .. } | RelayError::Start(_) | RelayError::Failed(_) => false,
            RelayError::Ended { problem, .. } => problem.is_usage(),
        }
    }

    /// Whether the same may work later: a name server did not answer.
    pub fn is_temporary(&self) -> bool {
        match self {
            RelayError::To(source) => source.is_temporary(),
            RelayError::Bind(source) => source.is_temporary(),
            _ => false,
        }
    }
}

impl Relay {
    /// A relay that listens at `on` for clients of the server at `to`, in clear weather.
    pub fn new(on: Uri, to: Uri) -> Self {
        Self {
            on,
            to,
            weather: Weather::clear(),
            seed: 0,
            flows: 4096,
            idle: Duration::from_secs(60),
            memory: 256 << 20,
            family: IpFamily::Any,
            gso: Offload::Auto,
            record: None,
            replay: None,
        }
    }

    /// The weather to begin with; clear by default.
    pub fn weather(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }

    /// What all decisions follow from; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many clients can be served at a time: 4096 by default, from 1 to 65,536. Each takes a
    /// descriptor. When all are taken, the one that was silent for longest makes room for a new one, if it
    /// was silent for a quarter of the [`idle`](Self::idle) time; otherwise the new one is refused.
    pub fn flows(mut self, flows: usize) -> Self {
        self.flows = flows.clamp(1, MAX_FLOWS);
        self
    }

    /// How long nothing may come or go for a client before its flow ends: 60 s by default. The server then sees
    /// its next datagram come from another port. Connections end by themselves; peers that have vanished are found
    /// by TCP's keepalive, which asks after 60 s of silence and then every 20 s.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// How many bytes may be under way, both directions together and bookkeeping counted: 256 MiB by default,
    /// 1 MiB at least. Of datagrams, what is beyond is dropped and counted.
    ///
    /// Of connections, what is beyond waits with its sender. Half of it is divided among as many as there may be
    /// ([`flows`](Self::flows)), and each has its share whatever the others hold; from the other half each direction of
    /// a connection takes an eighth of the memory at most. A share is 64 KiB for each direction at least, so that what
    /// is under way is never more than the memory, or half of it and 128 KiB for each open connection where that is
    /// more.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes.max(1 << 20);
        self
    }

    /// Which of the addresses is taken that a server's name stands for: the first of the family that the
    /// relay listens on by default.
    pub fn family(mut self, family: IpFamily) -> Self {
        self.family = family;
        self
    }

    /// Whether datagrams of one flow are joined into segmented sends; where the kernel has it by default.
    pub fn gso(mut self, gso: Offload) -> Self {
        self.gso = gso;
        self
    }

    /// Writes every decision down, a line each as [`Entry`](squall_weather::Entry) has it, all of `up` before
    /// all of `down`: the same seed and the same datagrams give the same file, where delays do not depend on when
    /// datagrams come, as with a rate, with blackouts, or with jitter that keeps the order. While it runs, the second half is in a
    /// file of the same name with `.down` behind it. What is there is replaced once the relay can start. A replay that is
    /// recorded has the header of its source, so that where the same datagrams come, the two are equal. Ten million decisions at most; the others are counted.
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.record = Some(path.into());
        self
    }

    /// Decides as a record says, in place of the weather: datagram for datagram in each direction. What comes
    /// after its end passes and is counted.
    pub fn replay(mut self, path: impl Into<PathBuf>) -> Self {
        self.replay = Some(path.into());
        self
    }

    /// Opens the sockets and starts to relay, on a thread of its own.
    ///
    /// # Errors
    /// [`RelayError`], which names the address; nothing stays open.
    pub fn start(self) -> Result<RunningRelay, RelayError> {
        let transport = self.on.transport();
        if transport != self.to.transport() || !matches!(transport, Transport::Udp | Transport::Tcp) {
            return Err(RelayError::Transport { on: self.on.to_string(), to: self.to.to_string() });
        }
        self.check_server()?;
        self.check_files()?;
        let sockets = squall::open("relay", &self.on)?;
        let to = self.server(&sockets)?;
        let locals: Vec<Uri> = sockets.iter().map(|open| open.uri.clone()).collect();
        if let Some(open) = sockets.iter().find(|open| leads_to(open, to)) {
            return Err(RelayError::Itself { on: open.uri.to_string(), to: self.to.to_string() });
        }
        let mode = match transport {
            Transport::Tcp => Mode::Stream,
            _ if self.replay.is_some() => Mode::Replay,
            _ => Mode::Datagrams,
        };
        let weather = self.weather.clone();
        let seed = self.seed;
        let (send, thread) = match mode {
            Mode::Stream => self.start_streams(&sockets, to)?,
            Mode::Datagrams | Mode::Replay => self.start_datagrams(sockets, to)?,
        };
        let handle = RelayHandle::new(send, weather, mode);
        let to = Uri::of(transport, Address::Ip(to));
        Ok(RunningRelay::new(handle, thread, locals, to, seed))
    }

    fn start_datagrams(self, sockets: Vec<OpenSocket>, to: SocketAddr) -> Result<Started, RelayError> {
        let headers = if to.is_ipv4() { 28 } else { 48 };
        let ([first, second], header) = self.deciders()?;
        let (file, [first_recording, second_recording]) = self.recordings(&header)?;
        let road =
            |(decider, clear), recording| Road::new(decider, clear, recording, headers, self.memory / 2);
        let (up, down) = (road(first, first_recording), road(second, second_recording));
        let (give, commands) = std::sync::mpsc::sync_channel(COMMANDS);
        let waker = Waker::new().map_err(RelayError::Start)?;
        let (flows, idle, gso) = (self.flows, self.idle, self.gso);
        let parts = Parts { sockets, to, flows, idle, gso, up, down, commands, waker: waker.clone() };
        let relay = Udp::new(parts).map_err(RelayError::Start)?;
        let send = move |command| {
            // It fails when the relay has ended.
            let sent = give.send(command).is_ok();
            waker.wake();
            sent
        };
        Ok((Box::new(send), spawn(move || run(relay, file))?))
    }

    fn start_streams(self, sockets: &[OpenSocket], to: SocketAddr) -> Result<Started, RelayError> {
        if let Some(key) = tcp::not_for_streams(&self.weather) {
            return Err(RelayError::Stream { key });
        }
        if self.record.is_some() || self.replay.is_some() {
            return Err(RelayError::StreamRecord);
        }
        sockets.iter().for_each(|open| tcp::keep_alive(&open.socket));
        let listeners = sockets.iter().map(|open| open.socket.try_clone().map(Into::into));
        let listeners = listeners.collect::<io::Result<Vec<_>>>().map_err(RelayError::Start)?;
        let (give, commands) = tokio::sync::mpsc::channel(COMMANDS);
        let parts = tcp::Parts {
            listeners,
            to,
            connections: self.flows,
            memory: self.memory,
            weather: self.weather,
            seed: self.seed,
            commands,
        };
        let send = move |command| give.blocking_send(command).is_ok();
        Ok((Box::new(send), spawn(move || tcp::run(parts).map_err(RelayError::Failed))?))
    }

    /// What decides on each direction, and whether it lets everything pass; and how a record of it begins.
    fn deciders(&self) -> Result<([(Decider, bool); 2], String), RelayError> {
        let Some(path) = &self.replay else {
            let (up, down) = self.weather.links(self.seed);
            let clear = (self.weather.up.is_clear(), self.weather.down.is_clear());
            let header = format!("# seed {}\n# weather {}\n", self.seed, self.weather);
            return Ok(([(up.into(), clear.0), (down.into(), clear.1)], header));
        };
        let failed = |reason| RelayError::Replay { path: path.clone(), reason };
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let record: Record = text.parse().map_err(|error: RecordError| failed(error.to_string()))?;
        let header = record.header().to_owned();
        let (up, down) = record.replays();
        Ok(([(up.into(), false), (down.into(), false)], header))
    }

    /// The record, empty but for its header.
    fn recordings(&self, header: &str) -> Result<(Option<RecordFile>, [Option<Recording>; 2]), RelayError> {
        let Some(path) = &self.record else { return Ok((None, [None, None])) };
        let failed = |source| RelayError::Record { path: path.clone(), source };
        let (file, [mut up, mut down]) = RecordFile::open(path).map_err(failed)?;
        RecordFile::begin([&mut up, &mut down], header).map_err(failed)?;
        Ok((Some(file), [Some(up), Some(down)]))
    }

    fn check_server(&self) -> Result<(), RelayError> {
        let reason = "that is every address of this machine, to listen on: name one server";
        if self.to.is_wildcard() {
            return Err(RelayError::NoServer { to: self.to.to_string(), reason });
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), RelayError> {
        let (Some(path), Some(replay)) = (&self.record, &self.replay) else { return Ok(()) };
        match is_same_file(path, replay) || is_same_file(&RecordFile::spool(path), replay) {
            true => Err(RelayError::SameFile { path: path.clone() }),
            false => Ok(()),
        }
    }

    /// The one address of the server.
    fn server(&self, sockets: &[OpenSocket]) -> Result<SocketAddr, RelayError> {
        let addresses = self.to.resolve(self.family).map_err(RelayError::To)?;
        let addresses: Vec<SocketAddr> = addresses.iter().filter_map(Address::ip).collect();
        let v4 = sockets.iter().any(|open| open.address.ip().is_some_and(|bound| bound.is_ipv4()));
        let same = addresses.iter().find(|address| address.is_ipv4() == v4);
        let refuse = |reason| RelayError::NoServer { to: self.to.to_string(), reason };
        let to = *same.or(addresses.first()).ok_or_else(|| refuse("it has no address"))?;
        match to.ip() {
            _ if to.port() == 0 => Err(refuse("no server has port 0")),
            ip if ip.to_canonical().is_multicast() => {
                Err(refuse("a relay has one server, and that is the address of a group"))
            }
            _ if is_broadcast(to) => Err(refuse("a relay has one server, and that is a broadcast address")),
            _ => Ok(to),
        }
    }
}

/// How a relay is told what to do, and the thread that it runs on.
type Started = (running::Send, thread::JoinHandle<Result<RelayCounts, RelayError>>);

fn spawn(
    run: impl FnOnce() -> Result<RelayCounts, RelayError> + Send + 'static,
) -> Result<thread::JoinHandle<Result<RelayCounts, RelayError>>, RelayError> {
    thread::Builder::new().name("relay".into()).spawn(run).map_err(RelayError::Start)
}

/// Relays until it is told to stop, and ends the record.
fn run(relay: Udp, file: Option<RecordFile>) -> Result<RelayCounts, RelayError> {
    let (result, mut counts, recordings) = relay.run();
    let mut problem = result.err().map(RelayError::Failed);
    // Also of a relay that failed: what it decided until then is all there.
    if let (Some(file), [Some(up), Some(down)]) = (file, recordings) {
        let path = file.path().to_owned();
        match file.finish([up, down]) {
            Ok(unrecorded) => counts.unrecorded = unrecorded,
            Err(source) => problem = problem.or(Some(RelayError::Record { path, source })),
        }
    }
    match problem {
        Some(problem) => Err(RelayError::Ended { problem: Box::new(problem), counts: Box::new(counts) }),
        None => Ok(counts),
    }
}

/// Whether what is sent to `to` reaches the socket.
fn leads_to(open: &OpenSocket, to: SocketAddr) -> bool {
    let Some(bound) = open.address.ip() else { return false };
    let (bound, to) = (udp::canonical(bound), udp::canonical(to));
    if bound.port() != to.port() {
        return false;
    }
    if !open.wildcard {
        return bound.ip() == to.ip();
    }
    // A socket of the family IPv6 on every interface takes IPv4 too.
    let family = bound.is_ipv6() || to.is_ipv4();
    family && (to.ip().is_loopback() || is_own(to.ip()))
}

/// Whether it stands for all of a network. Of its own networks the kernel knows that, and it refuses to connect a
/// socket without `SO_BROADCAST` ([ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html)); a firewall's word would
/// be `EPERM`.
fn is_broadcast(to: SocketAddr) -> bool {
    let connect = || Socket::open(Family::of(&to.ip()), Kind::Datagram)?.connect(to);
    let refused = |error: io::Error| error.raw_os_error() == Some(EACCES);
    to.ip().to_canonical() == IpAddr::V4(Ipv4Addr::BROADCAST) || connect().is_err_and(refused)
}

/// Whether an interface of this machine has the address.
fn is_own(address: IpAddr) -> bool {
    let Ok(interfaces) = squall::socket::interfaces() else { return false };
    interfaces.iter().flat_map(|interface| &interface.addresses).any(|own| own.address == address)
}

/// Flows at most: as many ports as there are.
const MAX_FLOWS: usize = 1 << 16;
/// Commands that wait.
const COMMANDS: usize = 16;
