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

impl Event {
    /// All of them, in the order in which they are best read.
    pub const ALL: [Event; EVENTS] = [
        Event::Requests,
        Event::Malformed,
        Event::Errors,
        Event::Pings,
        Event::ResetsSent,
        Event::ResetsReceived,
        Event::Executed,
        Event::Replayed,
        Event::ReplaysGone,
        Event::RefusedFull,
        Event::RefusedQuota,
        Event::Restrained,
        Event::Validated,
        Event::BlocksTaken,
        Event::UploadsRefused,
        Event::UploadsDropped,
        Event::BlocksGiven,
        Event::SnapshotsDropped,
        Event::Observed,
        Event::ObserversRefused,
        Event::ObserversLost,
        Event::Notifications,
        Event::NotificationsSkipped,
        Event::Retransmissions,
        Event::Separate,
        Event::SeparateOverdue,
        Event::SeparateLost,
        Event::GroupAnswers,
        Event::GroupDropped,
        Event::NotWanted,
    ];

    /// The name, `replays_gone`, for logs and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Event::Requests => "requests",
            Event::Malformed => "malformed",
            Event::Errors => "errors",
            Event::Pings => "pings",
            Event::ResetsSent => "resets_sent",
            Event::ResetsReceived => "resets_received",
            Event::Executed => "executed",
            Event::Replayed => "replayed",
            Event::ReplaysGone => "replays_gone",
            Event::RefusedFull => "refused_full",
            Event::RefusedQuota => "refused_quota",
            Event::Restrained => "restrained",
            Event::Validated => "validated",
            Event::BlocksTaken => "blocks_taken",
            Event::UploadsRefused => "uploads_refused",
            Event::UploadsDropped => "uploads_dropped",
            Event::BlocksGiven => "blocks_given",
            Event::SnapshotsDropped => "snapshots_dropped",
            Event::Observed => "observed",
            Event::ObserversRefused => "observers_refused",
            Event::ObserversLost => "observers_lost",
            Event::Notifications => "notifications",
            Event::NotificationsSkipped => "notifications_skipped",
            Event::Retransmissions => "retransmissions",
            Event::Separate => "separate",
            Event::SeparateOverdue => "separate_overdue",
            Event::SeparateLost => "separate_lost",
            Event::GroupAnswers => "group_answers",
            Event::GroupDropped => "group_dropped",
            Event::NotWanted => "not_wanted",
        }
    }
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

    /// What has happened at least once, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (Event, u64)> + '_ {
        Event::ALL.into_iter().map(|event| (event, self.get(event))).filter(|(_, count)| *count > 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_a_count_and_a_name_of_its_own() {
        let counts = Counts::default();
        for (index, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, index);
            (0..=index).for_each(|_| counts.add(event));
            assert!(Event::ALL[..index].iter().all(|other| other.name() != event.name()));
        }
        assert!(counts.iter().map(|(_, count)| count).eq(1..=EVENTS as u64));
    }
}
