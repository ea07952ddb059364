//! The thread that writes: a batch, and between two of them what the database needs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::database::Database;
use super::failure::Left;
use super::shared::{Shared, add};
use super::upkeep::Removed;
use crate::clock::unix_millis;
use crate::data::LockFile;

/// The longest that what was written stays away from the disk while there is little to do.
const LONGEST_UNSAFE: Duration = Duration::from_secs(5);
/// How long nothing is said before what was written is brought to the disk at once.
const QUIET: Duration = Duration::from_secs(1);
/// So many messages are searched one by one without being noticed; the index is brought up to date beyond that.
const UNINDEXED: u64 = 2_000;
/// Messages a second beyond which nothing is indexed until there is a pause: indexing a message costs several times what
/// writing it does, on a processor that the hub may need.
const RUSH: u32 = 10_000;
/// How long indexing rests between two steps while people talk; after as long a silence it goes on without a rest.
const REST: Duration = Duration::from_millis(100);
/// Failures of the index in a row, for other reasons than damage and the system's, after which it is left as it is.
const MOST_INDEX_FAILURES: u32 = 4;
/// How often what has become too old is looked for.
const AGE_CHECK: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) path: Option<PathBuf>,
    pub(super) file: Option<Database>,
    /// No other process writes it.
    _lock: Option<LockFile>,
    /// When the file is tried again, after a failure.
    pub(super) retry: Option<Instant>,
    /// What is left of a damaged file that has no successor yet.
    pub(super) left: Option<Left>,
    /// Messages that were brought from memory into the file since that failed.
    pub(super) brought: u64,
    batch: Batch,
    pub(super) names: HashMap<u32, Box<str>>,
    /// Since when something is written that is not on the disk.
    pub(super) unsafe_since: Option<Instant>,
    last_write: Instant,
    next_age_check: Instant,
    index_soon: bool,
    /// The index is being brought up to date.
    indexing: bool,
    /// Pages may be free.
    may_shrink: bool,
    pub(super) bans_unwritten: bool,
    /// The last batch was written in a small part of the time that it took to gather.
    relaxed: bool,
    /// More than [`RUSH`] was said a second when that was last counted.
    rush: bool,
    /// Messages since `said_since`.
    said: u32,
    said_since: Instant,
    /// When the last step of indexing ended.
    last_index: Instant,
    /// Steps of indexing in a row that failed for no good reason.
    pub(super) index_failures: u32,
}

