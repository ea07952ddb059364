//! How long a member may be silent before it counts as gone.

mod climate;
mod config;
mod losses;
#[cfg(test)]
mod tests;

pub use climate::Climate;
pub use config::LivenessConfig;

use core::time::Duration;

use self::losses::Losses;
use crate::Time;

/// What is known of one member's signs of life; 48 bytes.
///
/// From its heartbeats' times, and their running numbers if they have them, it is measured how often they
/// come, how irregularly, and how many are lost, alone and in a row. A live member is evicted when so many
/// in a row are lost that its silence reaches the limit; the limit is the smallest for which that is
/// expected at most as often as [`LivenessConfig::member_hours`] says. Where little is known of a
/// member, what is known of the hub's other members ([`Climate`]) stands in: in clear weather two or three
/// missing heartbeats are enough, and in bad weather up to the hard limit is waited.
///
/// ```
/// use core::time::Duration;
/// use squall_proto::Time;
/// use squall_proto::chat::{Climate, Liveness, LivenessConfig};
///
/// let mut climate = Climate::new(LivenessConfig::default());
/// let mut member = Liveness::new(Time::ZERO);
/// for number in 0..4 {
///     let now = Time::ZERO + Duration::from_secs(10) * number;
///     member.beat(now, Some(number), &mut climate);
/// }
/// assert_eq!(member.interval(), Some(Duration::from_secs(10)));
/// assert!(member.deadline(&climate) > Time::from_epoch(Duration::from_secs(50)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// When the last heartbeat came that was measured; before the first, when anything came last.
    beat: Time,
    /// How many milliseconds later anything came last, which takes less than when that was.
    later: u32,
    /// Seconds between heartbeats.
    interval: f32,
    /// The mean deviation from it, in seconds.
    jitter: f32,
    /// Milliseconds that it may be silent, once two intervals are measured.
    limit: u32,
    /// The number of the last heartbeat, where they have one.
    number: u32,
    losses: Losses,
    numbered: bool,
    /// Heartbeats that came, up to 3.
    beats: u8,
    /// Heartbeats in a row that did not fit what is known.
    odd: u8,
    /// Those in a row that came without a number and after several intervals, as many each time; that many.
    alike: (u8, u8),
    /// Those in a row that came far sooner than they were sent: something held them up on the way.
    bunched: u8,
}

impl Liveness {
    /// A member that was heard `now`, and not by a heartbeat.
    pub fn new(now: Time) -> Self {
        Self {
            beat: now,
            later: 0,
            interval: 0.0,
            jitter: 0.0,
            limit: 0,
            number: 0,
            losses: Losses::default(),
            numbered: false,
            beats: 0,
            odd: 0,
            alike: (0, 0),
            bunched: 0,
        }
    }

    /// Something came that is no heartbeat.
    pub fn heard(&mut self, now: Time) {
        if self.beats == 0 {
            self.beat = now;
        }
        let later = (now.as_nanos().saturating_sub(self.beat.as_nanos())) / 1_000_000;
        self.later = u32::try_from(later).unwrap_or(u32::MAX);
    }

    /// A heartbeat came, with its running number if it has one. Numbers may wrap around.
    pub fn beat(&mut self, now: Time, number: Option<u32>, climate: &mut Climate) {
        climate.heard(now);
        let gap = seconds(self.beat, now);
        // Either way the time between them is not that between their sendings.
        let held = self.is_bunched(gap) || !climate.stalled_since(self.beat).is_zero();
        let fit = match number {
            Some(number) => self.fit_numbered(number),
            None if held => Fit::Nothing,
            None => self.fit_plain(gap),
        };
        if matches!(fit, Fit::Copy) {
            self.odd += 1;
            if self.odd < ODD {
                self.heard(now);
                return;
            }
            // Not the last ones again, but others.
            self.odd = 0;
        }
        (self.beat, self.later) = (now, 0);
        (self.number, self.numbered) = (number.unwrap_or(0), number.is_some());
        if self.beats == 0 {
            self.beats = 1;
            return;
        }
        match fit {
            Fit::Lost(lost) => {
                if !held {
                    self.measure(gap / (f32::from(lost) + 1.0));
                }
                self.losses.count(lost);
                climate.count(self.certain(lost, number), self.interval);
                self.beats = (self.beats + 1).min(3);
                let counted = self.losses.counted();
                // A heartbeat more changes little where many are known.
                if lost > 0 || counted < 64.0 || (counted as u32).is_multiple_of(16) || self.odd > 0 {
                    self.decide(climate);
                }
            }
            Fit::Interval => {
                (self.interval, self.jitter, self.odd) = (gap, 0.0, 0);
                self.decide(climate);
            }
            Fit::Copy | Fit::Nothing => {}
        }
    }

