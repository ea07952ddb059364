//! Peers that are heard on a socket of their own.

use std::time::Duration;

use squall_proto::{Origin, Time};
use squall_socket::Socket;

/// The sockets of a shard's peers that send more than their share. What such a peer sends fills a buffer of its own,
/// from which a few datagrams are read now and then; the rest is dropped by the kernel, which costs the shard
/// nothing. They are not polled.
pub(crate) struct Aparts {
    pub(crate) all: Vec<Apart>,
    /// When they are read next, while there are any.
    due: Option<Time>,
    /// No other is opened before this time: the system refused one.
    not_before: Time,
}

/// One peer on a socket of its own.
pub(crate) struct Apart {
    /// The endpoint that it was heard on before, which it is still answered by.
    pub(crate) token: usize,
    pub(crate) origin: Origin,
    pub(crate) socket: Socket,
    /// Whether its last message was a train of several datagrams.
    pub(crate) trains: bool,
    since: Time,
    /// When something of it came last.
    heard: Time,
    /// The kernel's drops so far.
    drops: u32,
    /// What came since the last measure, and in the time before it.
    now: u64,
    before: u64,
    measured: Time,
    /// To be read a last time and closed.
    pub(crate) over: bool,
    /// It was read a last time.
    pub(crate) closed: bool,
}

impl Aparts {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), due: None, not_before: Time::ZERO }
    }

    pub(crate) fn due(&self) -> Option<Time> {
        self.due
    }

    /// Whether the peer `origin` of the endpoint `token` is one of them at the address that it was heard at, and stays.
    pub(crate) fn contains(&self, token: usize, origin: &Origin) -> bool {
        self.all.iter().any(|apart| apart.token == token && apart.origin == *origin && !apart.over)
    }

    /// Whether another can be opened now. Where as many as may are open, the quietest makes room, unless all of
    /// them are new.
    pub(crate) fn make_room(&mut self, now: Time) -> bool {
        if now < self.not_before {
            return false;
        }
        if self.all.iter().filter(|apart| !apart.over).count() < MAX_APART {
            return true;
        }
        let old = self.all.iter_mut().filter(|apart| !apart.over && now.since(apart.since) >= AT_LEAST);
        let quietest = old.min_by_key(|apart| apart.now + apart.before);
        quietest.map(|apart| apart.over = true).is_some()
    }

    /// The system refused a socket: none is asked for again for a while.
    pub(crate) fn pause(&mut self, now: Time) {
        self.not_before = now + PAUSE;
    }

    pub(crate) fn push(&mut self, now: Time, token: usize, origin: Origin, socket: Socket) {
        self.all.push(Apart {
            token,
            origin,
            socket,
            trains: false,
            since: now,
            heard: now,
            drops: 0,
            now: 0,
            before: 0,
            measured: now,
            over: false,
            closed: false,
        });
        // At once, as it may have what others sent just now.
        self.due = Some(now);
    }

    /// How many datagrams are read of each in a turn.
    pub(crate) fn share(&self) -> usize {
        (TURN / self.all.len().max(1)).clamp(4, 64)
    }

    /// Ends a turn: those that are closed go, and the next turn is set.
    pub(crate) fn end_turn(&mut self, now: Time) {
        self.all.retain(|apart| !apart.closed);
        self.due = (!self.all.is_empty()).then(|| now + INTERVAL);
    }
}

impl Apart {
    /// Takes note of what a turn brought; returns what the kernel has dropped since the last look, where this is a
    /// time to look. A peer that has been quiet for long is over.
    pub(crate) fn heard(&mut self, now: Time, datagrams: u64) -> u64 {
        self.now += datagrams;
        let mut dropped = 0;
        if now.since(self.measured) >= MEASURE || self.closed {
            if let Ok(memory) = self.socket.memory() {
                dropped = u64::from(memory.drops.wrapping_sub(self.drops));
                self.drops = memory.drops;
            }
            self.before = self.now + dropped;
            self.now = 0;
            self.measured = now;
        }
        if datagrams + dropped > 0 {
            self.heard = now;
        }
        self.over |= now.since(self.heard) >= QUIET;
        dropped
    }
}

/// How often they are read.
const INTERVAL: Duration = Duration::from_millis(4);
/// Datagrams of all of them together that are read in a turn, as long as each gets a few.
const TURN: usize = 256;
/// How many a shard has. A hundred more would cost the kernel a longer search for each datagram.
const MAX_APART: usize = 64;
/// How often the kernel is asked for its drops.
const MEASURE: Duration = Duration::from_millis(250);
/// How long a peer is quiet before its socket is given up.
const QUIET: Duration = Duration::from_secs(2);
/// How long a socket is kept at least, so that many peers that flood do not have one opened for each datagram.
const AT_LEAST: Duration = Duration::from_secs(1);
/// How long none is opened after the system refused one.
const PAUSE: Duration = Duration::from_secs(1);
/// The receive buffer asked for: some eighty small datagrams.
pub(crate) const BUFFER: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use squall_proto::{Peer, Transport};
    use squall_socket::{Family, Kind};

    use super::*;

    #[test]
    fn a_peer_is_apart_at_the_address_that_it_was_heard_at() {
        let at = |local: &str| Origin {
            peer: Peer::Ip("127.0.0.1:4000".parse().unwrap()),
            local: Some(local.parse::<SocketAddr>().unwrap()),
            transport: Transport::Udp,
            validated: true,
        };
        let socket = Socket::open(Family::V4, Kind::Datagram).unwrap();
        let mut apart = Aparts::new();
        apart.push(Time::ZERO, 0, at("127.0.0.1:9999"), socket);
        assert!(apart.contains(0, &at("127.0.0.1:9999")));
        assert!(!apart.contains(1, &at("127.0.0.1:9999")), "another endpoint");
        assert!(!apart.contains(0, &at("127.0.0.2:9999")), "what it sends there comes to the common socket");
        apart.all[0].over = true;
        assert!(!apart.contains(0, &at("127.0.0.1:9999")), "it is about to end");
    }
}
