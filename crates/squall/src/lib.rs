//! Datagram servers and clients that hold up in bad weather.
//!
//! One [`Handler`], written once, is served over UDP, TCP and Unix sockets, inline, on threads or in
//! processes:
//!
//! ```
//! use squall::{Reply, Request, Server, Service};
//!
//! let shout = |request: &Request<'_>, reply: &mut Reply<'_>| {
//!     reply.write(&request.payload.to_ascii_uppercase())
//! };
//! let server = Server::new()
//!     .service(Service::new("shout", shout).at("udp://127.0.0.1:0")?.at("tcp://127.0.0.1:0")?)
//!     .start()?;
//!
//! let answer = squall::Client::connect(server.local_addrs()[0])?.ask(b"hello")?;
//! assert_eq!(answer.payload, b"HELLO");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Service`]: a name, who answers (a handler, an [`AsyncHandler`], a [`Protocol`] with state and
//!   time, a [`Conversation`] on a stream), and the addresses.
//! - [`Server`]: services under one [`Model`], with limits, hooks and a graceful end.
//! - [`sessions`]: `accept()` for datagrams.
//! - [`broadcast`]: one datagram for many, sent and heard on all interfaces.
//! - [`Client`]: asks again until it is answered, and says how often it had to.
//! - [`coap`]: requests that are answered once, or known to have failed.
//! - [`path_mtu`]: how large a datagram a path carries.
//! - `load`, with the feature of that name: a load generator.
//! - [`socket`]: the sockets below, with every option typed.
#![forbid(unsafe_code)]

pub mod broadcast;
pub mod client;
mod clock;
pub mod coap;
mod control;
mod engine;
mod hooks;
#[cfg(feature = "load")]
pub mod load;
mod offload;
pub mod path_mtu;
mod pool;
mod remote;
mod server;
pub mod sessions;
mod stats;
mod stream;
mod uri;
mod verdict;
mod workers;

pub use client::Client;
pub use clock::seed;
pub use engine::Offload;
pub use hooks::ServerError;
pub use offload::{AsyncHandler, OwnedRequest};
pub use remote::{Remote, RemoteError};
pub use server::{
    Backlog, BindError, Gauge, Local, Model, OpenSocket, Report, Running, Server, Service, Stopper, open,
};
pub use squall_proto::{
    Effect, Handler, Input, MAX_DATAGRAM, Method, Origin, Outbox, Peer, Protocol, Refusal, Reply, Request,
    Stateless, Status, Target, Transport, chat, congestion, files, framing, guard, random, retry, secure,
    text,
};
pub use squall_socket as socket;
pub use squall_time::Time;
pub use stats::{Counter, Snapshot, SocketSnapshot};
pub use stream::StreamLimits;
pub use stream::conversation::{Conversation, StreamHandler};
pub use uri::{IpFamily, Uri, UriError};
pub use verdict::Verdict;
pub use workers::is_worker;

/// The examples of the guide for people who come from Python's `socket` and `socketserver`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-python.md")]
struct FromPython;

/// The examples of the guide to CoAP.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/coap.md")]
struct Coap;

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
