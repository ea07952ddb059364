//! When the next burst goes out. Times are nanoseconds since the driver's start.

use super::{Load, Pace};

/// Decides how many bursts may start.
pub(super) struct Schedule {
    /// Nanoseconds between two bursts of the open loop.
    interval: Option<f64>,
    started: u64,
    limit: u64,
    end: u64,
}

impl Schedule {
    /// What `load` asks for, until the time `end`.
    pub(super) fn new(load: &Load, end: u64) -> Self {
        let interval = match load.pace {
            Pace::Rate(rate) => Some(1e9 * load.burst as f64 / rate),
            _ => None,
        };
        Self { interval, started: 0, limit: load.requests.div_ceil(load.burst as u64), end }
    }

    /// How many bursts may start at `now`, when there is room for `free`.
    pub(super) fn due(&self, now: u64, free: usize) -> usize {
        if now >= self.end {
            return 0;
        }
        self.outstanding(now).min(free as u64) as usize
    }

    /// Starts the next burst and returns its time: in the open loop the one at which it was due.
    pub(super) fn start(&mut self, now: u64) -> u64 {
        let time = self.due_at(self.started).unwrap_or(now);
        self.started += 1;
        time
    }

    /// When the next burst is due; `None` when that is for a reply to say.
    pub(super) fn next(&self) -> Option<u64> {
        if self.started >= self.limit { None } else { self.due_at(self.started) }
    }

    /// Whether nothing more will start.
    pub(super) fn is_over(&self, now: u64) -> bool {
        now >= self.end || self.started >= self.limit
    }

    /// Ends it at `now`.
    pub(super) fn stop(&mut self, now: u64) {
        self.end = self.end.min(now);
    }

    /// How many bursts of the open loop were due before the end and did not start.
    pub(super) fn unsent(&self) -> u64 {
        if self.interval.is_some() { self.outstanding(self.end.saturating_sub(1)) } else { 0 }
    }

    fn outstanding(&self, now: u64) -> u64 {
        let due = match self.interval {
            Some(interval) => ((now as f64 / interval) as u64 + 1).min(self.limit),
            None => self.limit,
        };
        due.saturating_sub(self.started)
    }

    fn due_at(&self, number: u64) -> Option<u64> {
        self.interval.map(|interval| (number as f64 * interval) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load::udp(([127, 0, 0, 1], 7).into())
    }

    #[test]
    fn the_closed_loop_starts_as_many_as_there_is_room_for() {
        let mut schedule = Schedule::new(&load().requests(3), 100);
        assert_eq!(schedule.due(0, 2), 2);
        assert_eq!((schedule.start(5), schedule.start(6)), (5, 6));
        assert_eq!(schedule.due(7, 2), 1, "three in all");
        assert_eq!(schedule.next(), None);
        schedule.start(7);
        assert!(schedule.is_over(8));
    }

    #[test]
    fn the_open_loop_counts_from_when_a_burst_was_due() {
        let mut schedule = Schedule::new(&load().rate(2e6).burst(2), 10_000);
        assert_eq!(schedule.due(0, 99), 1);
        assert_eq!(schedule.start(3), 0);
        assert_eq!((schedule.due(999, 99), schedule.next()), (0, Some(1000)));
        assert_eq!(schedule.due(3500, 99), 3, "it catches up");
        assert_eq!((schedule.start(3500), schedule.start(3500)), (1000, 2000));
        assert_eq!(schedule.due(10_000, 99), 0, "over");
        assert_eq!(schedule.unsent(), 7);
    }
}
