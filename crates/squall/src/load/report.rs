//! What came of the load.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Pace, Transport};

/// What came of a load. It counts the requests of the measured time, not those of the warm-up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The server.
    pub target: SocketAddr,
    pub(super) transport: Transport,
    /// How many peers it saw.
    pub peers: usize,
    pub(super) pace: Pace,
    /// The bytes of each request.
    pub size: usize,
    /// The datagrams of each burst.
    pub burst: usize,
    /// Whether bursts went as segmented sends (`UDP_SEGMENT`) to the end.
    pub segmented: bool,
    /// Requests.
    pub sent: u64,
    /// Requests that were answered within the timeout.
    pub replies: u64,
    /// Answers that arrived in the measured time, also to requests of the warm-up: those that
    /// [`replies_per_second`](Self::replies_per_second) counts.
    pub replies_in_time: u64,
    /// Requests that were not answered within the timeout.
    pub lost: u64,
    /// Answers to requests that were lost by then.
    pub late: u64,
    /// Further answers to requests that had one.
    pub duplicates: u64,
    /// Datagrams that answer no request, or come from another address than the server's.
    pub strays: u64,
    /// How often the network said that nobody listens there (`ECONNREFUSED`).
    pub refused: u64,
    /// Requests that the system did not send; they are lost, too.
    pub send_errors: u64,
    /// Requests of an open loop that were due and never sent, because too many were in flight or the generator was
    /// too slow.
    pub unsent: u64,
    /// The measured time.
    pub elapsed: Duration,
    pub(super) histogram: Histogram<u64>,
}

impl Report {
    /// Answers that arrived in the measured time, a second.
    pub fn replies_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.replies_in_time as f64 / seconds } else { 0.0 }
    }

    /// The latency that `percent` of the answered requests do not exceed, to a thousandth; zero without answers.
    /// It counts from the send, and with a [rate](super::Load::rate) from when the request was due. The highest that
    /// is told is 600 s.
    pub fn latency(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_percentile(percent))
    }

    /// The shortest latency.
    pub fn min_latency(&self) -> Duration {
        Duration::from_nanos(self.histogram.min())
    }

    /// The longest latency.
    pub fn max_latency(&self) -> Duration {
        Duration::from_nanos(self.histogram.max())
    }

    /// The mean latency.
    pub fn mean_latency(&self) -> Duration {
        Duration::from_nanos(self.histogram.mean() as u64)
    }

    /// The report as one JSON object on one line. Fields: `target` (a URI), `peers`, `in_flight` or
    /// `in_flight_per_peer` or `rate` (requests a second), `size` (bytes), `burst`, `segmented`, `seconds`, `sent`,
    /// `replies`, `replies_per_second`, `lost`, `late`, `duplicates`, `strays`, `refused`, `send_errors`, `unsent`,
    /// and `latency_us` with `min`, `mean`, `p50`, `p90`, `p99`, `p99_9`, `p99_99` and `max` in microseconds.
    pub fn to_json(&self) -> String {
        let (mut in_flight, mut in_flight_per_peer, mut rate) = (None, None, None);
        match self.pace {
            Pace::InFlight(requests) => in_flight = Some(requests),
            Pace::InFlightPerPeer(requests) => in_flight_per_peer = Some(requests),
            Pace::Rate(requests) => rate = Some(requests),
        }
        let fields = Fields {
            target: self.uri(),
            peers: self.peers,
            in_flight,
            in_flight_per_peer,
            rate,
            size: self.size,
            burst: self.burst,
            segmented: self.segmented,
            seconds: self.elapsed.as_secs_f64(),
            sent: self.sent,
            replies: self.replies,
            replies_per_second: self.replies_per_second().round(),
            lost: self.lost,
            late: self.late,
            duplicates: self.duplicates,
            strays: self.strays,
            refused: self.refused,
            send_errors: self.send_errors,
            unsent: self.unsent,
            latency_us: Latency {
                min: microseconds(self.min_latency()),
                mean: microseconds(self.mean_latency()),
                p50: microseconds(self.latency(50.0)),
                p90: microseconds(self.latency(90.0)),
                p99: microseconds(self.latency(99.0)),
                p99_9: microseconds(self.latency(99.9)),
                p99_99: microseconds(self.latency(99.99)),
                max: microseconds(self.max_latency()),
            },
        };
        serde_json::to_string(&fields).expect("numbers and text are JSON")
    }

    fn uri(&self) -> String {
        let scheme = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        format!("{scheme}://{}", self.target)
    }
}

