//! Sharing with someone who fills the queue.
//!
//! A sender that keeps a short queue gives way to one that fills it, until it has next to nothing. It notices when it
//! drains: those who keep the queue short drain together, so that a queue that stays is someone else's. Then it
//! grows and gives way as [CUBIC](https://www.rfc-editor.org/rfc/rfc9438) does, which shares with CUBIC, and
//! drains further, deeper, until one of these drains empties the queue.
//!
//! CUBIC itself takes a minute to share a fast path alike. But a drain tells what the path carries in all: as much
//! as was given way, by how much shorter the queue got. So a share that is too small is raised at once.

use core::time::Duration;

use crate::Time;

/// CUBIC's window, in packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Competition {
    epoch: Time,
    most: f64,
    /// Seconds until the window is `most` again.
    until: f64,
    /// Window and round trip of the round with the longest one since the last drain.
    crest: Option<(u64, Duration)>,
}

impl Competition {
    pub(super) fn new(now: Time, packets: f64) -> Self {
        Self { epoch: now, most: packets, until: 0.0, crest: None }
    }

    /// A round with this window had this round trip.
    pub(super) fn round(&mut self, window: u64, round_trip: Duration) {
        if self.crest.is_none_or(|(_, longest)| round_trip > longest) {
            self.crest = Some((window, round_trip));
        }
    }

    /// The window and the round trip of the round with the longest one since the last drain.
    pub(super) fn crest(&self) -> Option<(u64, Duration)> {
        self.crest
    }

    /// Goes on after a drain.
    pub(super) fn after_drain(self) -> Self {
        Self { crest: None, ..self }
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
}

/// The window to go on with after a drain that did not empty the queue: `before` it the window was so large and the
/// round trip so long, `within` it what they became. So far a share is not known better than to a half, it is
/// only corrected below two fifths and above two thirds.
pub(super) fn share(before: (u64, Duration), within: (u64, Duration)) -> f64 {
    let window = before.0 as f64;
    let given = before.0.saturating_sub(within.0) as f64;
    let shorter = before.1.saturating_sub(within.1).as_secs_f64();
    // What all who share the path have in flight.
    let all = given / shorter.max(1e-6) * before.1.as_secs_f64();
    if window > all * MOST { window * LESS } else { window.max((all * LEAST).min(window * STEP)) }
}

const C: f64 = 0.4;
const BETA: f64 = 0.7;
const LEAST: f64 = 0.4;
const MOST: f64 = 2.0 / 3.0;
const LESS: f64 = 0.85;
const STEP: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_crest_is_the_round_with_the_longest_round_trip() {
        let mut competition = Competition::new(Time::ZERO, 1000.0);
        for (window, millis) in [(500, 70), (900, 95), (1000, 90)] {
            competition.round(window, Duration::from_millis(millis));
        }
        assert_eq!(competition.crest(), Some((900, Duration::from_millis(95))));
        assert_eq!(competition.after_drain().crest(), None);
    }

    #[test]
    fn a_small_share_is_raised_to_two_fifths_and_a_large_one_lowered() {
        // Over 100 ms with a queue of 50, all have 1,000,000 bytes in flight.
        let after = |window: u64| {
            let given = window / 2;
            let shorter = Duration::from_millis(100) * given as u32 / 1_000_000;
            share(
                (window, Duration::from_millis(100)),
                (window - given, Duration::from_millis(100) - shorter),
            )
        };
        assert_eq!(after(100_000), 300_000.0);
        assert!((after(250_000) - 400_000.0).abs() < 1.0);
        assert_eq!(after(500_000), 500_000.0);
        assert_eq!(after(800_000), 680_000.0);
        let millis = Duration::from_millis;
        assert_eq!(share((100, millis(90)), (50, millis(91))), 300.0, "a share too small to be seen");
    }
}
