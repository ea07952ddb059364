//! Which uploads the kernel may have dropped something of.

use squall::{Backlog, Time};

/// The datagrams that the kernel had dropped when an upload began.
///
/// A first datagram may have waited while those behind it were dropped, so that what is counted when it is read is too
/// late. Whatever is read in one batch came after the kernel's queue was seen empty in an earlier one: what was counted
/// then is surely from before.
#[derive(Clone, Debug, Default)]
pub(super) struct Drops {
    /// The batch that was looked at last, by its time.
    batch: Option<Time>,
    before: u64,
    /// What was counted in that batch when nothing waited.
    empty: Option<u64>,
}

impl Drops {
    /// What had been dropped for certain before anything of the batch at `at` came; `backlog` is the present one.
    pub(super) fn before(&mut self, at: Time, backlog: Backlog) -> u64 {
        if self.batch != Some(at) {
            self.before = self.empty.take().unwrap_or(self.before);
            self.batch = Some(at);
        }
        if backlog.waiting == 0 {
            self.empty = Some(backlog.drops);
        }
        self.before
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_epoch(Duration::from_millis(millis))
    }

    fn backlog(waiting: u64, drops: u64) -> Backlog {
        let mut backlog = Backlog::default();
        (backlog.waiting, backlog.drops) = (waiting, drops);
        backlog
    }

    #[test]
    fn what_is_dropped_behind_a_datagram_that_waits_is_not_from_before_it() {
        let mut drops = Drops::default();
        assert_eq!(drops.before(at(1), backlog(0, 0)), 0);
        // The node was held up, and its queue ran over.
        assert_eq!(drops.before(at(500), backlog(90_000, 700)), 0);
        assert_eq!(drops.before(at(501), backlog(30_000, 700)), 0);
        assert_eq!(drops.before(at(502), backlog(0, 700)), 0, "it was in the queue then");
        assert_eq!(drops.before(at(502), backlog(0, 701)), 0, "and what is of the same batch");
        assert_eq!(drops.before(at(503), backlog(0, 701)), 701);
    }

    #[test]
    fn a_queue_that_is_never_empty_leaves_everything_in_doubt() {
        let mut drops = Drops::default();
        for millis in 1..100 {
            assert_eq!(drops.before(at(millis), backlog(1, millis)), 0);
        }
    }
}
