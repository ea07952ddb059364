//! When the next probe may go, and how long its answer is awaited.

use core::time::Duration;

use crate::Time;

/// Round trips measured, and the answers that a host's limit on ICMP errors leaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// The smoothed round trip and its variation ([RFC 6298 §2](https://www.rfc-editor.org/rfc/rfc6298#section-2)).
    smoothed: Option<(Duration, Duration)>,
    bucket: Option<Bucket>,
}

/// Linux sends a host at most one ICMP error a second, six at once after a rest (`icmp_ratelimit`,
/// [icmp(7)](https://man7.org/linux/man-pages/man7/icmp.7.html)); what is over that is not sent at all. Others do
/// alike, so that whoever lives on such answers waits for them.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u32,
    since: Time,
    /// Whether so many are known to be left. At first that is an assumption: others may have asked before.
    is_sure: bool,
}

impl Pace {
    pub(super) fn measured(&mut self, round_trip: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (round_trip, round_trip / 2),
            Some((mean, deviation)) => {
                ((mean * 7 + round_trip) / 8, (deviation * 3 + mean.abs_diff(round_trip)) / 4)
            }
        });
    }

    /// How long to wait for the answer to a probe, after `losses` of the kind in a row: twice as long after
    /// one, four times after more.
    pub(super) fn wait(&self, losses: u32) -> Duration {
        let first = match self.smoothed {
            Some((mean, deviation)) => (mean + deviation * 4).max(SHORTEST_WAIT),
            None => FIRST_WAIT,
        };
        (first * (1 << losses.min(2))).min(LONGEST_WAIT.max(first))
    }

    /// A pause in which answers that belong to earlier probes come in.
    pub(super) fn pause(&self) -> Duration {
        self.smoothed.map_or(SHORTEST_PAUSE, |(mean, _)| mean.max(SHORTEST_PAUSE))
    }

    /// The target's host answers by ICMP errors: from now on they are saved.
    pub(super) fn save(&mut self, now: Time) {
        self.bucket.get_or_insert(Bucket { left: BURST, since: now, is_sure: false });
    }

    /// Whether the target's host answers by ICMP errors.
    pub(super) fn is_saving(&self) -> bool {
        self.bucket.is_some()
    }

    /// Whether a probe may have been lost because the host had no ICMP error left for it: as long as it is only
    /// assumed that some are.
    pub(super) fn is_assumed(&self) -> bool {
        self.bucket.is_some_and(|bucket| !bucket.is_sure)
    }

    /// One of the ICMP errors that are saved is used up.
    pub(super) fn spend(&mut self, now: Time) {
        if let Some(bucket) = &mut self.bucket {
            bucket.refill(now);
            bucket.left = bucket.left.saturating_sub(1);
        }
    }

    /// Nothing is left, as far as a loss can tell.
    pub(super) fn exhaust(&mut self, now: Time) {
        if let Some(bucket) = &mut self.bucket {
            *bucket = Bucket { left: 0, since: now, is_sure: true };
        }
    }

    /// What was spent on a probe that then was not sent is there still.
    pub(super) fn give_back(&mut self) {
        if let Some(bucket) = &mut self.bucket {
            bucket.left = (bucket.left + 1).min(BURST);
        }
    }

    /// When the next probe may be sent.
    pub(super) fn ready(&mut self, now: Time) -> Time {
        match &mut self.bucket {
            None => now,
            Some(bucket) => {
                bucket.refill(now);
                if bucket.left > 0 { now } else { bucket.since + PERIOD }
            }
        }
    }
}

impl Bucket {
    fn refill(&mut self, now: Time) {
        while self.left < BURST && self.since + PERIOD <= now {
            self.left += 1;
            self.since += PERIOD;
        }
        if self.left == BURST {
            self.since = now;
        }
    }
}

const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longer than a host that has other things to do takes for an answer.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(3);
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// One less than Linux gives, for a datagram of somebody else's.
const BURST: u32 = 5;
/// Somewhat more than Linux's second: its clock counts in ticks of up to 10 ms.
const PERIOD: Duration = Duration::from_millis(1050);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_epoch(Duration::from_millis(millis))
    }

    #[test]
    fn the_wait_follows_the_round_trip_and_doubles_with_each_loss() {
        let mut pace = Pace::default();
        assert_eq!(pace.wait(0), FIRST_WAIT);
        pace.measured(Duration::from_micros(80));
        assert_eq!(pace.wait(0), SHORTEST_WAIT);
        assert_eq!(pace.wait(2), SHORTEST_WAIT * 4);
        let mut far = Pace::default();
        far.measured(Duration::from_millis(600));
        assert_eq!(far.wait(0), Duration::from_millis(1800), "600 and four times 300");
        assert_eq!(far.wait(9), LONGEST_WAIT);
        assert_eq!(pace.wait(9), SHORTEST_WAIT * 4);
    }

    #[test]
    fn five_icmp_errors_go_at_once_and_then_one_a_period() {
        let mut pace = Pace::default();
        pace.save(at(0));
        for _ in 0..5 {
            assert_eq!(pace.ready(at(0)), at(0));
            pace.spend(at(0));
        }
        assert_eq!(pace.ready(at(1)), at(1050));
        assert_eq!(pace.ready(at(1050)), at(1050));
        pace.spend(at(1060));
        assert_eq!(pace.ready(at(1060)), at(2100));
        assert_eq!(pace.ready(at(60_000)), at(60_000));
        assert!(pace.is_assumed());
        pace.exhaust(at(60_000));
        assert_eq!(pace.ready(at(60_500)), at(61_050));
        assert!(pace.is_saving() && !pace.is_assumed());
        pace.give_back();
        assert_eq!(pace.ready(at(60_500)), at(60_500));
    }
}
