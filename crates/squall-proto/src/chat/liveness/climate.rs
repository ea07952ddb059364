//! What a hub knows of the weather of all its members.

use core::time::Duration;

use super::losses::Pool;
use super::{LivenessConfig, MIN_INTERVAL, seconds};
use crate::Time;

/// What a hub knows of the weather of all its members: what is expected of one of whom little is known, and
/// whether it is the hub itself that hears nothing.
///
/// One for each hub; [`Liveness::beat`](super::Liveness::beat) tells it all it needs.
#[derive(Clone, Debug)]
pub struct Climate {
    pub(super) config: LivenessConfig,
    pub(super) pool: Pool,
    /// When the last heartbeat of anybody came.
    last: Time,
    /// Seconds between heartbeats of anybody, lately.
    gap: f32,
    /// How many that was measured by, up to [`HEARTBEATS`].
    heartbeats: f32,
    /// The last time that nobody was heard for longer than chance explains.
    dark: Option<(Time, Time)>,
    /// The last time that the hub itself stood still.
    stall: Option<(Time, Time)>,
}

impl Climate {
    /// Nothing is known yet.
    pub fn new(config: LivenessConfig) -> Self {
        Self {
            config,
            pool: Pool::default(),
            last: Time::ZERO,
            gap: 0.0,
            heartbeats: 0.0,
            dark: None,
            stall: None,
        }
    }

    /// What it goes by.
    pub fn config(&self) -> &LivenessConfig {
        &self.config
    }

    /// A heartbeat of anybody came.
    pub(super) fn heard(&mut self, now: Time) {
        let mut gap = seconds(self.last, now);
        if self.is_dark(gap) {
            self.dark = Some((self.last, now));
            gap = self.gap * DARK;
        }
        self.heartbeats = (self.heartbeats + 1.0).min(HEARTBEATS);
        self.gap += (gap - self.gap) / self.heartbeats;
        self.last = now;
    }

    /// A member's heartbeat came and `lost` before it did not.
    pub(super) fn count(&mut self, lost: u16, interval: f32) {
        self.pool.count(lost, self.weight(interval));
    }

    /// How much one heartbeat of a member counts: a member cannot count for more by sending more.
    pub(super) fn weight(&self, interval: f32) -> f32 {
        (interval.max(MIN_INTERVAL) / self.config.interval.as_secs_f32()).min(1.0)
    }

    /// The hub was called `now`, and was to be called at `due`. Where that is far apart it stood still (its process was
    /// stopped, its machine asleep), and what members sent meanwhile may still be on its way to it.
    pub fn called(&mut self, due: Time, now: Time) {
        if now.since(due) > STALL {
            // What was due in it may take several calls.
            let open = self.stall.filter(|(from, to)| (*from..=*to).contains(&due));
            self.stall = Some((open.map_or(due, |(from, _)| from), now));
        }
    }

    /// For how long after `since` the hub stood still.
    pub(super) fn stalled_since(&self, since: Time) -> Duration {
        self.stall.map(|(from, to)| to - from.max(since)).unwrap_or_default()
    }

    /// For how long after `since` the hub heard nobody, though it should have.
    pub(super) fn dark_since(&self, since: Time, now: Time) -> Duration {
        let open = self.is_dark(seconds(self.last, now)).then_some((self.last, now));
        let dark = self.dark.into_iter().chain(open);
        dark.map(|(from, to)| to - from.max(since)).sum()
    }

    /// Whether nobody was heard for longer than chance explains: far longer than is usual, and long enough
    /// that a hub whose members beat in step is not meant.
    fn is_dark(&self, gap: f32) -> bool {
        let step = IN_STEP * self.config.interval.as_secs_f32();
        gap > step && gap > DARK * self.gap && self.heartbeats >= HEARTBEATS
    }
}

/// How late a call is because the hub stood still, and not because it is busy.
const STALL: Duration = Duration::from_secs(1);
/// How many times the usual gap is dark.
const DARK: f32 = 20.0;
/// How many intervals lie between heartbeats where all come at once, at most.
const IN_STEP: f32 = 1.1;
/// How many of the last heartbeats say what is usual, about.
const HEARTBEATS: f32 = 64.0;
