//! A network in virtual time, for protocols under test.
//!
//! Any number of [`Protocol`](squall_proto::Protocol) machines stand on hosts, joined by
//! [weather](squall_weather): loss, delay, duplication, reordering. Nothing waits and nothing is left to
//! chance. Time jumps from one event to the next, so that an hour of retries takes a millisecond, and all
//! that could have been otherwise follows from one number, the seed. The machines are those that run over
//! real sockets, without a change.
//!
//! ```
//! use core::time::Duration;
//! use squall_proto::{Reply, Request, Stateless};
//! use squall_sim::{Mailbox, Sim, Weather};
//!
//! let mut sim = Sim::new(7);
//! let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
//! let server = sim.host("192.0.2.1:7", Stateless(echo));
//! let client = sim.host("192.0.2.2:40000", Mailbox::default());
//! sim.link(client, server, &"delay=25ms,loss=1%".parse::<Weather>()?);
//!
//! sim.send(client, "192.0.2.1:7", b"hello");
//! sim.run_until_idle(Duration::from_secs(1));
//! assert_eq!(sim.now().as_nanos(), 50_000_000);
//! assert_eq!(sim.machine(client).payloads().collect::<Vec<_>>(), [b"hello"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What can be done to a network:
//!
//! - [`Sim::act`] lets a client's machine do something; [`Sim::send`] and [`Sim::forge`] put datagrams of
//!   the test's own on the wire, the latter with any sender's address;
//! - [`Sim::link`] and [`Sim::weather`] set what paths do, also while the network runs;
//! - [`Sim::connect`] opens a connection, whose messages arrive in order and as late as the weather makes
//!   them;
//! - [`Sim::crash`], [`Sim::restart`], [`Sim::stop`] and [`Sim::rebind`] do what happens to hosts;
//! - [`Sim::join`] makes a host a member of a multicast group;
//! - [`Sim::hostile`] has machines driven as badly as [`Protocol`](squall_proto::Protocol) allows:
//!   timeouts early, late and for nothing.
//!
//! [`explore()`] runs a property under many seeds on all processors and names the smallest that fails,
//! with the last that its network did and the command that runs it again.
//!
//! # What is promised
//! The same seed and the same calls give the same run, to the byte: the same [`Sim::fingerprint`], on
//! every machine. Of two things at one moment, what arrives comes before what is due, arrivals in the
//! order in which they were sent, and timeouts in the order in which the hosts were made. What a machine
//! must not do for this is what it must not do anyway: read a clock, draw numbers of its own, or depend
//! on the order of a hash map that is seeded by the system.
#![forbid(unsafe_code)]

mod address;
mod explore;
mod host;
mod hostile;
mod mailbox;
mod network;
mod sim;
mod streams;
mod trace;

pub use address::IntoAddress;
pub use explore::{Seeds, explore};
pub use host::{Host, HostId};
pub use mailbox::{Mailbox, Received};
pub use sim::Sim;
pub use squall_time::Time;
pub use squall_weather::{
    Cause, Conditions, Counts, Decision, Direction, Link, PRESETS, Packet, Preset, Queue, Weather,
};
pub use trace::{Entry, Outcome, Trace};
