//! When a client asks again, whom, and when it gives up.

use core::time::Duration;

use crate::Time;
use crate::random::SplitMix64;

/// How long a client waits for an answer before it asks again, and when it gives up.
///
/// The waits grow by a factor; the client gives up when the next one would be longer than
/// [`max_wait`](Self::max_wait), or after [`max_tries`](Self::max_tries), or when
/// [`total`](Self::total) has passed, whichever comes first. The defaults ask five times, after 0, 0.1, 0.3,
/// 0.7 and 1.5 seconds and somewhat more for the jitter, and give up after 3.1 to 4.7 seconds: a tenth of a
/// second is longer than nearly all round trips within a continent and still feels immediate where a
/// datagram was lost, while five small datagrams with growing pauses are no load to a path that is congested
/// ([RFC 8085 §3.1](https://www.rfc-editor.org/rfc/rfc8085#section-3.1)). Where round trips take longer, the
/// server is asked more often than needed; give a longer [`first`](Self::first) wait there.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    first: Duration,
    factor: f64,
    jitter: f64,
    max_wait: Duration,
    max_tries: Option<u32>,
    total: Option<Duration>,
}

impl RetryPolicy {
    /// The wait after the first try: default 100 ms, from 1 ms to [`max_wait`](Self::max_wait).
    pub fn first(mut self, wait: Duration) -> Self {
        self.first = wait;
        self
    }

    /// What each wait is multiplied by for the next: default 2, from 1 to 10. With 1 and neither
    /// [`max_tries`](Self::max_tries) nor [`total`](Self::total), the client asks for ever.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The part of itself that a wait is lengthened by at random, at most: default 0.5, from 0 (none) to 1.
    /// So each wait is multiplied by a number from 1 to 1.5, as
    /// [RFC 7252 §4.8](https://www.rfc-editor.org/rfc/rfc7252#section-4.8)'s `ACK_RANDOM_FACTOR` does it, and
    /// clients that lost the same server at the same time do not all come back at the same time.
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// The longest single wait, before jitter: default 2 s, from 1 ms to an hour. The client gives up
    /// instead of waiting longer.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// How many times the client asks at most, all servers counted: default no limit of its own, at least 1.
    pub fn max_tries(mut self, tries: Option<u32>) -> Self {
        self.max_tries = tries;
        self
    }

    /// When the client gives up, counted from the first try: default no limit of its own, at least 1 ms.
    /// The last wait is cut short for it.
    pub fn total(mut self, total: Option<Duration>) -> Self {
        self.total = total;
        self
    }

    /// The same policy with its jitter drawn once, by `seed`, for all waits of a request: the first wait and the
    /// longest are lengthened, and each wait is exactly the factor times the one before. So
    /// [RFC 7252 §4.2](https://www.rfc-editor.org/rfc/rfc7252#section-4.2) has it.
    pub fn drawn(&self, seed: u64) -> Self {
        let longer = 1.0 + self.jitter * SplitMix64::new(seed).unit();
        Self {
            first: scaled(self.first, longer).min(LONGEST),
            max_wait: scaled(self.max_wait, longer).min(LONGEST),
            jitter: 0.0,
            ..self.clone()
        }
    }

    /// What [`total`](Self::total) set.
    pub fn total_limit(&self) -> Option<Duration> {
        self.total
    }

    /// Whether all values are within their bounds.
    ///
    /// # Errors
    /// The first bound that is not kept.
    pub fn validate(&self) -> Result<(), RetryPolicyError> {
        if !(SHORTEST..=LONGEST).contains(&self.max_wait) {
            Err(RetryPolicyError::MaxWait(self.max_wait))
        } else if !(SHORTEST..=self.max_wait).contains(&self.first) {
            Err(RetryPolicyError::First { first: self.first, max_wait: self.max_wait })
        } else if !(1.0..=10.0).contains(&self.factor) {
            Err(RetryPolicyError::Factor(self.factor))
        } else if !(0.0..=1.0).contains(&self.jitter) {
            Err(RetryPolicyError::Jitter(self.jitter))
        } else if self.max_tries == Some(0) {
            Err(RetryPolicyError::MaxTries)
        } else if self.total.is_some_and(|total| total < SHORTEST) {
            Err(RetryPolicyError::Total(self.total.unwrap_or_default()))
        } else {
            Ok(())
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            factor: 2.0,
            jitter: 0.5,
            max_wait: Duration::from_secs(2),
            max_tries: None,
            total: None,
        }
    }
}

