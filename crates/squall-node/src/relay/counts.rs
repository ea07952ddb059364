//! What a relay did.

use std::time::Duration;

use squall_weather::Counts;

/// What a relay did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayCounts {
    /// How long it has run.
    pub elapsed: Duration,
    /// For how much longer a blackout that was ordered lets nothing pass.
    pub blackout: Option<Duration>,
    /// From the clients to the server.
    pub up: DirectionCounts,
    /// From the server to the clients.
    pub down: DirectionCounts,
    /// Flows, or connections, that are open.
    pub flows: u64,
    /// Flows that were opened.
    pub flows_opened: u64,
    /// Flows that ended because nothing came or went for the idle time.
    pub flows_idle: u64,
    /// Flows that ended to make room for others.
    pub flows_displaced: u64,
    /// Datagrams, or connections, of new clients for which there was no room.
    pub flows_refused: u64,
    /// Flows that could not be opened: no descriptor, no route.
    pub flows_failed: u64,
    /// Connections that ended by an error.
    pub flows_broken: u64,
    /// Decisions that a record at its limit of ten million lacks.
    pub unrecorded: u64,
    /// Datagrams that nobody can answer: sent to a group or by broadcast, or from port 0.
    pub unanswerable: u64,
}

/// What a relay did in one direction. Datagrams add up: those received are those dropped by the weather and
/// those it let pass; the copies of these are sent, under way, or dropped for a reason that has a number here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectionCounts {
    /// Datagrams that came; over TCP, packets' worth of bytes.
    pub received: u64,
    /// Their bytes, without headers.
    pub received_bytes: u64,
    /// Datagrams that were sent on, second copies too; over TCP, writes.
    pub sent: u64,
    /// Their bytes, without headers.
    pub sent_bytes: u64,
    /// Datagrams that passed while the weather was clear, without a decision.
    pub clear: u64,
    /// What the weather decided.
    pub weather: Counts,
    /// Copies that are under way; over TCP, bytes.
    pub under_way: u64,
    /// Copies dropped because too much was under way.
    pub overflow: u64,
    /// Dropped because their flow had ended: copies before they arrived, and what the server sent before it was
    /// decided on.
    pub ended: u64,
    /// Dropped because the kernel had no room to send them.
    pub send_buffer_full: u64,
    /// Dropped because the kernel refused to send them.
    pub send_failed: u64,
    /// Dropped by the kernel before the relay saw them, for want of room; a train counts once.
    pub kernel_drops: u64,
    /// ICMP errors that came for what was sent: nobody listens there, or no route leads there.
    pub icmp_errors: u64,
    /// Receive calls that failed for another reason.
    pub receive_errors: u64,
    /// Datagrams that came after a record's last one, and passed.
    pub replay_beyond: u64,
    /// Datagrams of another size than the recorded one: it is not the same run.
    pub replay_different: u64,
    /// Datagrams of a record that have not come.
    pub replay_remaining: u64,
    /// System calls that received.
    pub receive_calls: u64,
    /// System calls that sent.
    pub send_calls: u64,
}

impl DirectionCounts {
    /// All that the weather and the relay dropped.
    pub fn dropped(&self) -> u64 {
        self.weather.dropped() + self.overflow + self.ended + self.send_buffer_full + self.send_failed
    }
}
