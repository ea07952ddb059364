//! A CoAP server: handlers as resources.
//!
//! [`Server`] is a [`Protocol`]. Each plain [`Handler`](crate::Handler) is a resource without more code;
//! what it writes is one representation, however many frames it makes of it. The server keeps the rules:
//!
//! - A request with [`Effect::Once`](crate::Effect::Once) is run at most once, as long as this server lives
//!   and its client obeys [RFC 7252 §4.4](https://www.rfc-editor.org/rfc/rfc7252#section-4.4). A repeated
//!   one gets the answer that was given, or nothing once that is forgotten; one that could not be remembered is
//!   refused with 5.03 and not run, though a late copy of it may find room. Safe and idempotent requests are simply run again
//!   ([§4.5](https://www.rfc-editor.org/rfc/rfc7252#section-4.5)). A program that takes over another's address
//!   and port gets none of its answers, because the whole message and its token are compared, unless it
//!   also sends the very same bytes, token and message ID included, within 247 s.
//! - Long bodies travel in blocks, both ways ([RFC 7959](https://www.rfc-editor.org/rfc/rfc7959)).
//! - Who observes a resource is told when it changes ([RFC 7641](https://www.rfc-editor.org/rfc/rfc7641)).
//! - A peer whose address is not validated gets at most three times what it sent, headers counted: a longer
//!   answer begins with a small block and an Echo option, and goes on when the client sends that back
//!   ([RFC 9175](https://www.rfc-editor.org/rfc/rfc9175)). Where blocks cannot serve, it is 4.01 with an Echo.
//!
//! ```
//! use squall_proto::coap::server::{Resource, Server, ServerConfig};
//! use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Reply, Request, Time, Transport};
//!
//! let hello = |_: &Request<'_>, reply: &mut Reply<'_>| reply.write(b"hello");
//! let mut server = Server::new(&ServerConfig::default(), vec![Resource::new("hello", hello).text()], 7);
//!
//! let peer = Peer::Ip("127.0.0.1:40000".parse()?);
//! let origin = Origin { peer, local: None, transport: Transport::Udp, validated: true };
//! let get = Request::new(Time::ZERO, b"\x40\x01\x00\x07\xb5hello", origin);
//! let mut outbox = Outbox::new();
//! server.handle_input(Time::ZERO, Input::Message(get), &mut outbox);
//! assert_eq!(outbox.frames().next().unwrap().payload, b"\x60\x45\x00\x07\xc0\xffhello");
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod admit;
mod asked;
mod config;
mod counts;
mod echo;
mod give;
mod group;
mod later;
pub(super) mod mac;
mod observers;
mod once;
mod quota;
mod resource;
mod response;
mod run;
mod separate;
mod serve;
mod snapshots;
mod uploads;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

pub use config::ServerConfig;
pub use counts::{Counts, Event};
pub use resource::{Access, Resource};

use self::echo::Echoes;
use self::group::Delayed;
use self::mac::Mac;
use self::observers::Observers;
use self::once::Once;
use self::separate::Separate;
use self::snapshots::Snapshots;
use self::uploads::Uploads;
use super::link_format::LinkWriter;
use super::message::{Code, Message, Type};
use super::writer::Empty;
use crate::random::SplitMix64;
use crate::{Input, Origin, Outbox, Protocol, Request, Time};

/// A CoAP server; see the [module](self).
///
/// It has one owner and all its memory to itself; several of a `SO_REUSEPORT` group may share handlers by
/// cloned [`Resource`]s.
pub struct Server {
    config: ServerConfig,
    resources: Vec<Resource>,
    /// `/.well-known/core`.
    directory: String,
    /// Where a handler writes that does not write into a datagram at once.
    bench: Outbox,
    /// Where a body lies that was written into a datagram, and where a datagram is put together; both are
    /// kept for their memory.
    datagram: Vec<u8>,
    scratch: Vec<u8>,
    mac: Mac,
    random: SplitMix64,
    /// The next message IDs, each for the peers that fall to it by hash.
    ids: Box<[u16; ID_COUNTERS]>,
    once: Once,
    echoes: Echoes,
    uploads: Uploads,
    /// For peers that are validated, and for the others.
    snapshots: [Snapshots; 2],
    observers: Observers,
    separate: Separate,
    delayed: Delayed,
    counts: Arc<Counts>,
}

