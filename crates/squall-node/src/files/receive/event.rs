//! What happens at a receiver, for whoever shows it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use squall::files::wire::Reason;

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReceiveEvent {
    /// A sender came.
    Came {
        /// Its number, from 1 on.
        session: u64,
        /// Where it is.
        peer: SocketAddr,
    },
    /// A file or link is on disk under its name.
    Stored {
        /// The sender's number.
        session: u64,
        /// The file.
        path: PathBuf,
        /// Its bytes.
        size: u64,
    },
    /// A file, link or directory was not taken.
    Refused {
        /// The sender's number.
        session: u64,
        /// The file.
        path: PathBuf,
        /// Why, for programs.
        reason: Reason,
        /// Why, for people; safe for a terminal.
        text: String,
    },
    /// A sender is gone.
    Went {
        /// Its number.
        session: u64,
        /// Where it was last.
        peer: SocketAddr,
        /// What it brought.
        counts: SessionCounts,
        /// Why it stopped half-way; `None` when all was sent.
        broken: Option<String>,
    },
}

/// What a sender brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionCounts {
    /// Files and links that are on disk because of it.
    pub stored: u64,
    /// Files and links that were there already.
    pub unchanged: u64,
    /// What was not taken.
    pub refused: u64,
    /// What the sender could not read.
    pub withdrawn: u64,
    /// Bytes of content that came.
    pub bytes: u64,
    /// Whether the sender only asked what would be sent.
    pub is_dry: bool,
    /// Whether something of what was offered is here, be it a directory.
    pub has_taken: bool,
}

/// [`SessionCounts`] while they grow.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) stored: AtomicU64,
    pub(super) unchanged: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) withdrawn: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Counting {
    pub(super) fn counts(&self) -> SessionCounts {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SessionCounts {
            stored: get(&self.stored),
            unchanged: get(&self.unchanged),
            refused: get(&self.refused),
            withdrawn: get(&self.withdrawn),
            bytes: get(&self.bytes),
            is_dry: false,
            has_taken: false,
        }
    }
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
