//! One direction: has the weather decide about packets, and holds those that are under way.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use squall::Time;
use squall::socket::hosts::Offloads;
use squall_weather::{Cause, Copies, Counts, Decider, Decision, Direction, Packet, Queue, Recorder};

use crate::record_file::empty;

use super::buffers::{Buffers, LONGEST};
use super::hosts::ROUTER;
use super::icmp;
use super::ip::{self, Parts};
use super::segments::{self, Train};

/// What went through one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Carried {
    /// What the weather decided. Each segment of what a host gives uncut is a packet here.
    pub weather: Counts,
    /// Bytes that the sender sent, with the headers of IP.
    pub sent_bytes: u64,
    /// Packets that were cut because they are longer than the MTU and may be.
    pub fragmented: u64,
    /// ICMP messages about the MTU that went back.
    pub icmp: u64,
    /// Packets that were dropped because more were under way than are held at most: not by the weather.
    pub overflow: u64,
    /// Packets that the receiving host did not take: not by the weather.
    pub refused: u64,
}

/// What both ways use.
#[derive(Default)]
pub(super) struct Hands {
    pub(super) buffers: Buffers,
    /// What goes back to the sender of the packet that was taken last, at once: it is the router next to it
    /// that answers.
    pub(super) answers: Vec<Item>,
    pub(super) recording: Option<Recording>,
}

/// The file that each decision is written to.
pub(super) struct Recording {
    recorder: Recorder,
    out: BufWriter<Arc<File>>,
    /// What it begins with, until it has.
    header: Option<String>,
    /// The first error; nothing is written after it.
    failed: Option<io::Error>,
}

impl Recording {
    /// A record that begins with `header`. What is in the file stays until the first decision.
    pub(super) fn new(file: Arc<File>, header: String) -> Self {
        Self { recorder: Recorder::default(), out: BufWriter::new(file), header: Some(header), failed: None }
    }

    /// Begins in place of what is in the file, if it has not begun.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        let Some(header) = self.header.take() else { return Ok(()) };
        empty(self.out.get_ref())?;
        self.out.write_all(header.as_bytes())
    }

    fn add(&mut self, direction: Direction, now: Time, size: usize, decision: &Decision) {
        let entry = self.recorder.entry(direction, now, size, decision);
        if self.failed.is_none() {
            self.failed = self.begin().and_then(|()| writeln!(self.out, "{entry}")).err();
        }
    }

    /// Writes what is left, and says whether all was written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.failed.take().map_or_else(|| self.out.flush(), Err)
    }
}

/// One direction.
pub(super) struct Way {
    direction: Direction,
    pub(super) decider: Decider,
    pub(super) queue: Queue<Item>,
    pub(super) carried: Carried,
    now: Time,
    /// The longest delay of those in the queue since it was last empty.
    longest: Duration,
}

/// A packet under way.
pub(super) struct Item {
    pub(super) bytes: Box<[u8]>,
    pub(super) length: u32,
    pub(super) offloads: Offloads,
}

impl Way {
    pub(super) fn new(direction: Direction, decider: Decider) -> Self {
        Self {
            direction,
            decider,
            queue: Queue::new(MOST_PACKETS, MOST_BYTES),
            carried: Carried::default(),
            now: Time::ZERO,
            longest: Duration::ZERO,
        }
    }

    /// About how long the slowest of the packets under way takes.
    pub(super) fn longest_delay(&self) -> Duration {
        if self.queue.is_empty() { Duration::ZERO } else { self.longest }
    }

    /// What it did so far.
    pub(super) fn result(&self) -> Carried {
        let mut carried = Carried { weather: *self.decider.counts(), ..self.carried };
        // The weather called them too big before they were cut.
        carried.weather.too_big -= carried.fragmented;
        carried
    }

    fn decide(
        &mut self,
        now: Time,
        size: usize,
        payload: &[u8],
        parts: Option<&Parts>,
        hands: &mut Hands,
    ) -> Decision {
        let peer = parts.map(|parts| match self.direction {
            Direction::Up => parts.source,
            Direction::Down => parts.destination,
        });
        let decision = self.decider.decide(now, &Packet { size, payload, peer });
        if let Some(recording) = &mut hands.recording {
            recording.add(self.direction, now, size, &decision);
        }
        decision
    }

    /// Takes what a host sent, and returns a buffer for the next: the same one, unless it is under way.
    pub(super) fn accept(
        &mut self,
        now: Time,
        mut bytes: Box<[u8]>,
        length: usize,
        offloads: &Offloads,
        hands: &mut Hands,
    ) -> Box<[u8]> {
        self.now = now;
        self.carried.sent_bytes += length as u64;
        let Some(train) = Train::of(&bytes[..length], offloads) else {
            self.take(now, &mut bytes[..length], *offloads, hands);
            return bytes;
        };
        self.carried.sent_bytes += ((train.segments() - 1) * train.size(0, 0)) as u64;
        match self.take_train(now, &bytes[..length], &train, hands) {
            Some(at) => {
                self.push(at, Item { bytes, length: length as u32, offloads: *offloads }, hands);
                hands.buffers.take(LONGEST)
            }
            None => bytes,
        }
    }

    /// Takes one packet. What is left open in it stays so, as far as nothing but the receiver sees it.
    fn take(&mut self, now: Time, packet: &mut [u8], mut offloads: Offloads, hands: &mut Hands) {
        let parts = Parts::of(packet);
        let range = parts.map_or(0..packet.len(), |parts| parts.vulnerable(packet));
        match self.decide(now, packet.len(), &packet[range], parts.as_ref(), hands) {
            Decision::Delivered(copies) => self.send(&copies, packet, offloads, hands),
            Decision::Dropped(Cause::TooBig { mtu, .. }) if !ip::may_not_be_cut(packet) => {
                self.carried.fragmented += 1;
                segments::complete(packet, &mut offloads);
                ip::fragment(packet, mtu, |piece| self.take_fragment(now, piece, hands));
            }
            Decision::Dropped(Cause::TooBig { mtu, silent: false }) => self.answer(packet, mtu, hands),
            Decision::Dropped(_) => {}
        }
    }

