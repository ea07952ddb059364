//! What a hub counted.

/// The counts of a [`Hub`](super::Hub) since it was made, and two levels of the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Members now.
    pub members: u64,
    /// Rooms now.
    pub rooms: u64,
    /// Datagrams and stream lines that came.
    pub received: u64,
    /// Heartbeats among what they said.
    pub heartbeats: u64,
    /// Messages that were relayed.
    pub messages: u64,
    /// Messages times the members that each was written for.
    pub deliveries: u64,
    /// Commands that were answered.
    pub commands: u64,
    /// Addresses and connections that became members.
    pub came: u64,
    /// Members that left by `quit`.
    pub quit: u64,
    /// Members that were evicted for their silence.
    pub silent: u64,
    /// Members whose connection ended.
    pub closed: u64,
    /// Members that the operator put out.
    pub kicked: u64,
    /// Newcomers turned away because the hub was full.
    pub full: u64,
    /// Newcomers turned away because their network has its share of members.
    pub prefix_full: u64,
    /// Newcomers turned away because they are banned.
    pub banned: u64,
    /// Messages of addresses that are no members and become none: `quit`, and what a hub sends.
    pub strangers: u64,
    /// Texts dropped because another hub sent them.
    pub loops: u64,
    /// Texts refused because no datagram holds them.
    pub too_long: u64,
    /// Texts refused because they seem to be another member's.
    pub imitations: u64,
    /// Messages refused, and newcomers turned away, by the rate of a member or its network.
    pub over_rate: u64,
    /// Times that a member began to flood.
    pub floods: u64,
    /// Messages of flooding members that were dropped, heartbeats and relays of relays beyond the first 1000 of a second among
    /// them.
    pub flooded: u64,
    /// Messages dropped because all senders' queues were full, or that of one who spoke alone.
    pub shed: u64,
    /// Lines that slow readers of streams missed.
    pub missed: u64,
    /// Lines of presence dropped because too many waited.
    pub presence_dropped: u64,
    /// Answers dropped because too many waited or the outbox was full.
    pub answers_dropped: u64,
    /// Events dropped because nobody took them.
    pub events_dropped: u64,
}
