//! What a server did.

use core::sync::atomic::{AtomicU64, Ordering};

/// What happened, as a server counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(usize)]
pub enum Event {
    /// A request was read.
    Requests,
    /// A datagram was no message.
    Malformed,
    /// A response was sent with a code of class 4 or 5.
    Errors,
    /// A ping was answered.
    Pings,
    /// A reset was sent for something malformed or out of place.
    ResetsSent,
    /// A reset came.
    ResetsReceived,
    /// A request with effect was run.
    Executed,
    /// A repeated request got its answer again.
    Replayed,
    /// A repeated request got nothing, because its answer is gone or not there yet.
    ReplaysGone,
    /// A request with effect was refused, because it could not have been remembered.
    RefusedFull,
    /// A request with effect was refused, because its endpoint or network has its share already.
    RefusedQuota,
    /// A response was cut down for a peer whose address is not validated.
    Restrained,
    /// An address was validated by Echo.
    Validated,
    /// A block of an upload was taken.
    BlocksTaken,
    /// An upload was refused, because there is no room for another.
    UploadsRefused,
    /// An upload that had begun was given up.
    UploadsDropped,
    /// A block of a large answer was given.
    BlocksGiven,
    /// A kept answer made room for another.
    SnapshotsDropped,
    /// An observation began.
    Observed,
    /// An observation was refused, because there is no room for another.
    ObserversRefused,
    /// An observation ended, because its observer did not answer.
    ObserversLost,
    /// A notification was sent.
    Notifications,
    /// A notification could not be sent, for want of room in the outbox.
    NotificationsSkipped,
    /// A confirmable message was sent again.
    Retransmissions,
    /// An answer that came later was sent.
    Separate,
    /// An answer that was to come later did not come in time.
    SeparateOverdue,
    /// A later answer was given up, because its peer did not acknowledge it.
    SeparateLost,
    /// A request to a group was answered.
    GroupAnswers,
    /// An answer to a group's request was dropped, because too many wait.
    GroupDropped,
    /// A response was not sent, because the request did not want it (RFC 7967).
    NotWanted,
}

/// The counts of a [`Server`](super::Server), which may be read while it runs.
#[derive(Debug)]
pub struct Counts {
    counts: [AtomicU64; EVENTS],
}

impl Counts {
    /// How often `event` happened.
    pub fn get(&self, event: Event) -> u64 {
        self.counts[event as usize].load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, event: Event) {
        // One server writes, so that no locked instruction is needed.
        let count = &self.counts[event as usize];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; EVENTS] }
    }
}

const EVENTS: usize = Event::NotWanted as usize + 1;
