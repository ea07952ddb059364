//! What a client can be told beforehand.

use core::time::Duration;

use crate::coap::block::BlockSize;
use crate::coap::transmission::Transmission;
use crate::retry::{RetryPolicy, RetryPolicyError};

/// The settings of a [`Client`](super::Client).
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) transmission: Transmission,
    pub(super) retry: RetryPolicy,
    pub(super) answer_wait: Option<Duration>,
    pub(super) block_size: BlockSize,
    pub(super) max_body: usize,
    pub(super) max_requests: usize,
    pub(super) max_endpoints: usize,
}

impl Settings {
    /// The transmission parameters: default those of RFC 7252. The lifetimes of message IDs, NSTART and
    /// PROBING_RATE are taken from here, and the retry policy is set to what they say:
    /// [`policy`].
    pub fn transmission(mut self, transmission: Transmission) -> Self {
        self.retry = policy(&transmission);
        self.transmission = transmission;
        self
    }

    /// When a confirmable request is sent again, and when the client gives up: default what the transmission
    /// parameters say, that is after 2 to 3 s, then twice as long each time, 5 times in all, giving up after
    /// 62 to 93 s. The jitter is drawn once for a message, as
    /// [RFC 7252 §4.2](https://www.rfc-editor.org/rfc/rfc7252#section-4.2) has it.
    /// [`RetryPolicy::total`] bounds the whole request: the time in the queue, all blocks, all servers, and
    /// the wait for an answer that was promised.
    ///
    /// Whatever the policy says, no copy of a message leaves later than MAX_TRANSMIT_SPAN (45 s by default)
    /// after the first: a server remembers a message no longer than EXCHANGE_LIFETIME, which follows from it.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How long the answer may take once the server has acknowledged a request without answering it, and how
    /// long that to a non-confirmable request may take. RFC 7252 leaves both open; default MAX_TRANSMIT_WAIT
    /// (93 s), as long as the acknowledgement itself may take.
    pub fn answer_wait(mut self, wait: Duration) -> Self {
        self.answer_wait = Some(wait);
        self
    }

    /// The size of the blocks in which a long payload is sent, and the largest that a long answer is asked for
    /// in where its server begins with less: default 1024 bytes. Servers may choose less.
    pub fn block_size(mut self, size: BlockSize) -> Self {
        self.block_size = size;
        self
    }

    /// The longest body of an answer that is put together from blocks, in bytes: default 1 MiB. A longer
    /// one is a failure.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How many requests can be open at a time, those counted whose events nobody has taken: default 1024,
    /// at least 1. More are refused.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.max_requests = requests.max(1);
        self
    }

    /// How many servers are remembered at a time: default 1024, at least 1. A server is remembered for as long
    /// as one of its message IDs may not be used again, 247 s by default. More are refused.
    pub fn max_endpoints(mut self, endpoints: usize) -> Self {
        self.max_endpoints = endpoints.max(1);
        self
    }

    /// Whether all values are within their bounds.
    ///
    /// # Errors
    /// The first bound of the retry policy that is not kept.
    pub fn validate(&self) -> Result<(), RetryPolicyError> {
        self.retry.validate()
    }

    pub(super) fn answer_wait_or_default(&self) -> Duration {
        self.answer_wait.unwrap_or_else(|| self.transmission.max_transmit_wait())
    }
}

impl Default for Settings {
    fn default() -> Self {
        let transmission = Transmission::default();
        Self {
            retry: policy(&transmission),
            transmission,
            answer_wait: None,
            block_size: BlockSize::MAX,
            max_body: 1024 * 1024,
            max_requests: 1024,
            max_endpoints: 1024,
        }
    }
}

/// The transmission parameters as a retry policy: the first wait is ACK_TIMEOUT, each further one twice the one
/// before, ACK_RANDOM_FACTOR less one is the jitter (at most 1), and there are MAX_RETRANSMIT tries after the
/// first. Waits of over an hour, which no policy has, are left out.
pub fn policy(transmission: &Transmission) -> RetryPolicy {
    let doublings = transmission.max_retransmit();
    let longest = transmission.ack_timeout().saturating_mul(1 << doublings);
    RetryPolicy::default()
        .first(transmission.ack_timeout())
        .factor(2.0)
        .jitter((transmission.ack_random_factor() - 1.0).min(1.0))
        .max_wait(longest.min(Duration::from_secs(3600)))
        .max_tries(Some(doublings + 1))
}
