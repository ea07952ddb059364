//! What a link did.

use crate::decision::{Cause, Decision};

/// What a [`Link`](crate::Link) did since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Datagrams that arrive at least once.
    pub forwarded: u64,
    /// Their bytes, headers counted and second copies not.
    pub bytes: u64,
    /// Dropped by independent loss.
    pub loss: u64,
    /// Dropped in a burst.
    pub burst: u64,
    /// Dropped because the bottleneck's queue was full.
    pub queue: u64,
    /// Dropped because they are longer than the MTU.
    pub too_big: u64,
    /// Dropped while the link was down.
    pub blackout: u64,
    /// Dropped by a rule.
    pub rule: u64,
    /// Datagrams that arrive twice.
    pub duplicated: u64,
    /// Datagrams that `reorder` held back.
    pub reordered: u64,
    /// Datagrams that arrive before one that was sent earlier, for whatever reason.
    pub overtaking: u64,
    /// Copies with a wrong bit.
    pub corrupted: u64,
}

impl Counts {
    /// Datagrams that never arrive, for whatever cause.
    pub const fn dropped(&self) -> u64 {
        self.loss + self.burst + self.queue + self.too_big + self.blackout + self.rule
    }

    /// Datagrams that were decided on.
    pub const fn decided(&self) -> u64 {
        self.forwarded + self.dropped()
    }

    pub(crate) fn decision(&mut self, size: usize, decision: &Decision) {
        match decision {
            Decision::Dropped(cause) => *self.of(*cause) += 1,
            Decision::Delivered(copies) => {
                self.forwarded += 1;
                self.bytes = self.bytes.saturating_add(size as u64);
                self.duplicated += u64::from(copies.duplicated());
                self.corrupted += copies.iter().filter(|copy| copy.corruption.is_some()).count() as u64;
            }
        }
    }

    fn of(&mut self, cause: Cause) -> &mut u64 {
        match cause {
            Cause::Loss => &mut self.loss,
            Cause::Burst => &mut self.burst,
            Cause::Queue => &mut self.queue,
            Cause::TooBig { .. } => &mut self.too_big,
            Cause::Blackout => &mut self.blackout,
            Cause::Rule => &mut self.rule,
        }
    }
}
