//! What a database needs from time to time, in steps that are short enough for messages to wait for.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::{TransactionBehavior, params};
use squall::chat::Message;

use super::batch::Batch;
use super::database::{Database, LAST_NUMBER, MOST_ROOMS, Room, key, number_of, room_of};
use super::words;

/// The most rows of one step.
const ROWS: usize = 2_000;
/// How long indexing goes on in one step.
const STEP: Duration = Duration::from_millis(15);
/// When the oldest message goes for want of room, those of the same room go with it that are not younger by more than
/// this: rooms would otherwise be visited for one message each.
const TOGETHER_MILLIS: u64 = 10 * 60 * 1000;
/// Free pages, of 4 KiB, that are kept for what comes.
const SPARE_PAGES: i64 = 2_048;
/// Pages that are given back in one step.
const PAGES: i64 = 512;

/// What a step of retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) rows: u64,
    /// The room that has no messages now, and its last number.
    pub(super) emptied: Option<(u32, u64)>,
}

impl Database {
    /// Puts messages into the index, at most for a step's time; says how many.
    pub(super) fn index(&mut self) -> rusqlite::Result<u64> {
        let begun = Instant::now();
        let mut done = 0;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut progress = Vec::new();
        {
            let mut select = transaction
                .prepare("SELECT id, text FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3")?;
            let mut insert =
                transaction.prepare("INSERT OR REPLACE INTO words(rowid, text) VALUES (?1, ?2)")?;
            let mut update = transaction.prepare("UPDATE rooms SET indexed = ?2 WHERE id = ?1")?;
            let mut folded = String::new();
            for id in &self.unindexed {
                let Some(room) = self.rooms.get(id) else { continue };
                let (mut last, mut count) = (room.indexed, 0);
                // Small pieces, so that the clock is asked often enough.
                let mut rows = select.query(params![key(*id, last), key(*id, room.last), ROWS as i64])?;
                let mut is_whole = true;
                while let Some(row) = rows.next()? {
                    let message: i64 = row.get(0)?;
                    let text = row.get_ref(1)?.as_str()?;
                    words::fold(text, &mut folded);
                    insert.execute(params![message, folded])?;
                    (last, count) = (number_of(message), count + 1);
                    if count % 64 == 0 && begun.elapsed() > STEP {
                        is_whole = false;
                        break;
                    }
                }
                is_whole &= count < ROWS;
                let indexed = if is_whole { room.last } else { last };
                update.execute(params![id, indexed.cast_signed()])?;
                done += count as u64;
                progress.push((*id, indexed));
                if done as usize >= ROWS || begun.elapsed() > STEP {
                    break;
                }
            }
        }
        transaction.commit()?;
        for (id, indexed) in progress {
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            room.indexed = indexed;
            if indexed >= room.last {
                self.unindexed.remove(&id);
            }
        }
        self.backlog = if self.unindexed.is_empty() { 0 } else { self.backlog.saturating_sub(done) };
        Ok(done)
    }

    /// Removes some of the messages that were said before `before` (Unix milliseconds).
    pub(super) fn expire(&mut self, before: u64) -> rusqlite::Result<Removed> {
        match self.oldest() {
            Some((room, at)) if at < before => self.remove(room, before),
            _ => Ok(Removed::default()),
        }
    }

    /// Removes some of the oldest messages.
    pub(super) fn trim(&mut self) -> rusqlite::Result<Removed> {
        match self.oldest() {
            Some((room, at)) => self.remove(room, at.saturating_add(TOGETHER_MILLIS)),
            None => Ok(Removed::default()),
        }
    }

    /// The room with the oldest message, and when that was said.
    fn oldest(&self) -> Option<(u32, u64)> {
        let firsts = self.rooms.iter().filter_map(|(id, room)| room.first.map(|(_, at)| (at, *id)));
        firsts.min().map(|(at, id)| (id, at))
    }

