//! Answers that come back to a shard from a pool or an asynchronous handler.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Where a shard's requests return to. It holds no more than were given away, which their pool bounds.
#[derive(Debug)]
pub(crate) struct Returns {
    done: Mutex<Waiting>,
    waker: Waker,
    away: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    done: Vec<Done>,
    /// Whether the shard has been woken for them.
    announced: bool,
}

impl Returns {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { done: Mutex::default(), waker, away: AtomicUsize::new(0) }
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

    /// Gives a request back and wakes the shard.
    pub(crate) fn put(&self, done: Done) {
        self.lock().done.push(done);
        self.announce();
    }

    /// Gives a request back without waking the shard, and says how many wait for it now. Whoever does
    /// so announces them soon; a shard whose requests are away looks by itself now and then.
    pub(crate) fn put_quietly(&self, done: Done) -> usize {
        let mut waiting = self.lock();
        waiting.done.push(done);
        waiting.done.len()
    }

    /// Wakes the shard for what waits, once until it looks.
    pub(crate) fn announce(&self) {
        let mut waiting = self.lock();
        if !waiting.announced && !waiting.done.is_empty() {
            waiting.announced = true;
            drop(waiting);
            self.waker.wake();
        }
    }

    /// Takes all that came back into `done`, in place of what it held.
    pub(crate) fn take(&self, done: &mut Vec<Done>) {
        done.clear();
        let mut waiting = self.lock();
        std::mem::swap(&mut waiting.done, done);
        waiting.announced = false;
        drop(waiting);
        self.away.fetch_sub(done.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
