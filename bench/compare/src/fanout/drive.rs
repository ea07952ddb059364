//! The closed loop: a new message is said when every member has an old one.

use std::time::{Duration, Instant};

use super::audience::Audience;
use crate::error::Error;

/// Members of one room, by one way of reaching it. The first of them is the publisher.
pub(crate) trait Crowd {
    /// Hands what members received to `audience`, without waiting for more.
    fn receive(&mut self, audience: &mut Audience) -> Result<(), Error>;

    /// Says messages of [`TEXT`](super::audience::TEXT) bytes that lie one behind the other.
    fn publish(&mut self, texts: &[u8]) -> Result<(), Error>;
}

/// What a measurement gave.
pub(crate) struct Report {
    pub(crate) deliveries: u64,
    pub(crate) elapsed: Duration,
}

/// Keeps `in_flight` messages in flight for `duration`, and waits until the last of them have come. What members
/// receive after the end is checked, and is not in the report.
pub(crate) fn drive(
    crowd: &mut dyn Crowd,
    audience: &mut Audience,
    in_flight: usize,
    duration: Duration,
) -> Result<Report, Error> {
    let begin = Instant::now();
    let before = audience.delivered;
    let mut report = None;
    let mut heard = (before, begin);
    loop {
        let now = Instant::now();
        if report.is_none() && now - begin >= duration {
            report = Some(Report { deliveries: audience.delivered - before, elapsed: now - begin });
        }
        let flying = audience.in_flight();
        if let Some(report) = report.take_if(|_| flying == 0) {
            return Ok(report);
        }
        if report.is_none() && flying < in_flight {
            crowd.publish(audience.publish(in_flight - flying))?;
        }
        crowd.receive(audience)?;
        let drained = now - begin > duration + DRAIN;
        if audience.delivered != heard.0 && !drained {
            heard = (audience.delivered, now);
        } else if now - heard.1 > PATIENCE || drained {
            audience.give_up();
            heard.1 = now;
        }
    }
}

/// How long after the end messages may still come. A hub that holds a sender back can have some for minutes.
const DRAIN: Duration = Duration::from_secs(2);
/// How long nobody may hear anything until what is in flight counts as lost.
const PATIENCE: Duration = Duration::from_millis(500);
