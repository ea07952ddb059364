//! What is counted while the load runs. Times are nanoseconds since the driver's start.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Load, Report};

/// Counts what belongs to the time that is measured.
pub(super) struct Tally {
    from: u64,
    until: u64,
    pub(super) sent: u64,
    pub(super) replies: u64,
    in_time: u64,
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) duplicates: u64,
    pub(super) strays: u64,
    pub(super) refused: u64,
    pub(super) send_errors: u64,
    pub(super) unsent: u64,
    histogram: Histogram<u64>,
    /// Answers with one request time and one arrival time: a burst's are recorded together.
    run: Run,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Run {
    since: u64,
    now: u64,
    count: u64,
}

impl Tally {
    /// Counts what happens from `from` until `until`.
    pub(super) fn new(from: u64, until: u64) -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, DIGITS)
            .expect("the bounds are in order and the precision is possible");
        Self {
            from,
            until,
            sent: 0,
            replies: 0,
            in_time: 0,
            lost: 0,
            late: 0,
            duplicates: 0,
            strays: 0,
            refused: 0,
            send_errors: 0,
            unsent: 0,
            histogram,
            run: Run::default(),
        }
    }

    /// `count` requests of the time `since` went out.
    pub(super) fn sent(&mut self, since: u64, count: u64) {
        if self.measured(since) {
            self.sent += count;
        }
    }

    /// The reply to a request of the time `since` came at `now`.
    #[inline]
    pub(super) fn answer(&mut self, since: u64, now: u64) {
        if (self.run.since, self.run.now) != (since, now) {
            self.close_run();
            self.run = Run { since, now, count: 0 };
        }
        self.run.count += 1;
    }

    /// `count` requests of the time `since` were given up.
    pub(super) fn lose(&mut self, since: u64, count: u64) {
        if self.measured(since) {
            self.lost += count;
        }
    }

    /// Ends the measuring early, at `now`.
    pub(super) fn stop(&mut self, now: u64) {
        self.close_run();
        self.until = self.until.min(now.max(self.from));
    }

    /// The report; `segmented` says whether bursts went as segmented sends.
    pub(super) fn report(mut self, load: &Load, segmented: bool) -> Report {
        self.close_run();
        Report {
            target: load.target,
            transport: load.transport,
            peers: load.peers,
            pace: load.pace,
            size: load.size,
            burst: load.burst,
            segmented,
            sent: self.sent,
            replies: self.replies,
            replies_in_time: self.in_time,
            lost: self.lost,
            late: self.late,
            duplicates: self.duplicates,
            strays: self.strays,
            refused: self.refused,
            send_errors: self.send_errors,
            unsent: self.unsent,
            elapsed: Duration::from_nanos(self.until - self.from),
            histogram: self.histogram,
        }
    }

    /// A burst that was due before the end may go out after it; it counts.
    fn measured(&self, since: u64) -> bool {
        since >= self.from
    }

    fn close_run(&mut self) {
        let Run { since, now, count } = std::mem::take(&mut self.run);
        if (self.from..self.until).contains(&now) {
            self.in_time += count;
        }
        if count > 0 && self.measured(since) {
            self.replies += count;
            self.histogram.saturating_record_n(now.saturating_sub(since), count);
        }
    }
}

/// What is longer counts as this long.
const LONGEST: Duration = Duration::from_secs(600);
/// Latencies are kept to a thousandth.
const DIGITS: u8 = 3;
