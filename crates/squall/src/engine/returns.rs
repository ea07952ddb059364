//! Answers that come back to a shard from a pool or an asynchronous handler.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use squall_proto::{Origin, Outbox};
use squall_socket::Waker;
use squall_time::Time;

use crate::hooks::panic_message;
use crate::verdict::{Handled, Verdict};

/// A request that was handled elsewhere.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) endpoint: usize,
    pub(crate) arrived: Time,
    pub(crate) origin: Origin,
    pub(crate) request: Vec<u8>,
    pub(crate) outcome: Outcome,
}

/// What a handler made of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) replies: Replies,
    pub(crate) verdict: Verdict,
    /// What it said when it panicked.
    pub(crate) panic: Option<String>,
}

impl Outcome {
    /// Takes a copy of what the handler wrote into `outbox`.
    pub(crate) fn of(handled: Handled, outbox: &Outbox) -> Self {
        match handled {
            Ok(verdict) => Self { replies: Replies::copy(outbox), verdict, panic: None },
            Err(panic) => Self { panic: Some(panic_message(&*panic)), ..Self::without(Verdict::Panicked) },
        }
    }

    /// No replies.
    pub(crate) fn without(verdict: Verdict) -> Self {
        Self { replies: Replies::default(), verdict, panic: None }
    }
}

/// The replies to one request, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Replies {
    /// Takes a copy of all that waits in `outbox`.
    pub(crate) fn copy(outbox: &Outbox) -> Self {
        let mut replies = Self::default();
        for frame in outbox.frames() {
            replies.push(frame.payload);
        }
        replies
    }

    pub(crate) fn push(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Where a shard's requests return to. It holds no more than were given away, which their pool bounds.
#[derive(Debug)]
pub(crate) struct Returns {
    done: Mutex<Vec<Done>>,
    waker: Waker,
    away: AtomicUsize,
}

impl Returns {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { done: Mutex::new(Vec::new()), waker, away: AtomicUsize::new(0) }
    }

    /// Counts a request that is given away.
    pub(crate) fn expect(&self) {
        self.away.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the last `expect` back: nobody took the request.
    pub(crate) fn unexpect(&self) {
        self.away.fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests that are given away and not back yet.
    pub(crate) fn away(&self) -> usize {
        self.away.load(Ordering::Relaxed)
    }

    /// Gives a request back and wakes the shard, once for all that come until it looks.
    pub(crate) fn put(&self, done: Done) {
        let mut queue = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(done);
        let first = queue.len() == 1;
        drop(queue);
        if first {
            self.waker.wake();
        }
    }

    /// Takes all that came back into `done`, in place of what it held.
    pub(crate) fn take(&self, done: &mut Vec<Done>) {
        done.clear();
        std::mem::swap(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner), done);
        self.away.fetch_sub(done.len(), Ordering::Relaxed);
    }
}
