//! The controller: what it is told, and the window that follows from it.

use core::time::Duration;

use super::base::Base;
use super::belief::{Belief, Phase};
use super::compete::{self, Competition};
use super::config::CongestionConfig;
use super::delivery::{Deliveries, Sample};
use super::drain::{self, Drains};
use super::filters::Largest;
use super::losses::{Losses, Verdict};
use super::queue::{self, Law};
use super::round::{Ended, Round};
use super::startup::{self, Startup};
use crate::Time;

/// How much a connection may have under way.
///
/// Times of sending are those that were given to [`handle_sent`](Self::handle_sent). Nothing is done by the clock alone, so
/// that there is no timeout.
///
/// ```
/// use core::time::Duration;
/// use squall_proto::Time;
/// use squall_proto::congestion::{CongestionConfig, Controller};
///
/// let mut controller = Controller::new(&CongestionConfig::default(), 1452, Time::ZERO)?;
/// let (sent, now) = (Time::ZERO, Time::from_epoch(Duration::from_millis(50)));
/// let before = controller.window();
/// controller.handle_sent(sent, before);
/// controller.handle_acked(sent, before);
/// controller.handle_acks_end(now, 0, false);
/// assert_eq!(controller.window(), before + before * 7 / 5);
/// # Ok::<(), squall_proto::congestion::CongestionConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Controller {
    config: CongestionConfig,
    /// Bytes of a full packet.
    packet: u64,
    window: u64,
    deliveries: Deliveries,
    round: Round,
    bandwidth: Largest,
    base: Base,
    queue: Duration,
    /// How much longer a round's mean round trip is than its shortest, in seconds. A queue that is kept is the same
    /// for all of a round; what makes them differ is none.
    jitter: f64,
    losses: Losses,
    law: Law,
    drains: Drains,
    /// The window when the queue was last no longer than it should be.
    trusted: u64,
    state: State,
    /// Whether the window kept anything back in this round.
    filled: bool,
    marked: bool,
}

#[derive(Clone, Debug)]
enum State {
    Startup(Startup),
    /// The first rounds after the start-up, in which its queue drains and the bandwidth shows.
    Settle {
        rounds: u32,
    },
    Steady,
    Drain(Drain),
    Compete(Competition),
}

#[derive(Clone, Copy, Debug)]
struct Drain {
    rounds: u32,
    /// Window and round trip before it.
    before: (u64, Duration),
    /// The same at the first depth, if that did not empty the queue.
    within: Option<(u64, Duration)>,
    /// With whom the queue is shared.
    competition: Option<Competition>,
}

impl Drain {
    /// Whether it reached the bottom with what is in flight `now`.
    fn is_bottom(&self, first: (u64, Duration), now: (u64, Duration)) -> bool {
        let crest = self.competition.and_then(|competition| competition.crest());
        drain::is_bottom(self.before, first, now) || drain::is_level(crest, self.before, first, now)
    }
}

impl Controller {
    /// A controller of a connection whose packets have up to `packet` bytes.
    ///
    /// # Errors
    /// The first bound of the configuration that is not kept.
    pub fn new(
        config: &CongestionConfig,
        packet: u64,
        now: Time,
    ) -> Result<Self, super::CongestionConfigError> {
        config.validate()?;
        Ok(Self {
            packet: packet.max(1),
            window: config.initial(),
            deliveries: Deliveries::default(),
            round: Round::new(now, 0),
            bandwidth: Largest::default(),
            base: Base::default(),
            queue: Duration::ZERO,
            jitter: 0.0,
            losses: Losses::default(),
            law: Law::default(),
            drains: Drains::default(),
            trusted: 0,
            state: State::Startup(Startup::default()),
            filled: false,
            marked: false,
            config: config.clone(),
        })
    }

    /// How many bytes may be in flight.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// The window before anything was known.
    pub fn initial_window(&self) -> u64 {
        self.config.initial()
    }

