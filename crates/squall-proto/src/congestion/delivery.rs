//! How fast what is sent arrives.
//!
//! [Delivery rate estimation](https://datatracker.ietf.org/doc/html/draft-cheng-iccrg-delivery-rate-estimation): what
//! arrived between the moment a packet left and the moment its acknowledgement came, divided by that time, or
//! by the time in which it was sent if that was longer, so that acknowledgements that come in a bunch
//! show no speed that is not there. The draft keeps what it needs with each packet. Here it is kept by the
//! time of sending, which is all that an acknowledgement brings.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::Time;

/// What was delivered, and what it was when each packet left.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    departures: VecDeque<Departure>,
    delivered: u64,
    delivered_at: Time,
    /// When the newest packet that was delivered had been sent.
    newest: Time,
    in_flight: u64,
    /// What is delivered by the time that nothing sent for want of data is under way any more.
    limited_until: u64,
    batch: Option<Batch>,
}

#[derive(Clone, Copy, Debug)]
struct Departure {
    at: Time,
    delivered: u64,
    delivered_at: Time,
    newest: Time,
    limited: bool,
}

/// What one frame of acknowledgements says, being gathered.
#[derive(Clone, Copy, Debug)]
struct Batch {
    newest: Time,
    bytes: u64,
}

/// What a batch of acknowledgements tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Newly acknowledged.
    pub(super) bytes: u64,
    /// How long the newest packet and its acknowledgement took.
    pub(super) round_trip: Duration,
    /// In bytes a second; `None` if the time was too short to tell.
    pub(super) rate: Option<f64>,
    /// What was delivered in all when the newest packet was sent.
    pub(super) prior: u64,
    /// Whether the sender had too little to send while this was under way.
    pub(super) limited: bool,
}

impl Deliveries {
    /// `resolution` is how far apart departures are told apart; it bounds the memory.
    pub(super) fn sent(&mut self, now: Time, bytes: u64, resolution: Duration) {
        if self.in_flight == 0 {
            (self.newest, self.delivered_at) = (now, now);
        }
        self.in_flight += bytes;
        if self.departures.back().is_some_and(|last| now < last.at + resolution || now <= last.at) {
            return;
        }
        if self.departures.len() == MAX_DEPARTURES {
            self.departures.pop_front();
        }
        self.departures.push_back(Departure {
            at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            newest: self.newest,
            limited: self.delivered < self.limited_until,
        });
    }

    pub(super) fn acked(&mut self, sent: Time, bytes: u64) {
        let batch = self.batch.get_or_insert(Batch { newest: sent, bytes: 0 });
        batch.newest = batch.newest.max(sent);
        batch.bytes += bytes;
    }

    pub(super) fn lost(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// Ends a batch. `None` if there was none, or if it is not known any more when its packets were sent.
    pub(super) fn finish(&mut self, now: Time, in_flight: u64, limited: bool) -> Option<Sample> {
        self.in_flight = in_flight;
        let batch = self.batch.take()?;
        self.delivered += batch.bytes;
        self.delivered_at = now;
        if limited {
            self.limited_until = self.delivered + in_flight;
        }
        let place = self.departures.partition_point(|departure| departure.at <= batch.newest);
        let departure = *self.departures.get(place.checked_sub(1)?)?;
        // The place of the newest stays: later acknowledgements may be of the same departure.
        if batch.newest >= self.newest {
            self.newest = batch.newest;
            self.departures.drain(..place - 1);
        }
        let sending = departure.at - departure.newest;
        let arriving = now - departure.delivered_at;
        let elapsed = sending.max(arriving);
        let bytes = self.delivered - departure.delivered;
        Some(Sample {
            bytes: batch.bytes,
            round_trip: now - batch.newest,
            rate: (elapsed >= SHORTEST).then(|| bytes as f64 / elapsed.as_secs_f64()),
            prior: departure.delivered,
            limited: departure.limited,
        })
    }

    /// What arrived in all.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }
}

/// 160 KiB; at the usual resolution it holds eight round trips.
const MAX_DEPARTURES: usize = 4096;
/// No rate is told from less.
const SHORTEST: Duration = Duration::from_micros(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_epoch(Duration::from_millis(millis))
    }

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut deliveries = Deliveries::default();
        let mut last = None;
        for millis in 0..100 {
            if let Some(sent) = u64::checked_sub(millis, 10) {
                deliveries.acked(at(sent), 1000);
                last = deliveries.finish(at(millis), 10_000, false);
            }
            deliveries.sent(at(millis), 1000, Duration::ZERO);
        }
        let last = last.unwrap();
        assert_eq!((last.round_trip, last.limited), (Duration::from_millis(10), false));
        assert!((last.rate.unwrap() / 1e6 - 1.0).abs() < 0.01, "{last:?}");
    }

    #[test]
    fn acknowledgements_in_a_bunch_show_no_speed_that_is_not_there() {
        let mut deliveries = Deliveries::default();
        for millis in 0..20 {
            deliveries.sent(at(millis), 1000, Duration::ZERO);
        }
        deliveries.acked(at(0), 1000);
        deliveries.finish(at(30), 19_000, false);
        // The acknowledgements of nineteen milliseconds within one.
        for sent in 1..20 {
            deliveries.acked(at(sent), 1000);
        }
        let rate = deliveries.finish(at(31), 0, false).unwrap().rate.unwrap();
        assert!(rate < 1.1e6, "{rate}");
    }

    #[test]
    fn what_was_sent_after_the_data_ran_out_is_marked_until_it_arrived() {
        let mut deliveries = Deliveries::default();
        deliveries.sent(at(0), 1000, Duration::ZERO);
        deliveries.sent(at(1), 1000, Duration::ZERO);
        deliveries.acked(at(0), 1000);
        assert!(!deliveries.finish(at(10), 1000, true).unwrap().limited);
        deliveries.sent(at(11), 1000, Duration::ZERO);
        deliveries.acked(at(1), 1000);
        deliveries.finish(at(12), 1000, false);
        deliveries.acked(at(11), 1000);
        assert!(deliveries.finish(at(21), 0, false).unwrap().limited);
        deliveries.sent(at(22), 1000, Duration::ZERO);
        deliveries.acked(at(22), 1000);
        assert!(!deliveries.finish(at(32), 0, false).unwrap().limited);
    }

    #[test]
    fn departures_are_bounded_and_an_unknown_one_gives_no_sample() {
        let mut deliveries = Deliveries::default();
        for millis in 0..2 * MAX_DEPARTURES as u64 {
            deliveries.sent(at(millis), 1000, Duration::ZERO);
        }
        assert_eq!(deliveries.departures.len(), MAX_DEPARTURES);
        deliveries.acked(at(5), 1000);
        assert_eq!(deliveries.finish(at(10_000), 0, false), None);
        let mut deliveries = Deliveries::default();
        for millis in 0..1000 {
            deliveries.sent(at(millis), 1000, Duration::from_millis(100));
        }
        assert_eq!(deliveries.departures.len(), 10);
    }
}
