//! A relay for connections: bytes are delayed and paced, and stay in order.
//!
//! What weather does to a stream's packets, TCP repairs: all that a program sees of it is time. So a relay of
//! connections has delay, jitter, a rate and blackouts, in which bytes wait, and no loss.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use squall::Time;
use squall::socket::{Family, Kind, Socket};
use squall_weather::{Copy, Decision, Direction, Link, Packet, Weather};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::counts::{DirectionCounts, RelayCounts};
use super::udp::Command;

/// What a relay for connections is made of.
pub(super) struct Parts {
    pub(super) listeners: Vec<std::net::TcpListener>,
    pub(super) to: SocketAddr,
    pub(super) connections: usize,
    pub(super) memory: usize,
    pub(super) weather: Weather,
    pub(super) seed: u64,
    pub(super) commands: mpsc::Receiver<Command>,
}

/// What all connections share. One thread has it.
struct Shared {
    epoch: Instant,
    up: RefCell<Way>,
    down: RefCell<Way>,
    counts: Cell<RelayCounts>,
    memory: Memory,
    /// What was just read: for all, so that a connection at rest has no buffer.
    buffer: RefCell<Box<[u8]>>,
}

/// What may be under way, in bytes and with the bookkeeping. Each direction of each connection has a share that
/// nobody can take from it; only what is above comes from what all have in common, so that those whose peers do
/// not read cannot hold up the others.
struct Memory {
    share: usize,
    /// What is held above the shares, and its bounds for all and for each direction of a connection.
    above: Cell<usize>,
    most_above: usize,
    most_each: usize,
}

/// A direction of all connections: one road.
struct Way {
    link: Link,
    clear: bool,
    headers: usize,
    counts: DirectionCounts,
}

/// Relays until it is told to stop, and tells what it did.
///
/// # Errors
/// The system's, for the runtime and the listening sockets.
pub(super) fn run(parts: Parts) -> io::Result<RelayCounts> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, relay(parts))
}

async fn relay(parts: Parts) -> io::Result<RelayCounts> {
    let Parts { listeners, to, connections, memory, weather, seed, mut commands } = parts;
    let way = |direction| {
        let headers = if to.is_ipv4() { 20 + 32 } else { 40 + 32 };
        let mut link = unbounded(&weather).link(direction, seed);
        link.begin(Time::ZERO);
        let clear = weather.conditions(direction).is_clear();
        RefCell::new(Way { link, clear, headers, counts: DirectionCounts::default() })
    };
    let shared = Rc::new(Shared {
        epoch: Instant::now(),
        up: way(Direction::Up),
        down: way(Direction::Down),
        counts: Cell::default(),
        memory: Memory::new(memory, connections),
        buffer: RefCell::new(vec![0; BUFFER].into_boxed_slice()),
    });
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        tokio::task::spawn_local(accept(listener, to, connections as u64, shared.clone()));
    }
    while let Some(command) = commands.recv().await {
        match command {
            Command::Change(weather, answer) => {
                let unbounded = unbounded(&weather);
                for (direction, way) in [(Direction::Up, &shared.up), (Direction::Down, &shared.down)] {
                    let mut way = way.borrow_mut();
                    way.link.change(shared.now(), unbounded.conditions(direction));
                    way.clear = weather.conditions(direction).is_clear();
                }
                // Whoever asked may have gone.
                let _ = answer.try_send(());
            }
            Command::Counts(answer) => drop(answer.try_send(shared.counts())),
            Command::Stop => break,
        }
    }
    Ok(shared.counts())
}

/// `weather` with a queue that never drops: what does not fit waits with its sender.
fn unbounded(weather: &Weather) -> Weather {
    let mut weather = weather.clone();
    let set = weather.set("queue", "16GB");
    debug_assert!(set.is_ok(), "the longest queue that there is");
    weather
}

async fn accept(listener: TcpListener, to: SocketAddr, most: u64, shared: Rc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // No descriptor, for instance: it is not better at once.
            shared.update(|counts| counts.flows_failed += 1);
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if shared.counts.get().flows >= most {
            shared.update(|counts| counts.flows_refused += 1);
            continue;
        }
        shared.update(|counts| {
            counts.flows += 1;
            counts.flows_opened += 1;
        });
        let shared = shared.clone();
        tokio::task::spawn_local(async move {
            connection(client, to, &shared).await;
            shared.update(|counts| counts.flows -= 1);
        });
    }
}

