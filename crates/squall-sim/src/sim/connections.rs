//! Connections, and what their ends are told.

use squall_proto::{Input, Origin};

use super::Sim;
use crate::streams::{End, Event, Kind, State};
use crate::trace::Outcome;
use crate::{HostId, IntoAddress};

/// Connections.
impl Sim {
    /// Opens a connection from a host to an address, and returns what the host's machine writes to by it.
    /// Each end's machine is told by [`Input::Opened`] when it is open: the server's after one way, the
    /// client's after both. Messages written before are told in the trace as [`Outcome::NoSocket`] and
    /// lost.
    ///
    /// A message arrives whole and once, after all that were written before it. It goes in segments of
    /// 1220 bytes by the same path as datagrams, and what the weather drops of it is sent again after a
    /// second, then two, up to a minute, as TCP does at its slowest; there is no other congestion
    /// control. With 64 KiB that have not arrived an end's machine is told by [`Input::Full`], with half
    /// of that by [`Input::Writable`]; over 1 MiB messages are [dropped](Outcome::NoRoom).
    ///
    /// [`Outbox::close`](squall_proto::Outbox::close) ends a connection behind what was written; both
    /// ends are told by [`Input::Closed`] when that has arrived. It also ends when a segment is lost for
    /// ten minutes, and when something arrives at a host that has crashed since. A connection to an
    /// address where no host is up is closed without having been open.
    ///
    /// # Panics
    /// When the host is down, or has no address of the family, and with the 16,385th connection of a run.
    pub fn connect(&mut self, host: impl Into<HostId>, to: impl IntoAddress) -> Origin {
        let (client, to) = (host.into(), to.into_address());
        assert!(self.is_up(client), "{} is down and opens no connection", self.name(client));
        let Some(near) = self.hosts[client.0 as usize].socket_for(None, to).map(|socket| socket.public)
        else {
            panic!("{} has no address to connect to {to} from", self.name(client))
        };
        let owner = self.network.owner(to);
        let local = owner.and_then(|owner| {
            self.hosts[owner as usize]
                .sockets
                .iter()
                .find(|socket| socket.public == to)
                .map(|socket| socket.local)
        });
        let server = owner.unwrap_or(HostId::OUTSIDE.0);
        let end = self.network.streams.connect((client.0, near), (server, to, local.unwrap_or(to)));
        match owner {
            Some(_) => self.network.send_frame(self.now, &mut self.trace, end, Kind::Open, &[]),
            None => self.network.happen(self.now, Event::Breaks(end.connection)),
        }
        self.network.streams.side(end).origin
    }

    /// Something happens to a connection.
    pub(super) fn stream(&mut self, event: Event) {
        match event {
            Event::Again(segment) => {
                if !self.network.streams.side(segment.from).gone {
                    self.network.send_segment(self.now, &mut self.trace, segment);
                }
            }
            Event::Full(end) => self.tell(end, Outcome::Full, Input::Full),
            Event::Breaks(connection) => {
                for side in [0, 1] {
                    self.end(End { connection, side });
                }
            }
            Event::Arrives(segment) => {
                let end = segment.from;
                self.network.streams.arrive(&segment);
                while let Some((kind, bytes, writable)) = self.network.streams.take(end) {
                    self.frame(end, kind, &bytes);
                    if writable {
                        self.tell(end, Outcome::Writable, Input::Writable);
                    }
                }
            }
        }
    }

    /// A whole frame from `end` has arrived.
    fn frame(&mut self, end: End, kind: Kind, bytes: &[u8]) {
        let there = end.other();
        let state = self.network.streams.side(there).state;
        let host = self.network.streams.side(there).host;
        match kind {
            Kind::Open if state == State::Opening && self.hosts[host as usize].machine.is_some() => {
                self.network.streams.side_mut(there).state = State::Open;
                if there.side == 1 {
                    self.network.send_frame(self.now, &mut self.trace, there, Kind::Open, &[]);
                }
                self.tell(there, Outcome::Opens, Input::Opened);
            }
            Kind::Message if state == State::Open => {
                let origin = self.network.streams.side(there).origin;
                let (from, to) = self.network.streams.addresses(end);
                self.trace.datagram(
                    self.now,
                    Some(from),
                    squall_proto::Peer::Ip(to),
                    bytes,
                    Outcome::Arrives,
                );
                let request = squall_proto::Request::new(self.now, bytes, origin);
                self.call(host, |machine, now, out| machine.handle_input(now, Input::Message(request), out));
            }
            // The end of a connection, or a message to one that is no more.
            _ => {
                self.end(there);
                self.end(end);
            }
        }
    }

    /// Tells an end's machine something, if it has the connection.
    fn tell(&mut self, end: End, outcome: Outcome, input: impl FnOnce(Origin) -> Input<'static>) {
        let side = self.network.streams.side(end);
        if side.state != State::Open {
            return;
        }
        let (host, origin) = (side.host, side.origin);
        let (from, _) = self.network.streams.addresses(end);
        self.trace.datagram(self.now, Some(from), origin.peer, &[], outcome);
        self.call(host, |machine, now, out| machine.handle_input(now, input(origin), out));
    }

    /// A connection is over for one of its ends.
    fn end(&mut self, end: End) {
        let side = self.network.streams.side_mut(end);
        let knows = side.state == State::Open || (side.state == State::Opening && end.side == 0);
        let (host, origin) = (side.host, side.origin);
        side.state = State::Ended;
        side.gone = true;
        if knows {
            let (from, _) = self.network.streams.addresses(end);
            self.trace.datagram(self.now, Some(from), origin.peer, &[], Outcome::Closes);
            self.call(host, |machine, now, out| machine.handle_input(now, Input::Closed(origin), out));
        }
    }

    /// Ends all connections of a host, behind what was written to them.
    pub(super) fn close_all(&mut self, host: u32) {
        for end in self.network.streams.of(host) {
            self.network.send_frame(self.now, &mut self.trace, end, Kind::Close, &[]);
        }
    }

    /// A machine is gone, and with it what it knew of its connections. What it wrote is still sent by its
    /// system, unless that is gone too.
    pub(super) fn forget_connections(&mut self, host: u32, crashed: bool) {
        for end in self.network.streams.of(host) {
            let side = self.network.streams.side_mut(end);
            side.state = State::Ended;
            side.gone |= crashed;
        }
    }
}