    /// What it believes of the path.
    pub fn belief(&self) -> Belief {
        Belief {
            bandwidth: self.bandwidth.get() as u64,
            round_trip: self.base.get(),
            shortest: self.base.shortest(),
            queue: self.queue,
            window: self.window,
            loss: self.losses.usual(),
            phase: match self.state {
                State::Startup(_) => Phase::Startup,
                State::Settle { .. } | State::Steady => Phase::Steady,
                State::Drain(_) => Phase::Drain,
                State::Compete(_) => Phase::Competing,
            },
        }
    }

    /// Packets of `bytes` bytes in all were sent.
    pub fn handle_sent(&mut self, now: Time, bytes: u64) {
        let resolution = self.base.shortest().unwrap_or_default() / 512;
        self.deliveries.sent(now, bytes, resolution);
    }

    /// A packet of `bytes` bytes that was sent at `sent` was acknowledged.
    /// [`handle_acks_end`](Self::handle_acks_end) follows after all that are acknowledged together.
    pub fn handle_acked(&mut self, sent: Time, bytes: u64) {
        self.deliveries.acked(sent, bytes);
    }

    /// All that is acknowledged together was told. `in_flight` bytes are still under way; `limited` says that there
    /// was nothing to send, although there might have been more in flight.
    pub fn handle_acks_end(&mut self, now: Time, in_flight: u64, limited: bool) {
        let before = self.deliveries.in_flight();
        // Of a few packets, one fewer is a large part, and one that is not full waits as a full one does.
        self.filled |= before >= self.window - self.window / 4 || before + 2 * self.packet >= self.window;
        let Some(sample) = self.deliveries.finish(now, in_flight, limited) else { return };
        self.base.sample(now, sample.round_trip);
        if let Some(rate) = sample.rate
            && (!sample.limited || rate > self.bandwidth.get())
        {
            self.bandwidth.add(rate);
        }
        self.grow(before, &sample);
        if let Some(ended) = self.round.add(now, &sample, self.deliveries.delivered()) {
            self.end_round(now, &ended);
        }
    }

    /// Packets of `bytes` bytes in all were lost. `persistent` says that nothing at all arrived for several round
    /// trips; the path may have become another.
    pub fn handle_lost(&mut self, bytes: u64, persistent: bool) {
        self.deliveries.lost(bytes);
        self.round.lost(bytes);
        if persistent {
            self.window = self.config.initial();
            self.bandwidth = Largest::default();
            // RFC 9002, section 5.2, would have the shortest round trip measured anew.
            (self.base, self.drains) = (Base::default(), Drains::default());
            (self.trusted, self.jitter) = (0, 0.0);
            self.enter(State::Startup(Startup::default()));
        }
    }

    /// The path marked packets as congested (ECN). They arrived, so that this is a mild signal: it counts once
    /// a round, for a tenth of the window.
    pub fn handle_marked(&mut self) {
        if self.marked {
            return;
        }
        self.marked = true;
        if matches!(self.state, State::Startup(_)) {
            self.enter(State::Settle { rounds: 0 });
        }
        self.set_window(self.window as f64 * 0.9);
    }

    /// Packets have up to `packet` bytes from now on.
    pub fn handle_packet_size(&mut self, packet: u64) {
        self.packet = packet.max(1);
        self.window = self.window.max(self.least());
    }

    /// What each acknowledgement does to the window.
    fn grow(&mut self, before: u64, sample: &Sample) {
        match &mut self.state {
            State::Startup(startup) => {
                let without = self.base.get().or(self.base.shortest()).unwrap_or_default();
                // With little under way, acknowledgements are held back for a while, and that is no queue.
                if before < self.window / 2 {
                    return;
                }
                let queues = startup.queues(sample.round_trip, without, self.config.floor());
                if queues && !sample.limited {
                    self.enter(State::Settle { rounds: 0 });
                } else {
                    self.set_window(self.window as f64 + sample.bytes as f64 * startup::GAIN);
                }
            }
            State::Settle { .. } => self.settle(),
            State::Steady | State::Drain(_) | State::Compete(_) => {}
        }
    }

