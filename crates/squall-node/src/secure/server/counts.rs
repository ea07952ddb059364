//! What a server counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a server counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecureCounts {
    /// Sessions that were given out.
    pub admitted: u64,
    /// Peers with a wrong token.
    pub token_wrong: u64,
    /// Peers without a token, where one is needed.
    pub token_missing: u64,
    /// Peers that insist on a token, where there is none.
    pub token_not_asked: u64,
    /// Peers whose first message is no greeting.
    pub no_greeting: u64,
    /// Peers that did not end the greeting in time.
    pub silent: u64,
    /// Peers that shake hands otherwise than this server does (another protocol or version), or left during it.
    pub broken: u64,
    /// Peers that had to show first that their addresses are theirs.
    pub validated: u64,
    /// Peers that were refused, as there were too many or the server stops.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) admitted: AtomicU64,
    pub(super) token_wrong: AtomicU64,
    pub(super) token_missing: AtomicU64,
    pub(super) token_not_asked: AtomicU64,
    pub(super) no_greeting: AtomicU64,
    pub(super) silent: AtomicU64,
    pub(super) broken: AtomicU64,
    pub(super) validated: AtomicU64,
    pub(super) refused: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    pub(super) fn snapshot(&self) -> SecureCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SecureCounts {
            admitted: read(&self.admitted),
            token_wrong: read(&self.token_wrong),
            token_missing: read(&self.token_missing),
            token_not_asked: read(&self.token_not_asked),
            no_greeting: read(&self.no_greeting),
            silent: read(&self.silent),
            broken: read(&self.broken),
            validated: read(&self.validated),
            refused: read(&self.refused),
        }
    }
}
