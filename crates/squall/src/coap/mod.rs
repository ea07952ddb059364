//! CoAP requests over UDP: answered once, or known to have failed.
//!
//! [`CoapClient`] waits for each answer; the machine that it drives is [`client::Client`], and [`client`] states the
//! promise. Messages, options and the other parts of the protocol are in the modules below.

mod error;
mod gather;
mod link;
mod observe;

use std::net::SocketAddr;
use std::time::Duration;

pub use error::CoapError;
pub use observe::Observation;
pub use squall_proto::coap::client::{ClientRequest, Executed, Failure, Response, Settings, Why};
pub use squall_proto::coap::*;

use squall_proto::coap::client::{Client, Event, RequestError};
use squall_proto::coap::options::number;
use squall_proto::coap::uri::CoapUri;
use squall_proto::{Method, Status, Time};

use self::link::{Link, is_group};
use crate::uri::{IpFamily, Uri};

/// Asks CoAP servers.
///
/// Its sockets are connected, so that nobody but the server it asks can answer, and stay open between requests.
/// A name's addresses, and those of further servers, are asked in turn while one is silent; a request that must
/// not be run twice goes on only from a server that has certainly not executed it.
///
/// ```no_run
/// use squall::Status;
/// use squall::coap::{ClientRequest, CoapClient};
///
/// let mut client = CoapClient::new("coap://192.0.2.1")?;
/// let answer = client.get("/time")?;
/// assert_eq!(answer.status(), Status::CONTENT);
/// println!("{}", String::from_utf8_lossy(answer.payload()));
///
/// for state in client.observe(ClientRequest::get().path("/time")?)?.take(3) {
///     println!("{}", String::from_utf8_lossy(state?.payload()));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CoapClient {
    config: Config,
    watcher: Option<Watcher>,
    link: Option<Link>,
}

#[derive(Debug)]
struct Config {
    servers: Vec<Target>,
    settings: Settings,
    port: u16,
    from: Option<SocketAddr>,
    family: IpFamily,
    interfaces: Vec<String>,
}

type Watcher = Box<dyn FnMut(Direction, SocketAddr, &[u8]) + Send>;

#[derive(Clone, Debug)]
enum Target {
    Named(CoapUri),
    Resolved(SocketAddr),
}

/// Which way a datagram went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    Sent,
    /// From the server.
    Received,
}

/// An answer, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoapAnswer {
    /// What the server said.
    pub response: Response,
    /// Who answered.
    pub server: SocketAddr,
    /// How many messages were sent for it: repetitions and blocks.
    pub messages: u32,
    /// From the first message to the answer.
    pub elapsed: Duration,
    /// Whether this is only the beginning of the answer; see [`CoapClient::gather`].
    pub truncated: bool,
}

/// A server that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// Who answered.
    pub server: SocketAddr,
    /// From the first message to the answer.
    pub elapsed: Duration,
}

impl CoapAnswer {
    /// How it went.
    pub fn status(&self) -> Status {
        self.response.status()
    }

    /// The body.
    pub fn payload(&self) -> &[u8] {
        self.response.payload()
    }
}

impl CoapClient {
    /// A client of the server that `uri` names, whose path and query are left aside.
    ///
    /// # Errors
    /// [`CoapError::Uri`]. The name is resolved with the first request.
    pub fn new(uri: &str) -> Result<Self, CoapError> {
        Ok(Self::with(vec![Target::Named(read(uri)?)]))
    }

    /// A client of the server at `server`.
    pub fn connect(server: SocketAddr) -> Self {
        Self::with(vec![Target::Resolved(server)])
    }

    fn with(servers: Vec<Target>) -> Self {
        let config = Config {
            servers,
            settings: Settings::default(),
            port: PORT,
            from: None,
            family: IpFamily::Any,
            interfaces: Vec::new(),
        };
        Self { config, watcher: None, link: None }
    }

