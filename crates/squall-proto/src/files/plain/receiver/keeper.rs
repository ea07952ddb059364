//! Where a receiver's uploads go.

use core::time::Duration;

use crate::{Origin, Time};

/// An upload, by its number: no two of a receiver have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub u64);

/// An upload that has begun.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Started {
    /// Its number.
    pub id: UploadId,
    /// Who sends it.
    pub origin: Origin,
    /// When.
    pub at: Time,
}

/// An upload that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Its number.
    pub id: UploadId,
    /// Who sent it.
    pub origin: Origin,
    /// How it ended.
    pub end: End,
    /// The bytes of it that were taken.
    pub bytes: u64,
    /// The datagrams with content that were taken.
    pub datagrams: u64,
    /// The datagrams with content that were dropped because the keeper had no room: holes.
    pub dropped: u64,
    /// Its beginning may have been turned away, or be in an upload that was given up before.
    pub lacks_beginning: bool,
    /// From its first datagram to its last.
    pub took: Duration,
    /// When it ended.
    pub at: Time,
}

impl Ended {
    /// Whether all that arrived is there, from a first datagram to `bye`. What was lost on the way nobody knows.
    pub fn is_whole(&self) -> bool {
        self.end == End::Bye && self.dropped == 0 && !self.lacks_beginning
    }
}

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// By `bye`.
    Bye,
    /// Nothing came for too long.
    Idle,
    /// It was longer than an upload may be.
    TooLong,
    /// There was no space left for it.
    NoSpace,
    /// The keeper could not go on with it.
    Failed,
    /// The receiver stopped.
    Stopped,
}

/// Why a keeper does not take a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// Too much waits: this datagram is lost, and the upload has a hole.
    #[error("too much waits to be written")]
    Behind,
    /// What may be kept in all is.
    #[error("no space is left for uploads")]
    NoSpace,
    /// The upload cannot be kept any longer; the keeper has said why.
    #[error("the upload cannot be written")]
    Failed,
}

/// What keeps uploads for a receiver. Nothing here waits: an implementation that writes to a disk does so elsewhere.
pub trait Keeper: Send {
    /// An upload begins, if the keeper has room for one more.
    ///
    /// # Errors
    /// [`KeepError`]: it is turned away, and never ends.
    fn begin(&mut self, started: &Started) -> Result<(), KeepError>;

    /// Takes the next bytes of an upload that has begun and not ended.
    ///
    /// # Errors
    /// [`KeepError`]. Behind [`Behind`](KeepError::Behind) the upload goes on, with a hole; otherwise it ends.
    fn append(&mut self, id: UploadId, bytes: &[u8]) -> Result<(), KeepError>;

    /// An upload has ended. It is told once for each that began.
    fn end(&mut self, ended: &Ended);
}
