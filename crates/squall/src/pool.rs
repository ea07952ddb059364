//! The model of threads: a bounded pool with a bounded queue.
//!
//! A handler that does not come back within the deadline costs its thread: nothing can end a thread
//! from outside. It is written off and replaced, up to as many as the pool has; after that requests
//! wait for the threads that are left, and are shed when the queue is full. Only processes recover.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use squall_proto::{Handler, Origin, Outbox, Refusal, Request};
use squall_time::Time;

use crate::clock::Clock;
use crate::engine::returns::{Done, Outcome, Returns};
use crate::verdict::{self, Verdict};

/// What waits for a thread.
pub(crate) struct Job {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) arrived: Time,
    pub(crate) origin: Origin,
    pub(crate) payload: Vec<u8>,
    pub(crate) back: Back,
}

/// Where the answer goes.
pub(crate) enum Back {
    /// To the shard that received the datagram.
    Shard(Arc<Returns>, usize),
    /// To the task of a connection.
    Connection(tokio::sync::oneshot::Sender<Outcome>),
}

/// A pool of threads. It ends when its last owner drops it; threads inside a handler end after it.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    queue: Mutex<Queue>,
    work: Condvar,
    threads: usize,
    limit: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Bytes of payload in `jobs`.
    bytes: usize,
    /// Threads that wait for a job.
    idle: usize,
    /// Whether one of them has been woken and has not looked yet. It wakes the next if there is more to
    /// do, so that a row of jobs costs no system call each.
    waking: bool,
    /// Threads that may take a job.
    workers: Vec<Arc<Worker>>,
    /// Threads that hang in a handler and were replaced.
    written_off: usize,
    closed: bool,
}

/// A thread as the watchdog sees it: since when it handles its request, and where the answer is awaited.
struct Worker {
    /// 0 while idle, `WRITTEN_OFF`, or the start of the request in nanoseconds plus two.
    since: AtomicU64,
    running: Mutex<Option<Pending>>,
}

/// What the watchdog needs to give a late request back.
struct Pending {
    arrived: Time,
    origin: Origin,
    back: Back,
}

const IDLE: u64 = 0;
const WRITTEN_OFF: u64 = 1;

impl Pool {
    /// Starts `threads` threads, for up to `limit` requests in the queue.
    ///
    /// # Errors
    /// The system's, when a thread cannot be started.
    pub(crate) fn start(
        clock: Clock,
        threads: usize,
        limit: usize,
        deadline: Option<Duration>,
    ) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { clock, queue, work: Condvar::new(), threads, limit });
        for _ in 0..threads {
            shared.add_worker(&mut shared.lock())?;
        }
        if let Some(deadline) = deadline {
            let shared = Arc::downgrade(&shared);
            thread::Builder::new().name("squall-watchdog".into()).spawn(move || watch(&shared, deadline))?;
        }
        Ok(Self { shared })
    }

    /// Queues `job`, for a thread that [`kick`](Self::kick) then wakes; refuses it when the queue is full.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Refusal> {
        let mut queue = self.shared.lock();
        if queue.jobs.len() >= self.shared.limit || queue.bytes + job.payload.len() > QUEUE_BYTES {
            return Err(Refusal::Overload("the queue is full"));
        }
        queue.bytes += job.payload.len();
        queue.jobs.push_back(job);
        Ok(())
    }

    /// Wakes a thread for what was queued, if none is on its way. A row of jobs needs one kick.
    pub(crate) fn kick(&self) {
        let mut queue = self.shared.lock();
        if !queue.jobs.is_empty() && queue.must_wake() {
            drop(queue);
            self.shared.work.notify_one();
        }
    }

    /// Threads that hang in a handler past the deadline.
    pub(crate) fn written_off(&self) -> usize {
        self.shared.lock().written_off
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_worker(self: &Arc<Self>, queue: &mut Queue) -> std::io::Result<()> {
        let worker = Arc::new(Worker { since: AtomicU64::new(IDLE), running: Mutex::new(None) });
        let (shared, own) = (Arc::clone(self), Arc::clone(&worker));
        thread::Builder::new().name("squall-worker".into()).spawn(move || shared.work(&own))?;
        queue.workers.push(worker);
        Ok(())
    }

    fn work(self: &Arc<Self>, worker: &Arc<Worker>) {
        let mut outbox = Outbox::new();
        let mut quiet = Quiet::default();
        while let Some(job) = self.next_job(&mut quiet) {
            let Job { handler, arrived, origin, payload, back } = job;
            *worker.running() = Some(Pending { arrived, origin, back });
            let began = self.clock.now();
            worker.since.store(began.as_nanos() + 2, Ordering::Release);
            let request = Request::new(arrived, &payload, origin);
            outbox.clear();
            let handled = verdict::answer(&*handler, &request, &mut outbox);
            if worker.since.swap(IDLE, Ordering::AcqRel) == WRITTEN_OFF {
                // The request was given up and another thread has this one's place.
                quiet.announce();
                self.lock().written_off -= 1;
                return;
            }
            let pending = worker.running().take();
            if let Some(pending) = pending {
                let quick = self.clock.now().since(began) < QUICK;
                pending.give_back(payload, Outcome::of(handled, &outbox), quick.then_some(&mut quiet));
            }
        }
    }

    fn next_job(&self, quiet: &mut Quiet) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.bytes -= job.payload.len();
                // This one may take long: another thread takes the next.
                if !queue.jobs.is_empty() && queue.must_wake() {
                    // Woken under the lock, it would only wait for it.
                    drop(queue);
                    self.work.notify_one();
                }
                return Some(job);
            }
            if quiet.0.is_some() {
                drop(queue);
                quiet.announce();
                queue = self.lock();
                continue;
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
            queue.waking = false;
        }
    }

    /// Writes off the threads that are past the deadline and puts others in their place.
    fn write_off_late(self: &Arc<Self>, deadline: Duration) {
        let mut queue = self.lock();
        let now = self.clock.now();
        let mut late = Vec::new();
        for index in (0..queue.workers.len()).rev() {
            let worker = Arc::clone(&queue.workers[index]);
            let since = worker.since.load(Ordering::Acquire);
            if since <= WRITTEN_OFF || now.since(Time::from_nanos(since - 2)) < deadline {
                continue;
            }
            // A thread that finishes right now wins, and its answer is sent.
            let exchange =
                worker.since.compare_exchange(since, WRITTEN_OFF, Ordering::AcqRel, Ordering::Acquire);
            if exchange.is_ok() {
                late.extend(worker.running().take());
                queue.workers.swap_remove(index);
                queue.written_off += 1;
            }
        }
        while queue.workers.len() < self.threads && queue.workers.len() + queue.written_off < 2 * self.threads
        {
            if self.add_worker(&mut queue).is_err() {
                break;
            }
        }
        drop(queue);
        for pending in late {
            pending.give_back(Vec::new(), Outcome::without(Verdict::Late), None);
        }
    }
}

