//! What the machine has and state machines are given: the monotonic clock as [`Time`], and chance.

use std::time::Instant;

use squall_time::Time;

/// A seed that nobody knows, another one with each call: for tables that strangers fill, and for jitter that two
/// programs must not share.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// Reads the present as time since the clock was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_epoch(self.epoch.elapsed())
    }
}
