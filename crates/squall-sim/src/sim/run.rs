//! Time passes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Request, Transport};
use squall_time::Time;

use super::Sim;
use crate::host::Machine;
use crate::hostile;
use crate::network::{Cargo, Datagram, Flight, is_group};
use crate::streams::{Kind, State};
use crate::trace::Outcome;

/// Letting time pass.
impl Sim {
    /// Goes to the next event, an arrival or a timeout, and lets it happen. Returns whether there was one.
    ///
    /// # Panics
    /// When a machine does, when there were [more events](Self::max_events) than there may be, and when a
    /// machine asks ten thousand times in a row to be woken at once.
    pub fn step(&mut self) -> bool {
        match self.next() {
            Some(next) => {
                self.happen(next);
                true
            }
            None => false,
        }
    }

    /// Lets all happen that happens up to `time`, this moment included, and waits until then.
    pub fn run_until(&mut self, time: Time) {
        while let Some(next) = self.next().filter(|next| next.at <= time) {
            self.happen(next);
        }
        self.now = self.now.max(time);
    }

    /// Lets all happen that happens within `time` from now on.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets all happen until nothing is under way and no machine waits for anything, within `limit`.
    /// Returns whether this was reached; if not, `limit` has passed. Machines that do something every so
    /// often are never idle.
    pub fn run_until_idle(&mut self, limit: Duration) -> bool {
        let end = self.now + limit;
        loop {
            match self.next() {
                None => return true,
                Some(next) if next.at <= end => self.happen(next),
                Some(_) => {
                    self.now = end;
                    return false;
                }
            }
        }
    }

