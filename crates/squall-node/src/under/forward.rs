//! The cable: takes packets from one host, has the weather decide, and gives them to the other in time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use squall::Time;
use squall::socket::hosts::{Offloads, Tun};
use squall::socket::{Poller, Waker, process};
use squall_weather::{Cause, Copies, Counts, Decider, Decision, Direction, Packet, Queue, Recorder};

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

/// The thread that carries packets.
#[derive(Debug)]
pub(super) struct Forwarder {
    thread: JoinHandle<io::Result<[Carried; 2]>>,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Forwarder {
    /// Starts it. `client` and `server` stay open as long as it runs.
    pub(super) fn start(
        deciders: [Decider; 2],
        record: Option<Arc<File>>,
        client: Arc<Tun>,
        server: Arc<Tun>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let waker = Waker::new()?;
        let [up, down] = deciders;
        let recording = record.map(|file| Recording {
            recorder: Recorder::default(),
            out: BufWriter::new(file),
            failed: None,
        });
        let mut cable = Cable {
            tuns: [client, server],
            ways: [Way::new(Direction::Up, up), Way::new(Direction::Down, down)],
            clock: Instant::now(),
            hands: Hands { buffers: Buffers::default(), answer: vec![0; icmp::LONGEST_ANSWER], recording },
            lateness: Lateness { usual: MOST_LATE / 2 },
            stop: Arc::clone(&stop),
        };
        let mut poller = Poller::new()?;
        poller.add(&waker, STOP)?;
        for tun in &cable.tuns {
            poller.add(&**tun, PACKETS)?;
        }
        let run = move || cable.run(&mut poller);
        let thread = thread::Builder::new().name("squall-cable".into()).spawn(run)?;
        Ok(Self { thread, stop, waker })
    }

    /// Ends it, and says what it did. What is under way is lost.
    pub(super) fn stop(self) -> io::Result<[Carried; 2]> {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that carries packets panicked")))
    }
}

struct Cable {
    /// The client's and the server's.
    tuns: [Arc<Tun>; 2],
    /// Up and down: the way with the index of the host that sends.
    ways: [Way; 2],
    clock: Instant,
    hands: Hands,
    lateness: Lateness,
    stop: Arc<AtomicBool>,
}

/// How late sleeps end on this machine: 5 µs on some, 100 µs on a virtual one whose processor had nothing to do.
struct Lateness {
    usual: Duration,
}

impl Lateness {
    /// Takes in another sleep's.
    fn saw(&mut self, late: Duration) {
        // An average over some eight sleeps, in which one that another program held up counts little.
        self.usual = (self.usual * 7 + late.min(MOST_LATE) * 5 / 4) / 8;
    }
}

/// What both ways use.
struct Hands {
    buffers: Buffers,
    answer: Vec<u8>,
    recording: Option<Recording>,
}

/// The file that each decision is written to.
struct Recording {
    recorder: Recorder,
    out: BufWriter<Arc<File>>,
    /// The first error; nothing is written after it.
    failed: Option<io::Error>,
}

impl Recording {
    fn add(&mut self, direction: Direction, now: Time, size: usize, decision: &Decision) {
        let entry = self.recorder.entry(direction, now, size, decision);
        if self.failed.is_none() {
            self.failed = writeln!(self.out, "{entry}").err();
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.failed.take().map_or_else(|| self.out.flush(), Err)
    }
}

/// One direction.
struct Way {
    direction: Direction,
    decider: Decider,
    queue: Queue<Item>,
    carried: Carried,
}

/// A packet under way.
struct Item {
    bytes: Box<[u8]>,
    length: u32,
    offloads: Offloads,
}

impl Cable {
    fn run(&mut self, poller: &mut Poller) -> io::Result<[Carried; 2]> {
        // Timers of a thread are up to 50 µs late unless it says otherwise.
        process::set_timer_slack(1);
        let begin = self.now();
        for way in &mut self.ways {
            if let Decider::Link(link) = &mut way.decider {
                link.begin(begin);
            }
        }
        let mut ready = Vec::new();
        let mut scratch = self.hands.buffers.take(LONGEST);
        while !self.stop.load(Ordering::Relaxed) {
            let mut idle = true;
            for sender in 0..2 {
                for _ in 0..BATCH {
                    let mut offloads = Offloads::default();
                    match self.tuns[sender].receive(&mut offloads, &mut scratch) {
                        Ok(length) => {
                            idle = false;
                            let now = self.now();
                            scratch = self.take(sender, now, scratch, length, &offloads);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                self.deliver();
            }
            if idle && let Some(wait) = self.wait() {
                let until = wait.map(|wait| self.now() + wait);
                poller.wait(&mut ready, wait)?;
                if ready.is_empty()
                    && let Some(until) = until
                {
                    self.lateness.saw(self.now() - until);
                }
                self.deliver();
            }
        }
        if let Some(recording) = &mut self.hands.recording {
            recording.finish()?;
        }
        Ok([0, 1].map(|index| self.ways[index].result()))
    }

    fn now(&self) -> Time {
        Time::from_epoch(self.clock.elapsed())
    }

    /// How long to sleep: `Some(None)` until a packet comes, `None` not at all. That is also so shortly before
    /// a packet is due: a sleep ends late, and by then it would be late, too.
    fn wait(&self) -> Option<Option<Duration>> {
        let next = self.ways.iter().filter_map(|way| way.queue.poll_timeout()).min();
        let Some(next) = next else { return Some(None) };
        match next.since(self.now()).saturating_sub(self.lateness.usual) {
            Duration::ZERO => None,
            wait => Some(Some(wait)),
        }
    }

    /// Takes what `sender` sent, and returns a buffer for the next: the same one, unless it is under way.
    fn take(
        &mut self,
        sender: usize,
        now: Time,
        mut bytes: Box<[u8]>,
        length: usize,
        offloads: &Offloads,
    ) -> Box<[u8]> {
        let (way, hands, back) = (&mut self.ways[sender], &mut self.hands, &self.tuns[sender]);
        way.carried.sent_bytes += length as u64;
        let Some(train) = Train::of(&bytes[..length], offloads) else {
            way.take(now, &mut bytes[..length], *offloads, hands, back);
            return bytes;
        };
        way.carried.sent_bytes += ((train.segments() - 1) * train.size(0, 0)) as u64;
        match way.take_train(now, &bytes[..length], &train, hands, back) {
            Some(at) => {
                way.push(at, Item { bytes, length: length as u32, offloads: *offloads }, hands);
                hands.buffers.take(LONGEST)
            }
            None => bytes,
        }
    }

    /// Hands over what is due.
    fn deliver(&mut self) {
        for sender in 0..2 {
            let now = self.now();
            while let Some(item) = self.ways[sender].queue.pop(now) {
                let packet = &item.bytes[..item.length as usize];
                if self.tuns[1 - sender].send(&item.offloads, packet).is_err() {
                    self.ways[sender].carried.refused += 1;
                }
                self.hands.buffers.give(item.bytes);
            }
        }
    }
}

impl Way {
    fn new(direction: Direction, decider: Decider) -> Self {
        Self { direction, decider, queue: Queue::new(MOST_PACKETS, MOST_BYTES), carried: Carried::default() }
    }

    fn result(&self) -> Carried {
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

    /// Takes one packet. What is left open in it stays so, as far as nothing but the receiver sees it.
    fn take(&mut self, now: Time, packet: &mut [u8], mut offloads: Offloads, hands: &mut Hands, back: &Tun) {
        let parts = Parts::of(packet);
        let range = parts.map_or(0..packet.len(), |parts| parts.vulnerable(packet));
        match self.decide(now, packet.len(), &packet[range], parts.as_ref(), hands) {
            Decision::Delivered(copies) => self.send(&copies, packet, offloads, hands),
            Decision::Dropped(Cause::TooBig { mtu, .. }) if !ip::may_not_be_cut(packet) => {
                self.carried.fragmented += 1;
                segments::complete(packet, &mut offloads);
                ip::fragment(packet, mtu, |piece| self.take_fragment(now, piece, hands));
            }
            Decision::Dropped(Cause::TooBig { mtu, silent: false }) => self.answer(packet, mtu, hands, back),
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
    fn take_train(
        &mut self,
        now: Time,
        packet: &[u8],
        train: &Train,
        hands: &mut Hands,
        back: &Tun,
    ) -> Option<Time> {
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
                        self.answer(&alone[..length], mtu, hands, back);
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
        let held = item.bytes.len();
        if let Err(item) = self.queue.push(at, held, item) {
            self.carried.overflow += 1;
            hands.buffers.give(item.bytes);
        }
    }

    /// Tells the sender what is too big, at once: it is the router next to it that does.
    fn answer(&mut self, packet: &[u8], mtu: usize, hands: &mut Hands, back: &Tun) {
        if let Some(length) = icmp::too_big(packet, mtu, ROUTER, &mut hands.answer)
            && back.send(&Offloads::default(), &hands.answer[..length]).is_ok()
        {
            self.carried.icmp += 1;
        }
    }
}

/// When a packet arrives to which nothing happens but delay.
fn plain(copies: &Copies) -> Option<Time> {
    let first = copies.first();
    (!copies.duplicated() && first.corruption.is_none()).then_some(first.at)
}

/// Before each packet that is due alone the processor may be kept busy for so long, and a quarter more.
const MOST_LATE: Duration = Duration::from_micros(150);

/// What a poller tells.
const STOP: usize = 0;
const PACKETS: usize = 1;

/// How many packets one host may give before the other one's turn, and before those that are due.
const BATCH: usize = 64;
/// How many packets may be under way in one direction: at 1 Gbit/s and 1500 bytes those of three seconds.
const MOST_PACKETS: usize = 1 << 18;
/// How much memory they may take.
const MOST_BYTES: usize = 512 << 20;