impl Server {
    /// A server of `resources`, of which the first that a path fits answers. The key should be 128 bits
    /// that nobody can guess: on it rests that peers cannot forge Echo values or make each other's requests
    /// look repeated. Servers with one key and the same inputs do the same.
    pub fn new(config: &ServerConfig, resources: Vec<Resource>, key: u128) -> Self {
        let transmission = &config.transmission;
        let lifetime = transmission.exchange_lifetime();
        let mut links = LinkWriter::new();
        resources.iter().for_each(|resource| resource.describe(&mut links));
        let mac = Mac::new(key);
        // Peers see what comes of it, and shall learn nothing of the key.
        let mut random = SplitMix64::new(mac.hash(&[b"message IDs and leisure"]));
        let mut ids = Box::new([0; ID_COUNTERS]);
        ids.iter_mut().for_each(|id| *id = random.next_u64() as u16);
        Self {
            directory: links.finish(),
            bench: Outbox::with_limits(config.max_answer, 16),
            datagram: Vec::new(),
            scratch: Vec::new(),
            mac,
            random,
            ids,
            once: Once::new(key, config.marks, config.answer_bytes, lifetime),
            echoes: Echoes::new(key, config.validated_peers, config.echo_fresh, lifetime),
            uploads: Uploads::new(config.upload_bytes, config.max_body, transmission.max_transmit_wait()),
            snapshots: [0, 1].map(|_| Snapshots::new(config.snapshot_bytes / 2, lifetime)),
            observers: Observers::new(resources.len(), config.observers, config.observers_each),
            separate: Separate::new(config.separate),
            delayed: Delayed::new(config.group_answers),
            counts: Arc::default(),
            config: config.clone(),
            resources,
        }
    }

    /// What happened so far; may be read from other threads, also after the server is gone.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// The memory that requests with effect are remembered in, in bytes, and how many are remembered.
    pub fn remembered(&self) -> (usize, usize) {
        (self.once.memory(), self.once.len())
    }

    /// The bytes of bodies that have arrived in part, and of answers that are given in part.
    pub fn body_bytes(&self) -> usize {
        self.uploads.bytes() + self.snapshots.iter().map(Snapshots::bytes).sum::<usize>()
    }

    /// How many observations there are.
    pub fn observations(&self) -> usize {
        self.observers.list.len()
    }

    fn message(&mut self, now: Time, request: &Request<'_>, out: &mut Outbox) {
        let message = match Message::parse(request.payload) {
            Ok(message) => message,
            Err(error) => {
                self.counts.add(Event::Malformed);
                if let Some(id) = error.reset().filter(|_| !request.group) {
                    self.reset(&request.origin, id, out);
                } else {
                    out.refuse(crate::Refusal::Malformed("no CoAP message"));
                }
                return;
            }
        };
        let (origin, id) = (&request.origin, message.id());
        match (message.message_type(), message.code()) {
            (Type::Confirmable | Type::NonConfirmable, Code::Request(_) | Code::UnknownRequest(_)) => {
                self.request(now, request, &message, out);
            }
            (Type::Confirmable, Code::Empty) if !request.group => {
                self.counts.add(Event::Pings);
                self.empty(origin, Empty::Reset(id), out);
            }
            (Type::Acknowledgement, _) => {
                let _ = self.separate.settle(origin, id) || self.observers.acknowledge(now, origin, id);
            }
            (Type::Reset, _) => {
                self.counts.add(Event::ResetsReceived);
                let _ = self.separate.settle(origin, id) || self.observers.reset(origin, id);
            }
            // A response, though nothing was asked.
            (Type::Confirmable, _) if !request.group => self.reset(origin, id, out),
            _ => {}
        }
    }

    /// Rejects the message with this ID.
    fn reset(&mut self, origin: &Origin, id: u16, out: &mut Outbox) {
        self.counts.add(Event::ResetsSent);
        self.empty(origin, Empty::Reset(id), out);
    }

    /// Sends an empty message, which is never longer than what it answers.
    fn empty(&mut self, origin: &Origin, empty: Empty, out: &mut Outbox) {
        self.put(origin, &empty.datagram(), out);
    }

    fn put(&self, origin: &Origin, datagram: &[u8], out: &mut Outbox) {
        let sent = out.to(origin).write(datagram);
        sent.unwrap_or_else(|refusal| out.refuse(refusal));
    }

    /// A message ID for `origin`. Peers share counters by hash, so that for one peer an ID comes back after
    /// 65,536 messages to all that fall to its counter.
    fn next_id(&mut self, origin: &Origin) -> u16 {
        let counter = self.mac.hash(&[&mac::peer(origin)]) as usize % ID_COUNTERS;
        self.ids[counter] = self.ids[counter].wrapping_add(1);
        self.ids[counter]
    }
}

impl Protocol for Server {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        if let Input::Message(request) = input {
            self.message(now, &request, out);
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.send_delayed(now, out);
        self.push_separate(now, out);
        self.push_observers(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        [self.observers.next(), self.separate.next(), self.delayed.next()].into_iter().flatten().min()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out of logs.
        f.debug_struct("Server").field("resources", &self.resources).finish_non_exhaustive()
    }
}

/// How many counters of message IDs there are.
const ID_COUNTERS: usize = 1024;

#[cfg(test)]
mod tests;
