//! What bounds a session listener.

use std::time::Duration;

use squall_proto::guard::{RateLimitConfig, Trust};
use squall_proto::sessions::{Overflow, TableConfig, TableFull};

/// Bounds, policies and trust of a [`SessionListener`](super::SessionListener).
#[derive(Clone, Debug)]
pub struct SessionConfig {
    pub(super) table: TableConfig,
    pub(super) queue: usize,
    pub(super) queue_bytes: usize,
    pub(super) memory: usize,
    pub(super) overflow: Overflow,
    pub(super) trust: Trust,
    pub(super) rate_limit: Option<RateLimitConfig>,
    pub(super) answers_anything: bool,
    pub(super) receive_buffer: usize,
}

impl SessionConfig {
    /// How many sessions there may be: default 4096, from 1 to 2²⁰. One without datagrams takes about a
    /// kilobyte.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.table = self.table.sessions(sessions);
        self
    }

    /// How many of them may wait to be accepted: default 128, at least 1. Peers that come later are refused
    /// and counted.
    pub fn backlog(mut self, sessions: usize) -> Self {
        self.table = self.table.backlog(sessions);
        self
    }

    /// How long a peer may send nothing before its session ends: default 60 s. What is sent to it does not
    /// count.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.table = self.table.idle(idle);
        self
    }

    /// What happens to a new peer when every session is taken: by default it is refused.
    pub fn when_full(mut self, policy: TableFull) -> Self {
        self.table = self.table.when_full(policy);
        self
    }

    /// How many datagrams a session holds that were not read yet: default 64, at least 1.
    pub fn queue(mut self, datagrams: usize) -> Self {
        self.queue = datagrams.max(1);
        self
    }

    /// How many bytes a session holds that were not read yet: default 256 KiB, and at least 64 KiB, so that
    /// every datagram fits.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes.max(64 * 1024);
        self
    }

    /// How many bytes all sessions together hold that were not read yet: default 64 MiB. What comes while
    /// they are held is dropped and counted, whatever the queue's policy.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// What gives way when a session's queue is full: by default the datagram that just came.
    pub fn when_queue_full(mut self, policy: Overflow) -> Self {
        self.overflow = policy;
        self
    }

    /// Networks whose addresses count as validated, as loopback always does. None by default.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Datagrams that one peer and one network prefix may send; `None` for no limit. The default is that of
    /// [`RateLimitConfig`], which leaves loopback alone.
    pub fn rate_limit(mut self, limit: Option<RateLimitConfig>) -> Self {
        self.rate_limit = limit;
        self
    }

    /// Whether the application may answer anything that it is sent; true by default. Datagrams that may be
    /// another server's answer, by their source port or their form, are then refused and counted
    /// (CVE-2024-2169). An application that checks the form of what it is sent, and whose answers are never
    /// taken for that, can do without.
    pub fn answers_anything(mut self, anything: bool) -> Self {
        self.answers_anything = anything;
        self
    }

    /// The receive buffer asked for, in bytes (`SO_RCVBUF`); 4 MiB by default. The kernel gives
    /// `net.core.rmem_max` at most.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = bytes;
        self
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            table: TableConfig::default(),
            queue: 64,
            queue_bytes: 256 * 1024,
            memory: 64 * 1024 * 1024,
            overflow: Overflow::default(),
            trust: Trust::new(),
            rate_limit: Some(RateLimitConfig::default()),
            answers_anything: true,
            receive_buffer: 4 * 1024 * 1024,
        }
    }
}
