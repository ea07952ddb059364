//! The loop of a relay for datagrams: one thread, the listening sockets, and a connected socket for each flow.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use squall::socket::{Address, Ancillary, Family, Kind, Message, Poller, ReceiveBatch, Socket, Waker};
use squall::{Offload, OpenSocket, Time};
use squall_weather::{Direction, Weather};

use super::counts::{DirectionCounts, RelayCounts};
use super::flows::{FlowId, Flows, Key, Room};
use super::outbox::{Exit, FRAMES, Frame, Load, Outbox, Sender, forbid_fragments};
use super::record::Recording;
use super::road::{Arrived, Road};

/// What a running relay is told.
pub(super) enum Command {
    /// Other weather from now on, which is answered once it is in force.
    Change(Box<Weather>, SyncSender<()>),
    /// Tell what was done so far.
    Counts(SyncSender<RelayCounts>),
    /// End.
    Stop,
}

/// What a relay for datagrams is made of.
pub(super) struct Parts {
    pub(super) sockets: Vec<OpenSocket>,
    pub(super) to: SocketAddr,
    pub(super) flows: usize,
    pub(super) idle: Duration,
    pub(super) gso: Offload,
    pub(super) up: Road,
    pub(super) down: Road,
    pub(super) commands: Receiver<Command>,
    pub(super) waker: Waker,
}

/// A relay for datagrams.
pub(super) struct Udp {
    epoch: Instant,
    poller: Poller,
    waker: Waker,
    commands: Receiver<Command>,
    listeners: Vec<Listener>,
    to: SocketAddr,
    flows: Flows<Flow>,
    inbox: ReceiveBatch,
    /// To whom what is in the inbox belongs.
    owners: Vec<FlowId>,
    up: Lane,
    down: Lane,
    sender: Sender,
    /// What is not a direction's.
    counts: RelayCounts,
}

/// A direction: its road, and what leaves next.
struct Lane {
    road: Road,
    outbox: Outbox,
}

struct Listener {
    socket: Arc<Socket>,
    bound: SocketAddr,
    v6: bool,
    wildcard: bool,
}

/// What is a flow's own.
struct Flow {
    socket: Socket,
    /// How many messages to ask for at once: about as many as came last, since asking for more than there is
    /// costs a little, and asking again costs a call.
    expect: usize,
}

