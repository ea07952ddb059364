//! What leaves next: datagrams in the buffers they arrived in or in an arena of their own, joined into trains,
//! and sent in batches.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use squall::socket::errno::{
    EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINTR, EINVAL, EIO, EMSGSIZE, ENETUNREACH, ENOBUFS, EPROTO,
};
use squall::socket::{
    Outgoing, PathMtuDiscovery, ReceiveBatch, SEGMENTED_SENDS, SendBatch, Socket, wait_writable,
};
use squall::{MAX_DATAGRAM, Offload, Time};

use super::counts::DirectionCounts;
use super::flows::FlowId;

/// Datagrams that leave in one direction, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    arena: Vec<u8>,
    frames: Vec<Frame>,
}

/// A datagram, or several of one flow that lie one behind the other and leave as one segmented send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) flow: FlowId,
    /// The order in which frames were made.
    number: u32,
    place: Place,
    start: usize,
    len: usize,
    datagrams: u16,
    /// The length of every datagram but the last, which may be shorter.
    segment: usize,
    /// Nothing can be joined to it.
    closed: bool,
}

/// Where bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In this slot of the batch that was received.
    Slot(usize),
    /// In the outbox's own memory.
    Arena,
}

impl Outbox {
    /// Whether it should be sent before more is put in.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= FRAMES || self.arena.len() >= ARENA
    }

    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.frames.clear();
    }

    /// Puts in a message as it was received in `slot`, a datagram or a train. `longest` is the longest
    /// datagram that can be joined to others for its destination; 0 joins nothing.
    pub(super) fn push_message(
        &mut self,
        flow: FlowId,
        slot: usize,
        payload: &[u8],
        segment: Option<usize>,
        longest: usize,
    ) {
        match segment {
            Some(segment) if segment < payload.len() && longest > 0 => {
                // The kernel's trains have the size that it takes back; should it ever give more, cut them.
                let most = (MAX_DATAGRAM / segment).clamp(1, MAX_SEGMENTS) * segment;
                let mut start = 0;
                while start < payload.len() {
                    let len = (payload.len() - start).min(most);
                    let datagrams = len.div_ceil(segment) as u16;
                    let place = Place::Slot(slot);
                    self.frame(Frame {
                        flow,
                        number: 0,
                        place,
                        start,
                        len,
                        datagrams,
                        segment,
                        closed: true,
                    });
                    start += len;
                }
            }
            Some(segment) if segment < payload.len() => {
                for start in (0..payload.len()).step_by(segment) {
                    let len = segment.min(payload.len() - start);
                    self.push(flow, Place::Slot(slot), start, len, longest);
                }
            }
            // Side by side in the arena small ones can be joined, which saves far more than the copy costs.
            _ if payload.len() <= COPIED => {
                self.push_copy(flow, payload, longest);
            }
            _ => self.push(flow, Place::Slot(slot), 0, payload.len(), longest),
        }
    }

    /// Puts in a copy of a datagram and returns where it is.
    pub(super) fn push_copy(&mut self, flow: FlowId, bytes: &[u8], longest: usize) -> &mut [u8] {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        self.push(flow, Place::Arena, start, bytes.len(), longest);
        &mut self.arena[start..]
    }

    /// Puts in a datagram of `len` bytes that lie at `start`.
    pub(super) fn push(&mut self, flow: FlowId, place: Place, start: usize, len: usize, longest: usize) {
        if let Some(last) = self.frames.last_mut()
            && last.takes(flow, place, start, len)
        {
            last.len += len;
            last.datagrams += 1;
            last.closed = len < last.segment;
            return;
        }
        let closed = len == 0 || len > longest;
        self.frame(Frame { flow, number: 0, place, start, len, datagrams: 1, segment: len, closed });
    }

    fn frame(&mut self, frame: Frame) {
        self.frames.push(Frame { number: self.frames.len() as u32, ..frame });
    }

    /// Puts the frames of each flow together, in their order.
    pub(super) fn group(&mut self) {
        let key = |frame: &Frame| (frame.flow.slot, frame.number);
        if !self.frames.is_sorted_by_key(key) {
            self.frames.sort_unstable_by_key(key);
        }
    }

    pub(super) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The next frames from `start` on that go the same way.
    pub(super) fn run(&self, start: usize, same: impl Fn(&Frame, &Frame) -> bool) -> Range<usize> {
        let frames = &self.frames[start..];
        let len = frames.iter().take_while(|frame| same(&frames[0], frame)).count();
        start..start + len
    }

    /// How many datagrams these frames are.
    pub(super) fn datagrams(&self, frames: Range<usize>) -> u64 {
        self.frames[frames].iter().map(|frame| u64::from(frame.datagrams)).sum()
    }

    fn bytes<'a>(&'a self, frame: &Frame, inbox: &'a ReceiveBatch) -> &'a [u8] {
        let all = match frame.place {
            Place::Slot(slot) => inbox.payload(slot),
            Place::Arena => &self.arena,
        };
        &all[frame.start..frame.start + frame.len]
    }
}

