//! What was said, in SQLite.
//!
//! ```text
//! hub ── keep ──> batch ── swapped each 100 ms ──> writer ──> file      (or memory)
//!     ── ask ───> 64 questions ──────────────────> reader ──> answer    (a connection of its own)
//! ```
//!
//! - **The hub waits for nothing.** [`History::keep`] copies a message into the batch; where that is full, the message
//!   is shed and counted.
//! - **A crash loses the last batch**: what was said while the batch before it was being written and since, a tenth of
//!   a second usually, and never the file. What was committed survives `kill -9`. A power cut loses what was said since
//!   the last checkpoint: at most 5 s under light load, else up to 16 MiB of messages; the file stays whole.
//! - **A file that cannot be written** (a full disk) leaves messages in memory, up to [`StoreConfig::memory`], where they
//!   are found too; every 10 s it is tried again. One that cannot be opened at the start is not: what is in it, and which
//!   numbers it has given, is not known, and nothing can be put behind that. **A damaged file** is set aside, and a new
//!   one begun. All are told by a [`Warning`].
//! - **The index** for [`Query::Find`](squall::chat::Query) is brought up to date between batches, a step of some
//!   milliseconds each 100 ms while people talk, not at all in a rush, and without a rest when nobody says anything; what
//!   it does not have yet is searched message by message. What is removed leaves the index later, by the same rule.

mod batch;
mod config;
mod database;
mod failure;
mod front;
mod reader;
mod search;
mod set_aside;
mod shared;
mod upkeep;
mod words;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use squall::chat::{History, NoHistory, Recall, RecallError, Recalled};

pub use config::{Place, StoreConfig};

use crate::data::{DataError, LockFile};
use database::{Database, Problem};
use front::Front;
use reader::Reader;
use shared::Shared;
use writer::Writer;

/// The most networks that are banned at once.
pub const MOST_BANS: usize = 65_536;

/// Why a history was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A database of another program is there.
    #[error("opening the chat history {}: it is a database of another program; name another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another node, or a program, uses the file.
    #[error("opening the chat history: {0}")]
    InUse(#[source] DataError),
    /// The system gives no memory or no thread.
    #[error("starting the chat history: {error}")]
    System {
        /// What it said.
        error: String,
    },
}

/// What an operator must know of a history. It goes on, with less.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The file was damaged, or of another version. It is kept under another name, and a new one was begun.
    #[error("{} cannot be used ({error}); it is {} now, and a new one is begun", path.display(), to.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// Where it is now.
        to: PathBuf,
        /// What was wrong with it.
        error: String,
    },
    /// The file cannot be written. What is said is kept in memory, as far as that goes.
    #[error("{} cannot be written ({error}); what is said is kept in memory only", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        error: String,
    },
    /// The file cannot be opened or made at the start. What is said is kept in memory, as far as that goes, until the
    /// end: what was in the file is not known.
    #[error(
        "{} cannot be opened ({error}); what is said is kept in memory only until the node is started again, \
         and no earlier ban is in force",
        path.display()
    )]
    NotOpened {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        error: String,
    },
    /// The file can be written again, and what was kept in memory meanwhile is in it.
    #[error("{} can be written again, and has the {rows} messages that were kept in memory", path.display())]
    WrittenAgain {
        /// The file.
        path: PathBuf,
        /// How many messages were brought over.
        rows: u64,
    },
    /// The index was damaged and is made anew; messages are searched one by one meanwhile.
    #[error("the index for /find is damaged ({error}) and is made anew")]
    IndexAnew {
        /// What SQLite said.
        error: String,
    },
}

