//! What a state machine is given, since it may not fetch it itself: points in time, and numbers that
//! follow from a seed ([`random`]).
//!
//! State machines take the present as a parameter and give their deadlines as `Option<Time>`. Whoever
//! drives them decides what time means: a server takes it from the monotonic clock, the simulator
//! counts it in steps. Two points are comparable only when the same driver made both.
#![no_std]
#![forbid(unsafe_code)]

pub mod random;

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time: nanoseconds since the driver's epoch, from 0 to 2⁶⁴ − 1 (584 years).
///
/// Arithmetic saturates at both ends, so that a far deadline plus a long delay is later than both and
/// a difference is never negative.
///
/// ```
/// use core::time::Duration;
/// use squall_time::Time;
///
/// let start = Time::from_nanos(5);
/// assert_eq!(start + Duration::from_nanos(7), Time::from_nanos(12));
/// assert_eq!(start - Time::from_nanos(9), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The driver's epoch.
    pub const ZERO: Time = Time(0);

    /// The point `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The point `elapsed` after the epoch.
    pub const fn from_epoch(elapsed: Duration) -> Self {
        Self(nanos(elapsed))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this point lies; zero when it lies before.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, delay: Duration) -> Time {
        Time(self.0.saturating_add(nanos(delay)))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, delay: Duration) {
        *self = *self + delay;
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Time {
    /// Seconds since the epoch, to the microsecond: `12.000345s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Time::from_nanos(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(Time::ZERO - end, Duration::ZERO);
        assert_eq!(Time::from_epoch(Duration::MAX), end);
    }

    #[test]
    fn a_point_prints_as_seconds() {
        assert_eq!(Time::from_nanos(12_000_345_999).to_string(), "12.000345s");
    }
}
