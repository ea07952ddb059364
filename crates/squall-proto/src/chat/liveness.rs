//! How long a member may be silent before it counts as gone.

use core::time::Duration;

use crate::Time;

/// What liveness is measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LivenessConfig {
    interval: Duration,
    member_hours: f32,
    hard_limit: Duration,
    hard_intervals: u32,
    quiet: Duration,
}

impl LivenessConfig {
    /// The interval that a member's heartbeats are taken to have until two are measured: default 10 s. It
    /// may then be silent for three of them.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How rarely a live member may be evicted: once in so many of its hours, on average; default 10,000.
    pub fn member_hours(mut self, hours: f32) -> Self {
        self.member_hours = hours.max(0.001);
        self
    }

    /// The longest silence of a member that sends heartbeats, whatever its weather: `intervals` of its own
    /// or `limit`, whichever is longer; default ten and 60 s.
    pub fn hard_limit(mut self, intervals: u32, limit: Duration) -> Self {
        (self.hard_intervals, self.hard_limit) = (intervals, limit);
        self
    }

    /// How long a member that has never sent a heartbeat may be silent: default five minutes.
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }
}

impl Default for LivenessConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            member_hours: 10_000.0,
            hard_limit: Duration::from_secs(60),
            hard_intervals: 10,
            quiet: Duration::from_secs(300),
        }
    }
}

/// What is known of one member's signs of life.
///
/// Heartbeats are lost in a Markov chain of two states: one that follows a heartbeat that arrived is lost
/// with probability *a*, one that follows a lost one with probability *b* (equal where losses are
/// independent, larger where they come in bursts). Both are estimated from what was missed, and taken
/// high by as much as so few observations can deceive. A live member is then silent for *k* heartbeats
/// with probability *a·bᵏ⁻¹* after each that arrives; *k* is the smallest number for which that happens at most
/// as often as allowed.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// When anything came last.
    heard: Time,
    /// When the last heartbeat came.
    beat: Time,
    /// Seconds between heartbeats.
    interval: f32,
    /// The mean deviation from it, in seconds.
    jitter: f32,
    /// Heartbeats that followed one that arrived, and those of them that were lost.
    after_heard: Share,
    /// Heartbeats that followed one that was lost, and those of them that were lost too.
    after_lost: Share,
    /// The number of the last heartbeat, where they have one.
    number: Option<u32>,
    /// Heartbeats that came, up to 3.
    beats: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: f32,
    hit: f32,
}

impl Liveness {
    /// A member that was heard `now`, and not by a heartbeat.
    pub fn new(now: Time) -> Self {
        Self {
            heard: now,
            beat: now,
            interval: 0.0,
            jitter: 0.0,
            after_heard: Share::default(),
            after_lost: Share::default(),
            number: None,
            beats: 0,
        }
    }

    /// Something came that is no heartbeat.
    pub fn heard(&mut self, now: Time) {
        self.heard = now;
    }

    /// A heartbeat came, with its running number if it has one.
    pub fn beat(&mut self, now: Time, number: Option<u32>) {
        self.heard = now;
        let step = match (self.number, number) {
            (Some(last), Some(number)) => Some(number.wrapping_sub(last)),
            _ => None,
        };
        // A copy, or one that was overtaken: it says that the member lives, and no more.
        if step.is_some_and(|step| step == 0 || step > u32::MAX - OVERTAKEN) {
            return;
        }
        let gap = now.since(self.beat).as_secs_f32();
        self.beat = now;
        self.number = number;
        if self.beats == 0 {
            self.beats = 1;
            return;
        }
        let lost = match step {
            // It began to count anew.
            Some(step) if step > FORGETS => 0,
            Some(step) => step - 1,
            None if self.interval > 0.0 => (libm::roundf(gap / self.interval) as u32).clamp(1, FORGETS) - 1,
            None => 0,
        };
        self.measure(gap / (lost + 1) as f32);
        self.count(lost);
        self.beats = (self.beats + 1).min(3);
    }

    /// By when it must be heard again.
    pub fn deadline(&self, config: &LivenessConfig) -> Time {
        self.heard + self.limit(config)
    }

