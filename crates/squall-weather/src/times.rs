//! What depends on the time since a link's beginning.

use alloc::vec::Vec;

use crate::conditions::Conditions;

/// When a link is down. Times are nanoseconds since its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blackouts {
    /// Starts and lengths.
    pub(crate) once: Vec<(u64, u64)>,
    /// Period and length: it begins at each multiple of the period but 0.
    pub(crate) every: Option<(u64, u64)>,
}

impl Blackouts {
    pub(crate) fn is_empty(&self) -> bool {
        self.once.is_empty() && self.every.is_none()
    }

    /// Until when the link is down at `elapsed`, if it is: from the first nanosecond of a window to the last
    /// but not its end.
    pub(crate) fn until(&self, elapsed: u64) -> Option<u64> {
        let once = self.once.iter().copied().filter(|&(start, _)| start <= elapsed);
        let every = self.every.and_then(|(period, length)| {
            let start = elapsed - elapsed.checked_rem(period)?;
            (start > 0).then_some((start, length))
        });
        let ends = once.chain(every).map(|(start, length)| start.saturating_add(length));
        ends.filter(|&end| elapsed < end).max()
    }
}

/// Conditions that follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// By rising times since the link's beginning. None of them has a schedule of its own.
    pub(crate) later: Vec<(u64, Conditions)>,
    /// When it begins anew.
    pub(crate) repeat: Option<u64>,
}

impl Schedule {
    /// The time within a round.
    pub(crate) fn in_round(&self, elapsed: u64) -> u64 {
        self.repeat.and_then(|repeat| elapsed.checked_rem(repeat)).unwrap_or(elapsed)
    }

    /// How many of the later conditions have begun at `in_round`.
    pub(crate) fn stage(&self, in_round: u64) -> usize {
        self.later.partition_point(|(at, _)| *at <= in_round)
    }
}
