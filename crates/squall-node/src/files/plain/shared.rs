//! What the receiver's side, the writer and the finisher have in common.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use squall::files::plain::{Ended, UploadId};
use squall::{Backlog, Gauge};

use super::folder::Folder;
use super::name::Facts;
use super::store::StoreConfig;
use crate::clock::unix_millis;

/// One of it for each store.
pub(super) struct Shared {
    pub(super) folder: Folder,
    pub(super) config: StoreConfig,
    /// A number of this run, for temporary names.
    pub(super) run: u64,
    pub(super) counts: Counts,
    /// What tells of datagrams that the kernel dropped, once the server runs.
    pub(super) gauges: OnceLock<Vec<Gauge>>,
    queue: Mutex<Queue>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes who waits for the end.
    ended: Condvar,
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) orders: Vec<Order>,
    /// The content of the appends among them, one behind the other.
    pub(super) bytes: Vec<u8>,
    /// Uploads that cannot be written, of which the receiver has not been told.
    pub(super) failed: HashSet<UploadId>,
    /// The folder had no space when it was last looked at.
    pub(super) is_full: bool,
    /// Nothing will be added.
    pub(super) closed: bool,
    /// Everything is written and named.
    pub(super) done: bool,
}

/// What the writer is to do.
pub(super) enum Order {
    Begin(UploadId, Box<Facts>),
    Append(UploadId, usize),
    /// With the datagrams that the kernel had dropped by then.
    End(Box<Ended>, u64),
}

/// The figures of [`StoreStats`](super::StoreStats), as they are counted.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) used: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) incomplete: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) behind: AtomicU64,
    pub(super) no_space: AtomicU64,
    pub(super) recovered: AtomicU64,
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

pub(super) fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl Shared {
    pub(super) fn new(folder: Folder, config: StoreConfig, used: u64, recovered: u64) -> Arc<Self> {
        let counts = Counts::default();
        add(&counts.used, used);
        add(&counts.recovered, recovered);
        Arc::new(Self {
            folder,
            config,
            run: unix_millis(),
            counts,
            gauges: OnceLock::new(),
            queue: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
        })
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the kernel has of all uploads: before the server runs, nothing.
    pub(super) fn backlog(&self) -> Backlog {
        let gauges = self.gauges.get().map_or(&[][..], Vec::as_slice);
        gauges.iter().map(|gauge| gauge.backlog("files")).sum()
    }

    /// Wakes the writer.
    pub(super) fn wake(&self) {
        self.work.notify_one();
    }

    /// Waits until there is something to write, or nothing will come any more. Where the folder is full it looks after a
    /// second whether there is space by now.
    pub(super) fn wait_for_work(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue();
        while queue.orders.is_empty() && !queue.closed {
            queue = if queue.is_full {
                let waited = self.work.wait_timeout(queue, LOOK).unwrap_or_else(PoisonError::into_inner);
                if waited.1.timed_out() {
                    return waited.0;
                }
                waited.0
            } else {
                self.work.wait(queue).unwrap_or_else(PoisonError::into_inner)
            };
        }
        queue
    }

    /// Tells that everything is written and named.
    pub(super) fn tell_done(&self) {
        self.queue().done = true;
        self.ended.notify_all();
    }

    /// Waits for that; false if it takes longer than `time`.
    pub(super) fn wait_ended(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut queue = self.queue();
        queue.closed = true;
        self.wake();
        while !queue.done {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queue = self.ended.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// How often a full folder is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(1);
