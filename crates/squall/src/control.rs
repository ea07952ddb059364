//! What all parts of a running server share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use squall_proto::Time;
use squall_socket::Waker;

use crate::clock::Clock;
use crate::hooks::Hooks;
use crate::stats::Stats;

/// The clock, the counts, the hooks, and the order to stop.
pub(crate) struct Control {
    clock: Clock,
    pub(crate) stats: Stats,
    hooks: Arc<Hooks>,
    /// Requests that may still be handled, in a server with a limit.
    remaining: Option<AtomicU64>,
    stop: Mutex<Stop>,
    changed: Condvar,
    stopping: AtomicBool,
    /// Requests and connections that were taken and not finished by the deadline.
    unfinished: AtomicU64,
    busy: Mutex<Vec<Arc<Busy>>>,
    /// Ends asynchronous parts.
    pub(crate) stop_signal: tokio::sync::watch::Sender<bool>,
}

#[derive(Default)]
struct Stop {
    asked: bool,
    until: Option<Time>,
    grace: Duration,
    wakers: Vec<Waker>,
    /// The threads that have come to their end.
    ended: Vec<ThreadId>,
}

impl Control {
    pub(crate) fn new(hooks: Hooks, limit: Option<u64>, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::new(),
            stats: Stats::default(),
            hooks: Arc::new(hooks),
            remaining: limit.map(AtomicU64::new),
            stop: Mutex::new(Stop { grace, ..Stop::default() }),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            unfinished: AtomicU64::new(0),
            busy: Mutex::new(Vec::new()),
            stop_signal: tokio::sync::watch::Sender::new(false),
        })
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn hooks(&self) -> &Arc<Hooks> {
        &self.hooks
    }

    /// Whether the server stops by itself after some requests.
    pub(crate) fn is_limited(&self) -> bool {
        self.remaining.is_some()
    }

    /// How many datagrams may be taken at once: one, where each could be the last.
    pub(crate) fn batch_limit(&self, batch: usize) -> usize {
        if self.remaining.is_some() { 1 } else { batch }
    }

    /// Counts a handled request; the last that the limit allows stops the server.
    pub(crate) fn count_handled(&self) {
        self.count_handled_elsewhere(1);
    }

    /// Counts requests that a worker process handled.
    pub(crate) fn count_handled_elsewhere(&self, count: u64) {
        if let Some(remaining) = &self.remaining
            && count > 0
            && remaining.fetch_sub(count, Ordering::Relaxed) <= count
        {
            remaining.store(0, Ordering::Relaxed);
            self.stop(None);
        }
    }

    /// Orders all parts to stop, at the latest `grace` from now (by default that of the server).
    pub(crate) fn stop(&self, grace: Option<Duration>) {
        let mut stop = self.lock();
        let until = self.now() + grace.unwrap_or(stop.grace);
        stop.until = Some(stop.until.map_or(until, |earlier| earlier.min(until)));
        stop.asked = true;
        self.stopping.store(true, Ordering::Release);
        for waker in &stop.wakers {
            waker.wake();
        }
        drop(stop);
        self.changed.notify_all();
        self.stop_signal.send_replace(true);
    }

    /// By when the parts must have stopped; `None` while the server runs.
    pub(crate) fn stopping(&self) -> Option<Time> {
        if !self.stopping.load(Ordering::Acquire) {
            return None;
        }
        self.lock().until
    }

    /// Says that the calling thread, a part of the server, ends.
    pub(crate) fn end_part(&self) {
        self.lock().ended.push(std::thread::current().id());
        self.changed.notify_all();
    }

    /// Whether the part on the thread `id` has ended.
    pub(crate) fn has_ended(&self, id: ThreadId) -> bool {
        self.lock().ended.contains(&id)
    }

    /// Waits until so many parts have ended, at most until `after` the deadline for stopping.
    pub(crate) fn wait_for_parts(&self, parts: usize, after: Duration) {
        let limit = self.stopping().map_or(after, |until| until.since(self.now()) + after);
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |stop| stop.ended.len() < parts);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until the server is ordered to stop.
    pub(crate) fn wait_for_stop(&self) {
        let stop = self.lock();
        drop(self.changed.wait_while(stop, |stop| !stop.asked).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for `delay`, or until the server is ordered to stop.
    pub(crate) fn wait_for_stop_within(&self, delay: Duration) {
        let wait = self.changed.wait_timeout_while(self.lock(), delay, |stop| !stop.asked);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn add_waker(&self, waker: Waker) {
        let mut stop = self.lock();
        if stop.asked {
            waker.wake();
        }
        stop.wakers.push(waker);
    }

    pub(crate) fn add_unfinished(&self, count: u64) {
        self.unfinished.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// A place for a shard to say since when it handles requests.
    pub(crate) fn add_busy(&self) -> Arc<Busy> {
        let busy = Arc::new(Busy::default());
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&busy));
        busy
    }

    /// For how long each shard has been inside its handlers; zero for one that waits.
    pub(crate) fn busy(&self) -> Vec<Duration> {
        let now = self.now();
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.iter().map(|busy| busy.since(now)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stop> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since when a shard is inside its handlers.
#[derive(Debug, Default)]
pub(crate) struct Busy(AtomicU64);

impl Busy {
    pub(crate) fn set(&self, now: Time) {
        self.0.store(now.as_nanos().max(1), Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn since(&self, now: Time) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            start => now.since(Time::from_nanos(start)),
        }
    }
}