/// Figures of a history since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages that were taken.
    pub kept: u64,
    /// Messages that were not: too many waited to be written, or there were too many rooms.
    pub shed: u64,
    /// Messages of rooms beyond [`StoreConfig::rooms`]; they are counted as shed too.
    pub rooms_refused: u64,
    /// Messages that were written.
    pub written: u64,
    /// Transactions that wrote them.
    pub batches: u64,
    /// Messages that were put into the index.
    pub indexed: u64,
    /// Messages that were removed before and were taken out of the index, one by one: not those of an index that had
    /// no others and was dropped.
    pub swept: u64,
    /// Messages that became too old.
    pub expired: u64,
    /// Messages that went for want of room.
    pub trimmed: u64,
    /// Messages that were taken and lost, because the file could not be written and memory was full.
    pub lost: u64,
    /// Messages that are in memory only and wait until the file can be written.
    pub unwritten: u64,
    /// Errors of the file.
    pub failures: u64,
    /// Questions.
    pub questions: u64,
    /// Questions that were refused, because too many waited.
    pub questions_refused: u64,
    /// Questions that took too long.
    pub questions_late: u64,
    /// Questions that failed.
    pub questions_failed: u64,
    /// Bytes of the file, or of memory, that are in use.
    pub bytes: u64,
    /// Whether messages are kept in memory although there is to be a file.
    pub memory_only: bool,
}

/// A network that is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The network as text.
    pub network: String,
    /// Until when, in Unix milliseconds; `None` for ever.
    pub until: Option<u64>,
}

/// Why a ban was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("banning: {MOST_BANS} networks are banned already")]
pub struct TooManyBans;

/// The history of a hub.
#[derive(Debug)]
pub struct Store;

impl Store {
    /// Opens a history. What the hub gets goes to it; the handle stays with the node. Answers to questions come by
    /// `answer`, on a thread of the history's, which waits for it.
    ///
    /// A file that is damaged is set aside, and one that cannot be opened or made means that messages are kept in memory;
    /// both are told by [`StoreConfig::on_warning`].
    ///
    /// # Errors
    /// [`StoreError`]: the file is another program's, or there is no thread to be had.
    pub fn open(
        mut config: StoreConfig,
        answer: impl Fn(Recall, Result<Vec<Recalled>, RecallError>) + Send + 'static,
    ) -> Result<(Box<dyn History>, StoreHandle), StoreError> {
        let system = |error: &dyn fmt::Display| StoreError::System { error: error.to_string() };
        let file = match &config.place {
            Place::Nothing => {
                let shared = Shared::new(config, None, BTreeMap::new());
                shared.queue().ended = Some(true);
                return Ok((Box::new(NoHistory), StoreHandle { shared }));
            }
            Place::Memory => None,
            Place::File(path) => {
                // SQLite takes a name that begins with `file:` for a URI.
                let path = one_name(&std::path::absolute(path).map_err(|error| system(&error))?);
                let lock = lock(&path)?;
                open_file(&config, &path)?.map(|(file, bans)| (path, file, lock, bans))
            }
        };
        let (file, bans) = match file {
            Some((path, file, lock, bans)) => (Some((path, file, lock)), bans),
            None => (None, Bans::new()),
        };
        let memory = match &file {
            Some((path, ..)) => {
                config.place = Place::File(path.clone());
                None
            }
            None => {
                config.is_stand_in |= matches!(config.place, Place::File(_));
                config.place = Place::Memory;
                Some(Database::in_memory().map_err(|error| system(&error))?)
            }
        };
        let (mut rooms, mut empty, mut floor) = (Vec::new(), Vec::new(), 0);
        if let Some((_, file, _)) = &file {
            for (id, room) in &file.rooms {
                rooms.push((room.name.clone(), *id, room.last));
                if room.first.is_none() {
                    empty.push((*id, room.last));
                }
            }
            floor = file.floor;
        }
        let is_stand_in = file.is_none() && config.is_stand_in;
        let shared = Shared::new(config, memory, bans);
        shared.counts.memory_only.store(is_stand_in, Ordering::Relaxed);
        shared.queue().empty_rooms = empty;
        let (ask, questions) = sync_channel(shared.config.questions);
        let front = Front::new(Arc::clone(&shared), ask, rooms.into_iter(), floor);
        let writer = Writer::new(Arc::clone(&shared), file);
        let reader = Reader::new(Arc::clone(&shared));
        let named = |name: &str| thread::Builder::new().name(name.into());
        named("chat-history").spawn(move || writer.run()).map_err(|error| system(&error))?;
        named("chat-recall").spawn(move || reader.run(questions, answer)).map_err(|error| system(&error))?;
        Ok((Box::new(front), StoreHandle { shared }))
    }
}

/// The name of a file that has several, by symbolic links: each would have a lock of its own. One that is not there yet
/// has its directory's.
fn one_name(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path.into(),
    })
}