/// Relays one connection until both directions have ended, or one has failed.
async fn connection(client: TcpStream, to: SocketAddr, shared: &Shared) {
    let connect = tokio::time::timeout(CONNECT, connect(to)).await;
    let Ok(Ok(server)) = connect else {
        shared.update(|counts| counts.flows_failed += 1);
        // The client is told in the only way there is: by a reset.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = Stream::new(from_client, to_server, &shared.up, shared).run();
    let down = Stream::new(from_server, to_client, &shared.down, shared).run();
    let failed = tokio::try_join!(up, down).is_err();
    if failed {
        shared.update(|counts| counts.flows_broken += 1);
    }
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::open(Family::of(&to.ip()), Kind::Stream)?;
    socket.set_nonblocking(true)?;
    keep_alive(&socket);
    TcpSocket::from_std_stream(socket.into()).connect(to).await
}

/// Lets the kernel ask a silent peer whether it is still there: a connection lives as long as its peers, and one of
/// a peer that vanished would keep its place for ever. What is accepted has its listener's options.
pub(super) fn keep_alive(socket: &Socket) {
    // Not every system has it; connections then end by themselves.
    let _ = socket.set_keepalive_times(KEEPALIVE, KEEPALIVE_INTERVAL);
}

/// One direction of a connection.
struct Stream<'a> {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    way: &'a RefCell<Way>,
    shared: &'a Shared,
    /// Bytes under way, and when and how many of them arrive.
    bytes: VecDeque<u8>,
    pieces: VecDeque<(Time, usize)>,
    /// What of this is above the share.
    above: usize,
    /// Bytes that have arrived and are not written yet.
    arrived: usize,
    /// When its end arrives, once that is known.
    end: Option<Time>,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Stream<'a> {
    fn new(from: OwnedReadHalf, to: OwnedWriteHalf, way: &'a RefCell<Way>, shared: &'a Shared) -> Self {
        Self {
            from,
            to,
            way,
            shared,
            bytes: VecDeque::new(),
            pieces: VecDeque::new(),
            above: 0,
            arrived: 0,
            end: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    /// Reads, keeps and writes until the end has arrived.
    async fn run(mut self) -> io::Result<()> {
        loop {
            let done = poll_fn(|context| {
                let mut progress = false;
                let room = self.shared.memory.room(self.held()).min(BUFFER);
                // Without room it reads on when some of its own bytes have been delivered: a share is more than that.
                if self.end.is_none() && room >= SEGMENT {
                    let mut memory = self.shared.buffer.borrow_mut();
                    let mut buffer = ReadBuf::new(&mut memory[..room]);
                    if let Poll::Ready(read) = Pin::new(&mut self.from).poll_read(context, &mut buffer) {
                        read?;
                        self.take(buffer.filled());
                        progress = true;
                    }
                }
                let now = self.shared.now();
                while let Some((_, len)) = self.pieces.front().filter(|(at, _)| *at <= now) {
                    self.arrived += len;
                    self.pieces.pop_front();
                }
                if self.arrived > 0 {
                    let (first, _) = self.bytes.as_slices();
                    let first = &first[..first.len().min(self.arrived)];
                    if let Poll::Ready(written) = Pin::new(&mut self.to).poll_write(context, first) {
                        self.wrote(written?);
                        progress = true;
                    }
                } else if self.pieces.is_empty() && self.end.is_some_and(|at| at <= now) {
                    return Poll::Ready(Ok(true));
                } else if let Some(next) = self.pieces.front().map(|(at, _)| *at).or(self.end) {
                    let at = self.shared.epoch + (next - Time::ZERO);
                    self.timer.as_mut().reset(at.into());
                    progress |= self.timer.as_mut().poll(context).is_ready();
                }
                if progress { Poll::Ready(Ok::<_, io::Error>(false)) } else { Poll::Pending }
            })
            .await?;
            if done {
                break;
            }
        }
        poll_fn(|context| Pin::new(&mut self.to).poll_shutdown(context)).await
    }

    /// What is under way, with what it takes to know when it arrives.
    fn held(&self) -> usize {
        self.bytes.len() + self.pieces.len() * PIECE
    }

    /// Takes from what all have in common what is held above the share, and gives the rest back.
    fn settle(&mut self) {
        let memory = &self.shared.memory;
        let above = self.held().saturating_sub(memory.share);
        memory.above.set(memory.above.get() - self.above + above);
        self.above = above;
    }

    /// Decides when bytes arrive that were read; none are the stream's end.
    fn take(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        let mut way = self.way.borrow_mut();
        let now = self.shared.now();
        if len == 0 {
            self.end = Some(way.arrival(now, &[]));
            return;
        }
        for piece in bytes.chunks(if way.clear { BUFFER } else { SEGMENT }) {
            let at = way.arrival(now, piece);
            self.pieces.push_back((at, piece.len()));
            self.bytes.extend(piece);
            way.counts.received += 1;
        }
        way.counts.received_bytes += len as u64;
        way.counts.under_way += len as u64;
        drop(way);
        self.settle();
    }

    fn wrote(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.arrived -= len;
        if self.bytes.is_empty() && self.bytes.capacity() > BUFFER {
            self.bytes = VecDeque::new();
        }
        self.settle();
        let counts = &mut self.way.borrow_mut().counts;
        counts.under_way -= len as u64;
        counts.sent += 1;
        counts.sent_bytes += len as u64;
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // What a connection that broke had under way.
        self.way.borrow_mut().counts.under_way -= self.bytes.len() as u64;
        let memory = &self.shared.memory;
        memory.above.set(memory.above.get() - self.above);
    }
}

impl Memory {
    /// Of `memory` bytes one half is divided into shares for `connections` connections, which are never less
    /// than [`SHARE`], and the other half is what all have in common.
    fn new(memory: usize, connections: usize) -> Self {
        let common = memory / 2;
        let share = (memory - common) / (2 * connections);
        Self { share: share.max(SHARE), above: Cell::new(0), most_above: common, most_each: memory / 8 }
    }

    /// How much more a direction of a connection may take that holds `held`.
    fn room(&self, held: usize) -> usize {
        let above = held.saturating_sub(self.share);
        let common = self.most_above.saturating_sub(self.above.get());
        self.share.saturating_sub(held) + common.min(self.most_each.saturating_sub(above))
    }
}

impl Way {
    /// When bytes that are sent `now` arrive: in a blackout as if they were sent at its end.
    fn arrival(&mut self, now: Time, payload: &[u8]) -> Time {
        if self.clear {
            return now;
        }
        let start = self.link.down_until(now).unwrap_or(now);
        let packet = Packet { size: payload.len() + self.headers, payload, peer: None };
        match self.link.decide(start, &packet) {
            Decision::Delivered(copies) => {
                let Copy { at, .. } = copies.first();
                at
            }
            // One blackout after the other; nothing else drops what a stream carries.
            Decision::Dropped(_) => start,
        }
    }
}

impl Shared {
    fn now(&self) -> Time {
        Time::from_epoch(self.epoch.elapsed())
    }

    fn update(&self, change: impl FnOnce(&mut RelayCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    fn counts(&self) -> RelayCounts {
        let (up, down) = (self.up.borrow().counts, self.down.borrow().counts);
        RelayCounts { elapsed: self.epoch.elapsed(), up, down, ..self.counts.get() }
    }
}

/// The first key of a weather that means nothing to a stream.
pub(super) fn not_for_streams(weather: &Weather) -> Option<String> {
    let text = weather.to_string();
    let keys = text.split([',', '@', ' ', ':']).filter_map(|part| part.split_once('=')).map(|(key, _)| key);
    let mut bare = keys.map(|key| key.rsplit('.').next().unwrap_or(key));
    bare.find(|key| !KEYS.contains(key)).map(ToOwned::to_owned)
}

/// What a stream can meet.
const KEYS: [&str; 6] = ["delay", "jitter", "jitter-shape", "rate", "blackout", "blackout-every"];
/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;
/// Bytes of a packet on Ethernet: what is decided on together.
const SEGMENT: usize = 1448;
/// The least share of the memory that a direction of a connection has.
const SHARE: usize = 64 * 1024;
/// Bytes that it takes to know when a piece arrives.
const PIECE: usize = size_of::<(Time, usize)>();
/// How long a peer may be silent before it is asked, and how long until it is asked again.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long connecting to the server may take.
const CONNECT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_memory_is_there_whatever_others_hold() {
        let memory = Memory::new(64 << 20, 16);
        assert_eq!((memory.share, memory.room(0)), (1 << 20, 9 << 20), "an eighth above the share");
        memory.above.set(memory.most_above - 5);
        assert_eq!(memory.room(0), (1 << 20) + 5);
        assert_eq!((memory.room(1 << 20), memory.room((9 << 20) - 3), memory.room(9 << 20)), (5, 3, 0));
        memory.above.set(memory.most_above + 100);
        assert_eq!((memory.room(0), memory.room(1 << 20)), (1 << 20, 0));
        // However many connections there may be, each has enough to go on.
        assert_eq!(Memory::new(1 << 20, 65_536).share, SHARE);
        // Together it is the memory, where that is enough for the least shares.
        let memory = Memory::new(256 << 20, 1000);
        assert_eq!((2 * 1000 * memory.share + memory.most_above) >> 20, 255);
    }

    #[test]
    fn what_only_datagrams_meet_is_named() {
        for (text, key) in [
            ("clear", None),
            ("delay=5ms,up.jitter=1ms,jitter-shape=normal,down.rate=1mbit,blackout=1s+1s", None),
            ("blackout-every=10s+1s", None),
            ("delay=5ms,loss=1%", Some("loss")),
            ("down.duplicate=1%", Some("duplicate")),
            ("up.mtu=1400", Some("mtu")),
            ("jitter=1ms,order=free", Some("order")),
            ("rate=1mbit,queue=6KB", Some("queue")),
            ("clear@10s:loss=1%", Some("loss")),
            ("half", Some("loss")),
        ] {
            let weather = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(not_for_streams(&weather).as_deref(), key, "{text}");
        }
    }
}
