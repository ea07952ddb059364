//! Those who say how much may be in flight: the controller under test, and CUBIC beside it.

use std::time::Duration;

use squall_proto::congestion::{Belief, CongestionConfig, Controller};
use squall_sim::Time;

use super::path::PACKET;

/// Who says how much may be in flight.
pub trait Window {
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
pub fn squall() -> Box<dyn Window> {
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

/// What most TCP senders do ([RFC 9438](https://www.rfc-editor.org/rfc/rfc9438)), with HyStart's way out of slow start.
pub struct Cubic {
    window: f64,
    slow: bool,
    most: f64,
    epoch: Option<Time>,
    recovery: Option<Time>,
    shortest: Duration,
    reno: f64,
}

pub fn cubic() -> Box<dyn Window> {
    Box::new(Cubic {
        window: 10.0,
        slow: true,
        most: 0.0,
        epoch: None,
        recovery: None,
        shortest: Duration::MAX,
        reno: 0.0,
    })
}

impl Window for Cubic {
    fn window(&self) -> u64 {
        (self.window * PACKET as f64) as u64
    }

    fn sent(&mut self, _: Time, _: u64) {}

    fn acked(&mut self, now: Time, sent: Time, bytes: u64) {
        if self.recovery.is_some_and(|recovery| sent <= recovery) {
            return;
        }
        let round_trip = now - sent;
        self.shortest = self.shortest.min(round_trip);
        let packets = bytes as f64 / PACKET as f64;
        if self.slow {
            self.window += packets;
            self.slow = round_trip < self.shortest + self.shortest / 8;
            (self.most, self.reno) = (self.window, self.window);
            return;
        }
        let epoch = *self.epoch.get_or_insert(now);
        let until = ((self.most - self.window.min(self.most)) / 0.4).cbrt();
        let past = (now - epoch).as_secs_f64();
        if past == 0.0 {
            self.recovery = None;
        }
        let _ = until;
        let k = (self.most * 0.3 / 0.4).cbrt() * f64::from(u8::from(self.most > self.reno_start()));
        let goal = self.most + 0.4 * (past + round_trip.as_secs_f64() - k).powi(3);
        self.reno += 0.53 * packets / self.window;
        let goal = goal.max(self.reno);
        if goal > self.window {
            self.window += (goal - self.window).min(self.window * 0.5) / self.window * packets;
        }
    }

    fn acks_end(&mut self, _: Time, _: u64, _: bool) {}

    fn lost(&mut self, now: Time, sent: Time, _: u64, persistent: bool) {
        if self.recovery.is_some_and(|recovery| sent <= recovery) {
            return;
        }
        self.recovery = Some(now);
        self.epoch = Some(now);
        self.slow = false;
        self.most = self.window;
        self.window = if persistent { 2.0 } else { self.window * 0.7 };
        self.reno = self.window;
    }
}

impl Cubic {
    fn reno_start(&self) -> f64 {
        0.0
    }
}
