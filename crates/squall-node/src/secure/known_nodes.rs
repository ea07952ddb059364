//! Nodes that were seen before.

use std::io;
use std::path::PathBuf;

use super::Fingerprint;

/// The file of nodes that were seen before, a line each: `HOST:PORT FINGERPRINT`.
#[derive(Clone, Debug)]
pub struct KnownNodes {
    path: PathBuf,
}

/// A server shows another key than it did before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of {host} changed: {known} is known from line {line} of {}, and it shows {shown}. Somebody may stand between you and it. If you know why it changed, accept it: `sed -i {line}d {}`", path.display(), path.display())]
#[non_exhaustive]
pub struct KeyChanged {
    /// The server, `HOST:PORT`.
    pub host: String,
    /// The key that it showed before.
    pub known: Fingerprint,
    /// The key that it shows.
    pub shown: Fingerprint,
    /// The file that knows it.
    pub path: PathBuf,
    /// The line in the file, from 1.
    pub line: usize,
}

/// Why the file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnownNodesError {
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

impl KnownNodes {
    /// Those in this file, which need not be there.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The user's.
    pub fn default_path() -> PathBuf {
        todo!()
    }
}