impl Udp {
    /// # Errors
    /// The system's, for the poller.
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let mut poller = Poller::new()?;
        poller.add(&parts.waker, WAKE)?;
        let mut listeners = Vec::new();
        for (token, open) in parts.sockets.into_iter().enumerate() {
            poller.add(&*open.socket, token)?;
            let Address::Ip(bound) = open.address else { continue };
            let v6 = bound.is_ipv6();
            if !v6 {
                forbid_fragments(&open.socket);
            }
            listeners.push(Listener { socket: open.socket, bound, v6, wildcard: open.wildcard });
        }
        Ok(Self {
            epoch: Instant::now(),
            poller,
            waker: parts.waker,
            commands: parts.commands,
            listeners,
            to: parts.to,
            flows: Flows::new(parts.flows, parts.idle),
            inbox: ReceiveBatch::new(FRAMES, SLOT_SIZE),
            owners: Vec::with_capacity(FRAMES),
            up: Lane { road: parts.up, outbox: Outbox::default() },
            down: Lane { road: parts.down, outbox: Outbox::default() },
            sender: Sender::new(parts.gso),
            counts: RelayCounts::default(),
        })
    }

    /// Relays until it is told to stop or the system's poller fails it, and tells what it did, with what was
    /// recorded of both directions.
    pub(super) fn run(mut self) -> (io::Result<()>, RelayCounts, [Option<Recording>; 2]) {
        let result = self.relay();
        let counts = self.counts();
        (result, counts, [self.up, self.down].map(|lane| lane.road.into_recording()))
    }

    fn relay(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        self.up.road.begin(self.now());
        self.down.road.begin(self.now());
        loop {
            let now = self.now();
            self.release(now);
            self.end_idle(now);
            let timeout = self.poll_timeout().map(|deadline| deadline.since(self.now()));
            self.poller.wait(&mut ready, timeout)?;
            let mut woken = false;
            for token in ready.drain(..) {
                match token {
                    WAKE => woken = true,
                    token if token < self.listeners.len() => self.hear_clients(token),
                    token => self.hear_server((token - FLOWS) as u32),
                }
            }
            if !self.inbox.is_empty() {
                self.forward_down();
            }
            if woken && !self.obey() {
                return Ok(());
            }
        }
    }

    fn now(&self) -> Time {
        Time::from_epoch(self.epoch.elapsed())
    }

    fn poll_timeout(&self) -> Option<Time> {
        let deadlines =
            [self.up.road.poll_timeout(), self.down.road.poll_timeout(), self.flows.poll_timeout()];
        deadlines.into_iter().flatten().min()
    }

    /// Does what it is told; whether it goes on.
    fn obey(&mut self) -> bool {
        self.waker.clear();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Change(weather, answer) => {
                    let now = self.now();
                    self.up.road.change(now, weather.conditions(Direction::Up));
                    self.down.road.change(now, weather.conditions(Direction::Down));
                    // Whoever asked may have gone.
                    let _ = answer.try_send(());
                }
                Command::Counts(answer) => {
                    // Whoever asked may have gone.
                    let _ = answer.try_send(self.counts());
                }
                Command::Stop => return false,
            }
        }
        true
    }

    fn counts(&self) -> RelayCounts {
        let dropped = |socket: &Socket| socket.memory().map_or(0, |memory| u64::from(memory.drops));
        let mut counts = RelayCounts {
            elapsed: self.epoch.elapsed(),
            up: self.up.road.counts(),
            down: self.down.road.counts(),
            flows: self.flows.len() as u64,
            ..self.counts
        };
        counts.up.kernel_drops = self.listeners.iter().map(|listener| dropped(&listener.socket)).sum();
        counts.down.kernel_drops += self.flows.values().map(|flow| dropped(&flow.socket)).sum::<u64>();
        counts
    }

    /// Sends what arrives by `now`.
    fn release(&mut self, now: Time) {
        if self.up.road.poll_timeout().is_none_or(|deadline| deadline > now)
            && self.down.road.poll_timeout().is_none_or(|deadline| deadline > now)
        {
            return;
        }
        let nothing = ReceiveBatch::new(0, 0);
        let up = self.sender.longest_joined(now, self.to.ip());
        loop {
            let flows = &self.flows;
            let more_up = self.up.road.release(now, &mut self.up.outbox, |flow| flows.get(flow).map(|_| up));
            let down = |flow| {
                let (key, _) = flows.get(flow)?;
                Some(self.sender.longest_joined(now, key.client.ip()))
            };
            let more_down = self.down.road.release(now, &mut self.down.outbox, down);
            self.flush_up(now, &nothing);
            self.flush_down(now, &nothing);
            if !more_up && !more_down {
                return;
            }
        }
    }

    fn end_idle(&mut self, now: Time) {
        while let Some(flow) = self.flows.handle_timeout(now) {
            self.counts.flows_idle += 1;
            close(&mut self.poller, &mut self.down.road.counts, flow);
        }
    }

    /// Takes a batch from clients. Level-triggered polling tells of the rest.
    fn hear_clients(&mut self, index: usize) {
        if !self.inbox.is_empty() {
            self.forward_down();
        }
        self.up.road.counts.receive_calls += 1;
        if let Err(error) = self.inbox.receive(&*self.listeners[index].socket, FRAMES) {
            count_error(&error, &mut self.up.road.counts);
            return;
        }
        let now = self.now();
        // What arrives before leaves before.
        self.release(now);
        let longest = self.sender.longest_joined(now, self.to.ip());
        // Lent out, so that the rest can be used meanwhile.
        let inbox = std::mem::replace(&mut self.inbox, ReceiveBatch::new(0, 0));
        let mut last = None;
        for slot in 0..inbox.len() {
            let Some(message) = inbox.get(slot) else { continue };
            self.up.count(&message);
            let key = self.listeners[index].key(index, &message);
            let flow = match last {
                Some((same, flow)) if Some(same) == key => Some(flow),
                _ => self.flow(now, key, &message),
            };
            let (Some(key), Some(flow)) = (key, flow) else { continue };
            last = Some((key, flow));
            self.flows.touch(now, flow);
            self.up.take(now, flow, key.client, slot, &message, longest);
        }
        self.flush_up(now, &inbox);
        self.inbox = inbox;
        self.inbox.clear();
    }

    /// The flow of a client, a new one if there is none and room.
    fn flow(&mut self, now: Time, key: Option<Key>, message: &Message<'_>) -> Option<FlowId> {
        let datagrams = || message.segments().count() as u64;
        let Some(key) = key else {
            self.counts.unanswerable += datagrams();
            return None;
        };
        if let Some(flow) = self.flows.find(&key) {
            return Some(flow);
        }
        match self.flows.make_room(now) {
            Room::Yes => {}
            Room::Made(flow) => {
                self.counts.flows_displaced += 1;
                close(&mut self.poller, &mut self.down.road.counts, flow);
            }
            Room::No => {
                self.counts.flows_refused += datagrams();
                return None;
            }
        }
        let Ok(socket) = connected(self.to) else {
            self.counts.flows_failed += datagrams();
            return None;
        };
        let id = self.flows.insert(now, key, Flow { socket, expect: 1 });
        let added =
            self.flows.get(id).map(|(_, flow)| self.poller.add(&flow.socket, FLOWS + id.slot as usize));
        if !matches!(added, Some(Ok(()))) {
            self.flows.remove(id);
            self.counts.flows_failed += datagrams();
            return None;
        }
        self.counts.flows_opened += 1;
        Some(id)
    }

    /// Takes what the server sent to one flow, and forwards when the inbox is full.
    fn hear_server(&mut self, slot: u32) {
        let Some(id) = self.flows.at(slot) else { return };
        let Some(flow) = self.flows.get_mut(id) else { return };
        let free = self.inbox.slots() - self.inbox.len();
        self.down.road.counts.receive_calls += 1;
        match self.inbox.receive_more(&flow.socket, flow.expect.min(free)) {
            Ok(count) => {
                if count == flow.expect {
                    flow.expect = (2 * flow.expect).min(FRAMES);
                } else if count < free {
                    flow.expect = count.max(1);
                }
                self.owners.resize(self.inbox.len(), id);
            }
            Err(error) => count_error(&error, &mut self.down.road.counts),
        }
        if self.inbox.len() == self.inbox.slots() {
            self.forward_down();
        }
    }

    /// Forwards what the inbox holds from the server.
    fn forward_down(&mut self) {
        let now = self.now();
        self.release(now);
        let inbox = std::mem::replace(&mut self.inbox, ReceiveBatch::new(0, 0));
        for (slot, flow) in self.owners.iter().enumerate() {
            let Some(message) = inbox.get(slot) else { continue };
            self.down.count(&message);
            let Some((key, _)) = self.flows.get(*flow) else {
                self.down.road.counts.ended += message.segments().count() as u64;
                continue;
            };
            let client = key.client;
            let longest = self.sender.longest_joined(now, client.ip());
            self.flows.touch(now, *flow);
            self.down.take(now, *flow, client, slot, &message, longest);
        }
        self.owners.clear();
        self.flush_down(now, &inbox);
        self.inbox = inbox;
        self.inbox.clear();
    }

    /// Sends what goes to the server: the datagrams of each flow with one call.
    fn flush_up(&mut self, now: Time, inbox: &ReceiveBatch) {
        let Lane { road, outbox } = &mut self.up;
        outbox.group();
        let mut start = 0;
        while start < outbox.frames().len() {
            let run = outbox.run(start, |one, other| one.flow == other.flow);
            start = run.end;
            // With next to no idle time, a flow of this batch can have made room for another one.
            let Some((_, flow)) = self.flows.get(outbox.frames()[run.start].flow) else {
                road.counts.ended += outbox.datagrams(run);
                continue;
            };
            let exit = Exit { socket: &flow.socket, v6: self.to.is_ipv6(), connected: true };
            let load = Load { outbox, frames: run, inbox };
            self.sender.send(now, load, exit, |_| (None, None), &mut road.counts);
        }
        outbox.clear();
    }

    /// Sends what goes to clients: in most cases all of it with one call.
    fn flush_down(&mut self, now: Time, inbox: &ReceiveBatch) {
        let Lane { road, outbox } = &mut self.down;
        let flows = &self.flows;
        let listener = |frame: &Frame| flows.get(frame.flow).map_or(0, |(key, _)| key.listener);
        let mut start = 0;
        while start < outbox.frames().len() {
            let run = outbox.run(start, |one, other| listener(one) == listener(other));
            start = run.end;
            let leaves = &self.listeners[usize::from(listener(&outbox.frames()[run.start]))];
            let exit = Exit { socket: &leaves.socket, v6: leaves.v6, connected: false };
            let address = |frame: &Frame| match flows.get(frame.flow) {
                Some((key, _)) => (Some(key.client), key.local),
                None => (None, None),
            };
            let load = Load { outbox, frames: run, inbox };
            self.sender.send(now, load, exit, address, &mut road.counts);
        }
        outbox.clear();
    }
}