    fn end_round(&mut self, now: Time, ended: &Ended) {
        self.base.round(now, ended);
        let without = self.base.get().unwrap_or_default();
        self.queue = ended.queue(without);
        self.jitter += (ended.jitter().as_secs_f64() - self.jitter) / JITTER_ROUNDS;
        self.losses.relax(now);
        let (filled, _) = (core::mem::take(&mut self.filled), core::mem::take(&mut self.marked));
        match self.state {
            State::Startup(ref mut startup) => {
                let grew = startup.grew(self.bandwidth.get(), ended);
                let full = startup.is_full();
                let excess = self.losses.early(ended, grew, self.packet);
                if full || excess {
                    self.enter(State::Settle { rounds: 0 });
                }
            }
            State::Settle { rounds } if rounds + 1 >= SETTLE_ROUNDS => {
                self.drains.soon(now);
                self.enter(State::Steady);
            }
            State::Settle { ref mut rounds } => *rounds += 1,
            State::Steady => self.steady(now, ended, without, filled),
            State::Drain(drain) => self.draining(now, ended, without, drain),
            State::Compete(competition) => self.compete(now, ended, without, competition),
        }
        if !ended.limited {
            self.bandwidth.turn();
        }
    }

    fn steady(&mut self, now: Time, ended: &Ended, without: Duration, filled: bool) {
        // Without what is added for losses, which may be what is tried out.
        let mean = self.base.mean().unwrap_or(without);
        let holds = (self.bandwidth.get() * mean.as_secs_f64()) as u64;
        let verdict = self.losses.round(now, ended, self.window, holds, self.packet);
        if let Verdict::TooMuch(window) | Verdict::Innocent(window) = verdict {
            self.law.pause();
            return self.set_window(window as f64);
        }
        let target = self.target(without);
        if !filled {
            return self.law.pause();
        }
        self.drains.round(now, self.queue, target, self.losses.usual() > LOSSY);
        if self.drains.is_due(now, self.queue > target * 2) {
            self.drain(ended, None);
            // By what arrives now: the path may have become slower since the bandwidth was measured.
            return self.set_window(ended.rate * without.as_secs_f64() * drain::DEPTH);
        }
        if self.queue <= target + target / 2 {
            self.trusted = self.window;
        }
        let factor = self.law.factor(without, self.queue, target);
        // What was measured bounds what noise in the round trips can do.
        let least = (self.holds(without) * LEAST_HELD).max(self.trusted as f64 * LEAST_TRUSTED);
        let most = self.holds(without + target) * MOST_HELD;
        // A floor in time is much on a fast path with a short round trip: sockets do not hold that.
        let of_round_trip = queue::target(without, self.packets(self.window), Duration::ZERO);
        let most = most.min(self.holds(without + of_round_trip) * MOST_HELD + SOCKET);
        self.set_window((self.window as f64 * factor).min(most).max(least));
    }

    fn drain(&mut self, ended: &Ended, competition: Option<Competition>) {
        let before = (self.window, ended.round_trip);
        self.enter(State::Drain(Drain { rounds: 0, before, within: None, competition }));
    }

    fn draining(&mut self, now: Time, ended: &Ended, without: Duration, mut drain: Drain) {
        drain.rounds += 1;
        let target = self.target(without);
        let within = (self.window, ended.round_trip);
        let empty = drain::is_empty(self.queue, target);
        match (drain.rounds, drain.within) {
            (..drain::ROUNDS, _) => self.state = State::Drain(drain),
            // Further down, to see if that is the bottom.
            (drain::ROUNDS, _) if !empty => {
                drain.within = Some(within);
                self.set_window(self.window as f64 * drain::FURTHER);
                self.state = State::Drain(drain);
            }
            (..drain::MOST_ROUNDS, Some(_)) if !empty => self.state = State::Drain(drain),
            (_, Some(first)) if !empty && drain.is_bottom(first, within) => {
                self.base.replace(now, ended);
                self.drained(now, ended, drain.before.0);
            }
            (_, Some(first)) if !empty => {
                self.drains.done(now);
                let window = compete::share(drain.before, first);
                self.set_window(window);
                // CUBIC goes on where it was, unless its share was wrong.
                let packets = self.packets(self.window);
                let same = drain.competition.filter(|_| window == drain.before.0 as f64);
                let same = same.map(Competition::after_drain);
                if window > drain.before.0 as f64 {
                    self.drains.soon(now);
                }
                self.enter(State::Compete(same.unwrap_or(Competition::new(now, packets))));
            }
            _ => self.drained(now, ended, drain.before.0),
        }
    }