    /// How long it may be silent.
    pub fn limit(&self, config: &LivenessConfig) -> Duration {
        if self.beats == 0 {
            return config.quiet;
        }
        if self.beats < 3 {
            return config.interval * 3;
        }
        let interval = self.interval.max(MIN_INTERVAL);
        // The heartbeat that ends the silence may itself be late.
        let late = (interval / 2.0).min(MAX_LATE).max(4.0 * self.jitter);
        let silence = self.missed(config) * interval + late;
        let hard = config.hard_limit.as_secs_f32().max(config.hard_intervals as f32 * interval);
        Duration::from_secs_f32(silence.min(hard))
    }

    /// The measured interval of its heartbeats; `None` until two are measured.
    pub fn interval(&self) -> Option<Duration> {
        (self.beats == 3).then(|| Duration::from_secs_f32(self.interval))
    }

    /// The share of its heartbeats that was lost, as far as is remembered.
    pub fn loss(&self) -> f32 {
        let all = self.after_heard.all + self.after_lost.all;
        if all > 0.0 { (self.after_heard.hit + self.after_lost.hit) / all } else { 0.0 }
    }

    /// When anything came from it last.
    pub fn last_heard(&self) -> Time {
        self.heard
    }

    /// How many heartbeats in a row must be missed.
    fn missed(&self, config: &LivenessConfig) -> f32 {
        let interval = self.interval.max(MIN_INTERVAL);
        let allowed = (interval / (3600.0 * config.member_hours)).min(0.5);
        let first = self.after_heard.upper(FIRST_PRIOR, FIRST_WEIGHT);
        // What is not known of bursts is taken from the loss there is.
        let again = self.after_lost.upper(first.max(AGAIN_PRIOR), AGAIN_WEIGHT).max(first);
        let more = libm::logf(allowed / first) / libm::logf(again);
        1.0 + libm::ceilf(more).max(1.0)
    }

    fn measure(&mut self, gap: f32) {
        if self.interval == 0.0 || gap < self.interval * 0.6 {
            // The first, or what seemed an interval was several.
            self.interval = gap;
            return;
        }
        let off = gap - self.interval;
        self.interval += off * GAIN;
        self.jitter += (libm::fabsf(off) - self.jitter) * GAIN;
    }

    fn count(&mut self, lost: u32) {
        self.after_heard.add(u32::from(lost > 0), 1);
        if lost > 0 {
            self.after_lost.add(lost - 1, lost);
        }
    }
}

impl Share {
    fn add(&mut self, hit: u32, all: u32) {
        self.hit += hit as f32;
        self.all += all as f32;
        if self.all > MEMORY {
            self.hit *= MEMORY / self.all;
            self.all = MEMORY;
        }
    }

    /// The share with `weight` observations of `prior` added, and two standard deviations.
    fn upper(&self, prior: f32, weight: f32) -> f32 {
        let all = self.all + weight;
        let share = (self.hit + prior * weight) / all;
        (share + 2.0 * libm::sqrtf(share * (1.0 - share) / all)).clamp(0.001, 0.99)
    }
}

