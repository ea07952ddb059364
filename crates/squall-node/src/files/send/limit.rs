//! A bandwidth that is not to be exceeded.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// Lets so many bytes pass a second, evenly.
#[derive(Debug)]
pub(super) struct Limit {
    bytes_per_second: Option<f64>,
    /// When what was let through so far is through.
    busy_until: Mutex<Option<Instant>>,
}

impl Limit {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            bytes_per_second: bytes_per_second.map(|rate| rate.max(1) as f64),
            busy_until: Mutex::new(None),
        }
    }

    /// Waits until `bytes` may be sent.
    pub(super) async fn pass(&self, bytes: usize) {
        if let Some(due) = self.due(Instant::now(), bytes) {
            tokio::time::sleep_until(due).await;
        }
    }

    fn due(&self, now: Instant, bytes: usize) -> Option<Instant> {
        let rate = self.bytes_per_second?;
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        // Time in which nothing was sent is not made up for.
        let start = busy_until.map_or(now, |busy| busy.max(now));
        *busy_until = Some(start + Duration::from_secs_f64(bytes as f64 / rate));
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_at_the_rate_and_a_rest_is_not_made_up_for() {
        let limit = Limit::new(Some(1000));
        let start = Instant::now();
        let after = |milliseconds| Some(start + Duration::from_millis(milliseconds));
        assert_eq!(limit.due(start, 500), after(0));
        assert_eq!(limit.due(start, 500), after(500));
        assert_eq!(limit.due(start, 1), after(1000));
        assert_eq!(limit.due(start + Duration::from_secs(60), 1), after(60_000));
        assert_eq!(limit.due(start + Duration::from_secs(60), 1), after(60_001));
        assert_eq!(Limit::new(None).due(start, usize::MAX), None);
    }
}
