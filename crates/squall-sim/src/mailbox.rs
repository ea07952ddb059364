//! A host that only listens.

use std::net::SocketAddr;

use squall_proto::{Input, Origin, Outbox, Protocol};
use squall_time::Time;

/// A machine that keeps what it gets and answers nothing: a bare socket, for a test that looks at what
/// arrives, or speaks by [`Sim::send`](crate::Sim::send) itself.
///
/// It keeps 4096 datagrams unless [`with_limit`](Self::with_limit) says otherwise, and
/// [counts](Self::dropped) what comes after.
#[derive(Clone, Debug)]
pub struct Mailbox {
    received: Vec<Received>,
    limit: usize,
    dropped: u64,
}

/// A datagram that a [`Mailbox`] got, or a frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// When it arrived.
    pub at: Time,
    /// Where it came from, and where it was sent to.
    pub origin: Origin,
    /// Whether it was sent to a multicast group that the host is a member of.
    pub group: bool,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Received {
    /// The sender's address.
    pub fn from(&self) -> Option<SocketAddr> {
        self.origin.peer.ip()
    }
}

impl Mailbox {
    /// A mailbox that keeps `limit` datagrams.
    pub fn with_limit(limit: usize) -> Self {
        Self { received: Vec::new(), limit, dropped: 0 }
    }

    /// What arrived, in order.
    pub fn received(&self) -> &[Received] {
        &self.received
    }

    /// The payloads of what arrived, in order.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.received.iter().map(|received| received.payload.as_slice())
    }

    /// Takes out what arrived.
    pub fn take(&mut self) -> Vec<Received> {
        std::mem::take(&mut self.received)
    }

    /// How many datagrams came when the mailbox was full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::with_limit(4096)
    }
}

impl Protocol for Mailbox {
    fn handle_input(&mut self, now: Time, input: Input<'_>, _out: &mut Outbox) {
        let Input::Message(request) = input else { return };
        if self.received.len() == self.limit {
            self.dropped += 1;
        } else {
            let payload = request.payload.to_vec();
            self.received.push(Received { at: now, origin: request.origin, group: request.group, payload });
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}
