//! The load on a datagram server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use squall_socket::process::raise_descriptor_limit;
use squall_socket::{
    Family, Kind, Outgoing, Poller, ReceiveBatch, SEGMENTED_SENDS, SendBatch, Socket, wait_writable,
};

use super::coap;
use super::flight::{self, Flight};
use super::ledger::Ledger;
use super::schedule::Schedule;
use super::tally::Tally;
use super::{Load, LoadError, Matching, Pace, Report, token};

/// Puts `load` on its target until it is over or `stop` is set.
pub(super) fn run(load: &Load, stop: &AtomicBool) -> Result<Report, LoadError> {
    let mut driver = Driver::new(load)?;
    loop {
        let now = driver.now();
        if stop.load(Ordering::Relaxed) {
            driver.schedule.stop(now);
            driver.ledger.tally.stop(now);
        }
        if now >= driver.next_check {
            driver.next_check = now + CHECK.min(driver.timeout / 8);
            driver.ledger.give_up(now.saturating_sub(driver.timeout));
        }
        // What is in flight now is answered or given up within the timeout.
        if driver.schedule.is_over(now) && driver.ledger.flight.is_empty() {
            break;
        }
        let sent = driver.send(now)?;
        let received = driver.receive()?;
        if !sent && !received {
            driver.wait()?;
        }
    }
    Ok(driver.finish())
}

/// One thread's sockets and everything in flight on them. Times are nanoseconds since `start`.
struct Driver<'a> {
    load: &'a Load,
    start: Instant,
    timeout: u64,
    /// When to look for lost requests and whether to stop.
    next_check: u64,
    sockets: Vec<Socket>,
    /// Whether the one socket sends for every peer, from its address.
    shared: bool,
    next_peer: usize,
    /// Bursts that go before replies are looked for, and with one visit to a socket, at most.
    bursts: usize,
    visit: usize,
    segmented: bool,
    schedule: Schedule,
    ledger: Ledger,
    poller: Poller,
    ready: Vec<usize>,
    sending: SendBatch,
    receiving: ReceiveBatch,
    /// The payloads of one call, one behind the other.
    payloads: Vec<u8>,
    /// The peers of one call's bursts.
    sources: Vec<Option<SocketAddr>>,
    /// The last message ID of each peer, where the load is CoAP.
    message_ids: Vec<u16>,
    anything_sent: bool,
}

