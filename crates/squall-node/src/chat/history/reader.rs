//! The thread that answers questions, with a connection of its own: a slow search delays neither the writer nor the
//! hub.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use squall::chat::{Recall, RecallError, Recalled};

use super::config::Place;
use super::database::is_damage;
use super::search::Asked;
use super::shared::{Shared, add};

/// Instructions of SQLite's between two looks at the clock.
const INSTRUCTIONS: i32 = 1_000;
/// A search that takes longer than this would have gone faster with a complete index.
const SLOW: Duration = Duration::from_millis(50);

pub(super) struct Reader {
    shared: Arc<Shared>,
    /// The number of the file that was looked into last, see [`Shared::file`].
    number: u64,
    file: Option<Connection>,
    deadline: Deadline,
}

/// When a question is given up: what every connection looks at while it works.
#[derive(Clone)]
pub(super) struct Deadline {
    begin: Instant,
    /// Milliseconds after `begin`.
    until: Arc<AtomicU64>,
}

impl Deadline {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    fn set(&self, time: Duration) {
        let until = (self.begin.elapsed() + time).as_millis();
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn lift(&self) {
        self.until.store(u64::MAX, Ordering::Relaxed);
    }

    /// Has a connection give up when it is over.
    fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let deadline = self.clone();
        let is_over = move || {
            let until = deadline.until.load(Ordering::Relaxed);
            until != u64::MAX && deadline.begin.elapsed().as_millis() > u128::from(until)
        };
        connection.progress_handler(INSTRUCTIONS, Some(is_over))
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, number: 0, file: None, deadline: Deadline::new() }
    }

    pub(super) fn run(
        mut self,
        questions: Receiver<(Recall, Asked)>,
        answer: impl Fn(Recall, Result<Vec<Recalled>, RecallError>),
    ) {
        while let Ok((recall, asked)) = questions.recv() {
            answer(recall, self.answer(&asked));
        }
    }

    fn answer(&mut self, asked: &Asked) -> Result<Vec<Recalled>, RecallError> {
        let begun = Instant::now();
        let time = self.shared.config.question_time;
        // Who asks sees what was said before. Where that cannot be written in time, the answer is without it.
        self.shared.write_now(time / 2);
        self.deadline.set(time.saturating_sub(begun.elapsed()));
        let answered = self.look(asked);
        self.deadline.lift();
        let counts = &self.shared.counts;
        if asked.is_search() && begun.elapsed() > SLOW {
            self.shared.queue().index_soon = true;
            self.shared.wake();
        }
        let error = match answered {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            add(&counts.questions_late, 1);
            return Err(RecallError::TooLong);
        }
        add(&counts.questions_failed, 1);
        if is_damage(&error) {
            // The writer knows what to do.
            self.file = None;
            self.shared.queue().damaged = Some((self.number, error));
            self.shared.wake();
        }
        Err(RecallError::Failed)
    }

    fn look(&mut self, asked: &Asked) -> rusqlite::Result<Vec<Recalled>> {
        // Memory first: a message that is written to the file meanwhile is in both, and never in neither.
        let memory = match &mut *self.shared.memory() {
            Some(database) => {
                self.deadline.watch(&mut database.connection)?;
                let found = asked.of(&database.connection);
                database.connection.progress_handler(0, None::<fn() -> bool>)?;
                found?
            }
            None => Vec::new(),
        };
        let Place::File(path) = &self.shared.config.place else { return Ok(memory) };
        if self.shared.no_file.load(Ordering::Acquire) {
            return Ok(memory);
        }
        let path = path.clone();
        let file = self.file(&path)?;
        Ok(asked.merge(asked.of(file)?, memory))
    }

    /// The file, opened again where there is a new one.
    fn file(&mut self, path: &Path) -> rusqlite::Result<&Connection> {
        let number = self.shared.file.load(Ordering::Acquire);
        if std::mem::replace(&mut self.number, number) != number {
            self.file = None;
        }
        if self.file.is_none() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let mut connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_millis(500))?;
            connection.pragma_update(None, "cache_size", -8192)?;
            self.deadline.watch(&mut connection)?;
            self.file = Some(connection);
        }
        self.file.as_ref().ok_or(rusqlite::Error::InvalidQuery)
    }
}