    /// A drain emptied the queue, before which the window was `before`.
    fn drained(&mut self, now: Time, ended: &Ended, before: u64) {
        self.drains.done(now);
        self.losses.drained(ended, self.packet);
        self.base.drained(now, ended);
        self.enter(State::Steady);
        let without = self.base.get().unwrap_or_default();
        // A queue that stood for the path's own is gone.
        self.set_window(self.holds(without + self.target(without)).min(before as f64));
        self.trusted = self.window;
    }

    fn compete(&mut self, now: Time, ended: &Ended, without: Duration, mut competition: Competition) {
        let target = self.target(without);
        competition.round(self.window, ended.round_trip);
        if drain::is_empty(self.queue, target) {
            self.trusted = self.window;
            return self.enter(State::Steady);
        }
        if self.drains.is_due(now, false) {
            self.drain(ended, Some(competition));
            return self.set_window(self.window as f64 * drain::DEPTH_COMPETING);
        }
        let packets = (ended.acked + ended.lost) as f64 / self.packet as f64;
        let usual = self.losses.usual();
        let lost = ended.lost as f64 / self.packet as f64;
        if lost > usual * packets + 3.0 * libm::sqrt(usual * packets) + 2.0 {
            competition.back_off(now, self.packets(self.window));
        }
        self.set_window(competition.window(now) * self.packet as f64);
        self.state = State::Compete(competition);
    }

    /// Follows the bandwidth while the queue of the start-up drains.
    fn settle(&mut self) {
        let without = self.base.get().or(self.base.shortest()).unwrap_or_default();
        let target = self.target(without);
        self.set_window(self.holds(without + target));
    }

    fn enter(&mut self, state: State) {
        self.law.pause();
        self.losses.interrupt();
        self.state = state;
    }

    fn set_window(&mut self, bytes: f64) {
        let window = self.losses.capped(bytes as u64);
        self.window = window.clamp(self.least(), self.config.max());
    }

    fn least(&self) -> u64 {
        (LEAST_PACKETS * self.packet).min(self.config.max())
    }

    fn target(&self, without: Duration) -> Duration {
        let jitter = Duration::from_secs_f64(self.jitter / 2.0).min(without / 8);
        queue::target(without, self.packets(self.window), self.config.floor()) + jitter
    }

    /// What is in flight while the path is full and the round trip is `round_trip`; what is lost counts until that
    /// is known, about as long as what arrives.
    fn holds(&self, round_trip: Duration) -> f64 {
        self.bandwidth.get() * round_trip.as_secs_f64() / (1.0 - self.losses.usual())
    }

    fn packets(&self, bytes: u64) -> f64 {
        bytes as f64 / self.packet as f64
    }
}

/// With fewer a loss is found by timeout only.
const LEAST_PACKETS: u64 = 4;
/// What the jitter is smoothed over.
const JITTER_ROUNDS: f64 = 8.0;
/// From here on drains are also for seeing what is lost within them.
const LOSSY: f64 = 0.02;
const SETTLE_ROUNDS: u32 = 2;
/// The window is at least and at most this many times what the path was measured to hold, without the queue
/// and with it.
const LEAST_HELD: f64 = 0.9;
const MOST_HELD: f64 = 1.35;
/// What the floor of the queue adds at most, in bytes: sockets hold 208 KiB unless somebody raised that, and Linux
/// counts nearly twice what is in them.
const SOCKET: f64 = 256.0 * 1024.0;
/// Until a drain has shown whose queue it is, it makes the controller give way by no more than this.
const LEAST_TRUSTED: f64 = 0.5;
