//! Connections: frames that arrive whole, in order, and once, as late as the weather makes them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use squall_proto::{Origin, Peer, Transport};

/// All connections of a network.
#[derive(Default)]
pub(crate) struct Streams {
    connections: Vec<Connection>,
    /// By host, its own address and the other's: the connection, and which end of it this is.
    ends: BTreeMap<(u32, SocketAddr, SocketAddr), End>,
}

/// One end of a connection: its number, and 0 for the end that opened it or 1 for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) connection: u32,
    pub(crate) side: usize,
}

/// A connection, by its two sides.
type Connection = [Side; 2];

/// What one end is and sends.
pub(crate) struct Side {
    pub(crate) host: u32,
    /// As its machine knows the connection.
    pub(crate) origin: Origin,
    pub(crate) state: State,
    frames: VecDeque<Frame>,
    /// How many frames have arrived.
    arrived: u64,
    /// Bytes that have not.
    waiting: usize,
    full: bool,
    /// It says no more.
    closing: bool,
    /// It sends nothing again: its host has crashed, or the other end is no more.
    pub(crate) gone: bool,
}

/// What a machine was told of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing yet.
    Opening,
    /// That it is open.
    Open,
    /// That it has ended; or the machine is no more.
    Ended,
}

/// What goes from one end to the other.
struct Frame {
    kind: Kind,
    bytes: Vec<u8>,
    /// Segments that have not arrived.
    missing: usize,
}

/// What a frame means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Message,
    Close,
}

/// A part of a frame that is sent by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// The end that sends it.
    pub(crate) from: End,
    frame: u64,
    start: usize,
    end: usize,
    /// How often it was sent before.
    pub(crate) attempt: u32,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Arrives(Segment),
    Again(Segment),
    Full(End),
    Breaks(u32),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Taken,
    /// Taken, and its machine is to be told that there should be no more.
    Filled,
    /// There was no room, though the machine was told.
    Dropped,
}

impl Streams {
    pub(crate) fn clear(&mut self) {
        self.connections.clear();
        self.ends.clear();
    }

    /// A connection from a host's address to another's, of which neither machine knows yet.
    ///
    /// # Panics
    /// When there were as many as there are ephemeral ports.
    pub(crate) fn connect(
        &mut self,
        client: (u32, SocketAddr),
        server: (u32, SocketAddr, SocketAddr),
    ) -> End {
        let port = EPHEMERAL.checked_add(self.connections.len() as u16);
        let few = self.connections.len() <= usize::from(u16::MAX - EPHEMERAL);
        let Some(port) = port.filter(|_| few) else {
            panic!("a run has up to {} connections", u16::MAX - EPHEMERAL + 1)
        };
        let near = SocketAddr::new(client.1.ip(), port);
        let (host, public, local) = server;
        let connection = self.connections.len() as u32;
        self.connections.push([Side::new(client.0, near, public), Side::new(host, local, near)]);
        self.ends.insert((client.0, near, public), End { connection, side: 0 });
        self.ends.insert((host, local, near), End { connection, side: 1 });
        End { connection, side: 0 }
    }

    /// The end that a host's machine means by `origin`.
    pub(crate) fn find(&self, host: u32, origin: &Origin) -> Option<End> {
        let (Some(local), Peer::Ip(peer)) = (origin.local, origin.peer) else { return None };
        self.ends.get(&(host, local, peer)).copied()
    }

    pub(crate) fn side(&self, end: End) -> &Side {
        &self.connections[end.connection as usize][end.side]
    }

    pub(crate) fn side_mut(&mut self, end: End) -> &mut Side {
        &mut self.connections[end.connection as usize][end.side]
    }

    /// The ends that a host has, which have not ended.
    pub(crate) fn of(&self, host: u32) -> Vec<End> {
        let own = self.ends.range((host, LOWEST, LOWEST)..).take_while(|((owner, ..), _)| *owner == host);
        own.map(|(_, end)| *end).filter(|end| self.side(*end).state != State::Ended).collect()
    }

    /// The addresses that a segment from `end` goes from and to.
    pub(crate) fn addresses(&self, end: End) -> (SocketAddr, SocketAddr) {
        let address = |end: End| self.side(end).origin.local.unwrap_or(LOWEST);
        (address(end), address(end.other()))
    }