impl Frame {
    /// Whether a datagram can go along: of the same flow, right behind, none longer than the first and only
    /// the last one shorter.
    fn takes(&self, flow: FlowId, place: Place, start: usize, len: usize) -> bool {
        !self.closed
            && self.flow == flow
            && self.place == place
            && self.start + self.len == start
            && usize::from(self.datagrams) < MAX_SEGMENTS
            && (1..=self.segment).contains(&len)
            && self.len + len <= MAX_DATAGRAM
    }
}

/// What is sent: frames of an outbox, and the batch in which some of their bytes lie.
pub(super) struct Load<'a> {
    pub(super) outbox: &'a Outbox,
    pub(super) frames: Range<usize>,
    pub(super) inbox: &'a ReceiveBatch,
}

/// Where frames leave from, and where one of them goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit<'a> {
    pub(super) socket: &'a Socket,
    pub(super) v6: bool,
    /// Whether the socket is connected, and does not wait.
    pub(super) connected: bool,
}

/// Sends frames. One for each thread.
pub(super) struct Sender {
    batch: SendBatch,
    gso: Offload,
    /// After `EIO` (the device cannot checksum segments), not before this time.
    gso_again: Option<Time>,
}

impl Sender {
    pub(super) fn new(gso: Offload) -> Self {
        Self { batch: SendBatch::new(FRAMES), gso, gso_again: None }
    }

    /// The longest datagram that is joined to others towards `destination` now: what Ethernet carries, as
    /// the path's MTU is not known, and any on loopback. A path that carries less refuses the train, which
    /// then goes unsegmented. 0 where nothing is joined.
    pub(super) fn longest_joined(&self, now: Time, destination: IpAddr) -> usize {
        let paused = self.gso_again.is_some_and(|again| now < again);
        match destination {
            _ if !SEGMENTED_SENDS || self.gso == Offload::Off || paused => 0,
            address if address.is_loopback() => MAX_DATAGRAM,
            IpAddr::V4(_) => 1500 - 28,
            IpAddr::V6(_) => 1500 - 48,
        }
    }

