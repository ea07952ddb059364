//! Which losses are congestion.
//!
//! A radio link loses datagrams however few are sent; a full buffer or a policer loses what is too much. Where a
//! round loses clearly more than is usual, the controller sends less and looks: if the loss goes with it, it was
//! congestion, and the window stays capped for a while; if it stays, it is what this path does, becomes the
//! usual, and the window comes back.

use core::time::Duration;

use super::round::Ended;
use crate::Time;

/// What a path usually loses, and the cap on the window where more is lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// The part that is lost in a usual round.
    usual: f64,
    /// How many packets that is known from.
    seen: f64,
    /// How many times as much the losses of a round vary as independent ones would: bursts, and late packets that are taken
    /// for lost, come several at a time.
    spread: f64,
    trial: Option<Trial>,
    cap: Option<Cap>,
}

/// Less is sent, to see whether less is lost.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// The window before.
    window: u64,
    /// The part that was lost with it.
    loss: f64,
    rounds: u32,
    acked: u64,
    lost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Cap {
    window: f64,
    since: Time,
    /// Above this it binds nothing any more.
    end: f64,
}

/// What a round's losses mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to be done.
    Usual,
    /// More than usual: send less.
    TooMuch(u64),
    /// Less did not help: this is the window as it was.
    Innocent(u64),
}

impl Losses {
    /// Judges a round in which the window was `window` and packets had about `packet` bytes. `holds` is what the path
    /// was measured to hold without a queue: with less a gust of loss would cost more than it lost.
    pub(super) fn round(
        &mut self,
        now: Time,
        ended: &Ended,
        window: u64,
        holds: u64,
        packet: u64,
    ) -> Verdict {
        if let Some(trial) = &mut self.trial {
            trial.rounds += 1;
            // The first round still brings the losses of what was sent before.
            if trial.rounds > 1 {
                (trial.acked, trial.lost) = (trial.acked + ended.acked, trial.lost + ended.lost);
            }
            let enough = trial.acked + trial.lost >= JUDGED * packet || trial.rounds > LONGEST_TRIAL;
            return if trial.rounds > 1 && enough { self.judge(packet) } else { Verdict::Usual };
        }
        let (loss, packets) = (part(ended.lost, ended.acked), packets(ended, packet));
        if !self.is_excess(loss, packets) {
            let off = loss - self.usual;
            let spread = off * off / self.variance(packets);
            self.spread += (spread.min(MOST_SPREAD) - self.spread) / MEMORY;
            self.learn(loss, packets);
            return Verdict::Usual;
        }
        // What arrived fits; a little less than that, lest the next round lose as much again.
        let kept = (1.0 - (loss - self.usual)) * SLACK;
        let less = ((window as f64 * kept.max(LEAST_KEPT)) as u64).max(holds).min(window);
        self.trial = Some(Trial { window, loss, rounds: 0, acked: 0, lost: 0 });
        self.cap = Some(Cap { window: less as f64, since: now, end: window as f64 * 2.0 });
        Verdict::TooMuch(less)
    }

    /// Whether a round of the start-up lost so much more than is usual that the path must be full, unless the rate `grew`.
    /// It is no cause for a trial: what is lost while the rate grows is mostly the path's own.
    pub(super) fn early(&mut self, ended: &Ended, grew: bool, packet: u64) -> bool {
        let (loss, packets) = (part(ended.lost, ended.acked), packets(ended, packet));
        let excess = self.is_excess(loss, packets);
        if !excess || grew && loss < MOST_USUAL_EARLY {
            self.learn(loss, packets);
        }
        // With fewer it may have been a handshake that was lost and all that could not be read without it.
        excess && !grew && loss > self.usual + EXCESSIVE && packets >= JUDGED as f64
    }

    /// Whether a round of `packets` packets lost more than chance and habit explain.
    fn is_excess(&self, loss: f64, packets: f64) -> bool {
        loss > self.usual + self.margin(packets)
    }

    fn margin(&self, packets: f64) -> f64 {
        NOTICED + 3.0 * libm::sqrt(self.variance(packets) * self.spread.max(1.0))
    }

    /// Of the part that is lost of so many packets, if losses are independent.
    fn variance(&self, packets: f64) -> f64 {
        let usual = self.usual.max(1.0 / packets.max(1.0)).min(0.5);
        usual * (1.0 - usual) / packets.max(1.0)
    }

    fn learn(&mut self, loss: f64, packets: f64) {
        let gain = packets / (self.seen + packets).max(1.0);
        let off = loss - self.usual;
        // Slower up than down: a window that grows a little loses a little more, which is not the path's doing.
        self.usual += off * if off > 0.0 { gain / 4.0 } else { gain };
        self.seen = (self.seen + packets).min(MEMORY * packets);
    }

    /// A round of a drain lost so much. A window that is larger for what is lost may be why it is lost.
    pub(super) fn drained(&mut self, ended: &Ended, packet: u64) {
        let loss = part(ended.lost, ended.acked);
        if loss < self.usual / 2.0 && packets(ended, packet) >= JUDGED_DRAIN {
            self.usual = loss;
        }
    }

    fn judge(&mut self, packet: u64) -> Verdict {
        let Some(trial) = self.trial.take() else { return Verdict::Usual };
        let loss = part(trial.lost, trial.acked);
        if loss <= self.usual + (trial.loss - self.usual) / 2.0 {
            return Verdict::Usual;
        }
        self.usual = loss.min(MOST_USUAL);
        self.seen = (trial.acked + trial.lost) as f64 / packet as f64;
        self.cap = None;
        Verdict::Innocent(trial.window)
    }