impl<'a> Driver<'a> {
    fn new(load: &'a Load) -> Result<Self, LoadError> {
        let shared = load.peers > 1 && own_addresses(load.target) && load.matching == Matching::Token;
        let number_of_sockets = if shared { 1 } else { load.peers };
        let opening = |number: usize| {
            let Load { peers, target, .. } = *load;
            move |source| LoadError::Open { number, peers, target, source }
        };
        // Without the limit's full height, opening fails later and says where.
        let _ = raise_descriptor_limit();
        let mut poller = Poller::new().map_err(opening(1))?;
        let mut sockets = Vec::with_capacity(number_of_sockets);
        for number in 0..number_of_sockets {
            let socket = open(load, number, shared).map_err(opening(number + 1))?;
            // A socket that nobody waits for need not tell: that would be work for the processor that delivers.
            if number_of_sockets > 1 || !load.busy {
                poller.add(&socket, number).map_err(opening(number + 1))?;
            }
            sockets.push(socket);
        }

        let groups = load.window() / load.burst;
        let bursts = (MESSAGES / load.burst).max(1);
        let visit = match load.pace {
            _ if shared => bursts,
            Pace::InFlightPerPeer(_) => 1,
            _ => (groups / number_of_sockets).clamp(1, bursts),
        };
        let from = load.warm_up.as_nanos() as u64;
        let end = from + load.duration.as_nanos() as u64;
        // A slot that no train can fill leaves some lines between two slots: at a distance of exactly 64 KiB all
        // beginnings would compete for the same few lines of the cache.
        let slot = if load.burst > 1 { 65_536 } else { (load.size + 1024).max(2048) } + CACHE_LINE;
        Ok(Self {
            load,
            start: Instant::now(),
            timeout: load.timeout.as_nanos() as u64,
            next_check: 0,
            sockets,
            shared,
            next_peer: 0,
            bursts,
            visit,
            segmented: SEGMENTED_SENDS && load.segmented && load.burst > 1 && load.size > 0,
            schedule: Schedule::new(load, end),
            ledger: Ledger::new(
                Flight::new(groups, load.burst, crate::clock::seed()),
                Tally::new(from, end),
                (load.matching == Matching::Any).then_some(number_of_sockets),
                load.coap.clone(),
            ),
            poller,
            ready: Vec::new(),
            sending: SendBatch::new(MESSAGES),
            receiving: ReceiveBatch::new(MESSAGES, slot),
            payloads: match &load.coap {
                Some(coap) => coap.message().repeat(bursts * load.burst),
                None => vec![FILL; bursts * load.burst * load.size],
            },
            sources: vec![None; bursts],
            message_ids: vec![crate::clock::seed() as u16; if load.coap.is_some() { load.peers } else { 0 }],
            anything_sent: false,
        })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Starts the bursts that are due, up to a call's worth: what has come meanwhile must not wait until an open loop
    /// has caught up. False when none is due.
    fn send(&mut self, now: u64) -> Result<bool, LoadError> {
        let due = self.schedule.due(now, self.ledger.flight.free()).min(self.bursts);
        let mut left = due;
        while left > 0 {
            let count = left.min(self.visit);
            let socket = self.fill(count, now);
            self.transmit(socket, count)?;
            left -= count;
        }
        Ok(due > 0)
    }

    /// Writes `count` bursts for one socket and returns which.
    fn fill(&mut self, count: usize, now: u64) -> usize {
        let per_peer = matches!(self.load.pace, Pace::InFlightPerPeer(_));
        let mut peer = self.next_peer;
        let mut slots = self.payloads.chunks_exact_mut(self.load.size.max(1));
        for burst in 0..count {
            let since = self.schedule.start(now);
            let Some((group, mut token)) = self.ledger.flight.start(since, now) else { break };
            self.ledger.tally.sent(since, self.load.burst as u64);
            if per_peer {
                peer = group as usize % self.load.peers;
            }
            if self.load.coap.is_some() {
                let message_id = &mut self.message_ids[peer];
                for slot in slots.by_ref().take(self.load.burst) {
                    *message_id = message_id.wrapping_add(1);
                    coap::stamp(slot, *message_id, token);
                    token = flight::next(token);
                }
            }
            if self.shared {
                self.sources[burst] = Some(SocketAddr::new(own_address(peer).into(), 0));
                peer = (peer + 1) % self.load.peers;
            }
            if self.load.matching == Matching::Any {
                self.ledger.expect_any(peer, group);
            }
            if self.load.coap.is_none() && self.load.size >= token::SIZE {
                for slot in slots.by_ref().take(self.load.burst) {
                    slot[..token::SIZE].copy_from_slice(&token::encode(token));
                    token = flight::next(token);
                }
            }
        }
        if self.shared {
            self.next_peer = peer;
            0
        } else {
            self.next_peer = (peer + 1) % self.load.peers;
            peer
        }
    }

    /// Sends the first `count` bursts of the payloads. What cannot be sent is counted and will be lost, so that a
    /// network which refuses everything is asked no more often than one which loses everything.
    fn transmit(&mut self, socket: usize, count: usize) -> Result<(), LoadError> {
        let (size, burst) = (self.load.size, self.load.burst);
        let socket = &self.sockets[socket];
        let to = self.shared.then_some(self.load.target.into());
        // Datagrams are numbered through all bursts of the call.
        let (mut done, mut attempts) = (0, 0);
        while done < count * burst {
            let train = if self.segmented { (MAX_PAYLOAD / size).clamp(1, MAX_SEGMENTS) } else { 1 };
            let (payloads, sources) = (&self.payloads, &self.sources);
            let mut at = done;
            let messages = std::iter::from_fn(|| {
                if at == count * burst {
                    return None;
                }
                let end = (at + train).min((at / burst + 1) * burst);
                let outgoing = Outgoing {
                    payload: &payloads[at * size..end * size],
                    to,
                    source: sources[at / burst],
                    segment_size: (end > at + 1).then_some(size as u16),
                };
                at = end;
                Some(outgoing)
            });
            match self.sending.send(socket, self.load.target.is_ipv6(), messages) {
                Ok(sent) => {
                    for _ in 0..sent {
                        done = (done + train).min((done / burst + 1) * burst);
                    }
                    (self.anything_sent, attempts) = (true, 0);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Linux keeps the wait short: a send buffer is emptied by the processor that fills it.
                    let _ = wait_writable(socket, Duration::from_millis(10));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.ledger.tally.refused += 1
                }
                Err(_) if self.segmented => {
                    self.segmented = false;
                    continue;
                }
                Err(source) if !self.anything_sent => {
                    return Err(LoadError::Send { target: self.load.target, source });
                }
                Err(_) => attempts = ATTEMPTS,
            }
            attempts += 1;
            if attempts > ATTEMPTS {
                let end = (done + train).min((done / burst + 1) * burst);
                self.ledger.tally.send_errors += (end - done) as u64;
                (done, attempts) = (end, 0);
            }
        }
        Ok(())
    }

    /// Takes what has come; false when nothing has.
    fn receive(&mut self) -> Result<bool, LoadError> {
        if self.sockets.len() == 1 {
            return Ok(self.receive_from(0)? > 0);
        }
        self.poll(Duration::ZERO)?;
        let ready = std::mem::take(&mut self.ready);
        for socket in &ready {
            self.receive_from(*socket)?;
        }
        let any = !ready.is_empty();
        self.ready = ready;
        Ok(any)
    }

    fn receive_from(&mut self, socket: usize) -> Result<usize, LoadError> {
        match self.receiving.receive(&self.sockets[socket], MESSAGES) {
            Ok(count) => {
                let now = self.now();
                for received in self.receiving.iter() {
                    // A connected socket hears its server alone.
                    if self.shared && received.from.ip() != Some(self.load.target) {
                        self.ledger.tally.strays += received.segments().count() as u64;
                        continue;
                    }
                    for datagram in received.segments() {
                        self.ledger.take(socket, datagram, now);
                    }
                }
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.ledger.tally.refused += 1;
                Ok(1)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(source) => Err(LoadError::Receive { target: self.load.target, source }),
        }
    }

    /// Sleeps until something can be done, or not at all where that would be too coarse.
    fn wait(&mut self) -> Result<(), LoadError> {
        if self.load.busy {
            std::hint::spin_loop();
            return Ok(());
        }
        let now = self.now();
        // With nothing free the next burst waits for a reply.
        let due = self.schedule.next().filter(|_| self.ledger.flight.free() > 0);
        let until = match due {
            Some(due) if due <= now + TIMER_SLACK => return Ok(()),
            Some(due) => (due - TIMER_SLACK).min(self.next_check),
            None => self.next_check,
        };
        self.poll(Duration::from_nanos(until.saturating_sub(now)))
    }

    fn poll(&mut self, timeout: Duration) -> Result<(), LoadError> {
        self.poller
            .wait(&mut self.ready, Some(timeout))
            .map_err(|source| LoadError::Receive { target: self.load.target, source })
    }

    fn finish(mut self) -> Report {
        let now = self.now();
        self.ledger.tally.unsent = self.schedule.unsent() * self.load.burst as u64;
        self.ledger.tally.stop(now);
        self.ledger.tally.report(self.load, self.segmented)
    }
}

/// The socket of the peer `number`, or the one for all.
fn open(load: &Load, number: usize, shared: bool) -> io::Result<Socket> {
    let (family, any) = match load.target {
        SocketAddr::V4(_) => (Family::V4, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (Family::V6, Ipv6Addr::UNSPECIFIED.into()),
    };
    let socket = Socket::open(family, Kind::Datagram)?;
    socket.set_nonblocking(true)?;
    if load.peers > 1 && !shared && own_addresses(load.target) {
        socket.bind(SocketAddr::new(own_address(number).into(), 0))?;
    } else {
        socket.bind(SocketAddr::new(any, 0))?;
    }
    if !shared {
        // A connected socket finds its route once, hears its server alone, and is told when that is not there.
        socket.connect(load.target)?;
    }
    // The kernel gives what it allows; too little shows as lost requests.
    let _ = socket.set_receive_buffer(if shared || load.peers == 1 { BUFFER } else { BUFFER / 16 });
    let _ = socket.set_send_buffer(BUFFER);
    if load.burst > 1 {
        // Without it the same replies come one by one.
        let _ = socket.set_receive_offload(true);
    }
    Ok(socket)
}

/// Whether each peer can have an address of its own: 127.0.0.0/8 is all this host.
fn own_addresses(target: SocketAddr) -> bool {
    // The system that can send segmented, Linux, is also the one which needs no set-up for these addresses.
    SEGMENTED_SENDS && matches!(target, SocketAddr::V4(v4) if v4.ip().is_loopback())
}

fn own_address(peer: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (peer / 254) as u8, (peer % 254 + 1) as u8)
}

/// Datagrams or trains a system call.
const MESSAGES: usize = 64;
/// What the kernel cuts into datagrams for one send: 64 of them, and no more bytes than a datagram has.
const MAX_SEGMENTS: usize = 64;
const MAX_PAYLOAD: usize = 65_507;
/// How often a send that finds no room, or an old refusal, is made again.
const ATTEMPTS: u32 = 8;
/// What stands behind the token; no hexadecimal digit.
const FILL: u8 = b'.';
const BUFFER: usize = 4 << 20;
const CACHE_LINE: usize = 64;
/// Nanoseconds between two looks for what is lost, at most.
const CHECK: u64 = 100_000_000;
/// Linux wakes a thread up to 50 µs late, so the last stretch before a burst is not slept through.
const TIMER_SLACK: u64 = 100_000;
