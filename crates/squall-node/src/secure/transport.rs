//! What QUIC does on the way.

use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::ControllerFactory;

/// Settings of a connection.
#[derive(Clone)]
pub struct Transport {
    congestion: Arc<dyn ControllerFactory + Send + Sync>,
    largest_datagram: u16,
    idle: Duration,
}

impl Transport {
    /// Settings with this congestion control and defaults otherwise.
    pub fn new(congestion: Arc<dyn ControllerFactory + Send + Sync>) -> Self {
        Self { congestion, largest_datagram: 1452, idle: Duration::from_secs(30) }
    }

    /// How large a datagram is tried, in bytes of UDP payload: 1452 by default.
    pub fn largest_datagram(mut self, bytes: u16) -> Self {
        self.largest_datagram = bytes;
        self
    }

    /// After how long a silent peer is given up: 30 s by default.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }
}
