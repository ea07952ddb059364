//! When a sender that hears nothing sends its next datagram.

use core::time::Duration;

use crate::Time;

/// A rate in bits a second, headers of IP and UDP counted, with some datagrams at once.
///
/// A receiver that stands still for a moment has room for about ninety datagrams of 1024 bytes where its system gives it
/// 208 KiB, as Linux does (each takes 2304 bytes of it), and nobody tells the sender when there is none. So what goes at once is
/// little, also behind a pause of the sender.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    bits_per_second: u64,
    /// When all that was sent is paid for.
    paid: Time,
}

impl Pace {
    /// A sender that has sent nothing, at `bits_per_second`, 1000 at least.
    pub fn new(bits_per_second: u64) -> Self {
        Self { bits_per_second: bits_per_second.max(1000), paid: Time::ZERO }
    }

    /// Takes a datagram with `payload` bytes at `now`, and says how long to wait before it is sent.
    pub fn wait(&mut self, now: Time, payload: usize) -> Duration {
        let burst = self.time_of(BURST * (super::LONGEST_PIECE + HEADERS));
        let wait = self.paid.since(now + burst);
        self.paid = self.paid.max(now) + self.time_of(payload + HEADERS);
        wait
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(self.bits_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Datagrams that may go at once.
const BURST: usize = 8;
/// IPv4's and UDP's.
const HEADERS: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_time_and_a_pause_earns_a_few_datagrams() {
        // A datagram of 1052 bytes takes a millisecond.
        let mut pace = Pace::new(8 * 1_052_000);
        let mut now = Time::from_nanos(5_000_000_000);
        let start = now;
        let at_once = (0..100).filter(|_| pace.wait(now, 1024).is_zero()).count();
        assert_eq!(at_once, 9, "a burst, and the one that is paid for meanwhile");
        let mut pace = Pace::new(8 * 1_052_000);
        for _ in 0..1000 {
            now += pace.wait(now, 1024);
        }
        assert_eq!(now.since(start), Duration::from_millis(1000 - 9));
        now += Duration::from_secs(60);
        let at_once = (0..100).filter(|_| pace.wait(now, 1024).is_zero()).count();
        assert_eq!(at_once, 9);
    }
}
