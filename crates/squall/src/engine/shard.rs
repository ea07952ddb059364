//! One shard: a thread, its sockets, its protocols.

mod apart;
mod calls;
mod flush;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use squall_proto::{Input, Origin, Outbox, Refusal, Request, Time, Transport};
use squall_socket::{Address, Message, Poller, ReceiveBatch, Socket, Waker};

use super::apart::Aparts;
use super::gate::{Arrival, Gate, Rules};
use super::hosted::Hosted;
use super::lull::Lull;
use super::returns::{Done, Returns};
use super::sender::{FLUSH_AT, Offload, Sender};
use super::unix_peers::UnixPeers;
use crate::control::{Busy, Control};
use crate::hooks::{ServerError, panic_message};
use crate::offload::Work;
use crate::stats::{Counter, SocketStats, Tally};
use crate::verdict::{Verdict, contain};

/// A datagram socket of a shard.
pub(crate) struct Endpoint {
    pub(crate) socket: Arc<Socket>,
    pub(crate) transport: Transport,
    /// Where it is bound; `None` for a Unix socket.
    pub(crate) bound: Option<SocketAddr>,
    pub(crate) v6: bool,
    /// Whether an IPv6 socket carries IPv4 too.
    pub(crate) dual_stack: bool,
    /// Whether the kernel says where each datagram was sent to.
    pub(crate) wildcard: bool,
    pub(crate) rules: Rules,
    pub(crate) app: App,
    /// Whether a peer can be given a socket of its own beside it: no other socket shares its address.
    pub(crate) alone: bool,
    pub(crate) stats: Arc<SocketStats>,
    pub(crate) tally: Tally,
}

/// Who answers an endpoint's requests.
#[derive(Clone)]
pub(crate) enum App {
    /// The shard's protocol of this number, here and now.
    Protocol(usize),
    /// A pool of threads or an asynchronous handler; the answer returns later.
    Away(Work),
}

pub(crate) struct ShardConfig {
    pub(crate) gso: Offload,
    pub(crate) gro: Offload,
    /// Datagrams that a shard takes with one call.
    pub(crate) batch: usize,
    /// Whether each request, and not only each batch, is timed for the watchdog.
    pub(crate) time_requests: bool,
}

pub(crate) struct Shard {
    control: Arc<Control>,
    busy: Arc<Busy>,
    gate: Gate,
    poller: Poller,
    waker: Waker,
    returns: Arc<Returns>,
    endpoints: Vec<Endpoint>,
    protocols: Vec<Hosted>,
    apart: Aparts,
    unix_peers: UnixPeers,
    batch: ReceiveBatch,
    outbox: Outbox,
    sender: Sender,
    config: ShardConfig,
    /// Reused from round to round.
    done: Vec<Done>,
    /// How long to wait before looking for answers that nobody announced.
    look: Duration,
    /// When it looked last.
    looked: Time,
    /// Whether the poller tells of the sockets.
    listening: bool,
    lull: Lull,
}

impl Shard {
    pub(crate) fn new(
        control: Arc<Control>,
        busy: Arc<Busy>,
        gate: Gate,
        config: ShardConfig,
        endpoints: Vec<Endpoint>,
        protocols: Vec<Hosted>,
    ) -> io::Result<Self> {
        let mut poller = Poller::new()?;
        let waker = Waker::new()?;
        poller.add(&waker, WAKE)?;
        for connections in protocols.iter().filter_map(|hosted| hosted.connections.as_ref()) {
            poller.add(&connections.bridge.waker, CONNECTIONS)?;
        }
        for hosted in &protocols {
            hosted.protocol.attach(waker.clone());
        }
        for endpoint in &endpoints {
            endpoint.socket.set_nonblocking(true)?;
        }
        control.add_waker(waker.clone());
        Ok(Self {
            returns: Arc::new(Returns::new(waker.clone())),
            batch: ReceiveBatch::new(config.batch.max(1), SLOT_SIZE),
            sender: Sender::new(config.gso),
            outbox: Outbox::new(),
            unix_peers: UnixPeers::new(UNIX_PEERS),
            apart: Aparts::new(),
            done: Vec::new(),
            look: LOOK_FIRST,
            looked: Time::ZERO,
            listening: false,
            lull: Lull::default(),
            control,
            busy,
            gate,
            poller,
            waker,
            endpoints,
            protocols,
            config,
        })
    }

    /// Says that it runs on this thread, or will.
    pub(crate) fn own(&self) {
        for hosted in &self.protocols {
            hosted.protocol.own();
        }
    }