impl fmt::Display for Report {
    /// A table of a few lines, without a newline behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(f, "{}  {} peer{}, {} bytes, ", self.uri(), self.peers, plural(self.peers), self.size)?;
        match self.pace {
            _ if self.transport == Transport::Tcp => f.write_str("1 in flight each")?,
            Pace::InFlight(requests) => write!(f, "{requests} in flight")?,
            Pace::InFlightPerPeer(requests) => write!(f, "{requests} in flight each")?,
            Pace::Rate(rate) => write!(f, "{rate} a second")?,
        }
        if self.burst > 1 {
            let how = if self.segmented { " (segmented)" } else { "" };
            write!(f, ", bursts of {}{how}", self.burst)?;
        }
        writeln!(f, ", {:.1} s", self.elapsed.as_secs_f64())?;

        let share = if self.sent > 0 { 100.0 * self.lost as f64 / self.sent as f64 } else { 0.0 };
        writeln!(f, "replies/s  {:>14}", thousands(self.replies_per_second().round() as u64))?;
        writeln!(f, "sent       {:>14}", thousands(self.sent))?;
        writeln!(f, "replies    {:>14}", thousands(self.replies))?;
        writeln!(f, "lost       {:>14}  {share:.3} %", thousands(self.lost))?;
        let rare = [
            ("late", self.late),
            ("duplicate", self.duplicates),
            ("stray", self.strays),
            ("refused", self.refused),
            ("not sent", self.send_errors),
            ("overdue", self.unsent),
        ];
        for (name, count) in rare.into_iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "{name:<10} {:>14}", thousands(count))?;
        }
        let columns = [
            ("min", self.min_latency()),
            ("p50", self.latency(50.0)),
            ("p90", self.latency(90.0)),
            ("p99", self.latency(99.0)),
            ("p99.9", self.latency(99.9)),
            ("max", self.max_latency()),
        ];
        f.write_str("latency  ")?;
        for (name, _) in columns {
            write!(f, " {name:>9}")?;
        }
        f.write_str("\n         ")?;
        for (_, latency) in columns {
            write!(f, " {:>9}", readable(latency))?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Fields {
    target: String,
    peers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight_per_peer: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    size: usize,
    burst: usize,
    segmented: bool,
    seconds: f64,
    sent: u64,
    replies: u64,
    replies_per_second: f64,
    lost: u64,
    late: u64,
    duplicates: u64,
    strays: u64,
    refused: u64,
    send_errors: u64,
    unsent: u64,
    latency_us: Latency,
}

#[derive(Serialize)]
struct Latency {
    min: f64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    p99_99: f64,
    max: f64,
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

/// Three digits and a unit.
pub(super) fn readable(time: Duration) -> String {
    let (value, unit) = match time.as_nanos() as f64 {
        nanoseconds if nanoseconds < 999.5 => return format!("{nanoseconds} ns"),
        nanoseconds if nanoseconds < 999.5e3 => (nanoseconds / 1e3, "µs"),
        nanoseconds if nanoseconds < 999.5e6 => (nanoseconds / 1e6, "ms"),
        nanoseconds => (nanoseconds / 1e9, "s"),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (51_240, "51.2 µs"),
            (999_600, "1.00 ms"),
            (123_456_789, "123 ms"),
            (60_000_000_000, "60.0 s"),
        ];
        for (nanoseconds, text) in cases {
            assert_eq!(readable(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
