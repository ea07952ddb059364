//! When the start-up has filled the path.

use core::time::Duration;

use super::round::Ended;

/// The rate about doubles each round until the queue grows, or the rate does not grow any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Startup {
    /// Of late, in seconds.
    round_trip: f64,
    samples: u32,
    /// What the path carried when it last carried clearly more than before.
    full: f64,
    rounds: u32,
}

impl Startup {
    /// Whether a round trip of `sample`, while one without a queue is `without`, shows a queue.
    pub(super) fn queues(&mut self, sample: Duration, without: Duration, floor: Duration) -> bool {
        self.samples += 1;
        let sample = sample.as_secs_f64();
        let gain = 1.0 / f64::from(self.samples.min(SMOOTHED));
        self.round_trip += (sample - self.round_trip) * gain;
        let limit = (without / 8).max(2 * floor);
        self.samples >= SMOOTHED && self.round_trip > (without + limit).as_secs_f64()
    }

    /// Whether a round raised the `bandwidth` by a quarter.
    pub(super) fn grew(&mut self, bandwidth: f64, ended: &Ended) -> bool {
        if bandwidth >= self.full * 1.25 {
            (self.full, self.rounds) = (bandwidth, 0);
            return true;
        }
        self.rounds += u32::from(!ended.limited);
        false
    }

    /// Whether three rounds did not.
    pub(super) fn is_full(&self) -> bool {
        self.rounds >= 3
    }
}

/// How much the window grows by what is acknowledged. Packets are paced at five quarters of the window each round trip
/// at most, less what timers come late, so that less than a window is under way: with 1 the rate grew by two
/// thirds each round trip, with this it nearly doubles.
pub(super) const GAIN: f64 = 1.4;
/// How many samples the round trip is smoothed over: few enough to see a queue within the round in which
/// it grows.
const SMOOTHED: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Duration = Duration::from_millis(2);

    #[test]
    fn a_queue_is_seen_within_a_few_samples_and_a_late_one_is_none() {
        let (without, millis) = (Duration::from_millis(50), Duration::from_millis);
        let mut startup = Startup::default();
        for at in 0..100 {
            let late = if at % 20 == 10 { 70 } else { 51 };
            assert!(!startup.queues(millis(late), without, FLOOR), "sample {at}");
        }
        let seen = (52..90).position(|round_trip| startup.queues(millis(round_trip), without, FLOOR));
        assert!((5..20).contains(&seen.unwrap()), "{seen:?}");
    }

    #[test]
    fn a_rate_that_stays_ends_it_unless_there_was_too_little_to_send() {
        let ended = |limited| Ended {
            acked: 1,
            lost: 0,
            round_trip: Duration::ZERO,
            shortest: Duration::ZERO,
            samples: 1,
            rate: 1.0,
            limited,
        };
        let mut startup = Startup::default();
        for bandwidth in [1e6, 2e6, 4e6] {
            assert!(startup.grew(bandwidth, &ended(false)));
        }
        for _ in 0..9 {
            assert!(!startup.grew(4e6, &ended(true)) && !startup.is_full());
        }
        for full in [false, false, true] {
            assert!(!startup.grew(4.5e6, &ended(false)));
            assert_eq!(startup.is_full(), full);
        }
    }
}