    /// Serves until the server stops and all that was given away is back, or the deadline has passed.
    pub(crate) fn run(mut self) -> io::Result<()> {
        self.own();
        let mut ready = Vec::new();
        loop {
            let stopping = self.control.stopping();
            let rest = stopping.map(|until| until.since(self.control.now()));
            if rest.is_some_and(|rest| self.returns.away() == 0 || rest.is_zero()) {
                break;
            }
            self.listen(self.takes())?;
            let away = self.returns.away() > 0;
            let mut timeout = match rest.or_else(|| self.next_timeout()) {
                timeout if !away => timeout,
                timeout => Some(timeout.unwrap_or(Duration::MAX).min(self.look)),
            };
            if let Some(lull) = self.lull.rest().filter(|lull| timeout.is_none_or(|timeout| timeout > *lull))
            {
                std::thread::sleep(lull);
                timeout = timeout.map(|timeout| timeout - lull);
            }
            self.poller.wait(&mut ready, timeout)?;
            if away {
                // A thread that hangs may have left answers behind, whatever else comes in meanwhile.
                let now = self.control.now();
                if now.since(self.looked) >= self.look {
                    self.look = (self.look * 2).min(LOOK_LAST);
                    self.take_returns();
                }
            }
            for token in ready.drain(..) {
                match token {
                    WAKE => {
                        self.take_returns();
                        self.take_calls();
                    }
                    CONNECTIONS => self.take_connections(),
                    token if self.takes() => self.receive_all(token),
                    // Requests that wait at the sockets were never taken.
                    _ => {}
                }
            }
            self.read_apart();
            self.run_timeouts();
        }
        self.take_calls();
        for index in 0..self.protocols.len() {
            self.stop_protocol(index);
            if let Some(connections) = &mut self.protocols[index].connections {
                connections.end();
            }
        }
        self.control.add_unfinished(self.returns.away() as u64);
        Ok(())
    }

    /// Whether requests are taken now: not when the server stops, and not while the last one that it may
    /// handle could be away.
    fn takes(&self) -> bool {
        self.control.stopping().is_none() && !(self.control.is_limited() && self.returns.away() > 0)
    }

    /// Waits for the sockets or for the waker alone. Level-triggered polling would tell of requests that
    /// are not taken again and again.
    fn listen(&mut self, listen: bool) -> io::Result<()> {
        if listen != self.listening {
            for (token, endpoint) in self.endpoints.iter().enumerate() {
                match listen {
                    true => self.poller.add(&*endpoint.socket, token)?,
                    false => self.poller.remove(&*endpoint.socket)?,
                }
            }
            self.listening = listen;
        }
        Ok(())
    }

    fn next_timeout(&self) -> Option<Duration> {
        let deadlines = (0..self.protocols.len()).filter_map(|index| self.deadline(index));
        let deadline = deadlines.chain(self.apart.due().filter(|_| self.takes())).min()?;
        Some(deadline.since(self.control.now()))
    }

    fn deadline(&self, index: usize) -> Option<Time> {
        let hosted = &self.protocols[index];
        Some(hosted.protocol.poll_timeout()?.max(hosted.muted))
    }

    fn run_timeouts(&mut self) {
        for index in 0..self.protocols.len() {
            self.run_timeout(index);
            self.tell_taken(index);
        }
    }

    /// Calls a protocol for its deadline if that has passed; whether it had.
    fn run_timeout(&mut self, index: usize) -> bool {
        let now = self.control.now();
        let due = self.deadline(index).is_some_and(|deadline| deadline <= now);
        if due {
            let (protocol, outbox) = (&mut self.protocols[index].protocol, &mut self.outbox);
            let mark = outbox.mark();
            if let Err(panic) = contain(|| protocol.handle_timeout(now, outbox)) {
                outbox.rewind(mark);
                // It may not have got so far as to move its deadline.
                self.protocols[index].muted = self.control.now() + PANIC_PAUSE;
                self.report_protocol_panic(index, &panic_message(&*panic));
            }
            self.flush_protocol(index, now);
        }
        due
    }

    /// Lets a protocol say its last words, which can be more than the outbox holds at once.
    fn stop_protocol(&mut self, index: usize) {
        self.input(index, self.control.now(), Input::Stopping);
        for _ in 0..LAST_CALLS {
            let late = self.control.stopping().is_none_or(|until| until <= self.control.now());
            if late || !self.run_timeout(index) {
                break;
            }
        }
    }

