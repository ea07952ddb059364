//! What a hub is set to.

use core::time::Duration;

use crate::chat::LivenessConfig;
use crate::chat::wire::RoomName;
use crate::guard::{Rate, Trust};

/// The settings of a [`Hub`](super::Hub).
#[derive(Clone, Debug)]
pub struct HubConfig {
    pub(super) seed: u64,
    pub(super) epoch_millis: u64,
    pub(super) members: u32,
    pub(super) members_per_prefix: u32,
    pub(super) trust: Trust,
    pub(super) rooms: u16,
    pub(super) lobby: Option<RoomName>,
    pub(super) member_rate: (u32, Rate),
    pub(super) prefix_rate: (u32, Rate),
    pub(super) limit_loopback: bool,
    pub(super) queue_lines: usize,
    pub(super) queue_bytes: usize,
    pub(super) all_queues: usize,
    pub(super) ring: usize,
    pub(super) liveness: LivenessConfig,
    pub(super) remembered: Duration,
}

impl HubConfig {
    /// Numbers that peers cannot guess, so that nobody can choose addresses that fall into one slot of a
    /// table, and that name the hub's run (`hub=` in the answer to `/me`). Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The milliseconds since 1970-01-01T00:00Z at the driver's [`Time::ZERO`](crate::Time::ZERO), by which
    /// messages are dated. Default 0.
    pub fn epoch_millis(mut self, millis: u64) -> Self {
        self.epoch_millis = millis;
        self
    }

    /// The most members: default 200,000, at least 1, at most 16 million. Each costs up to 300 bytes.
    /// Who comes when there are as many gets no answer; a connection is told and ended.
    pub fn members(mut self, members: u32) -> Self {
        self.members = members.clamp(1, 1 << 24);
        self
    }

    /// The most members of one IPv4 /24 or IPv6 /56: default 256, at least 1. Not for loopback, Unix sockets and
    /// [trusted](Self::trust) networks.
    pub fn members_per_prefix(mut self, members: u32) -> Self {
        self.members_per_prefix = members.max(1);
        self
    }

    /// The networks that may have as many members as they like: none by default, besides loopback.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The most rooms: default 1024, from 1 to 65,535. Each costs about a kilobyte while it has members.
    pub fn rooms(mut self, rooms: u16) -> Self {
        self.rooms = rooms.max(1);
        self
    }

    /// The room of those who have chosen none, which is always there: default `lobby`.
    pub fn lobby(mut self, room: RoomName) -> Self {
        self.lobby = Some(room);
        self
    }

    /// How much one member may say: default 20 messages a second, 60 at once. Commands count as well,
    /// heartbeats do not; of an answer out of the history four datagrams count as one. Not on loopback and Unix sockets.
    ///
    /// How often an address may come back after it left has the same rate, on loopback too.
    pub fn member_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.member_rate = (per_second.clamp(1, 1_000_000), Rate::new(per_second, burst));
        self
    }

    /// How much the members of one IPv4 /24 or IPv6 /56 may say together: default 200 messages a second, 600
    /// at once, and how often newcomers may come of it. Not on loopback and Unix sockets.
    pub fn prefix_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.prefix_rate = (per_second.clamp(1, 1_000_000), Rate::new(per_second, burst));
        self
    }

    /// Whether the rates hold on loopback and Unix sockets too: default no, since fairness there comes from
    /// taking senders in turn.
    pub fn limit_loopback(mut self, limit: bool) -> Self {
        self.limit_loopback = limit;
        self
    }

    /// How much of one sender may wait: default 1024 lines, 64 KiB; at least 64 lines and 4 KiB. A sender that fills this
    /// is flooding, unless nobody else speaks: then its lines are shed and nothing more.
    pub fn queue(mut self, lines: usize, bytes: usize) -> Self {
        (self.queue_lines, self.queue_bytes) = (lines.max(64), bytes.max(4096));
        self
    }

    /// How much of all senders may wait: default 16 MiB. What comes beyond it is shed, from
    /// senders that have anything waiting.
    pub fn all_queues(mut self, bytes: usize) -> Self {
        self.all_queues = bytes;
        self
    }

    /// How much a reader of a stream may be behind: default 256 KiB of its room's lines, at least 4 KiB. What is older it
    /// misses, and is told how much. A room needs this much while one of its readers is behind.
    pub fn ring(mut self, bytes: usize) -> Self {
        self.ring = bytes.max(4096);
        self
    }

    /// How long members may be silent.
    pub fn liveness(mut self, liveness: LivenessConfig) -> Self {
        self.liveness = liveness;
        self
    }

    /// How long a member that was evicted for its silence finds name, room and settings again: default ten
    /// minutes. 16,384 of them are remembered.
    pub fn remember(mut self, time: Duration) -> Self {
        self.remembered = time;
        self
    }
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            epoch_millis: 0,
            members: 200_000,
            members_per_prefix: 256,
            trust: Trust::new(),
            rooms: 1024,
            lobby: None,
            member_rate: (20, Rate::new(20, 60)),
            prefix_rate: (200, Rate::new(200, 600)),
            limit_loopback: false,
            queue_lines: 1024,
            queue_bytes: 64 * 1024,
            all_queues: 16 * 1024 * 1024,
            ring: 256 * 1024,
            liveness: LivenessConfig::default(),
            remembered: Duration::from_secs(600),
        }
    }
}