    /// Sends frames that leave from one socket; `address` tells for each where it goes and, on a wildcard
    /// socket, where it leaves from.
    pub(super) fn send(
        &mut self,
        now: Time,
        load: Load<'_>,
        exit: Exit<'_>,
        address: impl Fn(&Frame) -> (Option<SocketAddr>, Option<SocketAddr>),
        counts: &mut DirectionCounts,
    ) {
        let Load { outbox, frames, inbox } = load;
        let frames = &outbox.frames[frames];
        let outgoing = |frame: &Frame| {
            let (to, source) = address(frame);
            let segment_size = (frame.datagrams > 1).then_some(frame.segment as u16);
            Outgoing { payload: outbox.bytes(frame, inbox), to: to.map(Into::into), source, segment_size }
        };
        let mut at = 0;
        let mut patience = PATIENCE;
        while at < frames.len() {
            let rest = &frames[at..];
            counts.send_calls += 1;
            let sent = match rest {
                // The shortest way for what is most frequent: one datagram of a flow.
                [frame] if exit.connected && frame.datagrams == 1 => {
                    exit.socket.send(outbox.bytes(frame, inbox)).map(|_| 1)
                }
                _ => self.batch.send(exit.socket, exit.v6, rest.iter().map(outgoing)),
            };
            let error = match sent {
                Ok(count) => {
                    for frame in &rest[..count] {
                        counts.sent += u64::from(frame.datagrams);
                        counts.sent_bytes += frame.len as u64;
                    }
                    at += count;
                    continue;
                }
                Err(error) => error.raw_os_error(),
            };
            match remedy(error, rest[0].datagrams, &mut patience, exit.socket, counts) {
                Remedy::Again => continue,
                Remedy::Unsegmented => {
                    if self.gso == Offload::Auto && error == Some(EIO) {
                        self.gso_again = Some(now + GSO_PAUSE);
                    }
                    self.send_unsegmented(&rest[0], outgoing(&rest[0]), exit, counts);
                }
                Remedy::Drop => {}
            }
            at += 1;
        }
    }

    fn send_unsegmented(
        &mut self,
        frame: &Frame,
        all: Outgoing<'_>,
        exit: Exit<'_>,
        counts: &mut DirectionCounts,
    ) {
        for payload in all.payload.chunks(frame.segment) {
            let outgoing = Outgoing { payload, segment_size: None, ..all };
            let mut patience = PATIENCE;
            loop {
                counts.send_calls += 1;
                let Err(error) = self.batch.send(exit.socket, exit.v6, [outgoing].into_iter()) else {
                    counts.sent += 1;
                    counts.sent_bytes += payload.len() as u64;
                    break;
                };
                match remedy(error.raw_os_error(), 1, &mut patience, exit.socket, counts) {
                    Remedy::Again => {}
                    Remedy::Unsegmented | Remedy::Drop => break,
                }
            }
        }
    }
}

enum Remedy {
    Again,
    Unsegmented,
    Drop,
}

/// What to do when the kernel refused to send; what is dropped is counted.
fn remedy(
    error: Option<i32>,
    datagrams: u16,
    patience: &mut u32,
    socket: &Socket,
    counts: &mut DirectionCounts,
) -> Remedy {
    match error {
        Some(EINVAL | EMSGSIZE | EIO) if datagrams > 1 => return Remedy::Unsegmented,
        Some(EINTR) => return Remedy::Again,
        Some(EMSGSIZE) if fragments(socket) => return Remedy::Again,
        // An ICMP error for an earlier datagram waited at the connected socket, and failed this one.
        Some(ECONNREFUSED | EHOSTUNREACH | ENETUNREACH | EPROTO) if *patience > 0 => {
            *patience -= 1;
            counts.icmp_errors += 1;
            return Remedy::Again;
        }
        Some(EAGAIN | ENOBUFS) if *patience > 0 => {
            *patience -= 1;
            // A socket that polls writable can still lack buffers (ENOBUFS): patience bounds that too.
            let _ = wait_writable(socket, Duration::from_millis(1));
            return Remedy::Again;
        }
        Some(EAGAIN | ENOBUFS) => counts.send_buffer_full += u64::from(datagrams),
        _ => counts.send_failed += u64::from(datagrams),
    }
    Remedy::Drop
}

/// Forbids the fragments of an IPv4 socket, with which the kernel saves a thirtieth of all that a datagram
/// costs: it need not choose an identification that no other packet to the host has
/// ([RFC 6864 §4.1](https://www.rfc-editor.org/rfc/rfc6864#section-4.1)). The first datagram that does not
/// fit its path allows them again.
pub(super) fn forbid_fragments(socket: &Socket) {
    // Without it, it is as it was.
    let _ = socket.set_path_mtu_discovery(PathMtuDiscovery::Do);
}