    /// Lets all happen until `reached` is true, within `limit`. Returns whether it was; if not, `limit`
    /// has passed. It is asked at the beginning and after each event.
    pub fn run_until_true(&mut self, limit: Duration, mut reached: impl FnMut(&Sim) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if reached(self) {
                return true;
            }
            match self.next() {
                Some(next) if next.at <= end => self.happen(next),
                _ => {
                    self.now = end;
                    return false;
                }
            }
        }
    }

    /// When the next event is; `None` when nothing will happen any more by itself.
    pub fn next_event(&self) -> Option<Time> {
        let arrival = self.network.next_arrival();
        let wake = self.wakes.first().map(|(wake, _)| *wake);
        match (arrival, wake) {
            (Some(arrival), Some(wake)) => Some(arrival.min(wake)),
            (arrival, wake) => arrival.or(wake),
        }
    }

    fn next(&mut self) -> Option<Next> {
        let at = self.next_event()?;
        let arrives = self.network.next_arrival() == Some(at);
        let wakes = self.wakes.first().map(|(wake, _)| *wake) == Some(at);
        let swaps = arrives && wakes && self.hostile.as_mut().is_some_and(hostile::Hostile::swaps);
        Some(Next { at, arrives: arrives && !swaps })
    }

    fn happen(&mut self, next: Next) {
        self.events += 1;
        assert!(
            self.events <= self.max_events,
            "more than {} events by {}: does this go on for ever? The last ones:\n{}",
            self.max_events,
            self.now,
            self.trace
        );
        self.now = self.now.max(next.at);
        if next.arrives {
            match self.network.arrive(self.now) {
                Some(Cargo::Datagram(flight)) => self.deliver(flight),
                Some(Cargo::Stream(event)) => self.stream(event),
                None => {}
            }
        } else if let Some((_, host)) = self.wakes.pop_first() {
            self.wake(host);
        }
    }

    fn deliver(&mut self, flight: Flight) {
        let Flight { from, to, host, bytes, corrupted } = flight;
        let group = is_group(to);
        // It may have moved, or left, since the datagram was sent.
        let there =
            if group { self.network.is_member(to, host) } else { self.network.owner(to) == Some(host) };
        let state = &self.hosts[host as usize];
        let outcome = match &state.machine {
            _ if !there => Outcome::Nobody,
            None => Outcome::Down,
            Some(_) if corrupted && self.checksums => Outcome::Corrupted,
            Some(_) => Outcome::Arrives,
        };
        let arrives = outcome == Outcome::Arrives;
        // Where it was sent to, as the machine knows the address. Requests to a group are answered from the
        // address that leads to the peer, which the system chooses.
        let local = if group {
            let any: IpAddr =
                if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            Some(SocketAddr::new(any, to.port()))
        } else {
            state.sockets.iter().find(|socket| socket.public == to).map(|socket| socket.local)
        };
        let validated = state.trust.validated(from.ip());
        self.trace.datagram(self.now, Some(from), Peer::Ip(to), &bytes, outcome);
        if arrives {
            let origin = Origin { peer: Peer::Ip(from), local, transport: Transport::Udp, validated };
            let request = Request::new(self.now, &bytes, origin);
            let request = if group { request.to_group() } else { request };
            self.call(host, |machine, now, out| machine.handle_input(now, Input::Message(request), out));
        }
        self.network.recycle(bytes);
    }

    fn wake(&mut self, host: u32) {
        let state = &mut self.hosts[host as usize];
        state.wake = None;
        state.deadline = None;
        self.trace.host(self.now, Some(state.sockets[0].public), Outcome::Timeout);
        self.call(host, |machine, now, out| machine.handle_timeout(now, out));
        let state = &mut self.hosts[host as usize];
        if state.wake.is_some_and(|wake| wake <= self.now) {
            state.spins += 1;
        } else {
            state.spins = 0;
        }
        assert!(
            state.spins < SPINS,
            "{}'s machine was woken at {} {SPINS} times in a row and asks for the same again: it would use up a processor",
            state.sockets[0].public,
            self.now
        );
    }

    /// Lends the network to the machine of a host that is up, and sends what it wrote.
    pub(super) fn call<R>(
        &mut self,
        host: u32,
        call: impl FnOnce(&mut dyn Machine, Time, &mut Outbox) -> R,
    ) -> R {
        let result = self.lend(host, call);
        if self.hostile.is_some() {
            self.play_pranks(host);
        }
        self.arm(host);
        result
    }

    fn lend<R>(&mut self, host: u32, call: impl FnOnce(&mut dyn Machine, Time, &mut Outbox) -> R) -> R {
        let Self { now, hosts, network, outbox, trace, hostile, .. } = self;
        let state = &mut hosts[host as usize];
        let address = state.sockets[0].public;
        let Some(machine) = &mut state.machine else { panic!("{address} is down and has no machine") };
        // What a machine wrote before it panicked is nobody's any more.
        outbox.clear();
        let strict = hostile.is_some();
        if strict {
            hostile::leave_message(outbox);
        }
        let result = call(&mut **machine, *now, outbox);
        if strict {
            hostile::check_message(outbox);
        }
        if let Some(refusal) = outbox.take_refusal() {
            trace.host(*now, Some(address), Outcome::Refuses(refusal));
        }
        for frame in outbox.frames().skip(usize::from(strict)) {
            let destination = frame.destination;
            let sent = match (destination.transport, destination.peer) {
                (Transport::Udp, Peer::Ip(to)) => state.socket_for(destination.local, to).map(|socket| {
                    let datagram = Datagram { host, from: socket.public, to, payload: frame.payload };
                    network.send(*now, trace, &datagram);
                }),
                _ => {
                    let end = network.streams.find(host, destination);
                    let end = end.filter(|end| network.streams.side(*end).state == State::Open);
                    end.map(|end| network.send_frame(*now, trace, end, Kind::Message, frame.payload))
                }
            };
            if sent.is_none() {
                trace.datagram(*now, Some(address), destination.peer, frame.payload, Outcome::NoSocket);
            }
        }
        for origin in outbox.closes() {
            let end = network.streams.find(host, origin);
            if let Some(end) = end.filter(|end| network.streams.side(*end).state == State::Open) {
                network.send_frame(*now, trace, end, Kind::Close, &[]);
            }
        }
        outbox.clear();
        result
    }

    fn play_pranks(&mut self, host: u32) {
        while let Some(prank) = self.hostile.as_mut().and_then(hostile::Hostile::prank) {
            self.trace.host(self.now, Some(self.hosts[host as usize].sockets[0].public), Outcome::Spurious);
            self.lend(host, |machine, now, out| {
                hostile::poll_twice(machine);
                prank.play(machine, now, out);
            });
        }
    }

    /// Has a host woken when its machine wants it.
    pub(super) fn arm(&mut self, host: u32) {
        let state = &mut self.hosts[host as usize];
        let deadline = state.machine.as_ref().and_then(|machine| machine.poll_timeout());
        if deadline == state.deadline {
            return;
        }
        if let Some(wake) = state.wake.take() {
            self.wakes.remove(&(wake, host));
        }
        state.deadline = deadline;
        if let Some(deadline) = deadline {
            let lateness = self.hostile.as_mut().map_or(Duration::ZERO, hostile::Hostile::lateness);
            let wake = deadline.max(self.now) + lateness;
            state.wake = Some(wake);
            self.wakes.insert((wake, host));
        }
    }

    /// Nobody waits on a host that is down.
    pub(super) fn disarm(&mut self, host: u32) {
        let state = &mut self.hosts[host as usize];
        state.deadline = None;
        state.spins = 0;
        if let Some(wake) = state.wake.take() {
            self.wakes.remove(&(wake, host));
        }
    }
}

/// The next event.
struct Next {
    at: Time,
    /// Whether it is an arrival; a timeout otherwise.
    arrives: bool,
}

/// Timeouts at one moment after which a machine is taken to ask for ever. A table that is cleared by one
/// entry at a timeout stays below.
const SPINS: u32 = 10_000;