/// A value of a [`RetryPolicy`] that is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RetryPolicyError {
    /// [`RetryPolicy::first`].
    #[error("the first wait must be from 1 ms to the longest wait of {max_wait:?}, not {first:?}")]
    First {
        /// The first wait.
        first: Duration,
        /// The longest wait.
        max_wait: Duration,
    },
    /// [`RetryPolicy::factor`].
    #[error("the factor between waits must be from 1 to 10, not {0}")]
    Factor(f64),
    /// [`RetryPolicy::jitter`].
    #[error("the jitter must be from 0 to 1, not {0}")]
    Jitter(f64),
    /// [`RetryPolicy::max_wait`].
    #[error("the longest wait must be from 1 ms to an hour, not {0:?}")]
    MaxWait(Duration),
    /// [`RetryPolicy::max_tries`].
    #[error("the number of tries must be at least 1")]
    MaxTries,
    /// [`RetryPolicy::total`].
    #[error("the time for all tries must be at least 1 ms, not {0:?}")]
    Total(Duration),
}

/// What a client does when its wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// It sends its request again, to [`Schedule::server`].
    Try,
    /// It stops; nobody answered.
    GiveUp,
}

/// The tries of one request, as a machine: the client sends the first, and then does what
/// [`handle_timeout`](Self::handle_timeout) says until an answer comes.
///
/// ```
/// use core::time::Duration;
/// use squall_proto::Time;
/// use squall_proto::retry::{RetryPolicy, Schedule, Step};
///
/// let policy = RetryPolicy::default().jitter(0.0).max_tries(Some(2));
/// let mut schedule = Schedule::new(&policy, 1, 1, Time::ZERO)?;
/// // The request is sent, and no answer comes.
/// let now = schedule.poll_timeout().unwrap();
/// assert_eq!(now, Time::from_epoch(Duration::from_millis(100)));
/// assert_eq!(schedule.handle_timeout(now), Some(Step::Try));
/// // It is sent again, and again no answer comes.
/// let now = schedule.poll_timeout().unwrap();
/// assert_eq!(schedule.handle_timeout(now), Some(Step::GiveUp));
/// assert_eq!(schedule.poll_timeout(), None);
/// # Ok::<(), squall_proto::retry::RetryPolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    policy: RetryPolicy,
    servers: u32,
    random: SplitMix64,
    /// The tries made, the present one counted.
    tries: u32,
    /// The present wait before jitter.
    wait: Duration,
    /// When the client gives up whatever it is doing.
    end: Option<Time>,
    deadline: Option<Time>,
}

impl Schedule {
    /// The schedule of a request whose first try is sent at `now`. `servers` is how many servers it can go to:
    /// each try goes to the next one, and the waits grow only when all have been asked; 0 counts as 1. `seed`
    /// decides the jitter and should differ between clients.
    ///
    /// # Errors
    /// [`RetryPolicyError`] when a value of the policy is out of its bounds.
    pub fn new(policy: &RetryPolicy, servers: u32, seed: u64, now: Time) -> Result<Self, RetryPolicyError> {
        policy.validate()?;
        let mut schedule = Self {
            servers: servers.max(1),
            random: SplitMix64::new(seed),
            tries: 1,
            wait: policy.first,
            end: policy.total.map(|total| now + total),
            deadline: None,
            policy: policy.clone(),
        };
        schedule.start_wait(now);
        Ok(schedule)
    }

    /// When the wait for an answer to the present try is over; `None` once the client has given up.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }

    /// What to do at `now`, or `None` while the wait is not over. A next wait begins at `now`, also when that
    /// is later than it was due, so that a server always gets its whole time to answer.
    pub fn handle_timeout(&mut self, now: Time) -> Option<Step> {
        if now < self.deadline? {
            return None;
        }
        if self.is_over(now) {
            self.deadline = None;
            return Some(Step::GiveUp);
        }
        if self.all_asked() {
            self.wait = self.next_wait();
        }
        self.tries = self.tries.saturating_add(1);
        self.start_wait(now);
        Some(Step::Try)
    }

    /// The index of the server that the present try goes to: from 0, in turn.
    pub fn server(&self) -> usize {
        ((self.tries - 1) % self.servers) as usize
    }

    /// How many tries have been made, the present one counted.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    fn is_over(&self, now: Time) -> bool {
        let too_often = self.policy.max_tries.is_some_and(|max| self.tries >= max);
        let too_late = self.end.is_some_and(|end| now >= end);
        let too_long = self.all_asked() && self.next_wait() > self.policy.max_wait;
        too_often || too_late || too_long
    }

    /// Whether the present round has reached its last server.
    fn all_asked(&self) -> bool {
        self.tries.is_multiple_of(self.servers)
    }

    /// The wait of the next round, before jitter.
    fn next_wait(&self) -> Duration {
        scaled(self.wait, self.policy.factor)
    }

    fn start_wait(&mut self, now: Time) {
        let jitter = 1.0 + self.policy.jitter * self.random.unit();
        let deadline = now + scaled(self.wait, jitter);
        self.deadline = Some(self.end.map_or(deadline, |end| deadline.min(end)));
    }
}

/// Timers are no finer than this, and a client that is faster only floods.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// Exact to the nanosecond for waits up to 104 days (2⁵³ ns) and factors that are whole numbers.
fn scaled(wait: Duration, factor: f64) -> Duration {
    Duration::from_nanos((wait.as_nanos() as f64 * factor) as u64)
}

#[cfg(test)]
mod tests;
