//! How replies leave: joined into trains, in batches, and again where the kernel refused.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use squall_proto::{MAX_DATAGRAM, Origin, Outbox, Peer};
use squall_socket::errno::{
    EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINTR, EINVAL, EIO, EMSGSIZE, ENETUNREACH, ENOBUFS, EPROTO,
};
use squall_socket::{Address, Outgoing, SEGMENTED_SENDS, SendBatch, Socket, wait_writable};
use squall_time::Time;

use super::unix_peers::UnixPeers;
use crate::stats::{Counter, SocketStats, Tally};

/// Whether segmentation or receive offload is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// Where the kernel has it; after an I/O error of the device not for a minute.
    #[default]
    Auto,
    /// Always, and tried again after every error.
    On,
    /// Never.
    Off,
}

/// Sends what an outbox holds. One for each shard.
#[derive(Debug)]
pub(crate) struct Sender {
    batch: Batch,
    trains: Vec<Train>,
    gso: Offload,
    /// After `EIO` (the device cannot checksum segments), not before this time.
    gso_again: Option<Time>,
}

/// Where replies leave from.
pub(crate) struct Exit<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) v6: bool,
    /// Whether it is a Unix socket.
    pub(crate) unix: bool,
    /// Whether the socket is bound to no address of its own, so that each reply says where it leaves from.
    pub(crate) wildcard: bool,
    pub(crate) unix_peers: &'a UnixPeers,
    pub(crate) stats: &'a SocketStats,
}

/// `SendBatch` without a `Debug` of its own.
struct Batch(SendBatch);

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SendBatch({})", self.0.slots())
    }
}

impl Exit<'_> {
    /// Where `origin` is reached; `None` for a Unix peer without a name, or one forgotten since.
    fn address(&self, origin: &Origin) -> Option<Address> {
        match origin.peer {
            Peer::Ip(address) => Some(Address::Ip(address)),
            Peer::Conn(number) => self.unix_peers.address(number).map(|(_, address)| Address::Unix(address)),
        }
    }
}

/// Consecutive frames to one destination that go as one segmented datagram; a single frame, too.
#[derive(Clone, Copy, Debug)]
struct Train {
    destination: u32,
    start: usize,
    end: usize,
    frames: u16,
    /// The length of every frame but the last, which may be shorter.
    segment: usize,
    /// No frame may follow one that was shorter.
    closed: bool,
}

impl Sender {
    pub(crate) fn new(gso: Offload) -> Self {
        Self {
            batch: Batch(SendBatch::new(FLUSH_AT)),
            trains: Vec::with_capacity(FLUSH_AT),
            gso,
            gso_again: None,
        }
    }

    /// Whether replies are joined now.
    fn segmented(&mut self, now: Time) -> bool {
        if self.gso_again.is_some_and(|again| again <= now) {
            self.gso_again = None;
        }
        SEGMENTED_SENDS && self.gso != Offload::Off && self.gso_again.is_none()
    }

    /// Sends every frame of `outbox` whose destination `belongs` here, in order.
    pub(crate) fn send(
        &mut self,
        now: Time,
        outbox: &Outbox,
        exit: &Exit<'_>,
        tally: &mut Tally,
        belongs: impl Fn(&Origin) -> bool,
    ) {
        let join = self.segmented(now);
        self.trains.clear();
        for frame in outbox.frames() {
            if !belongs(frame.destination) {
                continue;
            }
            let len = frame.payload.len();
            if let Some(train) = self.trains.last_mut()
                && join
                && train.takes(frame.destination_index, frame.start, len)
            {
                train.end += len;
                train.frames += 1;
                train.closed = len < train.segment;
                continue;
            }
            if exit.address(frame.destination).is_none() {
                tally.add(Counter::NoReturnAddress, 1);
                continue;
            }
            self.trains.push(Train {
                destination: frame.destination_index,
                start: frame.start,
                end: frame.start + len,
                frames: 1,
                segment: len,
                closed: len == 0 || len > segment_limit(frame.destination),
            });
        }
        let mut at = 0;
        let mut patience = PATIENCE;
        while at < self.trains.len() {
            let rest = &self.trains[at..];
            let outgoing = rest.iter().map(|train| train.outgoing(outbox, exit));
            match self.batch.0.send(exit.socket, exit.v6, outgoing) {
                Ok(count) => {
                    for train in &rest[..count] {
                        tally.add(Counter::Replies, u64::from(train.frames));
                        tally.add(Counter::ReplyBytes, (train.end - train.start) as u64);
                        tally.add(Counter::Segmented, u64::from(train.frames > 1));
                    }
                    at += count;
                }
                Err(error) => {
                    let train = rest[0];
                    match remedy(&error, &train, &mut patience, exit) {
                        Remedy::Again => continue,
                        Remedy::Unsegmented => {
                            if self.gso == Offload::Auto && error.raw_os_error() == Some(EIO) {
                                self.gso_again = Some(now + GSO_PAUSE);
                            }
                            tally.add(Counter::Unsegmented, 1);
                            self.send_unsegmented(&train, outbox, exit, tally);
                        }
                        Remedy::Drop(counter) => {
                            tally.add(counter, u64::from(train.frames));
                            exit.stats.send_error(error.raw_os_error().unwrap_or(0));
                        }
                    }
                    at += 1;
                }
            }
        }
    }

