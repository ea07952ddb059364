//! Peers that a protocol wants kept apart from the others.

use super::Outbox;
use crate::Origin;

impl Outbox {
    /// Asks the driver to take this peer's datagrams apart from those of others, because it sends more than
    /// its share: a driver that can gives it a socket of its own, so that what it sends fills a buffer of its
    /// own and is read when there is time. A driver may ignore it; what the peer sends may be lost either way.
    /// Only 64 different peers are remembered between two sends; those beyond may be named again later.
    pub fn isolate(&mut self, origin: &Origin) {
        if self.isolated.len() < MAX_ISOLATED && !self.isolated.contains(origin) {
            self.isolated.push(*origin);
        }
    }

    /// For drivers: the peers to take apart, each once.
    pub fn isolated(&self) -> &[Origin] {
        &self.isolated
    }
}

/// Peers named between two sends.
const MAX_ISOLATED: usize = 64;