    fn input(&mut self, index: usize, now: Time, input: Input<'_>) {
        let (protocol, outbox) = (&mut self.protocols[index].protocol, &mut self.outbox);
        let mark = outbox.mark();
        if let Err(panic) = contain(|| protocol.handle_input(now, input, outbox)) {
            outbox.rewind(mark);
            self.report_protocol_panic(index, &panic_message(&*panic));
        }
        self.flush_protocol(index, now);
    }

    /// Takes a batch from a socket that can be read. Level-triggered polling tells of the rest; but a protocol that puts its
    /// work off to a deadline that is now, so that it is done for many at once, is given all that waits first. So
    /// a flood fills queues that the protocol knows, and not the kernel's, which drops from everybody.
    fn receive_all(&mut self, token: usize) {
        let until = self.control.now() + DRAIN;
        while self.receive(token)
            && let App::Protocol(index) = self.endpoints[token].app
            && let now = self.control.now()
            && self.deadline(index).is_some_and(|due| due <= now)
            && now < until
            && self.takes()
        {}
    }

    /// Takes one batch; true when it was full.
    fn receive(&mut self, token: usize) -> bool {
        let endpoint = &mut self.endpoints[token];
        let limit = self.control.batch_limit(self.config.batch);
        if let Err(error) = self.batch.receive(&*endpoint.socket, limit) {
            let reported = endpoint.drain_error_queue();
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                // An ICMP error for an earlier reply, which the error queue has told already.
                _ if reported > 0 => {}
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable => endpoint.tally.add(Counter::IcmpErrors, 1),
                _ => {
                    let address = endpoint.stats.address().to_owned();
                    self.control.hooks().report(&ServerError::Receive { address, source: error });
                }
            }
            endpoint.tally.publish(&endpoint.stats);
            return false;
        }
        let now = self.control.now();
        self.busy.set(now);
        // Lent out, so that the rest of the shard can be used meanwhile.
        let batch = std::mem::replace(&mut self.batch, ReceiveBatch::new(0, 0));
        let mut flushed = now;
        for (count, received) in batch.iter().enumerate() {
            self.take(token, self.endpoints[token].bound, now, &received);
            // Reading the clock for each would cost a hundredth of all a datagram costs.
            let look = count % CLOCK_EVERY == CLOCK_EVERY - 1;
            if self.outbox.len() >= FLUSH_AT
                || !self.outbox.has_room()
                || (look && !self.outbox.is_empty() && self.control.now().since(flushed) > FLUSH_AFTER)
            {
                self.flush(token, now);
                flushed = self.control.now();
            }
        }
        let (messages, full) = (batch.len(), batch.len() == batch.slots());
        self.batch = batch;
        let quiet = match self.endpoints[token].app {
            App::Protocol(index) => {
                self.outbox.is_empty() && self.deadline(index).is_none_or(|due| due > now)
            }
            App::Away(_) => false,
        };
        // What was sent meanwhile is no rest either.
        self.lull.taken(now, messages, quiet && flushed == now);
        if let App::Away(work) = &self.endpoints[token].app {
            work.kick();
        }
        self.flush(token, now);
        self.busy.clear();
        let endpoint = &mut self.endpoints[token];
        endpoint.tally.publish(&endpoint.stats);
        full
    }

    /// One message of the kernel's, which may hold several datagrams. `bound` is where its socket is bound, where that is
    /// an IP address.
    fn take(&mut self, token: usize, bound: Option<SocketAddr>, now: Time, received: &Message<'_>) {
        let endpoint = &mut self.endpoints[token];
        let arrival = match (received.from, bound) {
            (Address::Ip(from), Some(bound)) => {
                self.gate.arrival(endpoint.rules, from, bound, &received.ancillary)
            }
            (Address::Unix(from), _) => {
                let peer = self.unix_peers.intern(token, from);
                let origin = Origin { peer, local: None, transport: Transport::Unixgram, validated: true };
                Some(Arrival { origin, group: false })
            }
            _ => None,
        };
        for payload in received.segments() {
            let endpoint = &mut self.endpoints[token];
            endpoint.tally.add(Counter::Received, 1);
            endpoint.tally.add(Counter::ReceivedBytes, payload.len() as u64);
            if received.truncated {
                endpoint.tally.add(Counter::Truncated, 1);
            }
            let Some(Arrival { origin, group }) = arrival else {
                endpoint.tally.add(Counter::Multicast, 1);
                continue;
            };
            let mut request = Request::new(now, payload, origin);
            request.group = group;
            let verdict = match self.gate.admit(endpoint.rules, &request) {
                Ok(()) => self.handle(token, &request),
                Err(verdict) => Some(verdict),
            };
            if let Some(verdict) = verdict {
                self.settle(token, &request, verdict);
            }
            if self.outbox.len() >= FLUSH_AT || !self.outbox.has_room() {
                self.flush(token, now);
            }
            if self.config.time_requests {
                self.busy.set(self.control.now());
            }
        }
    }

    /// Lets the endpoint's application answer, or gives the request away and returns nothing yet.
    fn handle(&mut self, token: usize, request: &Request<'_>) -> Option<Verdict> {
        match &self.endpoints[token].app {
            App::Protocol(index) => {
                let index = *index;
                Some(self.call(index, request))
            }
            App::Away(work) => {
                self.returns.expect();
                match work.give(request, &self.returns, token) {
                    Ok(()) => None,
                    Err(refusal) => {
                        self.returns.unexpect();
                        Some(Verdict::Refused(refusal))
                    }
                }
            }
        }
    }

    /// Counts what became of a request.
    fn settle(&mut self, token: usize, request: &Request<'_>, verdict: Verdict) {
        self.endpoints[token].tally.add(verdict.counter(), 1);
        self.control.hooks().observe(self.endpoints[token].stats.service(), request, verdict);
        if verdict.is_handled() {
            self.control.count_handled();
        }
    }

    fn report_panic(&self, token: usize, message: Option<String>) {
        if let Some(message) = message {
            let service = self.endpoints[token].stats.service().to_owned();
            self.control.hooks().report(&ServerError::Panicked { service, message });
        }
    }

    /// Sends the answers that came back from elsewhere.
    fn take_returns(&mut self) {
        self.waker.clear();
        let mut done = std::mem::take(&mut self.done);
        self.returns.take(&mut done);
        if !done.is_empty() {
            self.look = LOOK_FIRST;
        }
        let now = self.control.now();
        self.looked = now;
        let mut last = None;
        for answer in done.drain(..) {
            if let Some(last) = last.filter(|last| *last != answer.endpoint) {
                self.flush(last, now);
            }
            last = Some(answer.endpoint);
            // An answer can be more than the outbox holds; each of its datagrams fits.
            for payload in answer.outcome.replies.iter() {
                if self.outbox.len() >= FLUSH_AT || !self.outbox.has_room() {
                    self.flush(answer.endpoint, now);
                }
                let sent = self.outbox.to(&answer.origin).write(payload);
                debug_assert_eq!(sent, Ok::<(), Refusal>(()), "there was room for the longest datagram");
            }
            let request = Request::new(answer.arrived, &answer.request, answer.origin);
            self.report_panic(answer.endpoint, answer.outcome.panic);
            self.settle(answer.endpoint, &request, answer.outcome.verdict);
        }
        if let Some(last) = last {
            self.flush(last, now);
        }
        self.done = done;
        for endpoint in &mut self.endpoints {
            endpoint.tally.publish(&endpoint.stats);
        }
    }
}