    fn send_unsegmented(&mut self, train: &Train, outbox: &Outbox, exit: &Exit<'_>, tally: &mut Tally) {
        let payload = &outbox.bytes()[train.start..train.end];
        for frame in payload.chunks(train.segment) {
            let single = Train { frames: 1, ..*train };
            let outgoing = Outgoing { payload: frame, ..single.outgoing(outbox, exit) };
            let mut patience = PATIENCE;
            loop {
                let Err(error) = self.batch.0.send(exit.socket, exit.v6, [outgoing].into_iter()) else {
                    tally.add(Counter::Replies, 1);
                    tally.add(Counter::ReplyBytes, frame.len() as u64);
                    break;
                };
                match remedy(&error, &single, &mut patience, exit) {
                    Remedy::Again => {}
                    Remedy::Unsegmented => unreachable!("a single frame is not segmented"),
                    Remedy::Drop(counter) => {
                        tally.add(counter, 1);
                        exit.stats.send_error(error.raw_os_error().unwrap_or(0));
                        break;
                    }
                }
            }
        }
    }
}

impl Train {
    /// Whether a frame of `len` bytes at `start` to `destination` can go along. The first frame sets the
    /// segment size, only the last may be shorter, and an empty one goes by itself.
    fn takes(&self, destination: u32, start: usize, len: usize) -> bool {
        !self.closed
            && self.destination == destination
            && self.end == start
            && usize::from(self.frames) < MAX_SEGMENTS
            && (1..=self.segment).contains(&len)
            && self.end - self.start + len <= MAX_DATAGRAM
    }

    fn outgoing<'a>(&self, outbox: &'a Outbox, exit: &Exit<'_>) -> Outgoing<'a> {
        let origin = outbox.destination_at(self.destination);
        Outgoing {
            payload: &outbox.bytes()[self.start..self.end],
            to: exit.address(origin),
            source: origin.local.filter(|_| exit.wildcard),
            segment_size: (self.frames > 1).then_some(self.segment as u16),
        }
    }
}

enum Remedy {
    Again,
    Unsegmented,
    Drop(Counter),
}

/// What to do when the kernel refused `train`.
fn remedy(error: &io::Error, train: &Train, patience: &mut u32, exit: &Exit<'_>) -> Remedy {
    match error.raw_os_error() {
        Some(EINVAL | EMSGSIZE | EIO) if train.frames > 1 => Remedy::Unsegmented,
        Some(EINTR) => Remedy::Again,
        // With IP_RECVERR an ICMP error for an earlier reply fails the next send, whoever it is for.
        Some(ECONNREFUSED | EHOSTUNREACH | ENETUNREACH | EPROTO) if *patience > 0 => {
            *patience -= 1;
            Remedy::Again
        }
        // A Unix peer's queue is full: its fault alone, and the socket would seem writable.
        Some(EAGAIN | ENOBUFS) if exit.unix => Remedy::Drop(Counter::SendBufferFull),
        Some(EAGAIN | ENOBUFS) => {
            if *patience == 0 {
                return Remedy::Drop(Counter::SendBufferFull);
            }
            *patience -= 1;
            // A socket that polls writable can still lack buffers (ENOBUFS): patience bounds that too.
            let _ = wait_writable(exit.socket, Duration::from_millis(1));
            Remedy::Again
        }
        _ => Remedy::Drop(Counter::SendFailed),
    }
}

/// The longest frame that is sent as a segment to `destination`: what Ethernet carries, as the path MTU
/// of each peer is not known, and any on loopback. A path that carries less refuses the train, which
/// then goes unsegmented.
fn segment_limit(destination: &Origin) -> usize {
    match destination.peer {
        Peer::Ip(SocketAddr::V4(v4)) if v4.ip().is_loopback() => MAX_DATAGRAM,
        Peer::Ip(SocketAddr::V6(v6)) if v6.ip().is_loopback() => MAX_DATAGRAM,
        Peer::Ip(address) => match address.ip() {
            IpAddr::V4(_) => 1500 - 28,
            IpAddr::V6(_) => 1500 - 48,
        },
        Peer::Conn(_) => 0,
    }
}

/// Replies that wait before they are sent.
pub(crate) const FLUSH_AT: usize = 64;
/// `UDP_MAX_SEGMENTS` of older kernels; newer ones take 128.
const MAX_SEGMENTS: usize = 64;
/// How often one flush waits a millisecond for a full send buffer, or passes over pending errors.
const PATIENCE: u32 = 4;
/// How long segmentation pauses after an I/O error.
const GSO_PAUSE: Duration = Duration::from_secs(60);