    /// Another server, asked in turn.
    ///
    /// # Errors
    /// [`CoapError::Uri`]
    pub fn also(mut self, uri: &str) -> Result<Self, CoapError> {
        self.config.servers.push(Target::Named(read(uri)?));
        Ok(self)
    }

    /// The port of servers whose URI names none: default [`PORT`].
    pub fn port(mut self, port: u16) -> Self {
        self.config.port = port;
        self
    }

    /// When to ask again, when to give up, and the limits; [`Settings`]' defaults by default.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.config.settings = settings;
        self
    }

    /// The local address to ask from; the system's choice by default. With port 0 the system chooses the port.
    /// It narrows names to its family.
    pub fn from(mut self, local: SocketAddr) -> Self {
        self.config.from = Some(local);
        self
    }

    /// The addresses of a name that are asked: all by default.
    pub fn family(mut self, family: IpFamily) -> Self {
        self.config.family = family;
        self
    }

    /// Asks groups by this interface and by others that are named so, instead of by all that are up and can.
    /// Loopback is used only where it is named.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.config.interfaces.push(name.into());
        self
    }

    /// Shows `watch` every datagram that is sent or received.
    pub fn on_datagram(mut self, watch: impl FnMut(Direction, SocketAddr, &[u8]) + Send + 'static) -> Self {
        self.watcher = Some(Box::new(watch));
        self
    }

    /// Gets `path`.
    ///
    /// # Errors
    /// [`CoapError`]. An answer of class 4 or 5 is an answer.
    pub fn get(&mut self, path: &str) -> Result<CoapAnswer, CoapError> {
        self.ask(ClientRequest::get().path(path)?)
    }

    /// Posts `payload` to `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(&mut self, path: &str, payload: &[u8]) -> Result<CoapAnswer, CoapError> {
        self.ask(ClientRequest::new(Method::Post).path(path)?.payload(payload))
    }

    /// Puts `payload` at `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn put(&mut self, path: &str, payload: &[u8]) -> Result<CoapAnswer, CoapError> {
        self.ask(ClientRequest::new(Method::Put).path(path)?.payload(payload))
    }

    /// Deletes `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn delete(&mut self, path: &str) -> Result<CoapAnswer, CoapError> {
        self.ask(ClientRequest::new(Method::Delete).path(path)?)
    }

    /// Sends `request` and waits until it is answered or has failed.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn ask(&mut self, request: ClientRequest) -> Result<CoapAnswer, CoapError> {
        let request = self.named(request)?;
        let link = self.config.open(&mut self.link)?;
        let servers = link.servers();
        let started = link.now();
        let id =
            link.act(&mut self.watcher, |machine, now, out| machine.request(now, &servers, request, out))?;
        loop {
            match link.next_event(&mut self.watcher, None)? {
                Some(event) if event.id() != id => {}
                Some(Event::Answered { from, response, messages, .. }) => {
                    let elapsed = link.now().since(started);
                    return Ok(CoapAnswer { response, server: from, messages, elapsed, truncated: false });
                }
                Some(Event::Failed { failure, .. }) => return Err(failed(link, failure, started)),
                // `ask` asks for one answer: the first state, or the first member's.
                Some(Event::Notification { from, response, .. } | Event::Member { from, response, .. }) => {
                    link.act(&mut self.watcher, |machine, now, out| machine.cancel(now, id, out));
                    let elapsed = link.now().since(started);
                    return Ok(CoapAnswer { response, server: from, messages: 1, elapsed, truncated: false });
                }
                _ => return Err(failed(link, timed_out(), started)),
            }
        }
    }

    /// Asks for a resource's state and those that follow it. They come until the iterator is dropped, which tells
    /// the server.
    ///
    /// # Errors
    /// As [`get`](Self::get), but for failures, which the iterator tells.
    pub fn observe(&mut self, request: ClientRequest) -> Result<Observation<'_>, CoapError> {
        let request = self.named(request)?.observe();
        let link = self.config.open(&mut self.link)?;
        let servers = link.servers();
        let started = link.now();
        let id =
            link.act(&mut self.watcher, |machine, now, out| machine.request(now, &servers, request, out))?;
        Ok(Observation::new(link, &mut self.watcher, id, started))
    }

    /// Asks whether the server is there, and how long that took. Every CoAP server answers.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn ping(&mut self) -> Result<Pong, CoapError> {
        let link = self.config.open(&mut self.link)?;
        let started = link.now();
        let mut failure = timed_out();
        for server in link.servers() {
            let id = link.act(&mut self.watcher, |machine, now, out| machine.ping(now, server, out))?;
            while let Some(event) = link.next_event(&mut self.watcher, None)? {
                match event {
                    Event::Pong { id: answered, from } if answered == id => {
                        return Ok(Pong { server: from, elapsed: link.now().since(started) });
                    }
                    Event::Failed { id: failed, failure: why } if failed == id => failure = why,
                    _ => {}
                }
            }
        }
        Err(failed(link, failure, started))
    }

    /// Whether the server's address, once it is resolved, is that of a multicast group or IPv4's limited broadcast.
    ///
    /// # Errors
    /// [`CoapError::Address`] and those of opening sockets.
    pub fn is_group(&mut self) -> Result<bool, CoapError> {
        let link = self.config.open(&mut self.link)?;
        Ok(link.servers().first().is_some_and(|server| is_group(server.ip())))
    }

    /// The local address that is asked from; `None` before the first request.
    pub fn local(&self) -> Option<SocketAddr> {
        self.link.as_ref()?.local()
    }

    /// The request with the host by which its server is named, so that a server of several can tell which is meant.
    fn named(&self, request: ClientRequest) -> Result<ClientRequest, CoapError> {
        match self.config.servers.first() {
            Some(Target::Named(uri)) if !uri.host_is_address() && !request.has_option(number::URI_HOST) => {
                Ok(request.option(number::URI_HOST, uri.host().as_bytes())?)
            }
            _ => Ok(request),
        }
    }
}