    /// The window is set by something else now, so that a trial would tell nothing.
    pub(super) fn interrupt(&mut self) {
        self.trial = None;
    }

    /// A round ended: the cap rises, if it held for long enough.
    pub(super) fn relax(&mut self, now: Time) {
        let Some(cap) = &mut self.cap else { return };
        if now - cap.since < HOLD {
            return;
        }
        cap.window *= GROWTH;
        if cap.window > cap.end {
            self.cap = None;
        }
    }

    /// The window with the cap on it.
    pub(super) fn capped(&self, window: u64) -> u64 {
        self.cap.map_or(window, |cap| window.min(cap.window as u64))
    }

    /// The part that is lost however little is sent.
    pub(super) fn usual(&self) -> f64 {
        self.usual
    }
}

fn packets(ended: &Ended, packet: u64) -> f64 {
    (ended.acked + ended.lost) as f64 / packet as f64
}

fn part(lost: u64, acked: u64) -> f64 {
    lost as f64 / (lost + acked).max(1) as f64
}

/// More is not taken for the path's own: so much can be made up for by sending more, twice as much at most.
const MOST_USUAL: f64 = 0.5;
/// A loss less than this above the usual one is not acted on.
const NOTICED: f64 = 0.01;
const MOST_USUAL_EARLY: f64 = 0.3;
/// What a start-up that went beyond a shallow buffer loses at least.
const EXCESSIVE: f64 = 0.15;
const SLACK: f64 = 0.95;
const LEAST_KEPT: f64 = 0.25;
/// How many packets a trial is judged by, and how many rounds it takes at most.
const JUDGED: u64 = 100;
const JUDGED_DRAIN: f64 = 30.0;
const LONGEST_TRIAL: u32 = 8;
/// How many rounds the usual loss is a mean of.
const MEMORY: f64 = 16.0;
const MOST_SPREAD: f64 = 16.0;
/// How long a cap holds before it rises, and by how much it then does in a round.
const HOLD: Duration = Duration::from_secs(1);
const GROWTH: f64 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 1000;
    const WINDOW: u64 = 1_000_000;

    fn round(losses: &mut Losses, millis: u64, lost_percent: u64) -> Verdict {
        let lost = WINDOW / 100 * lost_percent;
        let ended = Ended {
            acked: WINDOW - lost,
            lost,
            round_trip: Duration::from_millis(50),
            shortest: Duration::from_millis(50),
            samples: 100,
            rate: 1e6,
            limited: false,
        };
        let now = Time::from_epoch(Duration::from_millis(millis));
        losses.relax(now);
        losses.round(now, &ended, WINDOW, WINDOW / 2, PACKET)
    }

    #[test]
    fn loss_that_is_there_from_the_beginning_is_tried_once_and_then_usual() {
        let mut losses = Losses::default();
        let Verdict::TooMuch(less) = round(&mut losses, 0, 25) else { panic!("25 % go unnoticed") };
        assert!((700_000..750_000).contains(&less), "{less}");
        assert_eq!(losses.capped(WINDOW), less);
        assert_eq!(round(&mut losses, 50, 25), Verdict::Usual, "of what was sent before");
        assert_eq!(round(&mut losses, 100, 25), Verdict::Innocent(WINDOW));
        assert_eq!(losses.capped(WINDOW), WINDOW);
        for at in 3..100 {
            assert_eq!(round(&mut losses, 50 * at, 23 + at % 5), Verdict::Usual, "round {at}");
        }
        assert!((losses.usual() - 0.25).abs() < 0.01, "{losses:?}");
    }

    #[test]
    fn gusts_of_which_there_were_several_are_usual() {
        let mut losses = Losses::default();
        let judge = |losses: &Losses| losses.is_excess(0.09, (WINDOW / PACKET) as f64);
        let verdicts = [0, 50, 100].map(|millis| round(&mut losses, millis, 4));
        assert_eq!(verdicts[1..], [Verdict::Usual, Verdict::Innocent(WINDOW)], "it was tried out");
        for at in 3..40 {
            assert_eq!(round(&mut losses, 50 * at, 4), Verdict::Usual);
        }
        assert!(judge(&losses));
        for at in 40..80 {
            assert_eq!(round(&mut losses, 50 * at, 2 + at % 2 * 4), Verdict::Usual, "round {at}");
        }
        assert!(!judge(&losses) && losses.is_excess(0.2, 1000.0), "{losses:?}");
    }

    #[test]
    fn loss_that_goes_when_less_is_sent_caps_the_window_for_a_while() {
        let mut losses = Losses::default();
        for at in 0..10 {
            assert_eq!(round(&mut losses, 50 * at, 1), Verdict::Usual);
        }
        assert!(matches!(round(&mut losses, 500, 20), Verdict::TooMuch(_)));
        let capped = losses.capped(WINDOW);
        assert!(capped < 800_000, "{capped}");
        for at in 0..18 {
            assert_eq!(round(&mut losses, 550 + 50 * at, 1), Verdict::Usual);
            assert_eq!(losses.capped(WINDOW), capped);
        }
        for at in 0..30 {
            round(&mut losses, 1500 + 50 * at, 1);
        }
        assert_eq!(losses.capped(2 * WINDOW), 2 * WINDOW, "it ends");
        assert!((losses.usual() - 0.01).abs() < 0.005, "{losses:?}");
    }
}
