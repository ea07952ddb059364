//! Squall's wire formats and state machines, without input or output.
//!
//! Nothing here opens a socket, reads a clock or draws a random number: a machine gets its inputs and
//! the present time by parameters, writes what it wants sent into an [`Outbox`], and says by
//! [`Protocol::poll_timeout`] when it wants to be woken. So the same machine runs over real sockets
//! and in a simulated network, and a test of an hour takes a millisecond.
//!
//! - [`Handler`]: one request, its replies, no memory. Any closure of the right shape is one.
//! - [`Protocol`]: a machine with time and state. [`Stateless`] makes one of a handler.
//! - [`chat`]: a hub that many talk through, and who is still there.
//! - [`coap`]: requests that are answered once, or known to have failed.
//! - [`congestion`]: how much a connection may have under way.
//! - [`files`]: moving files.
//! - [`framing`]: how requests are cut out of a stream.
//! - [`guard`]: what a server checks before it answers a datagram.
//! - [`path_mtu`]: how large a datagram a path carries.
//! - [`retry`]: when a client asks again, and whom.
//! - [`secure`]: what both sides of a secure connection say first.
//! - [`sessions`]: datagrams sorted by peer.
//! - [`random`]: numbers that follow from a seed.
//! - [`wheel`]: deadlines of many.
//! - [`text`]: what a peer sent, made safe for a terminal.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod chat;
pub mod coap;
pub mod congestion;
pub mod files;
pub mod framing;
pub mod guard;
mod handler;
mod method;
mod origin;
mod outbox;
pub mod path_mtu;
mod protocol;
mod refusal;
mod request;
pub mod retry;
pub mod secure;
pub mod sessions;
mod status;
mod target;
pub mod text;
pub mod wheel;

pub use handler::Handler;
pub use method::{Effect, Method, UnknownMethod};
pub use origin::{Origin, Peer, Transport};
pub use outbox::{Frame, Mark, Outbox, Reply, Ticket};
pub use protocol::{Input, Protocol, Stateless};
pub use refusal::Refusal;
pub use request::Request;
pub use squall_time::{Time, random};
pub use status::Status;
pub use target::Target;

/// The largest payload of a UDP datagram over IPv4: 65,535 bytes less 20 of IP header and 8 of UDP
/// header ([RFC 768](https://www.rfc-editor.org/rfc/rfc768), [RFC 791](https://www.rfc-editor.org/rfc/rfc791)).
/// IPv6 would carry 20 bytes more; Squall uses one limit for both and for Unix datagrams, so that a
/// handler behaves alike on every transport.
pub const MAX_DATAGRAM: usize = 65_507;
