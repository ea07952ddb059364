//! Sharing with someone who fills the queue.
//!
//! A sender that keeps a short queue gives way to one that fills it, until it has next to nothing. So it has to
//! notice. While the queue is its own, giving way shortens the queue and costs no rate; where its rate falls
//! with its window, others take what it leaves. Then it grows and gives way as
//! [CUBIC](https://www.rfc-editor.org/rfc/rfc9438) does, which shares with CUBIC, until the queue is short again or it is
//! time to try anew.

use core::time::Duration;

use super::round::Ended;
use crate::Time;

/// Whether giving way helps.
#[derive(Clone, Debug, Default)]
pub(super) struct Yielding {
    episode: Option<Episode>,
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    /// The window at its beginning.
    window: u64,
    rounds: u32,
    /// Window and rate after the first rounds, which are those of a change.
    first: Option<(f64, f64)>,
}

impl Yielding {
    /// A round ended with a queue that is `long` or not. If others take what is left to them: the window
    /// from before giving way.
    pub(super) fn round(&mut self, long: bool, window: u64, ended: &Ended) -> Option<u64> {
        if !long {
            self.episode = None;
            return None;
        }
        let episode = self.episode.get_or_insert(Episode { window, rounds: 0, first: None });
        episode.rounds += 1;
        if episode.rounds < SETTLED {
            return None;
        }
        let (first, rate) = *episode.first.get_or_insert((window as f64, ended.rate));
        let (given, lost) = (libm::log(first / window.max(1) as f64), libm::log(rate / ended.rate.max(1.0)));
        if given < GIVEN {
            return None;
        }
        let before = episode.window;
        if lost > given * TAKEN {
            self.episode = None;
            return Some(before);
        }
        // The queue is its own; it looks again from here.
        episode.first = Some((window as f64, ended.rate));
        None
    }

    pub(super) fn forget(&mut self) {
        self.episode = None;
    }
}

/// CUBIC's window, in packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Competition {
    pub(super) began: Time,
    epoch: Time,
    most: f64,
    /// Seconds until the window is `most` again.
    until: f64,
}

impl Competition {
    pub(super) fn new(now: Time, packets: f64) -> Self {
        Self { began: now, epoch: now, most: packets, until: 0.0 }
    }

    /// The window now.
    pub(super) fn window(&self, now: Time) -> f64 {
        let past = (now - self.epoch).as_secs_f64() - self.until;
        self.most + C * past * past * past
    }

    /// The queue is full.
    pub(super) fn back_off(&mut self, now: Time, packets: f64) {
        (self.epoch, self.most) = (now, packets);
        self.until = libm::cbrt(packets * (1.0 - BETA) / C);
    }

    /// Whether it is time to see if the others are still there.
    pub(super) fn is_over(&self, now: Time) -> bool {
        now - self.began >= LONGEST
    }
}

/// Rounds after which a change of the path shows in both window and rate.
const SETTLED: u32 = 2;
/// How much of the window is given way before that is judged, as a logarithm: a fifth.
const GIVEN: f64 = 0.22;
/// The part of it by which the rate fell where others take it. With others who have two thirds it is two thirds.
const TAKEN: f64 = 0.3;
const C: f64 = 0.4;
const BETA: f64 = 0.7;
const LONGEST: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(rate: f64) -> Ended {
        Ended {
            acked: 1,
            lost: 0,
            round_trip: Duration::from_millis(90),
            shortest: Duration::from_millis(90),
            rate,
            limited: false,
        }
    }

    /// What comes of giving way by a tenth each round, where the rate falls with the window to the power of
    /// `slope`.
    fn give_way(slope: f64) -> Option<u64> {
        let mut yielding = Yielding::default();
        (0..9).find_map(|round| {
            let given = libm::pow(0.9, f64::from(round));
            yielding.round(true, (1e6 * given) as u64, &ended(1e8 * libm::pow(given, slope)))
        })
    }

    #[test]
    fn a_queue_of_its_own_is_told_from_one_that_others_fill() {
        assert_eq!(give_way(0.0), None, "alone");
        assert_eq!(give_way(0.5), Some(1_000_000), "beside one other");
        assert_eq!(give_way(1.0), Some(1_000_000), "beside many");
    }

    #[test]
    fn a_queue_that_gets_short_ends_the_matter() {
        let mut yielding = Yielding::default();
        for round in 0..20 {
            let window = 1_000_000 - round * 40_000;
            assert_eq!(yielding.round(round % 4 != 3, window, &ended(window as f64)), None);
        }
    }

    #[test]
    fn the_window_is_cubics() {
        let at = |seconds| Time::from_epoch(Duration::from_secs(seconds));
        let mut competition = Competition::new(at(0), 1000.0);
        assert_eq!(competition.window(at(0)), 1000.0);
        assert_eq!(competition.window(at(10)), 1400.0);
        competition.back_off(at(10), 1400.0);
        assert!((competition.window(at(10)) - 980.0).abs() < 1e-6);
        assert!(competition.window(at(20)) < 1400.1);
    }
}
