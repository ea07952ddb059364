//! A load generator: how many requests a server answers, and after what time.
//!
//! Each request carries a token that no other one has, and a reply counts when that token stands in it, wherever it
//! does; so servers that put something before or behind what they were sent can be measured, too. One thread does all
//! of it: what it needs is one processor.
//!
//! ```no_run
//! use std::time::Duration;
//! use squall::load::Load;
//!
//! let report = Load::udp("127.0.0.1:1060".parse().unwrap())
//!     .peers(256)
//!     .in_flight(512)
//!     .duration(Duration::from_secs(2))
//!     .run()?;
//! println!("{report}");
//! # Ok::<(), squall::load::LoadError>(())
//! ```

mod coap;
mod datagram;
mod flight;
mod ledger;
mod plot;
mod report;
mod schedule;
mod stream;
mod tally;
mod token;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use squall_proto::{Method, Status};

pub use plot::plot;
pub use report::Report;

/// What load to put on which server.
#[derive(Clone, Debug)]
pub struct Load {
    target: SocketAddr,
    transport: Transport,
    peers: usize,
    pace: Pace,
    size: usize,
    burst: usize,
    segmented: bool,
    matching: Matching,
    coap: Option<coap::Coap>,
    busy: bool,
    duration: Duration,
    warm_up: Duration,
    timeout: Duration,
    requests: u64,
}

/// How a reply is matched with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Matching {
    /// The request's token stands somewhere in the reply. Finds duplicates and late replies.
    Token,
    /// Any reply answers the peer's oldest request: for servers whose reply holds nothing of the request. Each peer
    /// gets a socket of its own, which costs a system call for each datagram.
    Any,
}

