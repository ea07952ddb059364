//! Who owes what to whom: the entries that were offered and are not settled yet.

use alloc::collections::VecDeque;

/// How far the newest entry may be ahead of the oldest that is not settled. What both sides keep of a tree is bounded
/// by this, however many files it has.
pub const WINDOW: usize = 4096;

/// Entries by their number, from zero on, in the order in which they were offered; each is settled once.
///
/// Both sides have one: the sender offers no more while it [is full](Self::is_full), the receiver takes an offer
/// beyond that for a fault of its peer.
#[derive(Debug)]
pub struct Ledger<T> {
    /// The number of the first in `open`; all before it are settled.
    base: u64,
    open: VecDeque<Option<T>>,
}

/// Why a number means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Nothing was offered under it.
    #[error("entry {0} was never offered")]
    Unknown(u64),
    /// It is done with.
    #[error("entry {0} is settled already")]
    Settled(u64),
    /// More entries are open than may be.
    #[error("more than {WINDOW} entries are open")]
    Full,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self { base: 0, open: VecDeque::new() }
    }
}

impl<T> Ledger<T> {
    /// Whether nothing more can be offered before something is settled.
    pub fn is_full(&self) -> bool {
        self.open.len() >= WINDOW
    }

    /// Whether everything that was offered is settled.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The number that the next entry will have.
    pub fn next(&self) -> u64 {
        self.base + self.open.len() as u64
    }

    /// All entries below this are settled.
    pub fn settled_below(&self) -> u64 {
        self.base
    }

    /// Takes an entry in, and tells its number.
    ///
    /// # Errors
    /// [`LedgerError::Full`].
    pub fn offer(&mut self, entry: T) -> Result<u64, LedgerError> {
        if self.is_full() {
            return Err(LedgerError::Full);
        }
        let number = self.next();
        self.open.push_back(Some(entry));
        Ok(number)
    }

    /// An entry that is open.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`], [`LedgerError::Settled`].
    pub fn get_mut(&mut self, number: u64) -> Result<&mut T, LedgerError> {
        self.slot(number)?.as_mut().ok_or(LedgerError::Settled(number))
    }

    /// Those that are open, in the order in which they were offered.
    pub fn open(&self) -> impl Iterator<Item = &T> {
        self.open.iter().flatten()
    }

    /// Takes an entry out.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`], [`LedgerError::Settled`].
    pub fn settle(&mut self, number: u64) -> Result<T, LedgerError> {
        let entry = self.slot(number)?.take().ok_or(LedgerError::Settled(number))?;
        while let Some(None) = self.open.front() {
            self.open.pop_front();
            self.base += 1;
        }
        Ok(entry)
    }

    /// What is still open, with its numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.base..).zip(&self.open).filter_map(|(number, entry)| Some((number, entry.as_ref()?)))
    }

    fn slot(&mut self, number: u64) -> Result<&mut Option<T>, LedgerError> {
        let place = number.checked_sub(self.base).ok_or(LedgerError::Settled(number))?;
        let place = usize::try_from(place).map_err(|_| LedgerError::Unknown(number))?;
        self.open.get_mut(place).ok_or(LedgerError::Unknown(number))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn an_entry_is_settled_once_and_in_any_order() {
        let mut ledger = Ledger::default();
        for name in ["a", "b", "c"] {
            ledger.offer(name).unwrap();
        }
        assert_eq!(ledger.settle(1), Ok("b"));
        assert_eq!(ledger.settle(1), Err(LedgerError::Settled(1)));
        assert_eq!(ledger.settle(3), Err(LedgerError::Unknown(3)));
        assert_eq!(ledger.settled_below(), 0);
        assert_eq!(ledger.iter().collect::<Vec<_>>(), [(0, &"a"), (2, &"c")]);
        assert_eq!(ledger.settle(0), Ok("a"));
        assert_eq!(ledger.settled_below(), 2, "what is settled in a row is forgotten");
        assert_eq!(ledger.settle(0), Err(LedgerError::Settled(0)));
        assert_eq!(ledger.get_mut(u64::MAX), Err(LedgerError::Unknown(u64::MAX)));
        assert_eq!(ledger.settle(2), Ok("c"));
        assert!(ledger.is_empty());
        assert_eq!(ledger.offer("d"), Ok(3));
    }

    #[test]
    fn one_that_stays_open_bounds_all_behind_it() {
        let mut ledger = Ledger::default();
        ledger.offer(0).unwrap();
        for number in 1..WINDOW as u64 {
            ledger.offer(number).unwrap();
            ledger.settle(number).unwrap();
        }
        assert!(ledger.is_full());
        assert_eq!(ledger.offer(0), Err(LedgerError::Full));
        ledger.settle(0).unwrap();
        assert!(ledger.is_empty());
        assert_eq!(ledger.settled_below(), WINDOW as u64);
    }
}