    fn remove(&mut self, id: u32, before: u64) -> rusqlite::Result<Removed> {
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(Removed::default()) };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut rows, mut last, mut next) = (0, 0, None);
        {
            let mut select = transaction
                .prepare("SELECT id, at FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3")?;
            let mut found = select.query(params![key(id, 0), key(id, LAST_NUMBER), ROWS as i64 + 1])?;
            while let Some(row) = found.next()? {
                let (message, at): (i64, i64) = (row.get(0)?, row.get(1)?);
                let (number, at) = (number_of(message), at.max(0).cast_unsigned());
                // The first always goes: it is what brought us here, though a clock that was set may say otherwise.
                if rows > 0 && (at >= before || rows as usize == ROWS) {
                    next = Some((number, at));
                    break;
                }
                (rows, last) = (rows + 1, number);
            }
        }
        transaction
            .execute("DELETE FROM messages WHERE id BETWEEN ?1 AND ?2", [key(id, 0), key(id, last)])?;
        // The numbers go on where they were, though the last message is gone.
        transaction
            .execute("UPDATE rooms SET last = ?2 WHERE id = ?1", params![id, room.last.cast_signed()])?;
        transaction.commit()?;
        if !self.in_memory && room.indexed > 0 {
            // It may be past this room.
            self.sweep = Some(self.sweep.unwrap_or(i64::MAX).min(key(id, 0)));
        }
        room.first = next;
        Ok(Removed { rows, emptied: next.is_none().then_some((id, room.last)) })
    }

    /// Takes messages that are gone out of the index, at most for a step's time; says how many. Where it has no others,
    /// a new one is begun. Until then a search
    /// passes over them: they are in no other table. It is apart from [`Self::remove`] because it is so much dearer.
    pub(super) fn sweep(&mut self) -> rusqlite::Result<u64> {
        let Some(mut from) = self.sweep else { return Ok(0) };
        let is_of_use = |room: &Room| room.first.is_some_and(|(first, _)| first <= room.indexed);
        if !self.rooms.values().any(is_of_use) {
            self.forget_index()?;
            return Ok(0);
        }
        let begun = Instant::now();
        let mut done = 0;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let end = {
            // What is in the index, by FTS5: <https://sqlite.org/fts5.html#the_docsize_table_docsize_>
            let mut next = transaction.prepare("SELECT min(id) FROM words_docsize WHERE id >= ?1")?;
            let mut unindex = transaction.prepare("DELETE FROM words WHERE rowid = ?1")?;
            loop {
                if begun.elapsed() > STEP {
                    break Some(from);
                }
                let Some(entry) = next.query_row([from], |row| row.get::<_, Option<i64>>(0))? else {
                    break None;
                };
                let room = room_of(entry);
                let first = self.rooms.get(&room).and_then(|room| room.first);
                if first.is_none_or(|(first, _)| number_of(entry) < first) {
                    unindex.execute([entry])?;
                    done += 1;
                    from = entry + 1;
                } else if room + 1 < MOST_ROOMS {
                    from = key(room + 1, 0);
                } else {
                    break None;
                }
            }
        };
        transaction.commit()?;
        self.sweep = end;
        Ok(done)
    }

    /// Gives free pages back to the file system; says whether there is more to give.
    pub(super) fn shrink(&mut self) -> rusqlite::Result<bool> {
        let free = self.connection.pragma_query_value::<i64, _>(None, "freelist_count", |row| row.get(0))?;
        if free <= SPARE_PAGES {
            return Ok(false);
        }
        let pages = PAGES.min(free - SPARE_PAGES);
        let mut statement = self.connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(free - pages > SPARE_PAGES)
    }

    /// Moves what the log has into the file, and both to the disk: until here a power cut loses nothing.
    pub(super) fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }
}

/// A database in memory that stands in for a file.
impl Database {
    /// Its first messages, as a batch.
    pub(super) fn first_rows(&self) -> rusqlite::Result<Batch> {
        let mut batch = Batch::default();
        let mut statement =
            self.connection.prepare("SELECT id, at, name, text FROM messages ORDER BY id LIMIT ?1")?;
        let mut rows = statement.query([ROWS as i64])?;
        while let Some(row) = rows.next()? {
            let (id, at): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (name, text) = (row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_str()?);
            let message = Message { room: "", number: number_of(id), at: at.cast_unsigned(), name, text };
            batch.push(room_of(id), &message, usize::MAX);
        }
        Ok(batch)
    }

    /// Removes what [`Self::first_rows`] gave.
    pub(super) fn remove_rows(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let Some(last) = batch.iter().last() else { return Ok(()) };
        self.connection.execute("DELETE FROM messages WHERE id <= ?1", [key(last.room, last.number)])?;
        Ok(())
    }

    /// Whether the file takes a transaction.
    pub(super) fn prove_writable(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("INSERT OR REPLACE INTO facts(name, value) VALUES ('proof', 0)", [])?;
        transaction.commit()
    }

    /// Takes over the rooms of a file that is given up, with their last numbers.
    pub(super) fn adopt(&mut self, rooms: &HashMap<u32, Room>, floor: u64) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (id, room) in rooms {
            // `OR REPLACE`: an attempt that was not known to have succeeded is made again.
            transaction.execute(
                "INSERT OR REPLACE INTO rooms(id, name, last) VALUES (?1, ?2, ?3)",
                params![id, room.name, room.last.cast_signed()],
            )?;
        }
        transaction.execute(
            "INSERT OR REPLACE INTO facts(name, value) VALUES ('floor', ?1)",
            [floor.cast_signed()],
        )?;
        transaction.commit()?;
        self.floor = floor;
        let empty = |room: &Room| Room { name: room.name.clone(), last: room.last, indexed: 0, first: None };
        self.rooms = rooms.iter().map(|(id, room)| (*id, empty(room))).collect();
        Ok(())
    }
}
