//! How fast bytes are sent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What was sent when, over the last seconds.
#[derive(Debug, Default)]
pub(super) struct Rate {
    marks: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// So many bytes have been sent in all.
    pub(super) fn mark(&mut self, now: Instant, sent: u64) {
        if self.marks.back().is_none_or(|(last, _)| now - *last >= STEP) {
            self.marks.push_back((now, sent));
        }
        while self.marks.front().is_some_and(|(first, _)| now - *first > SPAN) {
            self.marks.pop_front();
        }
    }

    /// Bytes a second; `None` before anything can be said.
    pub(super) fn get(&self) -> Option<f64> {
        let ((first, from), (last, to)) = (self.marks.front()?, self.marks.back()?);
        let span = (*last - *first).as_secs_f64();
        (span >= LEAST.as_secs_f64()).then(|| (to - from) as f64 / span)
    }
}

const STEP: Duration = Duration::from_millis(100);
const SPAN: Duration = Duration::from_secs(5);
const LEAST: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut rate = Rate::default();
        for step in 0..200 {
            let sent = if step < 100 { step * 10 } else { 1000 };
            rate.mark(start + Duration::from_millis(step * 100), sent);
            match step {
                0..5 => assert_eq!(rate.get(), None),
                99 => assert!((rate.get().unwrap() - 100.0).abs() < 1.0),
                199 => assert_eq!(rate.get(), Some(0.0), "nothing was sent for ten seconds"),
                _ => {}
            }
        }
    }
}
