//! What all sessions of a receiver brought, those that are under way too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event::{Counting, SessionCounts};

/// What a receiver counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverCounts {
    /// Sessions that began.
    pub sessions: u64,
    /// Those of them that are under way.
    pub open: u64,
    /// Those of them that stopped half-way.
    pub broken: u64,
    /// Those of them that only asked what would be sent.
    pub dry: u64,
    /// Files and links that are on disk because of them.
    pub stored: u64,
    /// Files and links that were there already.
    pub unchanged: u64,
    /// What was not taken.
    pub refused: u64,
    /// What senders could not read.
    pub withdrawn: u64,
    /// Bytes of content that came.
    pub bytes: u64,
}

/// [`ReceiverCounts`] while they grow.
#[derive(Debug, Default)]
pub(super) struct Tallies(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    /// Of sessions that are over.
    ended: ReceiverCounts,
    /// Of the others, by number.
    open: HashMap<u64, Arc<Counting>>,
}

impl Tallies {
    /// What counts for the session `number`, which begins.
    pub(super) fn begin(&self, number: u64) -> Arc<Counting> {
        let mut tally = self.lock();
        tally.ended.sessions += 1;
        Arc::clone(tally.open.entry(number).or_default())
    }

    /// The session `number` is over.
    pub(super) fn end(&self, number: u64, counts: &SessionCounts, is_broken: bool) {
        let mut tally = self.lock();
        tally.open.remove(&number);
        tally.ended.broken += u64::from(is_broken);
        tally.ended.dry += u64::from(counts.is_dry);
        tally.ended.add(counts);
    }

    pub(super) fn counts(&self) -> ReceiverCounts {
        let tally = self.lock();
        let mut counts = ReceiverCounts { open: tally.open.len() as u64, ..tally.ended };
        tally.open.values().for_each(|counting| counts.add(&counting.counts()));
        counts
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReceiverCounts {
    fn add(&mut self, session: &SessionCounts) {
        self.stored += session.stored;
        self.unchanged += session.unchanged;
        self.refused += session.refused;
        self.withdrawn += session.withdrawn;
        self.bytes += session.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::receive::event::add;

    #[test]
    fn what_a_session_brings_counts_once_while_it_is_under_way_and_afterwards() {
        let tallies = Tallies::default();
        let counting = tallies.begin(1);
        add(&counting.stored, 2);
        add(&counting.bytes, 7);
        let counts = tallies.counts();
        assert_eq!((counts.sessions, counts.open, counts.stored, counts.bytes), (1, 1, 2, 7));
        tallies.end(1, &counting.counts(), true);
        assert_eq!(tallies.counts(), ReceiverCounts { open: 0, broken: 1, ..counts });
    }
}
