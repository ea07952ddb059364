//! The largest and the least of late.

use core::time::Duration;

use crate::Time;

/// The largest value of the last rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Largest {
    rounds: [f64; ROUNDS],
    place: usize,
}

impl Largest {
    pub(super) fn add(&mut self, value: f64) {
        self.rounds[self.place] = self.rounds[self.place].max(value);
    }

    /// A round ended: the oldest is forgotten.
    pub(super) fn turn(&mut self) {
        self.place = (self.place + 1) % ROUNDS;
        self.rounds[self.place] = 0.0;
    }

    pub(super) fn get(&self) -> f64 {
        self.rounds.iter().fold(0.0, |largest, value| largest.max(*value))
    }
}

/// The least duration of the last 80 to 100 seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Least {
    spans: [Option<Duration>; SPANS],
    place: usize,
    began: Option<Time>,
}

impl Least {
    pub(super) fn add(&mut self, now: Time, value: Duration) {
        let mut began = *self.began.get_or_insert(now);
        // After a long silence all is forgotten.
        for _ in 0..SPANS {
            if now < began + SPAN {
                break;
            }
            began += SPAN;
            self.place = (self.place + 1) % SPANS;
            self.spans[self.place] = None;
        }
        self.began = Some(if now < began + SPAN { began } else { now });
        let span = &mut self.spans[self.place];
        *span = Some(span.map_or(value, |least| least.min(value)));
    }

    pub(super) fn get(&self) -> Option<Duration> {
        self.spans.iter().flatten().min().copied()
    }
}

/// As BBR: long enough to span its probes, short enough to follow a path that got slower.
const ROUNDS: usize = 10;
const SPANS: usize = 5;
/// In all much longer than BBR's ten seconds: CUBIC keeps a queue for longer than that, and a drain that reaches the
/// bottom shows sooner that a path has become longer.
const SPAN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_forgotten_after_ten_rounds() {
        let mut largest = Largest::default();
        largest.add(9.0);
        for _ in 1..ROUNDS {
            largest.turn();
            largest.add(3.0);
            assert_eq!(largest.get(), 9.0);
        }
        largest.turn();
        assert_eq!(largest.get(), 3.0);
    }

    #[test]
    fn the_least_is_forgotten_within_100_seconds() {
        let at = |seconds| Time::from_epoch(Duration::from_secs(seconds));
        let mut least = Least::default();
        least.add(at(1), Duration::from_millis(5));
        for second in 2..=80 {
            least.add(at(second), Duration::from_millis(9));
            assert_eq!(least.get(), Some(Duration::from_millis(5)));
        }
        least.add(at(101), Duration::from_millis(8));
        assert_eq!(least.get(), Some(Duration::from_millis(8)));
        least.add(at(1000), Duration::from_millis(20));
        assert_eq!(least.get(), Some(Duration::from_millis(20)));
    }
}
