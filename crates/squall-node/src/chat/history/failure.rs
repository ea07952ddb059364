//! What the writer does when the file fails it: goes on in memory, begins a new file, makes the index anew.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rusqlite::config::DbConfig;

use super::Warning;
use super::batch::Batch;
use super::database::{Database, Room, is_damage, is_damage_of_index, is_of_system};
use super::set_aside::set_aside;
use super::shared::add;
use super::writer::Writer;

/// What is left of a damaged file.
pub(super) struct Left {
    rooms: HashMap<u32, Room>,
    floor: u64,
    /// What was wrong with it, until it is set aside.
    in_the_way: Option<String>,
}

impl Writer {
    /// What to do about an error of the file.
    pub(super) fn failed(&mut self, error: &rusqlite::Error) {
        add(&self.shared.counts.failures, 1);
        if is_damage_of_index(error) && self.file.as_mut().is_some_and(|file| file.forget_index().is_ok()) {
            self.shared.warn(&Warning::IndexAnew { error: error.to_string() });
        } else if is_damage(error) {
            self.replace(error.to_string());
        } else {
            self.stop_writing(error.to_string());
        }
    }

    /// The same where it was met at work on the index. What is neither damage nor the disk would come again at each
    /// attempt: the index goes the second time, and where the new one is no better, nothing more is indexed.
    pub(super) fn index_failed(&mut self, error: &rusqlite::Error) {
        if is_damage_of_index(error) || is_damage(error) || is_of_system(error) {
            return self.failed(error);
        }
        add(&self.shared.counts.failures, 1);
        self.index_failures += 1;
        if self.index_failures == 2 && self.file.as_mut().is_some_and(|file| file.forget_index().is_ok()) {
            self.shared.warn(&Warning::IndexAnew { error: error.to_string() });
        }
    }

    /// From now on in memory, until the file can be written again.
    fn stop_writing(&mut self, error: String) {
        if !self.shared.counts.memory_only.swap(true, Ordering::Relaxed)
            && let Some(path) = self.path.clone()
        {
            self.shared.warn(&Warning::NotWritten { path, error });
        }
        self.retry = Some(Instant::now() + self.shared.config.retry);
    }

    /// Tries the file again, or begins the new one that is still to come, and brings what is in memory into it.
    pub(super) fn try_again(&mut self) {
        if let Err(error) = self.begin_anew() {
            add(&self.shared.counts.failures, 1);
            return self.stop_writing(error);
        }
        match self.bring_over() {
            Ok(()) => {
                self.retry = None;
                self.bans_unwritten = true;
                self.unsafe_since = Some(Instant::now());
                self.shared.counts.unwritten.store(0, Ordering::Relaxed);
                // Told first: who sees by the counts that it is over can rely on it.
                let rows = std::mem::take(&mut self.brought);
                if let Some(path) = self.path.clone() {
                    self.shared.warn(&Warning::WrittenAgain { path, rows });
                }
                self.shared.counts.memory_only.store(false, Ordering::Release);
            }
            Err(error) => {
                add(&self.shared.counts.failures, 1);
                if is_damage(&error) {
                    self.retry = None;
                    self.replace(error.to_string());
                }
                self.stop_writing(error.to_string());
            }
        }
    }

    fn bring_over(&mut self) -> rusqlite::Result<()> {
        let Some(file) = &mut self.file else { return Err(rusqlite::Error::InvalidQuery) };
        // Rooms that are new since, or have taken another's place.
        let is_known = |id: &u32, name: &str| file.rooms.get(id).is_some_and(|room| *room.name == *name);
        let mut rooms: Vec<_> = self.names.iter().map(|(id, name)| (*id, name.clone())).collect();
        rooms.retain(|(id, name)| !is_known(id, name));
        let mut memory = self.shared.memory();
        loop {
            let mut batch = memory.as_ref().map_or_else(|| Ok(Batch::default()), Database::first_rows)?;
            batch.rooms = std::mem::take(&mut rooms);
            // An empty one too: whether the file can be written is what is to be known.
            file.write(&batch, |id| self.names.get(&id).map(|name| &**name))?;
            let Some(database) = memory.as_mut().filter(|_| !batch.has_no_rows()) else { break };
            database.remove_rows(&batch)?;
            self.brought += batch.len() as u64;
            add(&self.shared.counts.written, batch.len() as u64);
            self.shared.counts.unwritten.fetch_sub(batch.len() as u64, Ordering::Relaxed);
        }
        *memory = None;
        file.prove_writable()?;
        // On a full disk the log takes what fits into the length that it had before: the file has to take it too.
        file.checkpoint()
    }

    /// Puts a damaged file aside and begins a new one, which knows the rooms and their last numbers.
    fn replace(&mut self, why: String) {
        let Some(before) = self.file.take() else { return };
        // What is in the log stays there, to be looked at.
        let _ = before.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        let Database { rooms, floor, connection, .. } = before;
        drop(connection);
        self.left = Some(Left { rooms, floor, in_the_way: Some(why) });
        if let Err(error) = self.begin_anew() {
            self.shared.no_file.store(true, Ordering::Release);
            self.shared.file.fetch_add(1, Ordering::Release);
            self.stop_writing(error);
        }
    }

    /// Begins the file that is to follow a damaged one, where it has not begun; says why it cannot.
    fn begin_anew(&mut self) -> Result<(), String> {
        let (Some(path), Some(left)) = (&self.path, &mut self.left) else { return Ok(()) };
        if let Some(why) = &left.in_the_way {
            let to = set_aside(path).map_err(|error| error.to_string())?;
            self.shared.warn(&Warning::SetAside { path: path.clone(), to, error: why.clone() });
            left.in_the_way = None;
        }
        let mut file = Database::open(path).map_err(|problem| problem.to_string())?;
        file.adopt(&left.rooms, left.floor).map_err(|error| error.to_string())?;
        // None of them has a message: all may give their places to others.
        let rooms = file.rooms.iter().map(|(id, room)| (*id, room.last));
        self.shared.queue().empty_rooms = rooms.collect();
        self.left = None;
        self.file = Some(file);
        self.bans_unwritten = true;
        self.unsafe_since = Some(Instant::now());
        self.shared.file.fetch_add(1, Ordering::Release);
        self.shared.no_file.store(false, Ordering::Release);
        Ok(())
    }
}
