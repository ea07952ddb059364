//! The sockets of a client, and the pump between them and its machine.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use squall_proto::coap::client::{Client, Event};
use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Request, Time, Transport};
use squall_socket::errno::{ECONNREFUSED, EHOSTUNREACH, ENETUNREACH};
use squall_socket::{Address, Family, Interface, Kind, Poller, ReceiveBatch, Socket};

use super::{CoapError, Direction, Watcher};
use crate::broadcast::ShoutError;
use crate::broadcast::shout::explain;
use crate::broadcast::ways::{Obstacle, Way, ways};
use crate::clock::Clock;

pub(super) struct Link {
    servers: Vec<Server>,
    poller: Poller,
    batch: ReceiveBatch,
    out: Outbox,
    clock: Clock,
    pub(super) machine: Client,
    /// What the system said when a message did not leave.
    pub(super) unsent: Option<String>,
    /// Why a group was not asked by any interface.
    pub(super) unasked: Option<CoapError>,
    /// By which interfaces groups are asked; none stands for all that can.
    interfaces: Vec<String>,
    from: Option<IpAddr>,
}

struct Server {
    address: SocketAddr,
    socket: Socket,
    /// Whether nobody but the server can be heard; not where that is a group.
    is_connected: bool,
}

impl Link {
    pub(super) fn open(
        machine: Client,
        servers: &[SocketAddr],
        from: Option<SocketAddr>,
        interfaces: &[String],
    ) -> Result<Self, CoapError> {
        let waiting = |source| CoapError::System { what: "wait for", server: "answers".into(), source };
        let mut link = Self {
            servers: Vec::new(),
            poller: Poller::new().map_err(waiting)?,
            batch: ReceiveBatch::new(BATCH, 65_536),
            out: Outbox::new(),
            clock: Clock::new(),
            machine,
            unsent: None,
            unasked: None,
            interfaces: interfaces.to_vec(),
            from: from.map(|from| from.ip()).filter(|from| !from.is_unspecified()),
        };
        let mut failure = None;
        for &address in servers {
            match Server::open(address, from, !link.servers.is_empty()) {
                Ok(server) => {
                    link.poller.add(&server.socket, link.servers.len()).map_err(waiting)?;
                    link.servers.push(server);
                }
                // A name's other addresses may be of a family that this machine has.
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(failure) if link.servers.is_empty() => Err(failure),
            _ => Ok(link),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The servers that can be asked.
    pub(super) fn servers(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.address).collect()
    }

    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.servers.first()?.socket.local_address().ok()?.ip()
    }

    /// Lets `act` do something with the machine at the present, and sends what comes of it.
    pub(super) fn act<T>(
        &mut self,
        watcher: &mut Option<Watcher>,
        act: impl FnOnce(&mut Client, Time, &mut Outbox) -> T,
    ) -> T {
        // A word about an earlier request's datagram is none about this one's.
        self.servers.iter().for_each(|server| drop(server.socket.take_error()));
        (self.unsent, self.unasked) = (None, None);
        let result = act(&mut self.machine, self.clock.now(), &mut self.out);
        self.flush(watcher);
        result
    }

    /// Sends, receives and waits until something happened to a request, or until `deadline`, or until there is
    /// nothing to wait for.
    pub(super) fn next_event(
        &mut self,
        watcher: &mut Option<Watcher>,
        deadline: Option<Time>,
    ) -> Result<Option<Event>, CoapError> {
        let mut ready = Vec::new();
        loop {
            self.flush(watcher);
            if let Some(event) = self.machine.poll_event() {
                return Ok(Some(event));
            }
            let now = self.clock.now();
            if self.machine.is_empty() || deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(None);
            }
            let due = self.machine.poll_timeout().into_iter().chain(deadline).min();
            let wait = due.map(|due| due.since(now).max(SHORTEST_WAIT));
            self.poller.wait(&mut ready, wait).map_err(|source| CoapError::System {
                what: "wait for",
                server: "answers".into(),
                source,
            })?;
            for server in ready.drain(..) {
                self.receive(server, watcher);
            }
            self.machine.handle_timeout(self.clock.now(), &mut self.out);
        }
    }

    fn receive(&mut self, server: usize, watcher: &mut Option<Watcher>) {
        let Server { address, socket, is_connected } = &self.servers[server];
        let now = self.clock.now();
        match self.batch.receive(socket, BATCH) {
            Ok(_) => {
                for message in self.batch.iter() {
                    let from = match (is_connected, message.from) {
                        (false, Address::Ip(from)) => from,
                        _ => *address,
                    };
                    let origin = Origin {
                        peer: Peer::Ip(from),
                        local: None,
                        transport: Transport::Udp,
                        validated: true,
                    };
                    if let Some(watcher) = watcher {
                        watcher(Direction::Received, from, message.payload);
                    }
                    let input = Input::Message(Request::new(now, message.payload, origin));
                    self.machine.handle_input(now, input, &mut self.out);
                }
            }
            Err(error) if error.raw_os_error() == Some(ECONNREFUSED) => {
                self.machine.unreachable(now, *address, &mut self.out);
            }
            // The network's other complaints are no reason to stop asking.
            Err(_) => {}
        }
    }

