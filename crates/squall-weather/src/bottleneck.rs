//! The slowest part of a link and the queue before it.

use squall_time::Time;

/// When the line is free again, exactly: in nanoseconds and a fraction of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bottleneck {
    busy: Time,
    /// In units of a nanosecond / rate.
    fraction: u64,
    rate: u64,
    /// What was queued when the rate changed, and keeps its times.
    before: Option<Before>,
}

#[derive(Clone, Debug)]
struct Before {
    from: Time,
    until: Time,
    units: u128,
}

impl Bottleneck {
    /// When a datagram of `size` bytes has left the line of `rate` bits per second; `None` when the
    /// queue of `queue` bytes has no room for it.
    pub(crate) fn send(&mut self, now: Time, size: usize, rate: u64, queue: u64) -> Option<Time> {
        if rate != self.rate {
            self.change(now, rate);
        }
        let units = (size as u64).min(MAX_SIZE) * UNITS;
        if self.busy <= now {
            (self.busy, self.fraction) = (now, 0);
        } else if self.waiting(now) + u128::from(units) > u128::from(queue) * u128::from(UNITS) {
            return None;
        }
        let total = units + self.fraction;
        self.busy = Time::from_nanos(self.busy.as_nanos().saturating_add(total / rate));
        self.fraction = total % rate;
        // Arrival is at the first whole nanosecond at which the last bit is there.
        Some(Time::from_nanos(self.busy.as_nanos().saturating_add(u64::from(self.fraction > 0))))
    }

    fn change(&mut self, now: Time, rate: u64) {
        let units = self.waiting(now);
        self.before = (self.busy > now).then_some(Before { from: now, until: self.busy, units });
        (self.fraction, self.rate) = (0, rate);
    }

    /// What the line has yet to send, in bytes × [`UNITS`].
    fn waiting(&mut self, now: Time) -> u128 {
        let span = |from: Time, until: Time| u128::from(until.as_nanos().saturating_sub(from.as_nanos()));
        let (mut from, mut waiting) = (now, 0);
        if let Some(before) = &self.before {
            if before.until > now {
                waiting = before.units * span(now, before.until) / span(before.from, before.until);
                from = before.until;
            } else {
                self.before = None;
            }
        }
        if self.busy <= from {
            return waiting;
        }
        waiting + span(from, self.busy) * u128::from(self.rate) + u128::from(self.fraction)
    }
}

/// A byte takes this many nanoseconds at one bit per second.
const UNITS: u64 = 8_000_000_000;
/// In bytes; what fits `u64` in [`UNITS`], and more than any datagram.
const MAX_SIZE: u64 = 1 << 30;
