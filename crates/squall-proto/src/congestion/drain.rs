//! When the queue has to run empty, so that the round trip without one is known.
//!
//! BBR does this each ten seconds with four packets. Here it is oftener and gentler: two rounds at 80 %, each four
//! seconds, and only if the queue was not seen empty otherwise. Several that share a queue see it empty
//! together and are due together, so that 80 % of each are enough. One that comes later takes the queue that it
//! finds for the path's; since its start-up makes the queue long for a moment, a long queue makes a drain due sooner.

use core::time::Duration;

use crate::Time;

/// When the next drain is due.
#[derive(Clone, Debug, Default)]
pub(super) struct Drains {
    /// When the queue was last empty.
    empty_at: Option<Time>,
}

impl Drains {
    /// A round's mean was `round_trip`; the least of late is `without`.
    pub(super) fn round(&mut self, now: Time, round_trip: Duration, without: Duration) {
        if self.empty_at.is_none() || round_trip <= without + without / 64 + NOISE {
            self.empty_at = Some(now);
        }
    }

    /// The queue counts as emptied, or as not to be emptied.
    pub(super) fn done(&mut self, now: Time) {
        self.empty_at = Some(now);
    }

    /// Whether one is due; sooner while the queue is `long`.
    pub(super) fn is_due(&self, now: Time, long: bool) -> bool {
        let every = if long { EVERY_IF_LONG } else { EVERY };
        self.empty_at.is_some_and(|at| now - at >= every)
    }
}

/// How much is in flight meanwhile, as a part of what the path holds without a queue.
pub(super) const DEPTH: f64 = 0.8;
/// One in which the queue runs empty, and one in which that is seen.
pub(super) const ROUNDS: u32 = 2;
const EVERY: Duration = Duration::from_secs(4);
const EVERY_IF_LONG: Duration = Duration::from_secs(1);
/// Clocks and schedulers differ by so much.
const NOISE: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_four_seconds_after_the_queue_was_empty_and_sooner_if_it_is_long() {
        let at = |millis| Time::from_epoch(Duration::from_millis(millis));
        let without = Duration::from_millis(50);
        let mut drains = Drains::default();
        assert!(!drains.is_due(at(9000), true), "nothing is known yet");
        drains.round(at(0), without, without);
        drains.round(at(1000), without * 11 / 10, without);
        assert!(!drains.is_due(at(3999), false) && drains.is_due(at(4000), false));
        assert!(!drains.is_due(at(999), true) && drains.is_due(at(1000), true));
        drains.round(at(4000), without, without);
        assert!(!drains.is_due(at(7999), false) && drains.is_due(at(8000), false));
    }
}