/// How far a heartbeat may be overtaken, in numbers.
const OVERTAKEN: u32 = 1000;
/// More missing heartbeats than this say that the member was away and not its weather bad.
const FORGETS: u32 = 60;
/// In seconds; a member cannot buy memory by heartbeats at full speed.
const MIN_INTERVAL: f32 = 0.01;
/// In seconds.
const MAX_LATE: f32 = 5.0;
/// How much one gap counts.
const GAIN: f32 = 0.125;
/// Heartbeats that are remembered, about.
const MEMORY: f32 = 2000.0;
/// What is taken for the loss before it is known, and how many observations that is worth.
const FIRST_PRIOR: f32 = 0.02;
const FIRST_WEIGHT: f32 = 10.0;
/// The same for a heartbeat after a lost one.
const AGAIN_PRIOR: f32 = 0.1;
const AGAIN_WEIGHT: f32 = 12.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    const TEN: Duration = Duration::from_secs(10);

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// A member whose heartbeats come every ten seconds, but for those of `lost`.
    fn member(numbered: bool, count: u32, lost: impl Fn(u32) -> bool) -> Liveness {
        let mut member = Liveness::new(Time::ZERO);
        for beat in (0..count).filter(|beat| !lost(*beat)) {
            member.beat(at(u64::from(beat) * 10_000), numbered.then_some(beat));
        }
        member
    }

    #[test]
    fn a_member_without_heartbeats_is_kept_for_five_minutes_and_a_new_one_for_three_intervals() {
        let config = LivenessConfig::default();
        let mut member = Liveness::new(at(1000));
        assert_eq!(member.deadline(&config), at(301_000));
        member.heard(at(2000));
        assert_eq!(member.deadline(&config), at(302_000));
        for beat in 0..2 {
            member.beat(at(3000 + beat * 10_000), None);
            assert_eq!(member.limit(&config), TEN * 3);
        }
        member.beat(at(23_000), None);
        assert_ne!(member.limit(&config), TEN * 3);
    }

    #[test]
    fn loss_is_measured_by_numbers_and_by_gaps_alike() {
        for numbered in [true, false] {
            let member = member(numbered, 2000, |beat| beat % 5 == 3);
            assert!((0.19..0.21).contains(&member.loss()), "{}", member.loss());
            assert_eq!(member.interval(), Some(TEN));
            assert!(member.after_lost.hit < 0.5, "no two in a row");
        }
    }

    #[test]
    fn bad_weather_earns_patience_up_to_the_hard_limit() {
        let config = LivenessConfig::default();
        let limit = |lost: fn(u32) -> bool| member(true, 2001, lost).limit(&config).as_secs();
        let (clear, some, bursts) =
            (limit(|_| false), limit(|beat| beat % 10 == 5), limit(|beat| beat % 50 < 6 && beat > 9));
        assert!(clear <= some && some < bursts, "{clear} {some} {bursts}");
        assert!((30..90).contains(&clear), "{clear}");
        assert_eq!(bursts, 100, "ten intervals");
    }

    #[test]
    fn copies_and_late_heartbeats_measure_nothing() {
        let mut member = member(true, 100, |_| false);
        let before = member;
        for number in [99, 98, 42] {
            member.beat(at(991_000), Some(number));
        }
        assert_eq!((member.loss(), member.interval()), (before.loss(), before.interval()));
        assert_eq!(member.heard, at(991_000), "but it lives");
    }

    #[test]
    fn a_member_that_was_away_or_counts_anew_is_not_taken_for_bad_weather() {
        let mut member = member(true, 100, |_| false);
        member.beat(at(1_000_000 + 3_600_000), Some(460));
        member.beat(at(1_000_000 + 3_610_000), Some(3));
        assert!(member.loss() < 0.01, "{}", member.loss());
    }

    /// How many false evictions there are in `hours` of a member with two-state loss, per hour.
    fn false_evictions(config: &LivenessConfig, enter: f64, stay: f64, hours: u64, seed: u64) -> f64 {
        let mut random = SplitMix64::new(seed);
        let mut evictions = 0;
        let (mut member, mut lost, mut joined) = (Liveness::new(Time::ZERO), false, false);
        for beat in 0..hours * 360 {
            let now = at(beat * 10_000);
            if joined && member.deadline(config) < now {
                evictions += 1;
                joined = false;
            }
            lost = random.unit() < if lost { stay } else { enter };
            if !lost {
                if !joined {
                    (member, joined) = (Liveness::new(now), true);
                }
                member.beat(now, Some(beat as u32));
            }
        }
        f64::from(evictions) / hours as f64
    }

    #[test]
    fn live_members_are_evicted_no_more_often_than_is_allowed() {
        let config = LivenessConfig::default().member_hours(100.0);
        for (enter, stay) in [(0.0, 0.0), (0.05, 0.05), (0.15, 0.15), (0.25, 0.25), (0.02, 0.4)] {
            // Ten hours each, as members come and go.
            let members = 600;
            let rate = (0..members).map(|seed| false_evictions(&config, enter, stay, 10, seed)).sum::<f64>()
                / f64::from(members as u32);
            assert!(rate <= 0.01 * 1.2, "{enter} {stay}: {rate} an hour");
        }
    }
}
