//! What can be chosen.

use core::time::Duration;

/// How a [`Controller`](super::Controller) behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CongestionConfig {
    initial_window: u64,
    max_window: u64,
    queue_floor: Duration,
}

impl CongestionConfig {
    /// The window before anything is known: default 46,464 bytes, 32 datagrams of 1452, as Chrome and quic-go have it
    /// ([RFC 9002 §7.2](https://www.rfc-editor.org/rfc/rfc9002#section-7.2) recommends 10); from 2,400
    /// bytes to [`max_window`](Self::max_window). Each doubling saves a round trip at the start of a
    /// transfer and makes the first burst longer, which nothing paces.
    pub fn initial_window(mut self, bytes: u64) -> Self {
        self.initial_window = bytes;
        self
    }

    /// The largest window: default 256 MiB, from 9,600 bytes. A path of 10 Gbit/s and 200 ms needs 250 MB.
    pub fn max_window(mut self, bytes: u64) -> Self {
        self.max_window = bytes;
        self
    }

    /// The shortest queue that is taken for one: default 2 ms, up to a second. It must be longer than the
    /// hosts' scheduling makes round trips vary; on a path with a shorter round trip it is also the delay that the
    /// controller adds at most.
    pub fn queue_floor(mut self, delay: Duration) -> Self {
        self.queue_floor = delay;
        self
    }

    /// Whether all values are within their bounds.
    ///
    /// # Errors
    /// The first bound that is not kept.
    pub fn validate(&self) -> Result<(), CongestionConfigError> {
        if self.max_window < LEAST_MAX_WINDOW {
            Err(CongestionConfigError::MaxWindow(self.max_window))
        } else if !(LEAST_INITIAL_WINDOW..=self.max_window).contains(&self.initial_window) {
            Err(CongestionConfigError::InitialWindow { initial: self.initial_window, max: self.max_window })
        } else if self.queue_floor > LONGEST_QUEUE_FLOOR {
            Err(CongestionConfigError::QueueFloor(self.queue_floor))
        } else {
            Ok(())
        }
    }

    pub(super) fn initial(&self) -> u64 {
        self.initial_window
    }

    pub(super) fn max(&self) -> u64 {
        self.max_window
    }

    pub(super) fn floor(&self) -> Duration {
        self.queue_floor
    }
}

impl Default for CongestionConfig {
    fn default() -> Self {
        Self {
            initial_window: 32 * 1452,
            max_window: 256 * 1024 * 1024,
            queue_floor: Duration::from_millis(2),
        }
    }
}

/// A value of a [`CongestionConfig`] that is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CongestionConfigError {
    /// [`CongestionConfig::initial_window`].
    #[error("the first window must be from 2400 bytes to the largest window of {max}, not {initial}")]
    InitialWindow {
        /// The first window.
        initial: u64,
        /// The largest window.
        max: u64,
    },
    /// [`CongestionConfig::max_window`].
    #[error("the largest window must be at least 9600 bytes, not {0}")]
    MaxWindow(u64),
    /// [`CongestionConfig::queue_floor`].
    #[error("the shortest queue that counts must be at most a second, not {0:?}")]
    QueueFloor(Duration),
}

/// Two of QUIC's smallest datagrams.
const LEAST_INITIAL_WINDOW: u64 = 2 * 1200;
/// With fewer than four datagrams a loss is found by timeout only.
const LEAST_MAX_WINDOW: u64 = 8 * 1200;
const LONGEST_QUEUE_FLOOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_bounds_are_named() {
        let config = CongestionConfig::default();
        assert_eq!(config.validate(), Ok(()));
        let wrong = config.clone().initial_window(2399).validate();
        assert!(matches!(wrong, Err(CongestionConfigError::InitialWindow { initial: 2399, .. })));
        let wrong = config.clone().max_window(9599).validate();
        assert_eq!(wrong, Err(CongestionConfigError::MaxWindow(9599)));
        let wrong = config.queue_floor(Duration::from_millis(1001)).validate();
        assert!(matches!(wrong, Err(CongestionConfigError::QueueFloor(_))));
    }
}
