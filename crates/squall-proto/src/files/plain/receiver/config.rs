//! What a receiver is set to.

use core::time::Duration;

use crate::guard::Trust;

/// The settings of a [`Receiver`](super::Receiver).
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    pub(super) seed: u64,
    pub(super) idle: Duration,
    pub(super) repeated_bye: Duration,
    pub(super) uploads: u32,
    pub(super) uploads_per_prefix: u32,
    pub(super) size: u64,
    pub(super) trust: Trust,
}

impl ReceiverConfig {
    /// A number that peers cannot guess, so that nobody can choose addresses that fall into one slot of a table.
    /// Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long an upload may bring nothing until it ends, incomplete: default 60 s, at least 100 ms.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle.max(Duration::from_millis(100));
        self
    }

    /// How long a `bye` from an address whose upload has ended by one is taken for the same, sent or delivered
    /// twice: default 5 s. In this time that address cannot upload an empty file; any other content begins a new
    /// upload at once.
    pub fn repeated_bye(mut self, time: Duration) -> Self {
        self.repeated_bye = time;
        self
    }

    /// The most uploads at a time: default 1024, at least 1, at most 65,536. What else comes is turned away and counted,
    /// and its address's datagrams are dropped up to its `bye`.
    pub fn uploads(mut self, uploads: u32) -> Self {
        self.uploads = uploads.clamp(1, 1 << 16);
        self
    }

    /// The most uploads at a time of one IPv4 /24 or IPv6 /56: default 64, at least 1. Not for loopback and
    /// [trusted](Self::trust) networks.
    pub fn uploads_per_prefix(mut self, uploads: u32) -> Self {
        self.uploads_per_prefix = uploads.max(1);
        self
    }

    /// The most bytes of an upload: default 1 GiB. One that has more ends there, incomplete.
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    /// The networks that may have as many uploads as there may be: none by default, besides loopback.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            idle: Duration::from_secs(60),
            repeated_bye: Duration::from_secs(5),
            uploads: 1024,
            uploads_per_prefix: 64,
            size: 1 << 30,
            trust: Trust::new(),
        }
    }
}