/// When there is something to do again.
enum Next {
    Now,
    At(Instant),
    Never,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, file: Option<(PathBuf, Database, Option<LockFile>)>) -> Self {
        let (path, file, lock) = match file {
            Some((path, file, lock)) => (Some(path), Some(file), lock),
            None => (None, None, None),
        };
        let names =
            file.iter().flat_map(|file| &file.rooms).map(|(id, room)| (*id, room.name.clone())).collect();
        let now = Instant::now();
        Self {
            shared,
            path,
            file,
            _lock: lock,
            retry: None,
            left: None,
            brought: 0,
            batch: Batch::default(),
            names,
            unsafe_since: None,
            last_write: now,
            next_age_check: now,
            index_soon: false,
            indexing: false,
            may_shrink: true,
            bans_unwritten: false,
            relaxed: true,
            rush: false,
            said: 0,
            said_since: now,
            last_index: now,
            index_failures: 0,
        }
    }

    /// Writes until the store is closed.
    pub(super) fn run(mut self) {
        let end = End(Arc::clone(&self.shared));
        while self.gather() {
            let begun = Instant::now();
            self.count_rush(begun);
            self.write();
            self.last_write = Instant::now();
            self.relaxed = begun.elapsed() * 4 < self.shared.config.period;
            self.after_batch();
            self.batch.clear();
        }
        let whole = self.finish();
        end.0.queue().ended = Some(whole);
    }

    /// Counts what is said over no less than [`REST`]: a few messages at once, which somebody has written at once, are
    /// no rush.
    fn count_rush(&mut self, now: Instant) {
        self.said = self.said.saturating_add(u32::try_from(self.batch.len()).unwrap_or(u32::MAX));
        let time = now.duration_since(self.said_since);
        if time >= REST {
            self.rush = Duration::from_secs(1) * self.said > RUSH * time;
            (self.said, self.said_since) = (0, now);
        }
    }

    /// Waits until a batch is to be written, and takes it; false at the end. Looks after the database meanwhile.
    fn gather(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut since = None;
        let mut queue = shared.queue();
        loop {
            self.index_soon |= std::mem::take(&mut queue.index_soon);
            if queue.has_work() {
                let waited = since.get_or_insert_with(Instant::now).elapsed();
                if waited >= shared.config.period || queue.is_pressing() {
                    break;
                }
                if self.relaxed {
                    drop(queue);
                    let next = self.upkeep();
                    queue = shared.queue();
                    // What became pressing while nobody looked has woken nobody.
                    if matches!(next, Next::Now) || queue.is_pressing() {
                        continue;
                    }
                }
                queue = shared.wait(queue, Some(shared.config.period.saturating_sub(waited)));
            } else if queue.closed {
                return false;
            } else {
                queue.urgent = false;
                drop(queue);
                let next = self.upkeep();
                queue = shared.queue();
                // What came while nobody looked has woken nobody.
                if queue.has_work() || queue.closed || queue.index_soon {
                    continue;
                }
                queue = match next {
                    Next::Now => queue,
                    Next::At(at) => shared.wait(queue, Some(at.saturating_duration_since(Instant::now()))),
                    Next::Never => shared.wait(queue, None),
                };
            }
        }
        std::mem::swap(&mut queue.batch, &mut self.batch);
        queue.filling += 1;
        queue.urgent = false;
        self.bans_unwritten |= std::mem::take(&mut queue.bans_changed);
        let damaged = queue.damaged.take();
        drop(queue);
        if let Some((number, error)) = damaged
            && number == shared.file.load(Ordering::Acquire)
        {
            self.failed(&error);
        }
        true
    }

    fn write(&mut self) {
        for (id, name) in &self.batch.rooms {
            self.names.insert(*id, name.clone());
        }
        let is_written = !self.batch.is_empty() && self.write_file();
        if self.bans_unwritten {
            self.write_bans();
        }
        if !is_written && !self.batch.is_empty() {
            self.write_memory();
        }
        let counts = &self.shared.counts;
        add(&counts.batches, 1);
        if is_written {
            add(&counts.written, self.batch.len() as u64);
        }
        let mut queue = self.shared.queue();
        queue.done = queue.filling;
        drop(queue);
        self.shared.tell_written();
    }

    /// Whether the batch is in the file now.
    fn write_file(&mut self) -> bool {
        for _ in 0..2 {
            let Some(file) = self.file.as_mut().filter(|_| self.retry.is_none()) else { return false };
            let written = file.write(&self.batch, |id| self.names.get(&id).map(|name| &**name));
            match written.and_then(|()| self.shared.measure(file)) {
                Ok(_) => {
                    self.unsafe_since.get_or_insert_with(Instant::now);
                    return true;
                }
                // Into the new file then.
                Err(error) => self.failed(&error),
            }
        }
        false
    }

    fn write_bans(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| self.retry.is_none()) else { return };
        let bans = self.shared.queue().bans_in_force().clone();
        match file.write_bans(bans.iter().map(|(network, until)| (network.as_str(), *until))) {
            Ok(()) => {
                self.bans_unwritten = false;
                self.unsafe_since.get_or_insert_with(Instant::now);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Keeps the batch in memory.
    fn write_memory(&mut self) {
        let counts = &self.shared.counts;
        let mut memory = self.shared.memory();
        if memory.is_none() {
            *memory = Database::in_memory().ok();
        }
        let is_kept = match &mut *memory {
            Some(database) => {
                database.write(&self.batch, |id| self.names.get(&id).map(|name| &**name)).is_ok()
            }
            None => false,
        };
        if !is_kept {
            add(&counts.lost, self.batch.len() as u64);
            return;
        }
        if self.path.is_some() {
            add(&counts.unwritten, self.batch.len() as u64);
        } else {
            add(&counts.written, self.batch.len() as u64);
        }
        let Some(database) = &mut *memory else { return };
        while database.size().is_ok_and(|size| size > self.shared.config.memory) {
            let Ok(removed) = database.trim() else { break };
            if removed.rows == 0 {
                break;
            }
            if self.path.is_some() {
                add(&counts.lost, removed.rows);
                counts.unwritten.fetch_sub(removed.rows, Ordering::Relaxed);
            } else {
                self.shared.trimmed(removed);
            }
        }
        if self.path.is_none() {
            // What cannot be measured now is with the next batch.
            let _ = self.shared.measure(database);
        }
    }

    /// What cannot wait for a pause.
    fn after_batch(&mut self) {
        // Who asks and talks all the time leaves no other moment.
        if self.index_soon && self.next_index() <= Instant::now() {
            self.work_on_index();
        }
        let Some(file) = self.file.as_mut().filter(|_| self.retry.is_none()) else { return };
        let result = (|| {
            let mut rows = self.batch.len() as u64;
            let limit = self.shared.config.size.unwrap_or(u64::MAX);
            loop {
                let size = self.shared.measure(file)?;
                // As many as came: then it does not grow. The rest can wait.
                if size <= limit || rows == 0 {
                    return Ok(());
                }
                let removed = file.trim()?;
                self.shared.trimmed(removed);
                if removed.rows == 0 {
                    return Ok(());
                }
                self.may_shrink = true;
                rows = rows.saturating_sub(removed.rows);
            }
        })();
        if let Err(error) = result {
            self.failed(&error);
        }
    }

    /// When the index may be worked on: that can wait, and the hub cannot.
    fn next_index(&self) -> Instant {
        let silent = self.last_write + REST;
        if self.rush && !self.index_soon { silent } else { silent.min(self.last_index + REST) }
    }

    /// Does one short thing of what the database needs, or says when there will be one.
    fn upkeep(&mut self) -> Next {
        let now = Instant::now();
        if self.path.is_none() {
            return self.upkeep_of_memory(now);
        }
        if let Some(retry) = self.retry {
            if now < retry {
                return Next::At(retry);
            }
            self.try_again();
            return self.retry.map_or(Next::Now, Next::At);
        }
        if self.file.is_none() {
            return Next::Never;
        }
        match self.upkeep_of_file(now) {
            Ok(next) => next,
            Err(error) => {
                self.failed(&error);
                Next::Now
            }
        }
    }

    fn upkeep_of_file(&mut self, now: Instant) -> rusqlite::Result<Next> {
        let (next_index, may_index) = (self.next_index(), self.index_failures < MOST_INDEX_FAILURES);
        let Some(file) = &mut self.file else { return Ok(Next::Never) };
        let shared = &self.shared;
        let mut next: Option<Instant> = None;
        let mut wait = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        if self.bans_unwritten {
            self.write_bans();
            return Ok(Next::Now);
        }
        if let Some(since) = self.unsafe_since {
            let due = (since + LONGEST_UNSAFE).min(self.last_write + QUIET);
            if due <= now {
                file.checkpoint()?;
                self.unsafe_since = None;
                return Ok(Next::Now);
            }
            wait(due);
        }
        let size = shared.measure(file)?;
        // While the index has messages that are gone, it may be they that are too much.
        if (file.sweep.is_none() || !may_index) && shared.config.size.is_some_and(|limit| size > limit) {
            let removed = file.trim()?;
            shared.trimmed(removed);
            if removed.rows > 0 {
                self.may_shrink = true;
                self.unsafe_since.get_or_insert(now);
                return Ok(Next::Now);
            }
        }
        if let Some(age) = shared.config.age {
            if self.next_age_check <= now {
                let removed = file.expire(millis_before(age))?;
                shared.room_emptied(removed.emptied);
                add(&shared.counts.expired, removed.rows);
                if removed.rows > 0 {
                    self.may_shrink = true;
                    self.unsafe_since.get_or_insert(now);
                    return Ok(Next::Now);
                }
                self.next_age_check = now + AGE_CHECK;
            }
            // An empty history has nothing that could become too old.
            if file.rooms.values().any(|room| room.first.is_some()) {
                wait(self.next_age_check);
            }
        }
        self.indexing |= self.index_soon || file.backlog >= UNINDEXED;
        if may_index && (file.sweep.is_some() || (self.indexing && file.backlog > 0)) {
            if next_index > now {
                wait(next_index);
                return Ok(next.map_or(Next::Never, Next::At));
            }
            self.work_on_index();
            return Ok(Next::Now);
        }
        (self.indexing, self.index_soon) = (false, false);
        if self.may_shrink {
            self.may_shrink = file.shrink()?;
            return Ok(Next::Now);
        }
        Ok(next.map_or(Next::Never, Next::At))
    }

    /// One step of it: what is gone first.
    fn work_on_index(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| self.retry.is_none()) else { return };
        if self.index_failures >= MOST_INDEX_FAILURES {
            return;
        }
        let counts = &self.shared.counts;
        let result = match file.sweep {
            Some(_) => file.sweep().map(|rows| add(&counts.swept, rows)),
            None => file.index().map(|rows| add(&counts.indexed, rows)),
        };
        self.last_index = Instant::now();
        self.unsafe_since.get_or_insert(self.last_index);
        match result {
            Ok(()) => self.index_failures = 0,
            Err(error) => self.index_failed(&error),
        }
    }

    fn upkeep_of_memory(&mut self, now: Instant) -> Next {
        let Some(age) = self.shared.config.age else { return Next::Never };
        let mut memory = self.shared.memory();
        let Some(database) = &mut *memory else { return Next::Never };
        if database.rooms.values().all(|room| room.first.is_none()) {
            return Next::Never;
        }
        if self.next_age_check > now {
            return Next::At(self.next_age_check);
        }
        let removed = database.expire(millis_before(age)).unwrap_or_default();
        self.shared.room_emptied(removed.emptied);
        add(&self.shared.counts.expired, removed.rows);
        if removed.rows == 0 {
            self.next_age_check = now + AGE_CHECK;
        }
        Next::Now
    }

    /// At the end: what is in memory goes into the file, if it can, and all of it to the disk. Whether it could.
    fn finish(mut self) -> bool {
        if self.path.is_none() {
            // Memory, which is where it was to be, unless it stands in for a file.
            return !self.shared.counts.memory_only.load(Ordering::Relaxed);
        }
        if self.retry.is_some() {
            self.try_again();
        }
        let is_whole = self.retry.is_none() && !self.bans_unwritten;
        match &mut self.file {
            // Closing the last connection does that; and here an error is seen.
            Some(file) => file.checkpoint().is_ok() && is_whole,
            None => false,
        }
    }
}

