//! What happens within a round: from the sending of a packet to its acknowledgement.

use core::time::Duration;

use super::delivery::Sample;
use crate::Time;

/// A round under way.
#[derive(Clone, Debug)]
pub(super) struct Round {
    began: Time,
    /// It ends when a packet is acknowledged before whose sending so much had been delivered.
    until: u64,
    acked: u64,
    samples: u32,
    lost: u64,
    /// Round trips in seconds, weighted by bytes.
    weighted: f64,
    shortest: Duration,
    limited: bool,
}

/// A round that ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ended {
    /// Bytes.
    pub(super) acked: u64,
    /// Bytes.
    pub(super) lost: u64,
    /// The mean over what was acknowledged.
    pub(super) round_trip: Duration,
    pub(super) shortest: Duration,
    pub(super) samples: u32,
    /// What arrived a second, in bytes.
    pub(super) rate: f64,
    /// Whether the sender had too little to send.
    pub(super) limited: bool,
}

impl Round {
    pub(super) fn new(now: Time, delivered: u64) -> Self {
        Self {
            began: now,
            until: delivered,
            acked: 0,
            samples: 0,
            lost: 0,
            weighted: 0.0,
            shortest: Duration::MAX,
            limited: false,
        }
    }

    pub(super) fn lost(&mut self, bytes: u64) {
        self.lost += bytes;
    }

    /// Counts a sample; gives the round if that ended it.
    pub(super) fn add(&mut self, now: Time, sample: &Sample, delivered: u64) -> Option<Ended> {
        self.acked += sample.bytes;
        self.samples += 1;
        self.weighted += sample.round_trip.as_secs_f64() * sample.bytes as f64;
        self.shortest = self.shortest.min(sample.round_trip);
        self.limited |= sample.limited;
        if sample.prior < self.until || self.acked == 0 || now <= self.began {
            return None;
        }
        let ended = Ended {
            acked: self.acked,
            lost: self.lost,
            round_trip: Duration::from_secs_f64(self.weighted / self.acked as f64),
            shortest: self.shortest,
            samples: self.samples,
            rate: self.acked as f64 / (now - self.began).as_secs_f64(),
            limited: self.limited,
        };
        *self = Self::new(now, delivered);
        Some(ended)
    }
}

impl Ended {
    /// How much longer the round trip was than `without`, one without a queue.
    pub(super) fn queue(&self, without: Duration) -> Duration {
        self.round_trip.saturating_sub(without)
    }

    /// How much longer the mean was than the shortest.
    pub(super) fn jitter(&self) -> Duration {
        self.round_trip.saturating_sub(self.shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(bytes: u64, millis: u64, prior: u64) -> Sample {
        Sample { bytes, round_trip: Duration::from_millis(millis), rate: None, prior, limited: false }
    }

    #[test]
    fn a_round_ends_with_what_was_sent_after_it_began() {
        let now = |millis| Time::from_epoch(Duration::from_millis(millis));
        let mut round = Round::new(now(0), 5000);
        round.lost(500);
        assert_eq!(round.add(now(5), &sample(3000, 10, 4000), 8000), None);
        let ended = round.add(now(10), &sample(1000, 30, 5000), 9000).unwrap();
        assert_eq!((ended.acked, ended.lost), (4000, 500));
        assert_eq!(
            (ended.round_trip, ended.shortest),
            (Duration::from_millis(15), Duration::from_millis(10))
        );
        assert_eq!(ended.rate, 400_000.0);
        assert_eq!(ended.queue(Duration::from_millis(12)), Duration::from_millis(3));
        assert_eq!(ended.jitter(), Duration::from_millis(5));
        assert_eq!(round.add(now(20), &sample(1000, 10, 8999), 10_000), None);
    }
}
