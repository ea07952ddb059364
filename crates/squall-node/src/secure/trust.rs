//! Which key a client accepts.

use super::{Fingerprint, KnownNodes, KnownNodesError};

/// Which key of a server a client accepts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// This one (`--pin`). Known nodes are neither asked nor written.
    Pinned(Fingerprint),
    /// The one that the server showed first.
    Known(KnownNodes),
}

/// How a client knows the key that a server showed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Introduced {
    /// It was pinned.
    Pinned,
    /// It was known.
    Known,
    /// Nobody knew it: the one who reads this should compare it with what the server shows.
    FirstTime {
        /// The key.
        fingerprint: Fingerprint,
        /// Why it could not be remembered; `None` where it was.
        forgotten: Option<KnownNodesError>,
    },
}
