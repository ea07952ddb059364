//! What a controller believes of its path, for display.

use core::fmt;
use core::time::Duration;

/// What a [`Controller`](super::Controller) believes of its path.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Belief {
    /// What the path carries for this connection, in bytes a second; 0 before anything was measured.
    pub bandwidth: u64,
    /// The round trip without a queue, as the mean of a round; `None` before the first one ended.
    pub round_trip: Option<Duration>,
    /// The shortest single round trip of the last 80 to 100 seconds, or since the path became another.
    pub shortest: Option<Duration>,
    /// How much longer the last round's mean round trip was than one without a queue.
    pub queue: Duration,
    /// How many bytes may be in flight.
    pub window: u64,
    /// The part that the path loses however little is sent, from 0 to 1.
    pub loss: f64,
    /// What it is doing.
    pub phase: Phase,
}

/// What a [`Controller`](super::Controller) is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It about doubles its rate each round trip until the path is full.
    Startup,
    /// It keeps a short queue.
    Steady,
    /// It lets its queue run empty, to see how long a round trip is.
    Drain,
    /// It shares with someone who fills the queue.
    Competing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Startup => "startup",
            Phase::Steady => "steady",
            Phase::Drain => "drain",
            Phase::Competing => "competing",
        })
    }
}
