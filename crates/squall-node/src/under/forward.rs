//! The cable: takes packets from one host, has the weather decide, and gives them to the other in time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use squall::Time;
use squall::socket::hosts::{Offloads, Tun};
use squall::socket::{Poller, Waker, process};
use squall_weather::{Decider, Direction};

use super::buffers::LONGEST;
use super::way::{Carried, Hands, Recording, Way};

/// The thread that carries packets.
#[derive(Debug)]
pub(super) struct Forwarder {
    thread: JoinHandle<io::Result<([Carried; 2], Option<Recording>)>>,
    shared: Arc<Shared>,
    waker: Waker,
}

/// What the thread is told, and tells.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// The longest delay of the packets under way, in nanoseconds.
    longest: AtomicU64,
}

impl Forwarder {
    /// Starts it. `client` and `server` stay open as long as it runs.
    pub(super) fn start(
        deciders: [Decider; 2],
        recording: Option<Recording>,
        client: Arc<Tun>,
        server: Arc<Tun>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let waker = Waker::new()?;
        let [up, down] = deciders;
        let mut cable = Cable {
            tuns: [client, server],
            ways: [Way::new(Direction::Up, up), Way::new(Direction::Down, down)],
            clock: Instant::now(),
            hands: Hands { recording, ..Hands::default() },
            lateness: Lateness::new(),
            shared: Arc::clone(&shared),
        };
        let mut poller = Poller::new()?;
        poller.add(&waker, STOP)?;
        for tun in &cable.tuns {
            poller.add(&**tun, PACKETS)?;
        }
        let run = move || cable.run(&mut poller);
        let thread = thread::Builder::new().name("squall-cable".into()).spawn(run)?;
        Ok(Self { thread, shared, waker })
    }

    /// About how long the slowest of the packets under way takes; zero when there is none.
    pub(super) fn longest_delay(&self) -> Duration {
        Duration::from_nanos(self.shared.longest.load(Ordering::Relaxed))
    }

    /// Ends it, and says what it did, with what was recorded. What is under way is lost.
    pub(super) fn stop(self) -> io::Result<([Carried; 2], Option<Recording>)> {
        self.shared.stop.store(true, Ordering::Relaxed);
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
    shared: Arc<Shared>,
}

/// How late sleeps end on this machine: 5 µs on some, 100 µs on a virtual one whose processor had nothing to do.
struct Lateness {
    usual: Duration,
    /// A machine with one processor has better things to do than to wait awake.
    counts: bool,
}

impl Lateness {
    fn new() -> Self {
        let counts = thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
        Self { usual: if counts { MOST_LATE / 2 } else { Duration::ZERO }, counts }
    }

    /// Takes in another sleep's.
    fn saw(&mut self, late: Duration) {
        // An average over some eight sleeps, in which one that another program held up counts little.
        if self.counts {
            self.usual = (self.usual * 7 + late.min(MOST_LATE) * 5 / 4) / 8;
        }
    }
}

impl Cable {
    fn run(&mut self, poller: &mut Poller) -> io::Result<([Carried; 2], Option<Recording>)> {
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
        while !self.shared.stop.load(Ordering::Relaxed) {
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
            let longest = self.ways.iter().map(Way::longest_delay).max().unwrap_or_default();
            let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
            self.shared.longest.store(nanos, Ordering::Relaxed);
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
        Ok(([0, 1].map(|index| self.ways[index].result()), self.hands.recording.take()))
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
        bytes: Box<[u8]>,
        length: usize,
        offloads: &Offloads,
    ) -> Box<[u8]> {
        let (way, hands) = (&mut self.ways[sender], &mut self.hands);
        let buffer = way.accept(now, bytes, length, offloads, hands);
        for answer in hands.answers.drain(..) {
            let packet = &answer.bytes[..answer.length as usize];
            if self.tuns[sender].send(&answer.offloads, packet).is_ok() {
                way.carried.icmp += 1;
            }
            hands.buffers.give(answer.bytes);
        }
        buffer
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

/// Before each packet that is due alone the processor may be kept busy for so long, and a quarter more.
const MOST_LATE: Duration = Duration::from_micros(150);

/// What a poller tells.
const STOP: usize = 0;
const PACKETS: usize = 1;

/// How many packets one host may give before the other one's turn, and before those that are due.
const BATCH: usize = 64;
