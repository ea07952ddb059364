//! Asking a server, again and again until it answers.

mod datagram;
mod stream;

use std::io;
use std::time::Duration;

use squall_proto::Transport;
use squall_proto::retry::{RetryPolicy, RetryPolicyError};
use squall_socket::unix::{self, SocketFile};
use squall_socket::{Address, Kind, Socket};

use crate::uri::{IpFamily, Uri};

/// Asks datagram servers, with retries, or stream servers, once.
///
/// Its sockets are connected, so that nobody but the server it asks can answer. After a request that
/// had to be repeated it goes on from another local port: a late copy of the answer is then never
/// taken for the answer to the next request.
///
/// ```no_run
/// use squall::{Client, retry::RetryPolicy};
///
/// let policy = RetryPolicy::default().max_tries(Some(3));
/// let mut client = Client::new(["udp://192.0.2.1:20000".parse()?, "udp://192.0.2.2:20000".parse()?])
///     .retry(policy);
/// let answer = client.ask(b"")?;
/// println!("{} after {} tries", String::from_utf8_lossy(&answer.payload), answer.tries);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client {
    servers: Vec<Target>,
    policy: RetryPolicy,
    from: Option<Address>,
    family: IpFamily,
    timeout: Option<Duration>,
    observer: Option<Observer>,
    link: Option<datagram::Link>,
}

type Observer = Box<dyn FnMut(&Event) + Send>;

/// A server as it is named, and resolved.
#[derive(Clone, Debug)]
enum Target {
    Named(Uri),
    Resolved(Transport, Address),
}

/// An answer, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The datagram, or all that the stream server wrote.
    pub payload: Vec<u8>,
    /// How often the request was sent.
    pub tries: u32,
    /// From the first request to the answer.
    pub elapsed: Duration,
    /// Who answered.
    pub server: Uri,
}

