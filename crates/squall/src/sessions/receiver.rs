//! The thread that receives for all sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use squall_proto::guard::RateLimit;
use squall_proto::sessions::{Arrival, Cause, Ended};
use squall_proto::{Origin, Peer, Refusal, Request, Time, Transport};
use squall_socket::{Address, Message, Poller, ReceiveBatch, Waker};

use super::config::SessionConfig;
use super::line::{End, Exit, Line};
use super::listener::Shared;
use super::stats::add;
use crate::clock::Clock;
use crate::clock::seed;
use crate::engine::{Gate, Rules};
use crate::hooks::Hooks;
use crate::server::Bound;
use crate::verdict::Verdict;

pub(super) struct Receiver {
    shared: Arc<Shared>,
    config: SessionConfig,
    clock: Clock,
    gate: Gate,
    poller: Poller,
    waker: Waker,
    sockets: Vec<Endpoint>,
    batch: ReceiveBatch,
}

struct Endpoint {
    exit: Arc<Exit>,
    address: Address,
}

impl Receiver {
    pub(super) fn new(shared: Arc<Shared>, config: SessionConfig, bound: &[Bound]) -> io::Result<Self> {
        let mut poller = Poller::new()?;
        let waker = Waker::new()?;
        poller.add(&waker, WAKE)?;
        let mut sockets = Vec::new();
        for (token, bound) in bound.iter().enumerate() {
            let socket = Arc::clone(&bound.sockets[0]);
            socket.set_nonblocking(true)?;
            poller.add(&*socket, token)?;
            let exit = Arc::new(Exit { socket, v6: bound.v6(), wildcard: bound.wildcard });
            sockets.push(Endpoint { exit, address: bound.address });
        }
        let ports = bound.iter().filter_map(|bound| bound.address.ip()).map(|address| address.port());
        let gate = Gate {
            trust: Arc::new(config.trust.clone()),
            ports: Arc::new(ports.collect()),
            rate_limit: config.rate_limit.as_ref().map(|limit| RateLimit::new(limit, seed())),
            hooks: Arc::new(Hooks::default()),
        };
        let batch = ReceiveBatch::new(BATCH, SLOT_SIZE);
        Ok(Self { shared, config, clock: Clock::new(), gate, poller, waker, sockets, batch })
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Receives until the listener is dropped.
    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        loop {
            let deadline = {
                let sessions = self.shared.lock();
                if sessions.end.is_some() {
                    return;
                }
                sessions.table.poll_timeout()
            };
            let wait = deadline.map(|deadline| deadline.since(self.clock.now()));
            if let Err(error) = self.poller.wait(&mut ready, wait) {
                // The sessions must learn that nothing will come any more.
                self.shared.end_all(End::Failed(error.raw_os_error().unwrap_or_default()));
                return;
            }
            for token in ready.drain(..) {
                match token {
                    WAKE => self.waker.clear(),
                    token => self.receive(token),
                }
            }
            self.end_idle();
        }
    }

    /// Ends the sessions whose peers were silent for too long.
    fn end_idle(&self) {
        let now = self.clock.now();
        loop {
            let Some(ended) = self.shared.lock().table.handle_timeout(now) else { return };
            self.end(ended);
        }
    }

    /// Tells a session that it has ended; the table's lock is not held.
    fn end(&self, Ended { cause, value: line }: Ended<Arc<Line>>) {
        let counts = &self.shared.totals.counts;
        match cause {
            Cause::Evicted => {
                add(&counts.evicted, 1);
                line.end(End::Evicted);
            }
            _ => {
                add(&counts.ended_idle, 1);
                line.end(End::Idle(self.config.table.idle_time()));
            }
        }
    }

    /// Takes one batch. Level-triggered polling tells of the rest.
    fn receive(&mut self, token: usize) {
        if let Err(error) = self.batch.receive(&*self.sockets[token].exit.socket, BATCH) {
            if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                add(&self.shared.totals.counts.receive_errors, 1);
            }
            return;
        }
        let now = self.clock.now();
        // Lent out, so that the rest can be used meanwhile.
        let batch = std::mem::replace(&mut self.batch, ReceiveBatch::new(0, 0));
        for message in batch.iter() {
            self.take(token, now, &message);
        }
        self.batch = batch;
    }

    /// One message of the kernel's, which may hold several datagrams of one peer.
    fn take(&mut self, token: usize, now: Time, message: &Message<'_>) {
        let totals = Arc::clone(&self.shared.totals);
        let counts = &totals.counts;
        let address = self.sockets[token].address;
        let rules =
            Rules { answers_anything: self.config.answers_anything, rate_limited: true, groups: false };
        let origin = match (message.from, address) {
            (Address::Ip(from), Address::Ip(bound)) => {
                let origin =
                    self.gate.arrival(rules, from, bound, &message.ancillary).map(|arrival| arrival.origin);
                if origin.is_none() {
                    add(&counts.refused_multicast, message.segments().count() as u64);
                }
                origin
            }
            (Address::Unix(from), _) if !from.is_unnamed() => Some(UNIX),
            _ => {
                add(&counts.refused_unnamed, 1);
                None
            }
        };
        for payload in message.segments() {
            add(&counts.received, 1);
            add(&counts.received_bytes, payload.len() as u64);
            let Some(origin) = origin else { continue };
            match self.gate.admit(rules, &Request::new(now, payload, origin)) {
                Ok(()) => self.deliver(token, now, &origin, message.from, payload),
                Err(Verdict::Refused(Refusal::Loop(_))) => add(&counts.refused_loop, 1),
                Err(_) => add(&counts.refused_rate, 1),
            }
        }
    }

    /// Gives a datagram to its peer's session.
    fn deliver(&self, token: usize, now: Time, origin: &Origin, from: Address, payload: &[u8]) {
        let counts = &self.shared.totals.counts;
        let Endpoint { exit, address } = &self.sockets[token];
        let peer = origin.peer.ip().map_or(from, Address::Ip);
        let local = origin.local.map_or(*address, Address::Ip);
        let mut sessions = self.shared.lock();
        if sessions.end.is_some() {
            return;
        }
        let key = (token, peer, origin.local);
        let arrival = sessions.table.handle_input(now, &key, |id| {
            let (exit, totals) = (Arc::clone(exit), Arc::clone(&self.shared.totals));
            let header = origin.header_size();
            Arc::new(Line::new(id, (peer, local), header, origin.validated, exit, totals, &self.config))
        });
        let (id, opened, ended) = match arrival {
            Arrival::Known(id) => (id, false, None),
            Arrival::Opened { id, ended } => (id, true, ended),
            Arrival::Full => return add(&counts.refused_full, 1),
            Arrival::BacklogFull => return add(&counts.refused_backlog, 1),
        };
        // Under the table's lock, so that nobody accepts a session before its first datagram is there.
        if let Some(line) = sessions.table.get(id) {
            line.put(payload, &self.config);
        }
        drop(sessions);
        if opened {
            add(&counts.opened, 1);
            self.shared.announce();
        }
        if let Some(ended) = ended {
            self.end(ended);
        }
    }
}

/// Where every Unix peer's datagrams come from, as far as the gate asks; its address is the session's.
const UNIX: Origin = Origin {
    peer: Peer::Conn(0),
    local: None::<SocketAddr>,
    transport: Transport::Unixgram,
    validated: true,
};
/// The waker's token.
const WAKE: usize = usize::MAX;
/// Datagrams that are taken with one call.
const BATCH: usize = 32;
/// Any datagram, and any train that the kernel merges.
const SLOT_SIZE: usize = 64 * 1024;