/// Two nodes that write one file would give each other's numbers away. `None` where there can be no lock: there can
/// be no file either then.
fn lock(path: &Path) -> Result<Option<LockFile>, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    match LockFile::take(Path::new(&name)) {
        Ok(lock) => Ok(Some(lock)),
        Err(DataError::InUse { pid, .. }) => {
            Err(StoreError::InUse(DataError::InUse { path: path.into(), pid }))
        }
        // A link would have it lock another file.
        Err(refused @ DataError::Unwritable { .. }) if Path::new(&name).is_symlink() => {
            Err(StoreError::System { error: refused.to_string() })
        }
        Err(DataError::Unwritable { .. }) => Ok(None),
    }
}

/// Who is banned, and until when.
type Bans = BTreeMap<String, Option<u64>>;

fn open_with_bans(path: &Path) -> Result<(Database, Bans), Problem> {
    let file = Database::open(path)?;
    let bans = file.bans()?.into_iter().take(MOST_BANS).collect();
    Ok((file, bans))
}

/// Opens a file, a new one where it is damaged; `None` if there is none to be had.
fn open_file(config: &StoreConfig, path: &Path) -> Result<Option<(Database, Bans)>, StoreError> {
    let mut problem = match open_with_bans(path) {
        Ok(file) => return Ok(Some(file)),
        Err(problem) => problem,
    };
    if let Problem::Damaged(error) = problem {
        problem = match set_aside::set_aside(path) {
            Ok(to) => {
                (config.warn)(&Warning::SetAside { path: path.into(), to, error });
                match open_with_bans(path) {
                    Ok(file) => return Ok(Some(file)),
                    Err(problem) => problem,
                }
            }
            Err(other) => Problem::Cannot(format!("{error}, and it cannot be renamed: {other}")),
        };
    }
    match problem {
        Problem::Foreign => Err(StoreError::Foreign { path: path.into() }),
        Problem::Damaged(error) | Problem::Cannot(error) => {
            (config.warn)(&Warning::NotOpened { path: path.into(), error });
            Ok(None)
        }
    }
}

/// A history as its node sees it.
#[derive(Clone)]
pub struct StoreHandle {
    shared: Arc<Shared>,
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHandle").field("place", &self.shared.config.place).finish_non_exhaustive()
    }
}

impl StoreHandle {
    /// Where messages are kept: [`Place::Memory`] too where a file could not be opened.
    pub fn place(&self) -> &Place {
        &self.shared.config.place
    }

    /// Figures.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Writes what was kept until now, and waits for that; false if it takes longer than `time`. Where the file cannot
    /// be written, memory counts as written.
    pub fn flush(&self, time: Duration) -> bool {
        self.shared.write_now(time)
    }

    /// Ends the history: writes what was kept, brings it to the disk and closes the file. What the hub says from now on
    /// is shed. False if that takes longer than `time`, or not everything could be written, or memory stood in for a file.
    pub fn close(&self, time: Duration) -> bool {
        self.shared.wait_ended(time)
    }

    /// Who is banned. Those whose time is over are there too until the bans are written again.
    pub fn bans(&self) -> Vec<Ban> {
        let queue = self.shared.queue();
        queue.bans.iter().map(|(network, until)| Ban { network: network.clone(), until: *until }).collect()
    }

    /// Keeps a ban, also over the node's end where the place is a file.
    ///
    /// # Errors
    /// [`TooManyBans`].
    pub fn ban(&self, network: &str, until: Option<u64>) -> Result<(), TooManyBans> {
        let mut queue = self.shared.queue();
        let is_full = |bans: &Bans| bans.len() >= MOST_BANS && !bans.contains_key(network);
        if is_full(&queue.bans) && is_full(queue.bans_in_force()) {
            return Err(TooManyBans);
        }
        queue.bans.insert(network.into(), until);
        queue.bans_changed = true;
        drop(queue);
        self.shared.wake();
        Ok(())
    }

    /// Lifts a ban; whether there was one.
    pub fn unban(&self, network: &str) -> bool {
        let mut queue = self.shared.queue();
        let was_there = queue.bans.remove(network).is_some();
        queue.bans_changed |= was_there;
        drop(queue);
        self.shared.wake();
        was_there
    }
}
