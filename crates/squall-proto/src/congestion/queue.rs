//! How long a queue the controller keeps, and how it gets there.
//!
//! Each round the window is set towards what would make the round trip that of an empty path plus the target
//! ([FAST TCP](https://doi.org/10.1109/TNET.2006.886335)): above it shrinks, below it grows, whatever is lost. All who
//! share a bottleneck see one queue. Whoever has more of it aims lower and shrinks, whoever has less aims
//! higher and grows, until all have the same.

use core::time::Duration;

/// The law by which the window follows the queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Law {
    /// For how many rounds the queue stayed under half of its target.
    empty: u32,
    /// For how many it stayed clearly under it.
    low: u32,
}

/// The queue to keep with `packets` packets in flight and a round trip of `without` a queue.
pub(super) fn target(without: Duration, packets: f64, floor: Duration) -> Duration {
    without.mul_f64(LEAST + SPAN / (1.0 + libm::pow(packets / HALF, STEEP))).max(floor)
}

impl Law {
    /// What the window is multiplied by after a round whose mean round trip was longer than `without` by
    /// `queue`.
    pub(super) fn factor(&mut self, without: Duration, queue: Duration, target: Duration) -> f64 {
        let (without, queue, target) = (without.as_secs_f64(), queue.as_secs_f64(), target.as_secs_f64());
        let step = GAIN * (target - queue) / (without + queue);
        self.empty = if queue < target / 2.0 { self.empty + 1 } else { 0 };
        self.low = if queue < target * LOW { self.low + 1 } else { 0 };
        // There is room: a path that got faster is filled within a few rounds. Or the queue is that of others who keep it
        // shorter, since they send more, and what this one sends does not make it longer yet.
        let times = |rounds: u32, most| f64::from(1_u32 << rounds.saturating_sub(PATIENCE).min(most));
        let step = step * times(self.empty, 8).max(times(self.low, 3));
        1.0 + step.clamp(-MOST_DOWN, MOST_UP)
    }

    /// Forgets that there was room.
    pub(super) fn pause(&mut self) {
        (self.empty, self.low) = (0, 0);
    }
}

/// The target as a part of the round trip is from 4 to 24 %, and changes most at some thousand packets in flight:
/// 10 % for 1 Gbit/s over 50 ms, 23 % for a hundredth of that. The more it changes, the sooner several share alike.
const LEAST: f64 = 0.04;
const SPAN: f64 = 0.2;
const HALF: f64 = 1500.0;
const STEEP: f64 = 0.75;
/// The queue answers a round late, so that a gain of one would swing.
const GAIN: f64 = 0.5;
const PATIENCE: u32 = 2;
/// Clearly under the target.
const LOW: f64 = 0.75;
const MOST_UP: f64 = 0.35;
const MOST_DOWN: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Duration = Duration::from_millis(2);
    const WITHOUT: Duration = Duration::from_millis(50);

    #[test]
    fn the_target_is_a_part_of_the_round_trip_that_falls_with_the_window_and_has_a_floor() {
        let targets = [10.0, 100.0, 1000.0, 10_000.0].map(|packets| target(WITHOUT, packets, FLOOR));
        assert!(targets.is_sorted_by(|one, next| one > next), "{targets:?}");
        assert!(targets[0] < WITHOUT / 4 && targets[3] > WITHOUT / 25, "{targets:?}");
        assert_eq!(target(Duration::from_micros(50), 100.0, FLOOR), FLOOR);
    }

    #[test]
    fn the_window_shrinks_above_the_target_and_grows_below_it() {
        let mut law = Law::default();
        let millis = Duration::from_millis;
        assert_eq!(law.factor(WITHOUT, millis(5), millis(5)), 1.0);
        assert!(law.factor(WITHOUT, millis(8), millis(5)) < 1.0);
        assert!(law.factor(WITHOUT, millis(3), millis(5)) > 1.0);
        assert_eq!(law.factor(WITHOUT, millis(500), millis(5)), 1.0 - MOST_DOWN);
    }

    #[test]
    fn an_empty_queue_makes_it_grow_ever_faster() {
        let mut law = Law::default();
        let mut factors = [0.0; 10];
        factors.fill_with(|| law.factor(WITHOUT, Duration::ZERO, Duration::from_millis(5)));
        assert!(factors[0] < 1.06 && factors[9] == 1.0 + MOST_UP, "{factors:?}");
        law.pause();
        assert_eq!(law.factor(WITHOUT, Duration::ZERO, Duration::from_millis(5)), factors[0]);
    }

    #[test]
    fn a_queue_that_others_keep_short_makes_it_grow_faster_and_one_near_the_target_does_not() {
        let millis = Duration::from_millis;
        let after = |queue: u64| {
            let mut law = Law::default();
            let mut factors = [0.0; 10];
            factors.fill_with(|| law.factor(WITHOUT, millis(queue), millis(12)));
            (factors[9] - 1.0) / (factors[0] - 1.0)
        };
        assert!((after(8) - 8.0).abs() < 1e-6, "{}", after(8));
        assert!((after(10) - 1.0).abs() < 1e-6, "{}", after(10));
    }
}
