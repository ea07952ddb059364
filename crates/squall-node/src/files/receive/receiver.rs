//! A directory that takes files.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squall::files::Name;
use squall::files::wire::Source;

use super::claims::Claims;
use super::event::{ReceiveEvent, SessionCounts};
use super::room::Room;
use super::session;
use super::tallies::{ReceiverCounts, Tallies};
use crate::data::{DataError, LockFile};
use crate::files::disk::{Folder, STAGING, said};
use crate::secure::{Session, peer_of};

/// What may be taken, and where it goes.
#[derive(Clone, Debug)]
pub struct ReceiveConfig {
    dir: PathBuf,
    pub(super) replaces: bool,
    pub(super) takes_any_name: bool,
    pub(super) takes_any_link: bool,
    pub(super) first_word: Duration,
}

impl ReceiveConfig {
    /// Into this directory, which is made where it is not there.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            replaces: true,
            takes_any_name: false,
            takes_any_link: false,
            first_word: Duration::from_secs(10),
        }
    }

    /// Whether a sender that asks for it (`--force`) may replace files that are there. Default: it may.
    pub fn replaces(mut self, replaces: bool) -> Self {
        self.replaces = replaces;
        self
    }

    /// Whether names with control characters are taken. Default: they are not; whoever lists the directory would be
    /// deceived by them.
    pub fn takes_any_name(mut self, takes: bool) -> Self {
        self.takes_any_name = takes;
        self
    }

    /// Whether symbolic links are taken that lead out of the directory. Default: they are not. None is ever followed
    /// here, but whoever opens a file in the directory later would.
    pub fn takes_any_link(mut self, takes: bool) -> Self {
        self.takes_any_link = takes;
        self
    }

    /// How long a session may take until it says which sender it is of; then it is ended. Default: 10 s.
    pub fn first_word(mut self, within: Duration) -> Self {
        self.first_word = within;
        self
    }
}

/// Why a directory takes no files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// It cannot be opened or made, or nothing can be written in it.
    #[error("cannot receive into {}: {reason}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Another process receives into it.
    #[error("{} is in use by {}: one process at a time receives into a directory", path.display(), pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}")))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process; `None` where it has not said.
        pid: Option<u32>,
    },
}

/// A directory that takes files from any number of senders at once.
pub struct Receiver {
    pub(super) config: ReceiveConfig,
    pub(super) root: Arc<Folder>,
    pub(super) staging: Arc<Folder>,
    pub(super) claims: Claims,
    pub(super) room: Room,
    sources: Mutex<HashMap<Source, Arc<session::Handle>>>,
    sessions: AtomicU64,
    tallies: Tallies,
    report: Box<dyn Fn(&ReceiveEvent) + Send + Sync>,
    path: PathBuf,
    /// This process's, until it ends.
    lock: Option<LockFile>,
}

impl Receiver {
    /// The directory in it where files are while they arrive. What is in it belongs to transfers that stopped half-way
    /// and may be removed when nobody means to resume them.
    pub const STAGING: &'static str = STAGING;

    /// Opens the directory.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub fn open(
        config: ReceiveConfig,
        report: impl Fn(&ReceiveEvent) + Send + Sync + 'static,
    ) -> Result<Self, ReceiveError> {
        let trouble = |path: &Path, source: io::Error| {
            let reason = said(&source);
            ReceiveError::Directory { path: path.into(), reason }
        };
        // What is there and is no directory is told as that.
        if !config.dir.exists() {
            fs::create_dir_all(&config.dir).map_err(|source| trouble(&config.dir, source))?;
        }
        let path = fs::canonicalize(&config.dir).map_err(|source| trouble(&config.dir, source))?;
        let root = Folder::open(&path).map_err(|errno| trouble(&path, errno.into()))?;
        let name = Name::new(Self::STAGING.as_bytes()).unwrap_or_else(|_| unreachable!("it is a name"));
        let (staging, _) =
            root.make(name, 0o700).map_err(|errno| trouble(&path.join(Self::STAGING), errno.into()))?;
        staging.keep_private().map_err(|errno| trouble(&path.join(Self::STAGING), errno.into()))?;
        let lock = LockFile::take(&path.join(Self::STAGING).join(LOCK)).map_err(|error| match error {
            DataError::InUse { pid, .. } => ReceiveError::InUse { path: path.clone(), pid },
            DataError::Unwritable { path, source } => trouble(&path, source),
        })?;
        let (staging, claims) = (Arc::new(staging), Claims::default());
        Ok(Self {
            config,
            root: Arc::new(root),
            room: Room::new(Arc::clone(&staging), claims.clone()),
            staging,
            claims,
            sources: Mutex::default(),
            sessions: AtomicU64::new(0),
            tallies: Tallies::default(),
            report: Box::new(report),
            path,
            lock: Some(lock),
        })
    }

    /// Where it is, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was counted until now, sessions that are under way included.
    pub fn counts(&self) -> ReceiverCounts {
        self.tallies.counts()
    }

    /// Takes what a sender brings, until that is all or the connection is gone.
    ///
    /// # Errors
    /// Why the transfer stopped half-way. What had come is kept, and is not sent again when it is resumed.
    pub async fn serve(self: &Arc<Self>, session: Session) -> Result<SessionCounts, String> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        self.report(&ReceiveEvent::Came { session: number, peer: session.peer });
        let connection = session.connection.clone();
        let counting = self.tallies.begin(number);
        let (counts, result) = session::run(self, number, counting, session).await;
        let broken = result.err();
        self.tallies.end(number, &counts, broken.is_some());
        self.report(&ReceiveEvent::Went {
            session: number,
            peer: peer_of(&connection),
            counts,
            broken: broken.clone(),
        });
        broken.map_or(Ok(counts), Err)
    }

    pub(super) fn report(&self, event: &ReceiveEvent) {
        (self.report)(event);
    }

    /// Tells all senders that this side stops.
    pub(in crate::files) fn stop(&self) {
        for handle in self.sources.lock().unwrap_or_else(PoisonError::into_inner).values() {
            handle.stop();
        }
    }

    /// Makes `handle` the session of a source, and gives the one that was.
    pub(super) fn enlist(
        &self,
        source: Source,
        handle: &Arc<session::Handle>,
    ) -> Option<Arc<session::Handle>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).insert(source, Arc::clone(handle))
    }

    /// Forgets a session, unless another of its source has taken its place.
    pub(super) fn retire(&self, source: Source, handle: &Arc<session::Handle>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.get(&source).is_some_and(|present| Arc::ptr_eq(present, handle)) {
            sources.remove(&source);
        }
    }
}

impl Drop for Receiver {
    /// Leaves nothing behind that says nothing.
    fn drop(&mut self) {
        let staging = self.path.join(Self::STAGING);
        let is_empty = fs::read_dir(&staging)
            .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK)));
        if is_empty {
            // While it is locked: whoever opens it next makes another.
            let _ = fs::remove_file(staging.join(LOCK));
            self.lock = None;
            let _ = fs::remove_dir(&staging);
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("path", &self.path).finish_non_exhaustive()
    }
}

const LOCK: &str = "lock";
