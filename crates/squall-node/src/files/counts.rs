//! What a file server counted, in words.

use super::receive::{Receiver, ReceiverCounts};
use crate::secure::{SecureCounts, SecureServer};

/// What a [`FileServer`](super::FileServer) counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileServerCounts {
    /// What its sessions brought.
    pub received: ReceiverCounts,
    /// What became of who came.
    pub peers: SecureCounts,
}

impl FileServerCounts {
    pub(super) fn of(receiver: &Receiver, server: &SecureServer) -> Self {
        Self { received: receiver.counts(), peers: server.counts() }
    }

    /// In a line.
    pub fn summary(&self) -> String {
        let received = &self.received;
        let ending = if received.sessions == 1 { "" } else { "s" };
        let mut line = format!(
            "files over QUIC: {} session{ending}, {} stored, {} unchanged, {} refused, {} bytes",
            received.sessions, received.stored, received.unchanged, received.refused, received.bytes
        );
        for (count, what) in
            [(received.withdrawn, "unreadable at their senders"), (received.broken, "stopped half-way")]
        {
            if count > 0 {
                line += &format!(", {count} {what}");
            }
        }
        let reasons = self.turned_away().map(|(name, count)| (name.replace('_', " "), count));
        let reasons: Vec<_> = reasons.into_iter().filter(|(_, count)| *count > 0).collect();
        if !reasons.is_empty() {
            let total: u64 = reasons.iter().map(|(_, count)| count).sum();
            let reasons: Vec<_> = reasons.iter().map(|(name, count)| format!("{count} {name}")).collect();
            line += &format!(", {total} turned away ({})", reasons.join(", "));
        }
        line
    }

    /// All counts, by names that no count of plain uploads has.
    pub(super) fn named(&self) -> Vec<(String, u64)> {
        let (received, peers) = (&self.received, &self.peers);
        let counts = [
            ("sessions", received.sessions),
            ("open", received.open),
            ("broken", received.broken),
            ("dry", received.dry),
            ("stored", received.stored),
            ("unchanged", received.unchanged),
            ("refused", received.refused),
            ("withdrawn", received.withdrawn),
            ("bytes", received.bytes),
            ("validated", peers.validated),
        ];
        let counts = counts.map(|(name, count)| (format!("secure_{name}"), count));
        let away = self.turned_away().map(|(name, count)| (format!("secure_away_{name}"), count));
        counts.into_iter().chain(away).collect()
    }

    /// How many peers got no session, by reason.
    fn turned_away(&self) -> [(&'static str, u64); 7] {
        let peers = &self.peers;
        [
            ("token_wrong", peers.token_wrong),
            ("token_missing", peers.token_missing),
            ("token_not_asked", peers.token_not_asked),
            ("no_greeting", peers.no_greeting),
            ("silent", peers.silent),
            ("no_handshake", peers.broken),
            ("too_many", peers.refused),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_came_and_who_was_turned_away() {
        let mut counts = FileServerCounts::default();
        assert_eq!(
            counts.summary(),
            "files over QUIC: 0 sessions, 0 stored, 0 unchanged, 0 refused, 0 bytes"
        );
        counts.received = ReceiverCounts {
            sessions: 1,
            broken: 1,
            stored: 3,
            unchanged: 2,
            refused: 1,
            bytes: 9,
            ..ReceiverCounts::default()
        };
        counts.peers.token_wrong = 2;
        counts.peers.refused = 1;
        assert_eq!(
            counts.summary(),
            "files over QUIC: 1 session, 3 stored, 2 unchanged, 1 refused, 9 bytes, 1 stopped half-way, 3 turned away (2 token wrong, 1 too many)"
        );
    }
}