impl Lane {
    fn count(&mut self, message: &Message<'_>) {
        self.road.counts.received += message.segments().count() as u64;
        self.road.counts.received_bytes += message.payload.len() as u64;
    }

    fn take(
        &mut self,
        now: Time,
        flow: FlowId,
        client: SocketAddr,
        slot: usize,
        message: &Message<'_>,
        longest: usize,
    ) {
        if self.road.is_clear() {
            self.road.counts.clear += message.segments().count() as u64;
            let (payload, segment) = (message.payload, message.ancillary.segment_size);
            return self.outbox.push_message(flow, slot, payload, segment, longest);
        }
        let mut start = 0;
        for payload in message.segments() {
            let train = payload.len() < message.payload.len();
            let arrived = Arrived { flow, client, payload, slot, start, train, longest };
            self.road.take(now, &arrived, &mut self.outbox);
            start += payload.len();
        }
    }
}

impl Listener {
    /// Whose flow a message belongs to; `None` when nobody can be answered: it came from port 0, or was sent
    /// to a group or by broadcast.
    fn key(&self, index: usize, message: &Message<'_>) -> Option<Key> {
        let client = canonical(message.from.ip()?);
        if client.port() == 0 {
            return None;
        }
        let local = if self.wildcard { self.local(&message.ancillary)? } else { None };
        Some(Key { client, local, listener: index as u16 })
    }