/// What a client does meanwhile.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A request was sent, or failed to be sent.
    Sent {
        /// To whom.
        server: Uri,
        /// From where.
        local: Option<Address>,
        /// Which try, counted from 1.
        tries: u32,
        /// How long the answer is awaited.
        wait: Duration,
        /// What the system said, if it did not send.
        error: Option<String>,
    },
    /// The server's host answered that nobody listens (ICMP port unreachable). The schedule is kept: it
    /// may be starting.
    Refused {
        /// Whose host.
        server: Uri,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody answered in time.
    #[error("no answer from {} after {tries} {} in {:.1} s; {silence}", names(servers), tries_word(*tries), elapsed.as_secs_f64())]
    NoAnswer {
        /// Who was asked.
        servers: Vec<Uri>,
        /// How often, all in all.
        tries: u32,
        /// For how long.
        elapsed: Duration,
        /// What is known of the reason.
        silence: Silence,
    },
    /// The server's name cannot be resolved, or its address is written wrong.
    #[error(transparent)]
    Address(#[from] crate::UriError),
    /// The retry policy is out of bounds.
    #[error("retry policy: {0}")]
    Policy(#[from] RetryPolicyError),
    /// The request is longer than a datagram carries.
    #[error(
        "a request of {len} bytes does not fit a datagram of {} bytes at most",
        squall_proto::MAX_DATAGRAM
    )]
    TooLong {
        /// The request's length, in bytes.
        len: usize,
    },
    /// Nobody can be asked there.
    #[error("cannot ask {server}: {reason}")]
    NotAServer {
        /// Who was named.
        server: String,
        /// Why not.
        reason: &'static str,
    },
    /// No server is named, or streams and datagrams are mixed.
    #[error("{0}")]
    Servers(&'static str),
    /// The address to ask from is not of this machine, or is taken.
    #[error("cannot ask from {from}: {source}")]
    From {
        /// The local address.
        from: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The connection was refused or broke, or no socket could be had.
    #[error("cannot {what} {server}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// With whom.
        server: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// What is known of the reason why nobody answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Silence {
    /// Nothing came back.
    #[error("the server may be down")]
    Nothing,
    /// A server's host said that nobody listens (ICMP port unreachable).
    #[error("its host says that nobody listens there")]
    Refused,
    /// A stream server accepted, and closed the connection without a word.
    #[error("the server closed the connection without an answer")]
    Closed,
    /// The last request did not leave this machine, for the reason that the system gave.
    #[error("the last request could not be sent: {0}")]
    Unsent(String),
}

impl AskError {
    /// Whether the peer is to blame, by not answering.
    pub fn is_no_answer(&self) -> bool {
        match self {
            AskError::NoAnswer { .. } => true,
            AskError::System { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NotFound
            ),
            _ => false,
        }
    }

    /// Whether what the caller named is wrong.
    pub fn is_usage(&self) -> bool {
        match self {
            AskError::Address(error) => !error.is_temporary(),
            AskError::Policy(_)
            | AskError::TooLong { .. }
            | AskError::NotAServer { .. }
            | AskError::Servers(_) => true,
            _ => false,
        }
    }
}

impl Client {
    /// A client of the one UDP server at `server`.
    ///
    /// # Errors
    /// None now; the socket is made with the first request.
    pub fn connect(server: std::net::SocketAddr) -> Result<Self, AskError> {
        Ok(Self::with(vec![Target::Resolved(Transport::Udp, server.into())]))
    }

    /// A client of `servers`, asked in turn: the next one is tried before the same one again. Names are
    /// resolved with the first request, and each of a name's addresses is a server.
    pub fn new(servers: impl IntoIterator<Item = Uri>) -> Self {
        Self::with(servers.into_iter().map(Target::Named).collect())
    }

    fn with(servers: Vec<Target>) -> Self {
        Self {
            servers,
            policy: RetryPolicy::default(),
            from: None,
            family: IpFamily::Any,
            timeout: None,
            observer: None,
            link: None,
        }
    }

    /// When to ask again and when to give up; [`RetryPolicy`]'s defaults by default.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The local address to ask from; the system's choice by default. With port 0 the system chooses
    /// the port.
    pub fn from(mut self, local: impl Into<Address>) -> Self {
        self.from = Some(local.into());
        self
    }

    /// The addresses of a name that are asked: all by default. [`Client::from`] an IP address narrows it
    /// to that address's family.
    pub fn family(mut self, family: IpFamily) -> Self {
        self.family = family;
        self
    }

    /// How long a stream server may take to accept, and then to send each part of its answer; ten
    /// seconds by default. [`RetryPolicy::total`] bounds all of it; otherwise the retry policy governs
    /// datagram servers alone.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Tells `observe` of every request that is sent and every refusal.
    pub fn on_event(mut self, observe: impl FnMut(&Event) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observe));
        self
    }

    /// Sends `request` until it is answered or the policy gives up.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask(&mut self, request: &[u8]) -> Result<Answer, AskError> {
        let targets = self.resolve()?;
        let stream = |(uri, _): &(Uri, Address)| uri.transport().is_stream();
        match (targets.iter().any(stream), targets.iter().all(stream)) {
            _ if targets.is_empty() => Err(AskError::Servers("no server is named")),
            (true, false) => Err(AskError::Servers("stream and datagram servers cannot be asked in turn")),
            (true, true) => stream::ask(self, &targets, request),
            (false, _) => datagram::ask(self, targets, request),
        }
    }

    fn resolve(&self) -> Result<Vec<(Uri, Address)>, AskError> {
        let family = match self.from {
            Some(Address::Ip(from)) if from.is_ipv4() => IpFamily::V4,
            Some(Address::Ip(_)) => IpFamily::V6,
            _ => self.family,
        };
        let mut all = Vec::new();
        for target in &self.servers {
            match target {
                Target::Resolved(transport, address) => all.push((Uri::of(*transport, *address), *address)),
                Target::Named(uri) => {
                    let addresses = uri.resolve(family)?;
                    all.extend(
                        addresses.into_iter().map(|address| (Uri::of(uri.transport(), address), address)),
                    );
                }
            }
        }
        for (server, address) in &all {
            let reason = match (address, self.from) {
                (Address::Ip(address), _) if address.port() == 0 => "no server has port 0",
                (Address::Ip(_), Some(Address::Unix(_))) => "a Unix path is no address to ask it from",
                (Address::Unix(_), Some(Address::Ip(_))) => "an IP address is no path to ask it from",
                _ => continue,
            };
            return Err(AskError::NotAServer { server: server.to_string(), reason });
        }
        Ok(all)
    }

    fn tell(&mut self, event: Event) {
        if let Some(observe) = &mut self.observer {
            observe(&event);
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// Gives `socket` the local address that was asked for. The first of a client's sockets must have it
/// alone, so that a port that another program shares is an error; the others then `join` it.
fn bind(socket: &Socket, from: Address, join: bool) -> Result<Option<SocketFile>, AskError> {
    let path = match &from {
        Address::Unix(name) => name.as_path(),
        _ => None,
    };
    let bind = || -> io::Result<_> {
        if let Some(path) = path {
            unix::claim_path(path).map_err(|error| io::Error::new(io::ErrorKind::AddrInUse, error))?;
        }
        let port = from.ip().map_or(0, |from| from.port());
        let stream = socket.kind()? == Kind::Stream;
        if port != 0 {
            socket.set_reuse_port(join)?;
            // The connection of the last time may be lingering.
            socket.set_reuse_address(stream)?;
        }
        socket.bind(from)?;
        if port != 0 && !stream {
            socket.set_reuse_port(true)?;
        }
        path.map(SocketFile::at).transpose()
    };
    bind().map_err(|source| AskError::From { from: from.to_string(), source })
}

/// Gives a datagram socket the IP address that was asked for, as [`bind`] does.
pub(crate) fn bind_ip(socket: &Socket, from: std::net::SocketAddr, join: bool) -> io::Result<()> {
    match bind(socket, from.into(), join) {
        Err(AskError::From { source, .. }) => Err(source),
        _ => Ok(()),
    }
}

fn names(servers: &[Uri]) -> String {
    servers.iter().map(Uri::to_string).collect::<Vec<_>>().join(", ")
}

fn tries_word(tries: u32) -> &'static str {
    if tries == 1 { "try" } else { "tries" }
}