impl Queue {
    /// Whether an idle thread is to be woken, which is then on its way.
    fn must_wake(&mut self) -> bool {
        let wake = self.idle > 0 && !self.waking;
        self.waking |= wake;
        wake
    }
}

impl Worker {
    fn running(&self) -> MutexGuard<'_, Option<Pending>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Gives the answer back; with `quiet`, which collects, the shard may be woken later.
    fn give_back(self, request: Vec<u8>, outcome: Outcome, quiet: Option<&mut Quiet>) {
        let Pending { arrived, origin, back } = self;
        match back {
            Back::Shard(returns, endpoint) => {
                let done = Done { endpoint, arrived, origin, request, outcome };
                match quiet {
                    Some(quiet) => quiet.put(returns, done),
                    None => returns.put(done),
                }
            }
            // A connection that is gone needs no answer.
            Back::Connection(sender) => drop(sender.send(outcome)),
        }
    }
}

/// Answers of quick handlers that their shard has not been woken for: waking it for each would cost more
/// than the handler. It is woken for every few, and when there is nothing left to do.
#[derive(Default)]
struct Quiet(Option<Arc<Returns>>);

impl Quiet {
    fn put(&mut self, returns: Arc<Returns>, done: Done) {
        if self.0.as_ref().is_some_and(|last| !Arc::ptr_eq(last, &returns)) {
            self.announce();
        }
        let waiting = returns.put_quietly(done);
        self.0 = Some(returns);
        if waiting >= QUIET {
            self.announce();
        }
    }

    fn announce(&mut self) {
        if let Some(returns) = self.0.take() {
            returns.announce();
        }
    }
}

/// Looks for late threads until the pool is gone.
fn watch(shared: &Weak<Shared>, deadline: Duration) {
    let pause = (deadline / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
    loop {
        thread::sleep(pause);
        match shared.upgrade() {
            Some(shared) if !shared.lock().closed => shared.write_off_late(deadline),
            _ => return,
        }
    }
}

/// A handler that took less may leave its answer for others to go along.
const QUICK: Duration = Duration::from_micros(20);
/// So many answers are not kept from their shard.
const QUIET: usize = 32;
/// Bytes of requests that may wait in a queue, however many they are.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
