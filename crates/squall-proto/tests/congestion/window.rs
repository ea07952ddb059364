//! Those who say how much may be in flight: the controller under test, and CUBIC beside it.

use std::time::Duration;

use squall_proto::congestion::{Belief, CongestionConfig, Controller};
use squall_sim::Time;

use super::path::PACKET;

/// Who says how much may be in flight.
pub(crate) trait Window {
    fn window(&self) -> u64;
    fn sent(&mut self, now: Time, bytes: u64);
    fn acked(&mut self, now: Time, sent: Time, bytes: u64);
    fn acks_end(&mut self, now: Time, in_flight: u64, limited: bool);
    fn lost(&mut self, now: Time, sent: Time, bytes: u64, persistent: bool);
    fn belief(&self) -> Option<Belief> {
        None
    }
}

/// The controller under test.
pub(crate) fn squall() -> Box<dyn Window> {
    Box::new(Controller::new(&CongestionConfig::default(), PACKET, Time::ZERO).unwrap())
}

impl Window for Controller {
    fn window(&self) -> u64 {
        Controller::window(self)
    }

    fn sent(&mut self, now: Time, bytes: u64) {
        self.handle_sent(now, bytes);
    }

    fn acked(&mut self, _: Time, sent: Time, bytes: u64) {
        self.handle_acked(sent, bytes);
    }

    fn acks_end(&mut self, now: Time, in_flight: u64, limited: bool) {
        self.handle_acks_end(now, in_flight, limited);
    }

    fn lost(&mut self, _: Time, _: Time, bytes: u64, persistent: bool) {
        self.handle_lost(bytes, persistent);
    }

    fn belief(&self) -> Option<Belief> {
        Some(Controller::belief(self))
    }
}

/// What most TCP senders do ([RFC 9438](https://www.rfc-editor.org/rfc/rfc9438)).
struct Cubic {
    /// In packets, as all of its windows.
    window: f64,
    slow_start: bool,
    most: f64,
    /// The time of its last loss, or of the end of its slow start.
    epoch: Time,
    /// Seconds until the window is `most` again.
    until: f64,
    shortest: Duration,
}

/// A sender with CUBIC, which leaves slow start when the round trip is an eighth longer, as HyStart does.
pub(crate) fn cubic() -> Box<dyn Window> {
    Box::new(Cubic {
        window: 10.0,
        slow_start: true,
        most: 0.0,
        epoch: Time::ZERO,
        until: 0.0,
        shortest: Duration::MAX,
    })
}

impl Window for Cubic {
    fn window(&self) -> u64 {
        (self.window * PACKET as f64) as u64
    }

    fn sent(&mut self, _: Time, _: u64) {}

    fn acked(&mut self, now: Time, sent: Time, bytes: u64) {
        let round_trip = now - sent;
        self.shortest = self.shortest.min(round_trip);
        let packets = bytes as f64 / PACKET as f64;
        if self.slow_start {
            self.window += packets;
            if round_trip > self.shortest + self.shortest / 8 && self.window > 100.0 {
                (self.slow_start, self.most, self.epoch) = (false, self.window, now);
            }
            return;
        }
        let past = (now - self.epoch + round_trip).as_secs_f64() - self.until;
        let goal = self.most + 0.4 * past.powi(3);
        if goal > self.window {
            self.window += (goal - self.window).min(self.window / 2.0) / self.window * packets;
        }
    }

    fn acks_end(&mut self, _: Time, _: u64, _: bool) {}

    fn lost(&mut self, now: Time, sent: Time, _: u64, _: bool) {
        if !self.slow_start && sent <= self.epoch {
            return;
        }
        self.slow_start = false;
        (self.most, self.epoch) = (self.window, now);
        self.until = (self.most * 0.3 / 0.4).cbrt();
        self.window *= 0.7;
    }
}
