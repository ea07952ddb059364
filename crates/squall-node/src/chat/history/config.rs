//! What is kept, where, and for how long.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Warning;

/// Where a hub's messages are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    Nothing,
    /// In memory, until the node ends; at most [`StoreConfig::memory`] bytes.
    Memory,
    /// In this file, a SQLite database.
    File(PathBuf),
}

impl Place {
    /// A place as it is typed: `none`, `memory`, or a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("the history's place is empty; write none, memory or a file".into()),
            "none" => Ok(Self::Nothing),
            "memory" => Ok(Self::Memory),
            file if file.ends_with('/') => Err(format!("{file:?} is a directory; the history is a file")),
            file => Ok(Self::File(file.into())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nowhere"),
            Self::Memory => f.write_str("in memory"),
            Self::File(path) => write!(f, "in {}", path.display()),
        }
    }
}

/// What [`super::Store::open`] is told.
#[derive(Clone)]
pub struct StoreConfig {
    pub(super) place: Place,
    /// Memory stands in for a file.
    pub(super) is_stand_in: bool,
    pub(super) age: Option<Duration>,
    pub(super) size: Option<u64>,
    pub(super) memory: u64,
    pub(super) period: Duration,
    pub(super) queue: usize,
    pub(super) rooms: usize,
    pub(super) questions: usize,
    pub(super) question_time: Duration,
    pub(super) retry: Duration,
    pub(super) warn: Arc<dyn Fn(&Warning) + Send + Sync>,
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("place", &self.place).finish_non_exhaustive()
    }
}

impl StoreConfig {
    /// Keeps messages in `place`, everything else as each setter's default says.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            is_stand_in: false,
            age: Some(Duration::from_secs(90 * 24 * 3600)),
            size: Some(1 << 30),
            memory: 64 << 20,
            period: Duration::from_millis(100),
            queue: 16 << 20,
            rooms: 65_536,
            questions: 64,
            question_time: Duration::from_secs(2),
            retry: Duration::from_secs(10),
            warn: Arc::new(|warning| match warning {
                Warning::WrittenAgain { .. } => tracing::info!("chat history: {warning}"),
                Warning::IndexAnew { .. } => tracing::warn!("chat history: {warning}"),
                _ => tracing::error!("chat history: {warning}"),
            }),
        }
    }

    /// Says that memory stands in for a file that cannot be had: [`super::Stats::memory_only`] shows it, and
    /// [`super::StoreHandle::close`] says that not everything was written.
    pub fn instead_of_a_file(mut self) -> Self {
        self.is_stand_in = true;
        self
    }

    /// How long a message is kept; `None` for ever. 90 days without this. Looked at once a minute.
    pub fn age(mut self, age: Option<Duration>) -> Self {
        self.age = age;
        self
    }

    /// How many bytes the file may have in use, its index for `/find` included; the oldest messages of all rooms go
    /// first. `None` for as many as the disk has. 1 GiB without this, some 8 million messages of 64 bytes (134 in the
    /// file each, by the example `history_speed`); at least 1 MiB.
    /// The log beside it (`-wal`) adds up to 64 MiB while much is written.
    pub fn size(mut self, bytes: Option<u64>) -> Self {
        self.size = bytes.map(|bytes| bytes.max(1 << 20));
        self
    }

    /// How many bytes are kept in memory, where the place is memory or the file cannot be written; the oldest go
    /// first. 64 MiB without this, some 600,000 messages of 64 bytes; at least 1 MiB.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes.max(1 << 20);
        self
    }

    /// How long messages are gathered before they are written together, which is what a crash can lose, with the time
    /// that writing takes. 100 ms without this. A shorter one costs a transaction more often.
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// How many bytes may wait to be written; what comes beyond is shed and counted. 16 MiB without this, and up to
    /// twice that is held while the first half is being written.
    pub fn queue(mut self, bytes: usize) -> Self {
        self.queue = bytes.max(1 << 10);
        self
    }

    /// How many rooms are known; when there are as many, a new one takes the place of one whose messages have all
    /// expired, and is not kept (and counted) where there is none. 65,536 without this, which is also the most.
    pub fn rooms(mut self, rooms: usize) -> Self {
        self.rooms = rooms.clamp(1, 65_536);
        self
    }

    /// How many questions may wait; more are refused. 64 without this.
    pub fn questions(mut self, questions: usize) -> Self {
        self.questions = questions.max(1);
        self
    }

    /// How long a question may take; one that takes longer is ended. 2 s without this.
    pub fn question_time(mut self, time: Duration) -> Self {
        self.question_time = time;
        self
    }

    /// How long after a failure the file is tried again. 10 s without this.
    pub fn retry(mut self, time: Duration) -> Self {
        self.retry = time;
        self
    }

    /// Who is told what an operator must know. Without this it is logged, as an
    /// error where something is lost or may be. Called on the store's threads,
    /// which wait for it.
    pub fn on_warning(mut self, warn: impl Fn(&Warning) + Send + Sync + 'static) -> Self {
        self.warn = Arc::new(warn);
        self
    }
}