/// Allows fragments where they were forbidden, and tells whether they were.
fn fragments(socket: &Socket) -> bool {
    matches!(socket.path_mtu_discovery(), Ok(PathMtuDiscovery::Do))
        && socket.set_path_mtu_discovery(PathMtuDiscovery::Want).is_ok()
}

/// Frames that are sent at once.
pub(super) const FRAMES: usize = 64;
/// Bytes after which an outbox is sent.
const ARENA: usize = 1 << 20;
/// The longest datagram that is copied into the arena.
const COPIED: usize = 2048;
/// `UDP_MAX_SEGMENTS` of older kernels; newer ones take 128.
const MAX_SEGMENTS: usize = 64;
/// How often one send waits a millisecond for a full send buffer, or passes over pending errors.
const PATIENCE: u32 = 4;
/// How long segmentation pauses after an I/O error.
const GSO_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::flows::{Flows, Key};
    use super::*;

    fn flows() -> [FlowId; 2] {
        let mut flows = Flows::new(2, Duration::from_secs(1));
        [1, 2].map(|port| {
            let key = Key { client: SocketAddr::from(([127, 0, 0, 1], port)), local: None, listener: 0 };
            flows.insert(Time::ZERO, key, ())
        })
    }

    /// How many datagrams and bytes each frame has.
    fn frames(outbox: &Outbox) -> Vec<(u16, usize)> {
        outbox.frames.iter().map(|frame| (frame.datagrams, frame.len)).collect()
    }

    #[test]
    fn datagrams_of_one_flow_and_size_are_joined_and_a_shorter_one_ends_the_train() {
        let [one, other] = flows();
        let mut outbox = Outbox::default();
        for (flow, len) in [(one, 9), (one, 9), (one, 5), (one, 9), (other, 9), (one, 9), (one, 0), (one, 9)]
        {
            outbox.push_message(flow, 0, &[7; 9][..len], None, 1472);
        }
        assert_eq!(frames(&outbox), [(3, 23), (1, 9), (1, 9), (1, 9), (1, 0), (1, 9)]);
        outbox.group();
        let flow = |frame: &Frame| frame.flow;
        assert_eq!(outbox.frames().iter().map(flow).collect::<Vec<_>>(), [one, one, one, one, one, other]);
        assert_eq!(outbox.run(0, |one, other| one.flow == other.flow), 0..5);
        assert_eq!(frames(&outbox)[..3], [(3, 23), (1, 9), (1, 9)], "in their order");
    }

    #[test]
    fn what_is_too_long_for_the_path_or_may_not_be_joined_goes_alone() {
        let [one, _] = flows();
        for (len, longest, expected) in
            [(1473, 1472, vec![(1, 1473); 3]), (9, 0, vec![(1, 9); 3]), (1472, 1472, vec![(3, 4416)])]
        {
            let mut outbox = Outbox::default();
            (0..3).for_each(|_| outbox.push_message(one, 0, &vec![7; len], None, longest));
            assert_eq!(frames(&outbox), expected);
        }
    }

    #[test]
    fn trains_stay_whole_within_what_the_kernel_takes_and_are_cut_where_nothing_is_joined() {
        let [one, _] = flows();
        let train = vec![7; 65_000];
        for (segment, longest, expected) in [
            (1000, 1472, vec![(64, 64_000), (1, 1000)]),
            (40_000, 65_507, vec![(1, 40_000), (1, 25_000)]),
            (40_000, 0, vec![(1, 40_000), (1, 25_000)]),
        ] {
            let mut outbox = Outbox::default();
            outbox.push_message(one, 0, &train, Some(segment), longest);
            assert_eq!(frames(&outbox), expected);
        }
    }

    #[test]
    fn a_copy_can_be_changed_and_what_was_received_is_not() {
        let [one, _] = flows();
        let mut outbox = Outbox::default();
        outbox.push_copy(one, b"abc", 1472);
        outbox.push_copy(one, b"def", 1472)[0] = b'D';
        assert_eq!((outbox.arena.as_slice(), frames(&outbox)), (b"abcDef".as_slice(), vec![(2, 6)]));
    }
}
