//! What a client does by itself, and how much it keeps.

use core::time::Duration;

use super::Client;
use crate::Time;
use crate::chat::wire::{Name, RoomName};

/// How a [`Client`](super::Client) behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub(super) name: Option<Name>,
    pub(super) room: Option<RoomName>,
    pub(super) history: u32,
    pub(super) interval: Duration,
    pub(super) receipt: Duration,
    pub(super) scroll_back: usize,
    pub(super) members: usize,
    pub(super) first_wait: Duration,
    pub(super) max_wait: Duration,
    pub(super) attempts: Option<u32>,
    pub(super) rate: u32,
    pub(super) burst: u32,
    pub(super) epoch_millis: u64,
    pub(super) seed: u64,
}

impl ClientConfig {
    /// The name to ask for, now and after each reconnect: default none.
    pub fn name(mut self, name: Option<Name>) -> Self {
        self.name = name;
        self
    }

    /// The room to join: default where the hub puts newcomers.
    pub fn room(mut self, room: Option<RoomName>) -> Self {
        self.room = room;
        self
    }

    /// How many messages to ask for that were said before a room was joined: default 50; 0 asks for none.
    pub fn history(mut self, messages: u32) -> Self {
        self.history = messages;
        self
    }

    /// The time between two heartbeats, and between two probes: default 10 s, from 100 ms to an hour. Each is
    /// longer or shorter by up to a tenth, at random.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(Duration::from_millis(100), Duration::from_secs(3600));
        self
    }

    /// How long a message waits for its own copy before it is shown as without a receipt: default 5 s, and never
    /// less than four round trips.
    pub fn receipt(mut self, wait: Duration) -> Self {
        self.receipt = wait;
        self
    }

    /// How many messages are kept of each room: default 10,000, at least 100. The oldest go.
    pub fn scroll_back(mut self, messages: usize) -> Self {
        self.scroll_back = messages.max(100);
        self
    }

    /// How many of a room's members are listed: default 500, at least 100. Of the others only the number is known.
    pub fn members(mut self, members: usize) -> Self {
        self.members = members.max(100);
        self
    }

    /// How long to wait before the second attempt to connect, and the longest wait: default 1 s, doubled up to
    /// 60 s. Each is longer by up to a half, at random, so that the members of a hub do not all come back at once.
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        self.first_wait = first.max(Duration::from_millis(10));
        self.max_wait = longest.max(self.first_wait);
        self
    }

    /// After how many attempts in a row the client gives up: default never.
    pub fn attempts(mut self, attempts: Option<u32>) -> Self {
        self.attempts = attempts.map(|attempts| attempts.max(1));
        self
    }

    /// How many messages are sent a second, and how many at once after a pause: default 16 and 40, with which heartbeats
    /// and questions stay within the 20 and 60 that hubs allow by default; what is said faster waits. 0 sends
    /// without a limit, which hubs allow on loopback.
    pub fn rate(mut self, per_second: u32, burst: u32) -> Self {
        (self.rate, self.burst) = (per_second, burst.max(1));
        self
    }

    /// Milliseconds from 1970-01-01T00:00Z to [`Time::ZERO`](crate::Time::ZERO), so that messages have a
    /// time of day: default 0.
    pub fn epoch_millis(mut self, millis: u64) -> Self {
        self.epoch_millis = millis;
        self
    }

    /// What jitter and probes' tokens follow from: default 0. Outside of tests, a number that nobody can guess.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            name: None,
            room: None,
            history: 50,
            interval: Duration::from_secs(10),
            receipt: Duration::from_secs(5),
            scroll_back: 10_000,
            members: 500,
            first_wait: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
            attempts: None,
            rate: 16,
            burst: 40,
            epoch_millis: 0,
            seed: 0,
        }
    }
}

impl Client {
    /// Sets the calendar by which messages are dated as they come: `unix_millis` since 1970-01-01T00:00Z are `now`. A
    /// driver whose clock stands still while the machine sleeps tells it now and then.
    pub fn set_calendar(&mut self, now: Time, unix_millis: u64) {
        self.config.epoch_millis = unix_millis.saturating_sub(now.as_nanos() / 1_000_000);
    }

    /// Milliseconds since 1970.
    pub(super) fn wall(&self, now: Time) -> u64 {
        self.config.epoch_millis.saturating_add(now.as_nanos() / 1_000_000)
    }
}
