//! The times that everything else follows from
//! ([RFC 7252 §4.8](https://www.rfc-editor.org/rfc/rfc7252#section-4.8)).

use core::time::Duration;

/// Transmission parameters: what may be chosen, and what follows from it. Both ends of a conversation
/// should have the same; the defaults are the RFC's.
#[derive(Clone, Debug, PartialEq)]
pub struct Transmission {
    ack_timeout: Duration,
    ack_random_factor: f64,
    max_retransmit: u32,
    nstart: u32,
    default_leisure: Duration,
    probing_rate: u32,
    max_latency: Duration,
}

impl Transmission {
    /// How long a confirmable message waits for its acknowledgement, at least: default 2 s, from 1 ms to
    /// an hour (other values are taken to the nearest bound). Under 1 s it may fill a network
    /// ([RFC 8085 §3.1.1](https://www.rfc-editor.org/rfc/rfc8085#section-3.1.1)).
    pub fn with_ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout.clamp(Duration::from_millis(1), HOUR);
        self
    }

    /// Up to how many times the time-out the first wait is, at random, so that clients do not go in step:
    /// default 1.5, from 1 to 10. Other values are taken to the nearest bound, a NaN to 1.
    pub fn with_ack_random_factor(mut self, factor: f64) -> Self {
        self.ack_random_factor = if factor.is_nan() { 1.0 } else { factor.clamp(1.0, 10.0) };
        self
    }

    /// How many times a message is sent again, each wait twice the one before: default 4, at most 16.
    pub fn with_max_retransmit(mut self, retransmissions: u32) -> Self {
        self.max_retransmit = retransmissions.min(16);
        self
    }

    /// How many exchanges a client has open with one server: default 1, from 1 to 65,535. The RFC asks
    /// for 1 where there is no other congestion control.
    pub fn with_nstart(mut self, exchanges: u32) -> Self {
        self.nstart = exchanges.clamp(1, 65_535);
        self
    }

    /// The longest time that an answer to a multicast request waits: default 5 s, at most an hour.
    pub fn with_default_leisure(mut self, leisure: Duration) -> Self {
        self.default_leisure = leisure.min(HOUR);
        self
    }

    /// How many bytes a second go to an endpoint that does not answer: default 1, at least 1.
    pub fn with_probing_rate(mut self, bytes_per_second: u32) -> Self {
        self.probing_rate = bytes_per_second.max(1);
        self
    }

    /// The longest time that a datagram is under way: default 100 s, at most an hour.
    pub fn with_max_latency(mut self, latency: Duration) -> Self {
        self.max_latency = latency.min(HOUR);
        self
    }

    /// See [`with_ack_timeout`](Self::with_ack_timeout).
    pub const fn ack_timeout(&self) -> Duration {
        self.ack_timeout
    }

    /// See [`with_ack_random_factor`](Self::with_ack_random_factor).
    pub const fn ack_random_factor(&self) -> f64 {
        self.ack_random_factor
    }

    /// See [`with_max_retransmit`](Self::with_max_retransmit).
    pub const fn max_retransmit(&self) -> u32 {
        self.max_retransmit
    }

    /// See [`with_nstart`](Self::with_nstart).
    pub const fn nstart(&self) -> u32 {
        self.nstart
    }

    /// See [`with_default_leisure`](Self::with_default_leisure).
    pub const fn default_leisure(&self) -> Duration {
        self.default_leisure
    }

    /// See [`with_probing_rate`](Self::with_probing_rate).
    pub const fn probing_rate(&self) -> u32 {
        self.probing_rate
    }

    /// See [`with_max_latency`](Self::with_max_latency).
    pub const fn max_latency(&self) -> Duration {
        self.max_latency
    }
}

/// What follows from them ([RFC 7252 §4.8.2](https://www.rfc-editor.org/rfc/rfc7252#section-4.8.2)). The
/// numbers are those of the defaults.
impl Transmission {
    /// The first wait for an acknowledgement, 2 to 3 s; `unit`, from 0 to 1, says where between.
    pub fn initial_timeout(&self, unit: f64) -> Duration {
        let unit = if unit.is_nan() { 0.0 } else { unit.clamp(0.0, 1.0) };
        self.ack_timeout.mul_f64(1.0 + (self.ack_random_factor - 1.0) * unit)
    }

    /// From the first transmission of a confirmable message to its last: 45 s.
    pub fn max_transmit_span(&self) -> Duration {
        self.waits(self.max_retransmit)
    }

    /// From the first transmission to giving up: 93 s.
    pub fn max_transmit_wait(&self) -> Duration {
        self.waits(self.max_retransmit + 1)
    }

    /// How long a node takes to acknowledge: as long as the time-out, 2 s.
    pub fn processing_delay(&self) -> Duration {
        self.ack_timeout
    }

    /// The longest round trip: 202 s.
    pub fn max_rtt(&self) -> Duration {
        2 * self.max_latency + self.processing_delay()
    }

    /// From sending a confirmable message until its ID may be used again: 247 s.
    pub fn exchange_lifetime(&self) -> Duration {
        self.max_transmit_span() + self.max_rtt()
    }

    /// From sending a non-confirmable message until its ID may be used again: 145 s.
    pub fn non_lifetime(&self) -> Duration {
        self.max_transmit_span() + self.max_latency
    }

    /// The sum of the first `waits` waits at their longest.
    fn waits(&self, waits: u32) -> Duration {
        let once = self.ack_timeout.mul_f64(self.ack_random_factor);
        once * ((1 << waits) - 1)
    }
}

impl Default for Transmission {
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor: 1.5,
            max_retransmit: 4,
            nstart: 1,
            default_leisure: Duration::from_secs(5),
            probing_rate: 1,
            max_latency: Duration::from_secs(100),
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_times_of_the_defaults_are_those_of_the_rfc() {
        let transmission = Transmission::default();
        assert_eq!(transmission.max_transmit_span(), seconds(45));
        assert_eq!(transmission.max_transmit_wait(), seconds(93));
        assert_eq!(transmission.max_rtt(), seconds(202));
        assert_eq!(transmission.exchange_lifetime(), seconds(247));
        assert_eq!(transmission.non_lifetime(), seconds(145));
        assert_eq!(transmission.initial_timeout(0.0), seconds(2));
        assert_eq!(transmission.initial_timeout(1.0), seconds(3));
    }

    #[test]
    fn whatever_is_set_nothing_overflows() {
        for factor in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let transmission = Transmission::default()
                .with_ack_timeout(Duration::MAX)
                .with_ack_random_factor(factor)
                .with_max_retransmit(u32::MAX)
                .with_max_latency(Duration::MAX);
            assert!(transmission.exchange_lifetime() >= transmission.max_transmit_span());
            assert!(transmission.max_transmit_wait() > transmission.max_transmit_span());
            assert!(transmission.initial_timeout(f64::NAN) >= transmission.ack_timeout());
        }
        let none = Transmission::default().with_max_retransmit(0);
        assert_eq!(none.max_transmit_span(), Duration::ZERO);
        assert_eq!(none.max_transmit_wait(), seconds(3));
    }
}