    /// Puts a frame behind those that an end sends, and its segments into `segments`.
    pub(crate) fn put(&mut self, end: End, kind: Kind, bytes: &[u8], segments: &mut Vec<Segment>) -> Put {
        let side = self.side_mut(end);
        if side.closing || side.waiting + bytes.len() > LIMIT {
            return Put::Dropped;
        }
        let frame = side.arrived + side.frames.len() as u64;
        let missing = bytes.len().div_ceil(SEGMENT).max(1);
        side.frames.push_back(Frame { kind, bytes: bytes.to_vec(), missing });
        side.waiting += bytes.len();
        side.closing = kind == Kind::Close;
        segments.extend((0..missing).map(|index| {
            let (start, stop) = (index * SEGMENT, ((index + 1) * SEGMENT).min(bytes.len()));
            Segment { from: end, frame, start, end: stop, attempt: 0 }
        }));
        let fills = !side.full && side.waiting >= FULL;
        side.full |= fills;
        if fills { Put::Filled } else { Put::Taken }
    }

    /// The bytes of a segment that has not arrived.
    pub(crate) fn bytes(&self, segment: &Segment) -> &[u8] {
        let side = self.side(segment.from);
        let frame = &side.frames[(segment.frame - side.arrived) as usize];
        &frame.bytes[segment.start..segment.end]
    }

    /// Notes that a segment has arrived.
    pub(crate) fn arrive(&mut self, segment: &Segment) {
        let side = self.side_mut(segment.from);
        side.frames[(segment.frame - side.arrived) as usize].missing -= 1;
    }

    /// The next frame from `end` that has arrived whole after all before it, and whether its sender, that
    /// was told to write no more, can write again.
    pub(crate) fn take(&mut self, end: End) -> Option<(Kind, Vec<u8>, bool)> {
        let side = self.side_mut(end);
        if side.frames.front()?.missing > 0 {
            return None;
        }
        let Frame { kind, bytes, .. } = side.frames.pop_front()?;
        side.arrived += 1;
        side.waiting -= bytes.len();
        let writable = side.full && side.waiting <= FULL / 2;
        side.full &= !writable;
        Some((kind, bytes, writable))
    }
}

impl End {
    pub(crate) fn other(self) -> Self {
        Self { side: 1 - self.side, ..self }
    }
}

impl Side {
    fn new(host: u32, local: SocketAddr, peer: SocketAddr) -> Self {
        let origin =
            Origin { peer: Peer::Ip(peer), local: Some(local), transport: Transport::Tcp, validated: true };
        Self {
            host,
            origin,
            state: State::Opening,
            frames: VecDeque::new(),
            arrived: 0,
            waiting: 0,
            full: false,
            closing: false,
            gone: false,
        }
    }
}

impl Segment {
    /// When a segment that was lost is sent again, if it is: after a second and twice as long each time,
    /// up to a minute ([RFC 6298](https://www.rfc-editor.org/rfc/rfc6298#section-2)); after ten minutes
    /// its connection breaks.
    pub(crate) fn again(mut self) -> Option<(Duration, Self)> {
        let wait = Duration::from_secs(1 << self.attempt.min(6)).min(Duration::from_secs(60));
        self.attempt += 1;
        (self.attempt <= RETRANSMISSIONS).then_some((wait, self))
    }
}

const LOWEST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
/// The first port that connections come from ([RFC 6335
/// §6](https://www.rfc-editor.org/rfc/rfc6335#section-6)).
const EPHEMERAL: u16 = 49_152;
/// Bytes of a segment. With 60 of headers it is what every path of IPv6 carries.
const SEGMENT: usize = 1220;
/// Bytes of headers of a segment, over IPv4 and IPv6.
pub(crate) const HEADERS: [usize; 2] = [20 + 20, 40 + 20];
/// Bytes that wait when a machine is told to write no more, and the most that it can write, as a server
/// has them.
const FULL: usize = 64 * 1024;
const LIMIT: usize = 1024 * 1024;
const RETRANSMISSIONS: u32 = 15;
