//! Which key a client accepts.

use super::known_nodes::{KnownKey, RememberError};
use super::{ConnectError, Fingerprint, KnownNodes, PrivateFileError};

/// Which key of a server a client accepts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// This one (`--pin`). Known nodes are neither asked nor written.
    Pinned(Fingerprint),
    /// The one that the server showed first, and from then on no other.
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
    /// Nobody knew it: who reads this should compare it with what the server shows.
    FirstTime {
        /// The key.
        fingerprint: Fingerprint,
        /// Why it could not be remembered; `None` where it was.
        forgotten: Option<PrivateFileError>,
    },
}

/// What a client expects of one server.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The server, as [`KnownNodes`] has it.
    host: String,
    by: By,
}

#[derive(Clone, Debug)]
enum By {
    Pin(Fingerprint),
    Memory(KnownNodes, Vec<KnownKey>),
}

impl Expected {
    /// What `trust` says of `host`, `HOST:PORT`.
    pub(super) fn of(trust: &Trust, host: &str) -> Result<Self, PrivateFileError> {
        let by = match trust {
            Trust::Pinned(pinned) => By::Pin(*pinned),
            Trust::Known(nodes) => By::Memory(nodes.clone(), nodes.keys_of(host)?),
        };
        Ok(Self { host: host.to_owned(), by })
    }

    /// Whether this key will do.
    pub(super) fn judge(&self, shown: Fingerprint) -> Result<(), ConnectError> {
        match &self.by {
            By::Pin(pinned) if *pinned == shown => Ok(()),
            By::Pin(pinned) => {
                Err(ConnectError::NotPinned { target: self.host.clone(), pinned: *pinned, shown })
            }
            By::Memory(nodes, keys) => match keys.first() {
                Some(first) if keys.iter().all(|key| key.fingerprint != shown) => {
                    Err(nodes.changed(&self.host, *first, shown).into())
                }
                _ => Ok(()),
            },
        }
    }

    /// Takes note of a key that [`judge`](Self::judge) let pass, of a server that proved what it had to.
    pub(super) fn introduce(&self, shown: Fingerprint) -> Result<Introduced, ConnectError> {
        match &self.by {
            By::Pin(_) => Ok(Introduced::Pinned),
            By::Memory(nodes, keys) if keys.is_empty() => {
                let forgotten = match nodes.remember(&self.host, shown) {
                    Ok(()) => None,
                    Err(RememberError::Changed(changed)) => return Err(changed.into()),
                    Err(RememberError::File(error)) => Some(error),
                };
                Ok(Introduced::FirstTime { fingerprint: shown, forgotten })
            }
            By::Memory(..) => Ok(Introduced::Known),
        }
    }
}