/// However the writer ends, nobody waits for it any longer.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.queue().ended.get_or_insert(false);
        self.0.tell_written();
    }
}

impl Shared {
    /// The size of a file, which the figures show from now on.
    fn measure(&self, file: &Database) -> rusqlite::Result<u64> {
        let size = file.size()?;
        self.counts.bytes.store(size, Ordering::Relaxed);
        Ok(size)
    }

    fn trimmed(&self, removed: Removed) {
        self.room_emptied(removed.emptied);
        add(&self.counts.trimmed, removed.rows);
    }

    /// Remembers a room whose place may be taken; there are no more of them than rooms. Before the messages are
    /// counted: who sees them gone can rely on it.
    fn room_emptied(&self, emptied: Option<(u32, u64)>) {
        if let Some(room) = emptied {
            let mut queue = self.queue();
            queue.empty_rooms.retain(|(id, _)| *id != room.0);
            queue.empty_rooms.push(room);
        }
    }
}

/// That long ago, in Unix milliseconds.
fn millis_before(age: Duration) -> u64 {
    unix_millis().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::shared::get;
    use super::super::{Place, StoreConfig};
    use super::*;

    #[test]
    fn the_index_waits_for_a_silence_in_a_rush_and_rests_between_steps_else() {
        let shared = Shared::new(StoreConfig::new(Place::Memory), None, Default::default());
        let mut writer = Writer::new(shared, None);
        let begun = writer.last_index;
        let wrote = begun + Duration::from_secs(5);
        writer.last_write = wrote;
        assert_eq!(writer.next_index(), begun + REST);
        writer.rush = true;
        assert_eq!(writer.next_index(), wrote + REST);
        // Somebody searches, and waits for it.
        writer.index_soon = true;
        assert_eq!(writer.next_index(), begun + REST);
        // Silence since: no rest.
        writer.last_index = wrote + REST * 2;
        assert_eq!(writer.next_index(), wrote + REST);
    }

    #[test]
    fn a_file_that_is_too_large_without_messages_gives_nothing_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let mut file = Database::open(&path).unwrap();
        let bans: Vec<String> = (0..2_000).map(|number| format!("{number:01000}")).collect();
        file.write_bans(bans.iter().map(|network| (network.as_str(), None))).unwrap();
        let config = StoreConfig::new(Place::File(path.clone())).size(Some(1));
        let mut writer = Writer::new(Shared::new(config, None, Default::default()), Some((path, file, None)));
        let is_over = (0..100).any(|_| !matches!(writer.upkeep(), Next::Now));
        assert!(is_over && get(&writer.shared.counts.bytes) > 1 << 20);
    }
}