    fn take_fragment(&mut self, now: Time, piece: &[u8], hands: &mut Hands) {
        let parts = Parts::of(piece);
        let range = parts.map_or(0..piece.len(), |parts| parts.vulnerable(piece));
        if let Decision::Delivered(copies) =
            self.decide(now, piece.len(), &piece[range], parts.as_ref(), hands)
        {
            self.send(&copies, piece, Offloads::default(), hands);
        }
    }

    /// Takes a train, each segment as a packet. Returns when all of it arrives, if that is as it stands: at one
    /// time, with nothing lost; otherwise what arrives is under way.
    fn take_train(&mut self, now: Time, packet: &[u8], train: &Train, hands: &mut Hands) -> Option<Time> {
        let parts = Parts::of(packet);
        // Segments that arrive together: the first one, how many, when.
        let mut run: Option<(usize, usize, Time)> = None;
        let mut told = false;
        for index in 0..train.segments() {
            let payload = &packet[train.payload(index, 1)];
            let decision = self.decide(now, train.size(index, 1), payload, parts.as_ref(), hands);
            if let Decision::Delivered(copies) = &decision
                && let Some(at) = plain(copies)
            {
                match &mut run {
                    Some((_, count, together)) if *together == at => *count += 1,
                    _ => self.send_run(run.replace((index, 1, at)), packet, train, hands),
                }
                continue;
            }
            self.send_run(run.take(), packet, train, hands);
            match decision {
                Decision::Dropped(Cause::TooBig { mtu, silent }) => {
                    let (mut alone, length, offloads) = self.cut(packet, train, index, 1, hands);
                    if !ip::may_not_be_cut(packet) {
                        self.carried.fragmented += 1;
                        segments::complete(&mut alone[..length], &mut { offloads });
                        ip::fragment(&alone[..length], mtu, |piece| self.take_fragment(now, piece, hands));
                    } else if !silent && !told {
                        // One answer tells it for the whole train.
                        told = true;
                        self.answer(&alone[..length], mtu, hands);
                    }
                    hands.buffers.give(alone);
                }
                Decision::Delivered(copies) => {
                    let (alone, length, offloads) = self.cut(packet, train, index, 1, hands);
                    self.send(&copies, &alone[..length], offloads, hands);
                    hands.buffers.give(alone);
                }
                Decision::Dropped(_) => {}
            }
        }
        match run {
            Some((0, count, at)) if count == train.segments() => Some(at),
            run => {
                self.send_run(run, packet, train, hands);
                None
            }
        }
    }

    fn send_run(
        &mut self,
        run: Option<(usize, usize, Time)>,
        packet: &[u8],
        train: &Train,
        hands: &mut Hands,
    ) {
        if let Some((first, count, at)) = run {
            let (bytes, length, offloads) = self.cut(packet, train, first, count, hands);
            self.push(at, Item { bytes, length: length as u32, offloads }, hands);
        }
    }

    fn cut(
        &self,
        packet: &[u8],
        train: &Train,
        first: usize,
        count: usize,
        hands: &mut Hands,
    ) -> (Box<[u8]>, usize, Offloads) {
        let length = train.size(first, count);
        let mut bytes = hands.buffers.take(length);
        let offloads = train.cut(packet, first, count, &mut bytes);
        (bytes, length, offloads)
    }

    /// Sends copies of a packet on their way.
    fn send(&mut self, copies: &Copies, packet: &[u8], offloads: Offloads, hands: &mut Hands) {
        for copy in copies.iter() {
            let mut item =
                Item { bytes: hands.buffers.take(packet.len()), length: packet.len() as u32, offloads };
            let bytes = &mut item.bytes[..packet.len()];
            bytes.copy_from_slice(packet);
            if let Some(corruption) = copy.corruption {
                // A checksum that is still open would fit whatever there is.
                segments::complete(bytes, &mut item.offloads);
                let range = Parts::of(bytes).map_or(0..bytes.len(), |parts| parts.vulnerable(bytes));
                corruption.apply(&mut bytes[range]);
            }
            self.push(copy.at, item, hands);
        }
    }

    fn push(&mut self, at: Time, item: Item, hands: &mut Hands) {
        let delay = at.since(self.now);
        self.longest = if self.queue.is_empty() { delay } else { self.longest.max(delay) };
        let held = item.bytes.len();
        if let Err(item) = self.queue.push(at, held, item) {
            self.carried.overflow += 1;
            hands.buffers.give(item.bytes);
        }
    }

    /// Tells the sender what is too big.
    fn answer(&self, packet: &[u8], mtu: usize, hands: &mut Hands) {
        let mut bytes = hands.buffers.take(icmp::LONGEST_ANSWER);
        match icmp::too_big(packet, mtu, ROUTER, &mut bytes) {
            Some(length) => {
                let offloads = Offloads::default();
                hands.answers.push(Item { bytes, length: length as u32, offloads });
            }
            None => hands.buffers.give(bytes),
        }
    }
}

/// When a packet arrives to which nothing happens but delay.
fn plain(copies: &Copies) -> Option<Time> {
    let first = copies.first();
    (!copies.duplicated() && first.corruption.is_none()).then_some(first.at)
}

/// How many packets may be under way in one direction: at 1 Gbit/s and 1500 bytes those of three seconds.
const MOST_PACKETS: usize = 1 << 18;
/// How much memory they may take.
const MOST_BYTES: usize = 512 << 20;
