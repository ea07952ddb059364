//! The round trip of a path without a queue.
//!
//! All who share a queue should agree on it: whoever believes in a longer one takes a part of the queue for the path,
//! and gets more. The shortest single round trips they all see alike. But a host that is busy, and a
//! radio link, make round trips differ without any queue, so that the mean of a round is what a queue is measured by; and
//! what it is when the queue is empty, each sees in its own drains.

use core::time::Duration;

use super::filters::Least;
use super::round::Ended;
use crate::Time;

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    /// Means of rounds.
    means: Least,
    /// Single round trips.
    shortest: Least,
    /// How much longer than its shortest round trip the mean of a round is at least.
    noise: Least,
    has_drained: bool,
}

impl Base {
    /// A packet and its acknowledgement took so long.
    pub(super) fn sample(&mut self, now: Time, round_trip: Duration) {
        self.shortest.add(now, round_trip);
    }

    pub(super) fn round(&mut self, now: Time, ended: &Ended) {
        self.means.add(now, ended.round_trip);
        // With few samples the mean is close to the shortest, whatever the noise.
        if ended.samples >= ENOUGH {
            self.noise.add(now, ended.jitter());
        }
    }

    /// A drain emptied the queue. Before the first one it may have been empty in the start-up alone, with too little under way
    /// to make noise. Whoever saw that would believe in a shorter path than those who came later.
    pub(super) fn drained(&mut self, now: Time, ended: &Ended) {
        if !self.has_drained {
            *self = Self { shortest: self.shortest.clone(), has_drained: true, ..Self::default() };
            self.round(now, ended);
        }
    }

    /// The path is another, and its queue was empty in this round.
    pub(super) fn replace(&mut self, now: Time, ended: &Ended) {
        *self = Self { has_drained: true, ..Self::default() };
        self.shortest.add(now, ended.shortest);
        self.round(now, ended);
    }

    /// The mean of a round without a queue.
    pub(super) fn get(&self) -> Option<Duration> {
        let shortest = self.shortest.get()?;
        let noisy = self.noise.get().map(|noise| shortest + noise);
        self.means.get().into_iter().chain(noisy).min()
    }

    /// The least that was measured as a mean.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.means.get()
    }

    pub(super) fn shortest(&self) -> Option<Duration> {
        self.shortest.get()
    }
}

const ENOUGH: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_epoch(Duration::from_millis(millis))
    }

    fn round(base: &mut Base, shortest: u64, mean: u64, samples: u32) -> Ended {
        let [shortest, round_trip] = [shortest, mean].map(Duration::from_millis);
        base.sample(at(0), shortest);
        let ended = Ended { acked: 1, samples, lost: 0, round_trip, shortest, rate: 1.0, limited: false };
        base.round(at(0), &ended);
        ended
    }

    #[test]
    fn a_short_round_trip_counts_with_the_noise_that_rounds_have() {
        let mut base = Base::default();
        assert_eq!(base.get(), None);
        round(&mut base, 58, 60, ENOUGH);
        assert_eq!(base.get(), Some(Duration::from_millis(60)));
        round(&mut base, 50, 57, ENOUGH);
        assert_eq!(base.get(), Some(Duration::from_millis(52)), "the queue was empty for a moment");
        round(&mut base, 56, 56, ENOUGH - 1);
        assert_eq!(base.get(), Some(Duration::from_millis(52)), "few samples show no noise");
        assert_eq!(
            (base.mean(), base.shortest()),
            (Some(Duration::from_millis(56)), Some(Duration::from_millis(50)))
        );
    }

    #[test]
    fn the_first_drain_replaces_what_the_start_up_found() {
        let mut base = Base::default();
        round(&mut base, 50, 50, 1);
        let ended = round(&mut base, 51, 53, ENOUGH);
        base.drained(at(0), &ended);
        assert_eq!(base.get(), Some(Duration::from_millis(52)));
        let ended = round(&mut base, 51, 54, ENOUGH);
        base.drained(at(0), &ended);
        assert_eq!(base.get(), Some(Duration::from_millis(52)), "later ones only add to it");
    }

    #[test]
    fn another_path_has_nothing_of_the_one_before() {
        let mut base = Base::default();
        let ended = round(&mut base, 50, 51, ENOUGH);
        base.drained(at(0), &ended);
        let ended = round(&mut base, 99, 101, ENOUGH);
        base.replace(at(0), &ended);
        assert_eq!((base.get(), base.shortest()), (Some(ended.round_trip), Some(ended.shortest)));
    }
}