    /// By when it must be heard again.
    pub fn deadline(&self, climate: &Climate) -> Time {
        self.last_heard() + self.limit(climate)
    }

    /// How long it may be silent.
    pub fn limit(&self, climate: &Climate) -> Duration {
        match self.beats {
            0 => climate.config.quiet,
            1 | 2 => climate.config.interval * 3,
            _ => Duration::from_millis(self.limit.into()),
        }
    }

    /// For a member whose deadline has passed: until when it is kept nevertheless, by what the hub has learnt
    /// meanwhile ([`limit_at`](Self::limit_at)).
    pub fn reprieve(&self, now: Time, climate: &Climate) -> Option<Time> {
        let until = self.last_heard() + self.limit_at(now, climate);
        (until > now).then_some(until)
    }

    /// How long it may be silent by all that the hub knows now: longer than the [limit](Self::limit) if all members
    /// lose more than they used to, or it is not yet measured itself and the others' heartbeats are lost more often
    /// than one in a hundred, or the hub heard nobody at all for a part of the silence, which is then the hub's own
    /// (its cable). Never longer than the hard limit, in which a time does not count that the hub itself stood still
    /// ([`Climate::called`]).
    pub fn limit_at(&self, now: Time, climate: &Climate) -> Duration {
        let stall = climate.stalled_since(self.last_heard());
        let mut limit = self.limit(climate);
        if self.beats == 0 {
            return limit + stall;
        }
        if self.beats == 3 || climate.pool.is_lossy() {
            limit = limit.max(self.patience(climate));
        }
        let dark = climate.dark_since(self.last_heard(), now);
        let hard = Duration::from_secs_f32(climate.config.hard(self.expected_interval(climate)));
        (limit + dark).min(hard) + stall
    }

    /// Whether it sends heartbeats.
    pub(crate) fn beats(&self) -> bool {
        self.beats > 0
    }

    /// The measured interval of its heartbeats; `None` until two are measured.
    pub fn interval(&self) -> Option<Duration> {
        (self.beats == 3).then(|| Duration::from_secs_f32(self.interval))
    }

    /// The share of its heartbeats that was lost, as far as is remembered; `None` until two intervals are
    /// measured.
    pub fn loss(&self) -> Option<f32> {
        (self.beats == 3).then(|| self.losses.share())
    }

    /// When anything came from it last, to the millisecond.
    pub fn last_heard(&self) -> Time {
        self.beat + Duration::from_millis(self.later.into())
    }

    /// How many heartbeats were lost for all that is known. Without numbers a silence beyond the limit may have been
    /// another program's beginning, so that the limit was too short is all that it tells.
    fn certain(&self, lost: u16, number: Option<u32>) -> u16 {
        if number.is_some() || self.beats < 3 {
            return lost;
        }
        let limit = self.limit as f32 / 1000.0 / self.interval.max(MIN_INTERVAL);
        lost.min((limit as u16).saturating_add(1))
    }

    /// Whether a heartbeat comes so soon after another that both waited for something: a hub that stood still, a path
    /// that was away. After very many it is the interval that has changed.
    fn is_bunched(&mut self, gap: f32) -> bool {
        let soon = self.beats == 3 && gap * BUNCH < self.interval;
        // However many come at once, that is no interval.
        let at_once = gap < MIN_INTERVAL;
        self.bunched = if soon { (self.bunched + u8::from(!at_once)).min(BUNCHED) } else { 0 };
        soon && (at_once || self.bunched < BUNCHED)
    }

    fn fit_numbered(&self, number: u32) -> Fit {
        if !self.numbered {
            return Fit::Nothing;
        }
        match number.wrapping_sub(self.number) {
            step @ 1..=FORGETS => Fit::Lost(step as u16 - 1),
            step if step == 0 || step > u32::MAX - OVERTAKEN => Fit::Copy,
            // It was away, or began to count anew.
            _ => Fit::Nothing,
        }
    }

