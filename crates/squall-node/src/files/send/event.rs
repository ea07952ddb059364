//! What happens at a sender, for whoever shows it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use squall::congestion::Belief;
use squall::files::wire::Reason;

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SendEvent {
    /// What the path is like, told once a second.
    Path(Belief),
    /// A file's content begins to be sent.
    Begun {
        /// The file.
        path: Arc<PathBuf>,
        /// Its bytes, where that is known.
        size: Option<u64>,
    },
    /// So many more bytes of a file have arrived, or were there already.
    Progress {
        /// The file.
        path: Arc<PathBuf>,
        /// The bytes.
        bytes: u64,
        /// How many of them were sent.
        sent: u64,
    },
    /// A file, link or directory is on the receiver's disk under its name.
    Stored {
        /// The file.
        path: Arc<PathBuf>,
        /// Its bytes.
        size: u64,
    },
    /// It was there already as it is, or was made at once, as directories are.
    Unchanged {
        /// The file.
        path: Arc<PathBuf>,
        /// Its bytes.
        size: u64,
        /// Whether it is a file or link; directories are not counted.
        is_file: bool,
    },
    /// In a dry run: it would be sent, all or part of it.
    Differs {
        /// The file.
        path: Arc<PathBuf>,
        /// Its bytes.
        size: u64,
    },
    /// It is not at the receiver: that one did not take it, or it could not be read here.
    Failed {
        /// The file.
        path: Arc<PathBuf>,
        /// Why, for programs.
        reason: Reason,
        /// Why, for people; safe for a terminal.
        text: String,
    },
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendCounts {
    /// Files and links that are on the receiver's disk because of this.
    pub stored: u64,
    /// Files and links that were there already.
    pub unchanged: u64,
    /// What is not there: refused, or not readable.
    pub failed: u64,
    /// In a dry run: files that would be sent.
    pub differing: u64,
    /// Bytes of content sent, as far as the receiver has acknowledged them.
    pub sent: u64,
    /// Bytes of content that were there already in files of which some was sent.
    pub kept: u64,
}

impl SendCounts {
    /// With what another attempt did.
    pub fn and(self, other: Self) -> Self {
        Self {
            stored: self.stored + other.stored,
            // An attempt that goes on where another ended finds what that one stored.
            unchanged: other.unchanged.saturating_sub(self.stored),
            failed: other.failed,
            differing: other.differing,
            sent: self.sent + other.sent,
            kept: self.kept + other.kept,
        }
    }
}

/// [`SendCounts`] while they grow.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) stored: AtomicU64,
    pub(super) unchanged: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) differing: AtomicU64,
    pub(super) sent: AtomicU64,
    /// What QUIC was given, acknowledged or not.
    pub(super) handed: AtomicU64,
    pub(super) kept: AtomicU64,
}

impl Counting {
    pub(super) fn counts(&self) -> SendCounts {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SendCounts {
            stored: get(&self.stored),
            unchanged: get(&self.unchanged),
            failed: get(&self.failed),
            differing: get(&self.differing),
            sent: get(&self.sent),
            kept: get(&self.kept),
        }
    }
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// Why a transfer stopped half-way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendFailure {
    /// The connection is gone. Another one resumes the transfer.
    #[error("the connection is gone: {0}")]
    Lost(String),
    /// The receiver ended it, with a reason in words.
    #[error("the receiver ended the transfer: {why}")]
    Ended {
        /// What it said.
        why: String,
        /// Whether it ended itself, or heard nothing in time, so that another connection may bring it to its end.
        is_stopping: bool,
    },
    /// The receiver cannot go on: what this side says means nothing there.
    #[error("the receiver gave up: {0}")]
    Refused(String),
    /// What the receiver says means nothing here.
    #[error("the receiver does not say what a receiver says: {0}")]
    Fault(String),
}