    /// The address that a datagram was sent to, if the kernel tells it; `None` when that was a group.
    fn local(&self, said: &Ancillary) -> Option<Option<SocketAddr>> {
        let Some(destination) = said.destination else { return Some(None) };
        // For a broadcast the kernel names another address to answer from.
        if destination.is_multicast() || said.source != said.destination {
            return None;
        }
        Some(Some(match canonical(SocketAddr::new(destination, self.bound.port())) {
            SocketAddr::V6(mut v6) if v6.ip().is_unicast_link_local() => {
                v6.set_scope_id(said.interface);
                v6.into()
            }
            address => address,
        }))
    }
}

/// A socket for a new flow.
fn connected(to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::open(Family::of(&to.ip()), Kind::Datagram)?;
    // Not every kernel has it; datagrams then come one by one.
    let _ = socket.set_receive_offload(true);
    let _ = socket.set_receive_buffer(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    if to.is_ipv4() {
        forbid_fragments(&socket);
    }
    socket.connect(to)?;
    Ok(socket)
}

fn close(poller: &mut Poller, down: &mut DirectionCounts, flow: Flow) {
    down.kernel_drops += flow.socket.memory().map_or(0, |memory| u64::from(memory.drops));
    // It is closed at once, which makes the poller forget it in any case.
    let _ = poller.remove(&flow.socket);
}

fn count_error(error: &io::Error, counts: &mut DirectionCounts) {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => counts.icmp_errors += 1,
        _ => counts.receive_errors += 1,
    }
}

/// An IPv4 address that an IPv6 socket gave mapped, as the IPv4 address that it is.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The waker's token.
const WAKE: usize = usize::MAX;
/// The token of the flow in slot 0; below are those of the listening sockets.
const FLOWS: usize = 1 << 16;
/// A receive slot: any datagram, and any train that the kernel merges.
const SLOT_SIZE: usize = 64 * 1024;
/// Of each flow's socket, in bytes; the kernel takes memory only for what waits there.
const RECEIVE_BUFFER: usize = 1 << 20;