impl Endpoint {
    /// Reads the ICMP errors that came for replies, so that they do not fail later sends, and returns how
    /// many.
    fn drain_error_queue(&mut self) -> u64 {
        let mut count = 0;
        while squall_socket::next_error(&*self.socket).is_ok() {
            count += 1;
        }
        self.tally.add(Counter::IcmpErrors, count);
        count
    }
}

impl App {
    fn is(&self, index: usize) -> bool {
        matches!(self, App::Protocol(own) if *own == index)
    }
}

/// The waker's token, and that of all bridges to connections.
const WAKE: usize = usize::MAX;
const CONNECTIONS: usize = usize::MAX - 1;
/// A receive slot: any datagram, and any train that the kernel merges.
const SLOT_SIZE: usize = 64 * 1024;
/// While requests are away, the first and the longest pause between looks for answers.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LAST: Duration = Duration::from_millis(16);
/// How often a protocol is called for its deadline once it was told that the server stops.
const LAST_CALLS: usize = 10_000;
/// How long a protocol is left alone after it panicked at its deadline.
const PANIC_PAUSE: Duration = Duration::from_secs(1);
/// Messages of a batch between two looks at the clock.
const CLOCK_EVERY: usize = 4;
/// How long a protocol that is due waits for what has arrived already.
const DRAIN: Duration = Duration::from_millis(1);
/// How long an answer waits for others to go along, and for the next look at the clock.
const FLUSH_AFTER: Duration = Duration::from_micros(100);
/// Peers of Unix datagram sockets that a shard remembers.
const UNIX_PEERS: usize = 4096;