    fn flush(&mut self, watcher: &mut Option<Watcher>) {
        // What does not leave can make requests go to other servers, and fail others: both end.
        while !self.out.is_empty() {
            let mut away = Vec::new();
            for frame in self.out.frames() {
                let Some(to) = frame.destination.peer.ip() else { continue };
                let Some(server) =
                    self.servers.iter().find(|server| server.address == to || !server.is_connected)
                else {
                    continue;
                };
                if let Some(watcher) = watcher {
                    watcher(Direction::Sent, to, frame.payload);
                }
                if !server.is_connected && to == server.address {
                    if let Err(error) = server.send_to_group(frame.payload, &self.interfaces, self.from) {
                        self.unsent = Some(error.to_string());
                        self.unasked = Some(error);
                        away.push(to);
                    }
                } else if let Err(error) = server.send(to, frame.payload) {
                    self.unsent = Some(error.to_string());
                    if matches!(error.raw_os_error(), Some(EHOSTUNREACH | ENETUNREACH)) {
                        away.push(to);
                    }
                } else {
                    self.unsent = None;
                }
            }
            self.out.clear();
            let now = self.clock.now();
            for server in away {
                self.machine.unreachable(now, server, &mut self.out);
            }
        }
    }
}

impl Server {
    fn open(address: SocketAddr, from: Option<SocketAddr>, join: bool) -> Result<Self, CoapError> {
        let unreachable = unreachable_at(address);
        let socket = Socket::open(Family::of(&address.ip()), Kind::Datagram).map_err(&unreachable)?;
        if let Some(from) = from {
            crate::client::bind_ip(&socket, from, join).map_err(|source| CoapError::From { from, source })?;
        }
        let is_connected = !is_group(address.ip());
        if is_connected {
            socket.connect(address).map_err(&unreachable)?;
        } else if address.is_ipv4() {
            socket.set_broadcast(true).map_err(&unreachable)?;
        }
        socket.set_nonblocking(true).map_err(&unreachable)?;
        Ok(Self { address, socket, is_connected })
    }

    /// Sends by every interface in question, from `from` if that is set; by one of them is enough. Where there is
    /// none, the routes may know of one all the same.
    fn send_to_group(
        &self,
        payload: &[u8],
        interfaces: &[String],
        from: Option<IpAddr>,
    ) -> Result<(), CoapError> {
        let to = self.address;
        let all = squall_socket::interfaces().map_err(ShoutError::from)?;
        let of_from = || {
            let has =
                |interface: &&Interface| interface.addresses.iter().any(|known| Some(known.address) == from);
            all.iter().filter(has).map(|interface| interface.name.clone()).collect::<Vec<_>>()
        };
        let mut ways = match interfaces {
            [] if from.is_some() => match of_from() {
                none if none.is_empty() => Vec::new(),
                of_from => ways(to, &all, &of_from),
            },
            named => ways(to, &all, named),
        };
        if ways.is_empty() {
            ways.push(Ok(Way::BY_ROUTE));
        }
        let send = |way: Result<Way, (String, Obstacle)>| -> Result<(), CoapError> {
            let family = if to.is_ipv4() { 4 } else { 6 };
            let way = way.map_err(|(interface, obstacle)| obstacle.of(interface, family))?;
            let source = way.source.map(|source| from.unwrap_or(source));
            let sent = self.socket.send_by(payload, to, source, way.index());
            sent.map(drop).map_err(|source| match &way.interface {
                Some((name, _)) => explain(source, to, Some(name), payload, true).into(),
                None => unreachable_at(to)(source),
            })
        };
        let mut result = Ok(());
        let mut is_sent = false;
        for sent in ways.into_iter().map(send) {
            match sent {
                Ok(()) => is_sent = true,
                // What was typed wrong is told in any case.
                Err(error) if error.is_usage() => return Err(error),
                Err(error) => result = result.and(Err(error)),
            }
        }
        if is_sent { Ok(()) } else { result }
    }

    fn send(&self, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let send =
            || if self.is_connected { self.socket.send(payload) } else { self.socket.send_to(payload, to) };
        match send() {
            // The refusal of an earlier datagram; telling it cleared it.
            Err(error) if error.raw_os_error() == Some(ECONNREFUSED) => send().map(drop),
            sent => sent.map(drop),
        }
    }
}

fn unreachable_at(address: SocketAddr) -> impl Fn(io::Error) -> CoapError {
    move |source| CoapError::System { what: "reach", server: format!("coap://{address}"), source }
}

/// Whether `ip` stands for several hosts: a multicast group, or IPv4's limited broadcast.
pub(super) fn is_group(ip: IpAddr) -> bool {
    ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}

/// Datagrams taken with one call.
const BATCH: usize = 16;
/// A wait is rounded up to what timers can tell apart, so that the pump does not turn idly.
const SHORTEST_WAIT: Duration = Duration::from_micros(50);
