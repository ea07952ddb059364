//! What an operator can set about liveness.

use core::time::Duration;

/// What liveness is measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LivenessConfig {
    pub(super) interval: Duration,
    pub(super) member_hours: f32,
    hard_limit: Duration,
    hard_intervals: u32,
    pub(super) quiet: Duration,
}

impl LivenessConfig {
    /// The interval that a member's heartbeats are taken to have until two are measured: default 10 s, at
    /// least a millisecond. It may then be silent for three of them, so this must be more than a third of
    /// the interval of the slowest heartbeats that are to be measured.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How rarely a live member may be evicted: once in so many of its hours, on average over the members;
    /// default 10,000, at least 0.001. Costs time in which a dead member stays: about one interval for each
    /// factor of 1/loss.
    pub fn member_hours(mut self, hours: f32) -> Self {
        self.member_hours = hours.max(0.001);
        self
    }

    /// The longest silence of a member that sends heartbeats, whatever its weather: `intervals` of its own
    /// or `limit`, whichever is longer; default ten and 60 s. It comes before
    /// [`member_hours`](Self::member_hours): a member whose heartbeats are lost one in four and in bursts is
    /// silent for 100 s more often than once in 10,000 hours.
    pub fn hard_limit(mut self, intervals: u32, limit: Duration) -> Self {
        (self.hard_intervals, self.hard_limit) = (intervals, limit);
        self
    }

    /// How long a member that has never sent a heartbeat may be silent: default five minutes.
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// The longest silence, in seconds, of a member with heartbeats every `interval` seconds.
    pub(super) fn hard(&self, interval: f32) -> f32 {
        self.hard_limit.as_secs_f32().max(self.hard_intervals as f32 * interval).min(LONGEST)
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

/// In seconds: eleven days.
const LONGEST: f32 = 1.0e6;