impl std::fmt::Debug for CoapClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoapClient").field("servers", &self.config.servers).finish_non_exhaustive()
    }
}

impl Config {
    /// The sockets, opened when they are wanted first.
    fn open<'a>(&self, link: &'a mut Option<Link>) -> Result<&'a mut Link, CoapError> {
        if link.is_none() {
            let machine = Client::new(self.settings.clone(), crate::clock::seed())?;
            *link = Some(Link::open(machine, &self.resolve()?, self.from, &self.interfaces)?);
        }
        link.as_mut().ok_or(CoapError::Request(RequestError::NoServer))
    }

    fn resolve(&self) -> Result<Vec<SocketAddr>, CoapError> {
        let family = match self.from {
            Some(from) if from.is_ipv4() => IpFamily::V4,
            Some(_) => IpFamily::V6,
            None => self.family,
        };
        let mut all = Vec::new();
        for server in &self.servers {
            match server {
                Target::Resolved(address) => all.push(*address),
                Target::Named(uri) => {
                    let host = match uri.host() {
                        host if host.contains(':') => format!("[{host}]"),
                        host => host.to_owned(),
                    };
                    let uri: Uri = format!("udp://{host}:{}", uri.port().unwrap_or(self.port)).parse()?;
                    all.extend(uri.resolve(family)?.iter().filter_map(|address| address.ip()));
                }
            }
        }
        Ok(all)
    }
}

fn read(uri: &str) -> Result<CoapUri, CoapError> {
    uri.parse().map_err(|source| CoapError::Uri { text: uri.to_owned(), source })
}

fn failed(link: &Link, failure: Failure, started: Time) -> CoapError {
    CoapError::Failed {
        servers: link.servers(),
        failure,
        elapsed: link.now().since(started),
        unsent: link.unsent.clone(),
    }
}

/// What is said where the machine has ended a request without a last event, which it does not.
fn timed_out() -> Failure {
    Failure { why: Why::TimedOut, executed: Executed::Unknown, messages: 0 }
}