    fn fit_plain(&mut self, gap: f32) -> Fit {
        if self.numbered {
            return Fit::Nothing;
        }
        if self.interval == 0.0 {
            return Fit::Lost(0);
        }
        let intervals = gap / self.interval;
        let short = intervals < SHORT;
        if short || intervals > FORGETS as f32 {
            // A copy, or the member was away. If it happens again and again it is the interval, and a first
            // interval that is too short was a copy.
            self.odd += 1;
            let wrong = self.odd >= ODD || (!short && self.beats < 3);
            return if wrong { Fit::Interval } else { Fit::Nothing };
        }
        let lost = (libm::roundf(intervals) as u8).max(1) - 1;
        if lost == 0 || lost != self.alike.1 {
            self.alike = (1, lost);
        } else {
            self.alike.0 += 1;
            if self.alike.0 >= ALIKE {
                // Nothing was lost; it beats more slowly.
                self.alike = (0, 0);
                return Fit::Interval;
            }
        }
        Fit::Lost(lost.into())
    }

    fn measure(&mut self, gap: f32) {
        let off = gap - self.interval;
        if self.interval == 0.0 {
            self.interval = gap;
            return;
        }
        if libm::fabsf(off) < 0.4 * self.interval {
            self.odd = 0;
        } else {
            self.odd += 1;
            if self.odd >= ODD {
                (self.interval, self.jitter, self.odd) = (gap, 0.0, 0);
                return;
            }
        }
        // One that is far off must not move what is known too far.
        let off = off.clamp(-self.interval, self.interval);
        self.interval += off * GAIN;
        self.jitter += (libm::fabsf(off) - self.jitter) * GAIN;
    }

    fn decide(&mut self, climate: &Climate) {
        self.limit = self.patience(climate).as_millis() as u32;
    }

    /// The limit by what is known of this member and the others.
    fn patience(&self, climate: &Climate) -> Duration {
        let interval = self.expected_interval(climate);
        let allowed = (interval / (3600.0 * climate.config.member_hours)).min(0.5);
        let hard = climate.config.hard(interval);
        let most = (hard / interval) as u32;
        let missing = self.losses.explains(&climate.pool, climate.weight(interval), allowed, most.min(STEPS));
        let missing = if missing >= STEPS { most } else { missing };
        // The heartbeat that ends the silence may itself be late.
        let late = (interval * LATE).clamp(MIN_LATE, MAX_LATE).max(4.0 * self.jitter);
        let limit = (missing as f32 * interval + late).max(MIN_LIMIT).min(hard);
        Duration::from_millis((limit * 1000.0) as u64)
    }

    /// In seconds.
    fn expected_interval(&self, climate: &Climate) -> f32 {
        if self.beats == 3 { self.interval.max(MIN_INTERVAL) } else { climate.config.interval.as_secs_f32() }
    }
}

/// How a heartbeat fits what is known.
enum Fit {
    /// So many were lost before it.
    Lost(u16),
    /// It was heard before, or later ones were: the member lives, and no more.
    Copy,
    /// It says nothing about those before it.
    Nothing,
    /// The interval has changed to what has passed.
    Interval,
}

fn seconds(earlier: Time, later: Time) -> f32 {
    later.as_nanos().saturating_sub(earlier.as_nanos()) as f32 * 1e-9
}

/// How far a heartbeat may be overtaken, in numbers.
const OVERTAKEN: u32 = 64;
/// More missing heartbeats than this say that the member was away and not its weather bad.
const FORGETS: u32 = 60;
/// So many heartbeats in a row that do not fit are right, and what was known is wrong.
const ODD: u8 = 4;
/// So many gaps in a row of as many intervals are one interval.
const ALIKE: u8 = 6;
/// A heartbeat without a number that comes after less than this share of an interval is a copy.
const SHORT: f32 = 0.5;
/// Which part of an interval is too soon for a heartbeat, and after how many in a row it is not.
const BUNCH: f32 = 16.0;
const BUNCHED: u8 = 64;
/// In seconds; a member cannot buy memory by heartbeats at full speed.
const MIN_INTERVAL: f32 = 0.01;
/// How late a heartbeat may be: a share of the interval, and limits in seconds.
const LATE: f32 = 0.2;
const MIN_LATE: f32 = 0.1;
const MAX_LATE: f32 = 2.0;
/// In seconds. Less than this is a pause of a process and not the end of it.
const MIN_LIMIT: f32 = 2.0;
/// How much one gap counts.
const GAIN: f32 = 0.125;
/// How many missing heartbeats are looked at.
const STEPS: u32 = 128;
