//! What the writer does when the file fails it: goes on in memory, begins a new file, makes the index anew.

use std::sync::atomic::Ordering;
use std::time::Instant;

use rusqlite::config::DbConfig;

use super::Warning;
use super::database::{Database, is_damage, is_damage_of_index, is_of_system};
use super::set_aside::set_aside;
use super::shared::add;
use super::writer::Writer;

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

    /// Brings what is in memory into the file.
    pub(super) fn try_again(&mut self) {
        match self.bring_over() {
            Ok(rows) => {
                self.retry = None;
                self.bans_unwritten = true;
                self.unsafe_since = Some(Instant::now());
                self.shared.counts.unwritten.store(0, Ordering::Relaxed);
                // Told first: who sees by the counts that it is over can rely on it.
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

    fn bring_over(&mut self) -> rusqlite::Result<u64> {
        let Some(file) = &mut self.file else { return Err(rusqlite::Error::InvalidQuery) };
        let mut memory = self.shared.memory();
        let mut rows = 0;
        if let Some(database) = &mut *memory {
            loop {
                let batch = database.first_rows()?;
                // An empty one too: whether the file can be written is what is to be known.
                file.write(&batch, |id| self.names.get(&id).map(|name| &**name))?;
                if batch.has_no_rows() {
                    break;
                }
                database.remove_rows(&batch)?;
                rows += batch.len() as u64;
                add(&self.shared.counts.written, batch.len() as u64);
                self.shared.counts.unwritten.fetch_sub(batch.len() as u64, Ordering::Relaxed);
            }
        }
        *memory = None;
        file.prove_writable()?;
        Ok(rows)
    }

    /// Puts a damaged file aside and begins a new one, which knows the rooms and their last numbers.
    fn replace(&mut self, why: String) {
        let Some(path) = self.path.clone() else { return };
        let Some(before) = self.file.take() else { return };
        // What is in the log stays there, to be looked at.
        let _ = before.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        let Database { rooms, floor, connection, .. } = before;
        drop(connection);
        let anew = set_aside(&path).map_err(|error| error.to_string()).and_then(|to| {
            self.shared.warn(&Warning::SetAside { path: path.clone(), to, error: why });
            let mut file = Database::open(&path).map_err(|problem| format!("{problem:?}"))?;
            file.adopt(rooms, floor).map_err(|error| error.to_string())?;
            Ok(file)
        });
        match anew {
            Ok(file) => {
                self.file = Some(file);
                self.bans_unwritten = true;
                self.unsafe_since = Some(Instant::now());
            }
            Err(error) => {
                self.shared.no_file.store(true, Ordering::Release);
                self.shared.counts.memory_only.store(true, Ordering::Relaxed);
                self.shared.warn(&Warning::NotWritten { path, error });
            }
        }
        self.shared.file.fetch_add(1, Ordering::Release);
    }
}
