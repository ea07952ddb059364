//! Files that are for nobody else's eyes.

use std::io;
use std::path::PathBuf;

/// Why a file with a secret cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// Others may read or write it.
    #[error("{} is open to other users (mode {mode:03o}), so that what is in it may be known: run `chmod 600 {}`, or remove it and a new one is made", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system says no.
    #[error("cannot {what} {}: {source}", path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
