//! A relay: what clients send goes to one server and its answers come back, in the weather that one asks for.
//!
//! Over UDP each client has a flow: a socket of its own towards the server, so that the server sees as many
//! peers as there are. All flows share the two directions of the weather: it is one road.

mod control;
mod counts;
mod flows;
mod outbox;
mod pool;
mod road;
mod running;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use squall::socket::{Address, Waker};
use squall::{BindError, IpFamily, Offload, OpenSocket, Transport, Uri, UriError};
use squall_weather::{Direction, Weather};

pub use counts::{DirectionCounts, RelayCounts};
pub use running::{Answer, RelayHandle, RunningRelay};

use road::Road;
use udp::{Command, Parts, Udp};

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
    /// A thread or a poller could not be made.
    #[error("cannot start the relay: {0}")]
    Start(#[source] io::Error),
    /// The system failed it while it ran.
    #[error("the relay ended: {0}")]
    Failed(#[source] io::Error),
}

impl RelayError {
    /// Whether the caller asked for something that cannot be, rather than the system refusing it.
    pub fn is_usage(&self) -> bool {
        match self {
            RelayError::To(source) => !source.is_temporary(),
            RelayError::NoServer { .. } | RelayError::Transport { .. } | RelayError::Itself { .. } => true,
            RelayError::Bind(source) => source.is_usage(),
            RelayError::Start(_) | RelayError::Failed(_) => false,
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

    /// How long nothing may come or go for a client before its flow ends: 60 s by default. The server then
    /// sees its next datagram come from another port.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// How many bytes may be under way, both directions together and bookkeeping counted: 256 MiB by default,
    /// 1 MiB at least. What is beyond is dropped and counted.
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

    /// Opens the sockets and starts to relay, on a thread of its own.
    ///
    /// # Errors
    /// [`RelayError`], which names the address; nothing stays open.
    pub fn start(self) -> Result<RunningRelay, RelayError> {
        let transport = self.on.transport();
        if transport != self.to.transport() || transport != Transport::Udp {
            return Err(RelayError::Transport { on: self.on.to_string(), to: self.to.to_string() });
        }
        self.check_server()?;
        let sockets = squall::open("relay", &self.on)?;
        let to = self.server(&sockets)?;
        let locals: Vec<Uri> = sockets.iter().map(|open| open.uri.clone()).collect();
        if let Some(open) = sockets.iter().find(|open| leads_to(open, to)) {
            return Err(RelayError::Itself { on: open.uri.to_string(), to: self.to.to_string() });
        }
        let headers = if to.is_ipv4() { 28 } else { 48 };
        let road = |direction| Road::new(&self.weather, direction, self.seed, headers, self.memory / 2);
        let (up, down) = (road(Direction::Up), road(Direction::Down));
        let (give, commands) = mpsc::sync_channel(COMMANDS);
        let waker = Waker::new().map_err(RelayError::Start)?;
        let parts = Parts {
            sockets,
            to,
            flows: self.flows,
            idle: self.idle,
            gso: self.gso,
            up,
            down,
            commands,
            waker: waker.clone(),
        };
        let relay = Udp::new(parts).map_err(RelayError::Start)?;
        let thread = thread::Builder::new().name("relay".into()).spawn(move || relay.run());
        let send = move |command: Command| {
            // It fails when the relay has ended.
            let sent = give.send(command).is_ok();
            waker.wake();
            sent
        };
        let handle = RelayHandle::new(send, self.weather);
        let to = Uri::of(transport, Address::Ip(to));
        Ok(RunningRelay::new(handle, thread.map_err(RelayError::Start)?, locals, to, self.seed))
    }

    fn check_server(&self) -> Result<(), RelayError> {
        let reason = "that is every address of this machine, to listen on: name one server";
        if self.to.is_wildcard() {
            return Err(RelayError::NoServer { to: self.to.to_string(), reason });
        }
        Ok(())
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
            ip if ip.is_multicast() || ip == IpAddr::from([255; 4]) => {
                Err(refuse("a relay has one server, and that is the address of a group"))
            }
            _ => Ok(to),
        }
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

/// Whether an interface of this machine has the address.
fn is_own(address: IpAddr) -> bool {
    let Ok(interfaces) = squall::socket::interfaces() else { return false };
    interfaces.iter().flat_map(|interface| &interface.addresses).any(|own| own.address == address)
}

/// Flows at most: as many ports as there are.
const MAX_FLOWS: usize = 1 << 16;
/// Commands that wait.
const COMMANDS: usize = 16;
