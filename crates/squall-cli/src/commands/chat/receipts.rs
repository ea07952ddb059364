//! What became of own messages.

use std::collections::BTreeMap;

/// Which own messages have their receipts, as far as that was told.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// By the messages' numbers, whether one was told to have no receipt, which may yet come.
    told: BTreeMap<u64, bool>,
    missing: u64,
}

impl Receipts {
    /// Takes note that message `id` has a receipt or a refusal, or none in its time. Whether that is news.
    pub(super) fn note(&mut self, id: u64, is_missing: bool) -> bool {
        // By the time that it is told of, a message may have changed more than once.
        let before = self.told.insert(id, is_missing);
        match (before, is_missing) {
            (None | Some(false), true) => self.missing += 1,
            (Some(true), false) => self.missing -= 1,
            _ => {}
        }
        if self.told.len() > TOLD {
            // One without a receipt stays counted: it is too old to get one.
            self.told.pop_first();
        }
        before != Some(is_missing)
    }

    /// Whether message `id` was told to have no receipt.
    pub(super) fn was_missing(&self, id: u64) -> bool {
        self.told.get(&id).is_some_and(|is_missing| *is_missing)
    }

    /// Messages that have none.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }
}

/// Own messages whose end is remembered.
const TOLD: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_that_comes_late_is_one_and_is_told_once() {
        let mut receipts = Receipts::default();
        assert!(receipts.note(1, true) && !receipts.note(1, true));
        assert!(receipts.was_missing(1));
        assert_eq!(receipts.missing(), 1);
        assert!(receipts.note(1, false) && !receipts.note(1, false));
        assert_eq!(receipts.missing(), 0);
    }

    #[test]
    fn what_has_no_receipt_is_counted_however_much_is_said_after_it() {
        let mut receipts = Receipts::default();
        receipts.note(0, true);
        (1..).take(3 * TOLD).for_each(|id| assert!(receipts.note(id, false)));
        assert_eq!(receipts.missing(), 1);
        assert_eq!(receipts.told.len(), TOLD);
    }
}