/// Why no load could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The settings contradict each other; the caller's fault.
    #[error("{0}")]
    Settings(String),
    /// A socket could not be opened, bound or watched.
    #[error("cannot open socket {number} of {peers} for {target}")]
    Open {
        /// Which peer's it is, from 1.
        number: usize,
        /// How many are wanted.
        peers: usize,
        /// The server.
        target: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The server did not take a connection.
    #[error("cannot make connection {number} of {peers} to tcp://{target}")]
    Connect {
        /// Which connection it is, from 1.
        number: usize,
        /// How many are wanted.
        peers: usize,
        /// The server.
        target: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The first send failed. Later ones that do are counted.
    #[error("cannot send to {target}")]
    Send {
        /// The server.
        target: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The sockets could not be read or waited for.
    #[error("cannot receive from {target}")]
    Receive {
        /// The server.
        target: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
}

impl Default for Load {
    /// One peer with one request of 64 bytes in flight, for 10 seconds, to UDP port 7 (echo) of this host.
    fn default() -> Self {
        Self {
            target: SocketAddr::from(([127, 0, 0, 1], 7)),
            transport: Transport::Udp,
            peers: 1,
            pace: Pace::InFlight(1),
            size: 64,
            burst: 1,
            segmented: true,
            matching: Matching::Token,
            coap: None,
            busy: false,
            duration: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            timeout: Duration::from_secs(1),
            requests: u64::MAX,
        }
    }
}

impl Load {
    /// Load for a datagram server.
    pub fn udp(target: SocketAddr) -> Self {
        Self { target, ..Self::default() }
    }

    /// Load for a stream server: each peer is a connection with one request in flight, and its reply has come when
    /// the request's token, which stands at its end before a newline, has come back.
    pub fn tcp(target: SocketAddr) -> Self {
        Self { target, transport: Transport::Tcp, ..Self::default() }
    }

    /// How many peers the server sees: 1 by default, 65,024 at most. Towards an IPv4 loopback address each is an
    /// address of its own from 127.1.0.1 on (Linux), all with one port and over one socket. Elsewhere each is a
    /// socket with a port of its own, as many as the process may open.
    pub fn peers(mut self, peers: usize) -> Self {
        self.peers = peers;
        self
    }

    /// Keeps this many requests in flight, over all peers together: the closed loop, 1 by default. 1,048,576 at most;
    /// rounded up to whole bursts. A stream has one for each connection, whatever is set here.
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.pace = Pace::InFlight(requests);
        self
    }

    /// Keeps this many requests in flight for each peer, and never more for one that answers sooner. 1,048,576 over
    /// all peers at most; rounded up to whole bursts.
    pub fn in_flight_per_peer(mut self, requests: usize) -> Self {
        self.pace = Pace::InFlightPerPeer(requests);
        self
    }

    /// Sends this many requests a second over all peers together, whatever comes back: the open loop. Latency is
    /// counted from when a request was due, so that a server which stalls is charged for all requests that were due
    /// meanwhile. At most 1,048,576 can be in flight.
    pub fn rate(mut self, requests_per_second: f64) -> Self {
        self.pace = Pace::Rate(requests_per_second);
        self
    }

    /// The bytes of each request: 64 by default, 16 to 65,507 (with [`Matching::Any`] from 0). Over TCP the newline
    /// is one more.
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = bytes;
        self
    }

    /// Load of confirmable CoAP requests of `method` for `path` with `payload`, in datagrams to `target`. Each has a
    /// message ID and a token of its own; a peer's IDs come again after 65,536 of its requests. Only what acknowledges
    /// and answers with the code `answer` is a reply; anything else is a stray.
    ///
    /// # Errors
    /// [`LoadError::Settings`] for a path with a segment of more than 255 bytes.
    pub fn coap(
        target: SocketAddr,
        method: Method,
        path: &str,
        payload: &[u8],
        answer: Status,
    ) -> Result<Self, LoadError> {
        let coap = coap::Coap::new(method, path, payload, answer);
        let coap =
            coap.ok_or_else(|| LoadError::Settings(format!("{path:?} is no path of a CoAP resource")))?;
        Ok(Self { target, size: coap.message().len(), coap: Some(coap), ..Self::default() })
    }

    /// Sends datagrams in bursts of this many from one peer, with one segmented send (`UDP_SEGMENT`) where the
    /// system can, and takes joined replies (`UDP_GRO`). 1 by default, 1024 at most.
    pub fn burst(mut self, datagrams: usize) -> Self {
        self.burst = datagrams;
        self
    }

    /// Whether a burst may go as a segmented send; true by default. Otherwise its datagrams go one by one, in one
    /// system call.
    pub fn segmented(mut self, segmented: bool) -> Self {
        self.segmented = segmented;
        self
    }

    /// How replies are matched with requests: by token by default.
    pub fn matching(mut self, matching: Matching) -> Self {
        self.matching = matching;
        self
    }

    /// Whether to look for replies without ever sleeping; false by default. It spares the server's processor the
    /// work of waking this one and takes a whole processor.
    pub fn busy(mut self, busy: bool) -> Self {
        self.busy = busy;
        self
    }

    /// How long to measure: 10 s by default. Replies to what was sent until then are waited for, [`timeout`] longer
    /// at most.
    ///
    /// [`timeout`]: Self::timeout
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// How long to make the same load before measuring: not at all by default.
    pub fn warm_up(mut self, warm_up: Duration) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// When a request without a reply is lost: 1 s after it was sent by default; at least 1 ms. It leaves room for the
    /// next then.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Ends after this many requests, rounded up to whole bursts, those of the warm-up counted, if that is before the
    /// duration is over. No such limit by default.
    pub fn requests(mut self, requests: u64) -> Self {
        self.requests = requests;
        self
    }

    /// Makes the load and says what came of it. Takes the duration, the warm-up and at most the timeout.
    ///
    /// # Errors
    /// Settings that contradict each other; a socket that the system refuses; a server that takes no connection. A
    /// datagram server that is not there is no error: its requests are lost, and refused where the network says so.
    pub fn run(&self) -> Result<Report, LoadError> {
        self.run_until(&AtomicBool::new(false))
    }

    /// As [`run`](Self::run), but stops sending soon after `stop` is set, 100 ms later at most, and reports the time
    /// until then.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_until(&self, stop: &AtomicBool) -> Result<Report, LoadError> {
        self.check().map_err(LoadError::Settings)?;
        match self.transport {
            Transport::Udp => datagram::run(self, stop),
            Transport::Tcp => stream::run(self, stop),
        }
    }

    fn check(&self) -> Result<(), String> {
        if let Some(coap) = &self.coap
            && (self.size != coap.message().len() || self.matching != Matching::Token)
        {
            return Err("CoAP requests have the size and the token that they have".into());
        }
        let smallest = match &self.coap {
            None if self.matching == Matching::Token => token::SIZE,
            _ => 0,
        };
        if !(smallest..=MAX_SIZE).contains(&self.size) {
            return Err(format!("a request has {smallest} to {MAX_SIZE} bytes, not {}", self.size));
        }
        if !(1..=MAX_PEERS).contains(&self.peers) {
            return Err(format!("the load comes from 1 to {MAX_PEERS} peers, not {}", self.peers));
        }
        if !(1..=MAX_BURST).contains(&self.burst) {
            return Err(format!("a burst has 1 to {MAX_BURST} datagrams, not {}", self.burst));
        }
        if self.transport == Transport::Tcp && self.burst > 1 {
            return Err("a stream has no bursts".into());
        }
        if self.transport == Transport::Tcp && matches!(self.pace, Pace::Rate(_)) {
            return Err("a stream has one request in flight for each connection, and no rate".into());
        }
        if self.timeout < SHORTEST_TIMEOUT {
            return Err("a request cannot be lost after less than 1 ms".into());
        }
        match self.pace {
            Pace::Rate(rate) if !(rate.is_finite() && rate > 0.0) => {
                Err(format!("a rate is more than 0 requests a second, not {rate}"))
            }
            _ if !(1..=flight::LIMIT).contains(&self.window()) => {
                Err(format!("1 to {} requests can be in flight, not {}", flight::LIMIT, self.window()))
            }
            _ => Ok(()),
        }
    }

    /// The most requests in flight, in whole bursts.
    fn window(&self) -> usize {
        let whole = |requests: usize| requests.div_ceil(self.burst).saturating_mul(self.burst);
        match self.pace {
            Pace::InFlight(requests) => whole(requests),
            Pace::InFlightPerPeer(requests) => whole(requests).saturating_mul(self.peers),
            Pace::Rate(rate) => {
                let all = rate * self.timeout.as_secs_f64() + 2.0 * self.burst as f64;
                whole((all as usize).min(flight::LIMIT - self.burst))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    InFlight(usize),
    InFlightPerPeer(usize),
    Rate(f64),
}

const MAX_SIZE: usize = 65_507;
/// As many addresses as 127.1.0.0/16 has with a last byte from 1 to 254.
const MAX_PEERS: usize = 256 * 254;
const MAX_BURST: usize = 1024;
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
