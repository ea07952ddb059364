//! When the queue has to run empty, so that the round trip without one is known.
//!
//! BBR does this each ten seconds with four packets. Here it is oftener and gentler: two rounds at 80 %, each four
//! seconds, and only if the queue was not seen empty otherwise. Several that share a queue have to do it together,
//! and have nothing to agree by but the queue: whoever sees it get shorter than it keeps it drains too, and is due at
//! the same time from then on. One that comes later takes the queue that it finds for the path's own, and
//! therefore drains soon.

use core::time::Duration;

use crate::Time;

/// When the next drain is due.
#[derive(Clone, Debug, Default)]
pub(super) struct Drains {
    due: Option<Time>,
    /// When the last one ended.
    last: Option<Time>,
    /// The queues after the last two rounds in which this sender changed nothing.
    queues: [Duration; 2],
    joins: bool,
}

impl Drains {
    /// The start-up ended, or something like it.
    pub(super) fn soon(&mut self, now: Time) {
        self.due = Some(now + SOON);
    }

    /// A round ended with a `queue` that is to be as long as `target`. One that is empty anyway puts the next drain off,
    /// unless it is `needed` for more.
    pub(super) fn round(&mut self, now: Time, queue: Duration, target: Duration, needed: bool) {
        let [before, last] = self.queues;
        let kept = before.max(last);
        self.joins = kept <= target + target / 2 && queue + target / 4 < kept;
        self.queues = [last, queue];
        if is_empty(queue, target)
            && !needed
            && !self.joins
            && self.due.is_none_or(|due| due + SOON < now + EVERY)
        {
            self.due = Some(now + EVERY);
        }
    }

    /// A drain is over, whatever came of it.
    pub(super) fn done(&mut self, now: Time) {
        (self.due, self.last, self.queues) = (Some(now + EVERY), Some(now), [Duration::ZERO; 2]);
    }

    /// Whether one is due; sooner while the queue is `long`, as someone's start-up makes it.
    pub(super) fn is_due(&self, now: Time, long: bool) -> bool {
        let rested = self.last.is_none_or(|last| now - last >= REST);
        self.due.is_some_and(|due| now >= due || rested && (long || self.joins))
    }
}

/// Whether a queue that is to be as long as `target` was emptied, as far as noise lets that be seen.
pub(super) fn is_empty(queue: Duration, target: Duration) -> bool {
    queue <= target / 2
}

/// Whether a drain reached the bottom although the round trip is longer than it once was: what was given way at `first`
/// shortened it, and what was given way after that, `now`, did not. So nothing waits, and the path itself has
/// become longer. Each is a window and a round trip.
pub(super) fn is_bottom(before: (u64, Duration), first: (u64, Duration), now: (u64, Duration)) -> bool {
    let (above, below) = (share(before, before, first), share(before, first, now));
    above > 0.2 && below.max(-below) < above / 4.0
}

/// Whether there was nothing to drain, although the round trip is longer than it once was: giving way did not shorten it
/// at all, and at the `crest`, with more in flight than `before`, it was longer. So it is this sender's own doing where there
/// is a queue, and nobody else's.
pub(super) fn is_level(
    crest: Option<(u64, Duration)>,
    before: (u64, Duration),
    first: (u64, Duration),
    now: (u64, Duration),
) -> bool {
    let is_flat = |share: f64| share.max(-share) < 0.1;
    crest.is_some_and(|crest| {
        crest.0 > before.0
            && share(crest, crest, first) > 0.2
            && is_flat(share(before, before, first))
            && is_flat(share(before, first, now))
    })
}

/// The share of `all` that is in flight: what was given way shortens a queue by as much as that.
fn share(all: (u64, Duration), from: (u64, Duration), to: (u64, Duration)) -> f64 {
    let given = from.0.saturating_sub(to.0).max(1) as f64 / all.0.max(1) as f64;
    (from.1.as_secs_f64() - to.1.as_secs_f64()) / all.1.as_secs_f64() / given
}

/// How much is in flight meanwhile, as a part of what the path holds without a queue.
pub(super) const DEPTH: f64 = 0.8;
/// Among others who fill the queue, as a part of the window.
pub(super) const DEPTH_COMPETING: f64 = 0.5;
/// One in which the queue runs empty, and one in which that is seen.
pub(super) const ROUNDS: u32 = 2;
/// If it did not, there are two more at this part of the first ones' window.
pub(super) const MOST_ROUNDS: u32 = 4;
pub(super) const FURTHER: f64 = 0.6;
const EVERY: Duration = Duration::from_secs(4);
const SOON: Duration = Duration::from_millis(1500);
const REST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(8);

    fn at(millis: u64) -> Time {
        Time::from_epoch(Duration::from_millis(millis))
    }

    #[test]
    fn it_is_due_soon_after_the_start_and_then_each_four_seconds() {
        let mut drains = Drains::default();
        assert!(!drains.is_due(at(9000), true), "nothing is known yet");
        drains.soon(at(0));
        drains.round(at(100), TARGET, TARGET, false);
        assert!(!drains.is_due(at(1499), false) && drains.is_due(at(1500), false));
        drains.done(at(2000));
        assert!(!drains.is_due(at(5999), false) && drains.is_due(at(6000), false));
    }

    #[test]
    fn a_queue_that_is_empty_anyway_puts_it_off_and_a_long_one_makes_it_due() {
        let mut drains = Drains::default();
        drains.done(at(0));
        drains.round(at(3000), TARGET / 2, TARGET, false);
        assert!(!drains.is_due(at(6999), false) && drains.is_due(at(7000), false));
        drains.done(at(7000));
        assert!(!drains.is_due(at(7999), true) && drains.is_due(at(8000), true));
    }

    #[test]
    fn the_bottom_is_where_giving_way_shortens_nothing_any_more() {
        let millis = Duration::from_millis;
        assert!(is_bottom((1000, millis(140)), (500, millis(101)), (300, millis(100))));
        assert!(!is_bottom((1000, millis(140)), (500, millis(120)), (300, millis(112))));
        assert!(!is_bottom((1000, millis(140)), (500, millis(140)), (300, millis(141))));
    }

    #[test]
    fn what_giving_way_does_not_change_is_no_queue_if_sending_more_made_one() {
        let millis = Duration::from_millis;
        let flat = [(800, millis(100)), (400, millis(100)), (240, millis(101))];
        let level = |crest, [before, first, now]: [(u64, Duration); 3]| is_level(crest, before, first, now);
        assert!(level(Some((2000, millis(134))), flat));
        assert!(!level(None, flat), "a share too small to be seen looks like that");
        assert!(!level(Some((800, millis(134))), flat), "others have made that queue");
        let shared = [(800, millis(100)), (400, millis(90)), (240, millis(86))];
        assert!(!level(Some((2000, millis(134))), shared));
    }

    #[test]
    fn a_drain_that_is_seen_is_joined() {
        let mut drains = Drains::default();
        drains.done(at(0));
        drains.round(at(1000), TARGET, TARGET, false);
        drains.round(at(1050), TARGET * 7 / 8, TARGET, false);
        assert!(!drains.is_due(at(1050), false));
        drains.round(at(1100), TARGET / 2, TARGET, false);
        assert!(drains.is_due(at(1100), false));
        drains.round(at(1150), TARGET * 3, TARGET, false);
        drains.round(at(1150), TARGET * 2, TARGET, false);
        drains.round(at(1200), TARGET, TARGET, false);
        assert!(!drains.is_due(at(1200), false), "a queue that was too long gets shorter anyway");
    }
}
