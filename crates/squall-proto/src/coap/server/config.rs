//! What a server is set to.

use core::time::Duration;

use crate::coap::block::BlockSize;
use crate::coap::transmission::Transmission;

/// The settings of a [`Server`](super::Server). Each server of a `SO_REUSEPORT` group has memory of its
/// own, so that what is said here holds for each.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    pub(super) transmission: Transmission,
    pub(super) block_size: BlockSize,
    pub(super) marks: usize,
    pub(super) answer_bytes: usize,
    pub(super) max_body: usize,
    pub(super) max_answer: usize,
    pub(super) upload_bytes: usize,
    pub(super) snapshot_bytes: usize,
    pub(super) observers: usize,
    pub(super) observers_each: usize,
    pub(super) confirm_every: u32,
    pub(super) confirm_within: Duration,
    pub(super) separate: usize,
    pub(super) acknowledge_after: Duration,
    pub(super) separate_within: Duration,
    pub(super) group_answers: usize,
    pub(super) validated_peers: usize,
    pub(super) echo_fresh: Duration,
    pub(super) retry_after: Duration,
}

impl ServerConfig {
    /// The times that lifetimes and retransmissions follow from: default those of RFC 7252.
    pub fn transmission(mut self, transmission: Transmission) -> Self {
        self.transmission = transmission;
        self
    }

    /// The largest block sent and asked for: default 1024 bytes.
    pub fn block_size(mut self, size: BlockSize) -> Self {
        self.block_size = size;
        self
    }

    /// How many requests with effect are remembered at once: default 1,048,576, from 16 to 2²⁶. Each
    /// takes 12 to 24 bytes while it is remembered, 247 s by default, and beside them 1.5 MiB are taken for
    /// the pages, 4.5 MiB once all were used. A body in blocks counts twice, by its first and its last. When full, further requests
    /// with effect get 5.03.
    pub fn marks(mut self, marks: usize) -> Self {
        self.marks = marks;
        self
    }

    /// How many bytes of answers to requests with effect are kept to be given again: default 16 MiB, at
    /// most 2 GiB, taken down to a power of two for each half. When full, the oldest goes, and a repeated
    /// request whose answer is gone gets nothing.
    pub fn answer_bytes(mut self, bytes: usize) -> Self {
        self.answer_bytes = bytes.min(1 << 31);
        self
    }

    /// The longest body of a request, in blocks: default 1 MiB, at most 1 GiB. A longer one gets 4.13.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes.min(1 << 30);
        self
    }

    /// The longest body of an answer: default 1 MiB, at most 1 GiB. A longer one is a 5.00.
    pub fn max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes.min(1 << 30);
        self
    }

    /// The memory for bodies that arrive in blocks, all peers together: default 8 MiB; one peer may have a
    /// quarter, and peers that are not validated half.
    pub fn upload_bytes(mut self, bytes: usize) -> Self {
        self.upload_bytes = bytes;
        self
    }

    /// The memory for answers that are given in blocks: default 8 MiB, half of it for peers that are not
    /// validated. When full, the oldest goes: the blocks of what is safe to ask again are then made anew,
    /// others are 4.08.
    pub fn snapshot_bytes(mut self, bytes: usize) -> Self {
        self.snapshot_bytes = bytes;
        self
    }

    /// How many observations there may be, and how many of one endpoint: default 1024 and 16. Further ones
    /// get an answer as if they did not want to observe.
    pub fn observers(mut self, all: usize, each: usize) -> Self {
        (self.observers, self.observers_each) = (all, each);
        self
    }

    /// Every how many notifications one is confirmable, so that an observer that has gone is noticed:
    /// default 16, at least 1; and after how long at the latest: default, and at most, a day
    /// ([RFC 7641 §4.5](https://www.rfc-editor.org/rfc/rfc7641#section-4.5)).
    pub fn confirm(mut self, every: u32, within: Duration) -> Self {
        (self.confirm_every, self.confirm_within) = (every.max(1), within.min(DAY));
        self
    }

    /// How many answers may be outstanding that come later: default 1024. Further requests get 5.03.
    pub fn separate(mut self, requests: usize) -> Self {
        self.separate = requests;
        self
    }

    /// How long a request whose answer comes later waits for it before it is acknowledged: default 0,
    /// at most half of the peer's time-out.
    pub fn acknowledge_after(mut self, delay: Duration) -> Self {
        self.acknowledge_after = delay;
        self
    }

    /// How long an answer may take that comes later: default 60 s. RFC 7252 leaves this open. After it the
    /// client gets 5.00.
    pub fn separate_within(mut self, limit: Duration) -> Self {
        self.separate_within = limit;
        self
    }

    /// How many answers to requests to a group may wait: default 256. Further ones are dropped.
    pub fn group_answers(mut self, answers: usize) -> Self {
        self.group_answers = answers;
        self
    }

    /// How many peers are remembered that have shown by Echo where they are: default 4096, at most 2²⁰,
    /// rounded up to a power of two; 16 bytes each.
    pub fn validated_peers(mut self, peers: usize) -> Self {
        self.validated_peers = peers;
        self
    }

    /// How old an Echo value may be: default 60 s.
    pub fn echo_fresh(mut self, age: Duration) -> Self {
        self.echo_fresh = age;
        self
    }

    /// What a 5.03 says of when to ask again: default 10 s.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = delay;
        self
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            transmission: Transmission::default(),
            block_size: BlockSize::MAX,
            marks: 1 << 20,
            answer_bytes: 16 << 20,
            max_body: 1 << 20,
            max_answer: 1 << 20,
            upload_bytes: 8 << 20,
            snapshot_bytes: 8 << 20,
            observers: 1024,
            observers_each: 16,
            confirm_every: 16,
            confirm_within: DAY,
            separate: 1024,
            acknowledge_after: Duration::ZERO,
            separate_within: Duration::from_secs(60),
            group_answers: 256,
            validated_peers: 4096,
            echo_fresh: Duration::from_secs(60),
            retry_after: Duration::from_secs(10),
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);
