//! What the hub's side, the writer and the reader have in common.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::config::StoreConfig;
use super::database::Database;
use super::{Stats, Warning};
use crate::clock::unix_millis;

/// Messages after which a batch is not gathered any longer.
pub(super) const ENOUGH: usize = 8_192;

/// One of it for each store.
pub(super) struct Shared {
    pub(super) config: StoreConfig,
    queue: Mutex<Queue>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes those who wait for a batch to be written.
    written: Condvar,
    /// Messages that are in no file: all of them where the place is memory, else those that could not be written.
    memory: Mutex<Option<Database>>,
    /// How often the file was replaced by a new one: who has it open opens it again.
    pub(super) file: AtomicU64,
    /// There is no file now: it was damaged, and no new one could be made yet.
    pub(super) no_file: AtomicBool,
    pub(super) counts: Counts,
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) batch: Batch,
    /// The number of `batch`.
    pub(super) filling: u64,
    /// Batches below this number have been written, or given up.
    pub(super) done: u64,
    /// Somebody waits.
    pub(super) urgent: bool,
    /// A search went through many messages that are in no index.
    pub(super) index_soon: bool,
    /// The reader met damage in the file of this number: by now there may be another.
    pub(super) damaged: Option<(u64, rusqlite::Error)>,
    /// Nothing will be added.
    pub(super) closed: bool,
    /// The writer has ended; whether everything was written.
    pub(super) ended: Option<bool>,
    pub(super) bans: BTreeMap<String, Option<u64>>,
    pub(super) bans_changed: bool,
    /// Rooms without messages, and their last numbers.
    pub(super) empty_rooms: Vec<(u32, u64)>,
}

impl Queue {
    /// Whether there is something to write.
    pub(super) fn has_work(&self) -> bool {
        !self.batch.is_empty() || self.bans_changed || self.damaged.is_some()
    }

    /// Who is banned: those whose time is over are forgotten here.
    pub(super) fn bans_in_force(&mut self) -> &mut BTreeMap<String, Option<u64>> {
        let now = unix_millis();
        self.bans.retain(|_, until| until.is_none_or(|until| until > now));
        &mut self.bans
    }

    /// Whether what there is to write is not gathered any longer.
    pub(super) fn is_pressing(&self) -> bool {
        self.urgent || self.closed || self.damaged.is_some() || self.batch.len() >= ENOUGH
    }
}

/// The figures of [`Stats`], as they are counted.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) kept: AtomicU64,
    pub(super) shed: AtomicU64,
    pub(super) rooms_refused: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) indexed: AtomicU64,
    pub(super) swept: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) trimmed: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) unwritten: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) questions: AtomicU64,
    pub(super) questions_refused: AtomicU64,
    pub(super) questions_late: AtomicU64,
    pub(super) questions_failed: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) memory_only: AtomicBool,
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

pub(super) fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl Shared {
    pub(super) fn new(
        config: StoreConfig,
        memory: Option<Database>,
        bans: BTreeMap<String, Option<u64>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            queue: Mutex::new(Queue { bans, ..Queue::default() }),
            work: Condvar::new(),
            written: Condvar::new(),
            memory: Mutex::new(memory),
            file: AtomicU64::new(0),
            no_file: AtomicBool::new(false),
            counts: Counts::default(),
        })
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Option<Database>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer.
    pub(super) fn wake(&self) {
        self.work.notify_one();
    }

    /// Waits until woken, at most for `time`.
    pub(super) fn wait<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        time: Option<Duration>,
    ) -> MutexGuard<'a, Queue> {
        match time {
            Some(time) => self.work.wait_timeout(queue, time).unwrap_or_else(PoisonError::into_inner).0,
            None => self.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Tells those who wait for batches that something was written.
    pub(super) fn tell_written(&self) {
        self.written.notify_all();
    }

    /// Has what was kept until now written at once and waits for it; false if that takes longer than `time`.
    pub(super) fn write_now(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut queue = self.queue();
        let wanted = if queue.has_work() { queue.filling + 1 } else { queue.filling };
        while queue.done < wanted && queue.ended.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // Each time: a batch that is written in between takes the mark with it.
            queue.urgent = true;
            self.wake();
            queue = self.written.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.done >= wanted
    }

    /// Waits for the end of the writer; whether everything was written.
    pub(super) fn wait_ended(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut queue = self.queue();
        queue.closed = true;
        self.wake();
        loop {
            if let Some(whole) = queue.ended {
                return whole;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queue = self.written.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let counts = &self.counts;
        Stats {
            kept: get(&counts.kept),
            shed: get(&counts.shed),
            rooms_refused: get(&counts.rooms_refused),
            written: get(&counts.written),
            batches: get(&counts.batches),
            indexed: get(&counts.indexed),
            swept: get(&counts.swept),
            expired: get(&counts.expired),
            trimmed: get(&counts.trimmed),
            lost: get(&counts.lost),
            unwritten: get(&counts.unwritten),
            failures: get(&counts.failures),
            questions: get(&counts.questions),
            questions_refused: get(&counts.questions_refused),
            questions_late: get(&counts.questions_late),
            questions_failed: get(&counts.questions_failed),
            bytes: get(&counts.bytes),
            memory_only: counts.memory_only.load(Ordering::Acquire),
        }
    }

    pub(super) fn warn(&self, warning: &Warning) {
        (self.config.warn)(warning);
    }
}
