//! Where a node keeps what outlives it, and that no other node does so at the same place.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::places::Kept;

/// The file in a data directory that says whose it is.
const LOCK: &str = "squall.lock";

/// Why a data directory, or a file of a node's, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Another process uses it.
    #[error("{} is in use by {}; name another place (--data, --history), or end that one first", path.display(), process(*pid))]
    InUse {
        /// What is in use.
        path: PathBuf,
        /// The process; `None` where it has not said.
        pid: Option<u32>,
    },
    /// The system says no.
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable {
        /// What was to be made or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

impl DataError {
    /// Whether another process uses it, which is no reason to go on without it.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }
}

/// A directory that is this node's until this value is dropped, or the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: LockFile,
}

impl DataDirectory {
    /// Opens a data directory, and makes it where it is not there, for this user alone. Without `path` it is the
    /// platform's, see [`default_path`](Self::default_path).
    ///
    /// # Errors
    /// [`DataError`].
    pub fn open(path: Option<&Path>) -> Result<Self, DataError> {
        let path = path.map_or_else(Self::default_path, Path::to_path_buf);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| DataError::Unwritable { path: path.clone(), source })?;
        match LockFile::take(&path.join(LOCK)) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            // The directory is what people know.
            Err(DataError::InUse { pid, .. }) => Err(DataError::InUse { path, pid }),
            Err(other) => Err(other),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The platform's: what systemd gives a service (`$STATE_DIRECTORY`), `$XDG_DATA_HOME/squall`, `squall` in
    /// `~/.local/share` (on macOS `~/Library/Application Support`), and `/var/lib/squall` for who has no home.
    /// <https://specifications.freedesktop.org/basedir-spec/latest/>
    pub fn default_path() -> PathBuf {
        Kept::Data.default_path()
    }
}

/// The data directory of a node, opened when the first of its services needs it.
#[derive(Debug)]
pub(crate) struct SharedData {
    path: Option<PathBuf>,
    opened: Option<Arc<DataDirectory>>,
}

impl SharedData {
    /// That at `path`, or the platform's.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, opened: None }
    }

    /// The directory, which is this node's as long as any of its services has it.
    pub(crate) fn open(&mut self) -> Result<Arc<DataDirectory>, DataError> {
        if let Some(opened) = &self.opened {
            return Ok(Arc::clone(opened));
        }
        let directory = Arc::new(DataDirectory::open(self.path.as_deref())?);
        self.opened = Some(Arc::clone(&directory));
        Ok(directory)
    }
}

/// A file that one process has locked, with that process's number in it. It stays when the lock is gone: were it
/// removed, two processes could each have locked one of that name.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
}

impl Drop for LockFile {
    /// Closing it alone would leave it locked for a moment, where a child that is being started has a copy.
    fn drop(&mut self) {
        // Whoever takes it next has not said its number yet when it is asked for.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

impl LockFile {
    /// Locks `path`, and makes it where it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, DataError> {
        let unwritable = |source| DataError::Unwritable { path: path.into(), source };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // The file that a link leads to is not ours to empty.
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who has just locked it may not have written yet.
                let _ = (&file).take(32).read_to_string(&mut text);
                return Err(DataError::InUse { path: path.into(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        // Who had it before may have taken the file away in between: then it is nobody's.
        if file.metadata().is_ok_and(|metadata| metadata.nlink() == 0) {
            return Self::take(path);
        }
        // A full disk leaves the number out, and the lock holds.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_in_use_is_refused_with_the_process_and_free_when_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/for us");
        let first = DataDirectory::open(Some(&path)).unwrap();
        assert_eq!(fs::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = DataDirectory::open(Some(&path)).unwrap_err();
        assert!(refused.is_in_use());
        let shown = refused.to_string();
        let pid = std::process::id();
        assert!(shown.contains(&format!("{} is in use by process {pid};", path.display())), "{shown}");
        drop(first);
        DataDirectory::open(Some(&path)).unwrap();
    }

    #[test]
    fn the_services_of_a_node_share_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_path_buf();
        let mut data = SharedData::new(Some(path.clone()));
        let (first, second) = (data.open().unwrap(), data.open().unwrap());
        drop((data, first));
        assert!(DataDirectory::open(Some(&path)).unwrap_err().is_in_use());
        drop(second);
        DataDirectory::open(Some(&path)).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_a_lock_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "of somebody else").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join(LOCK)).unwrap();
        let refused = DataDirectory::open(Some(folder.path())).unwrap_err();
        assert!(!refused.is_in_use(), "{refused}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "of somebody else");
    }

    #[test]
    fn a_lock_that_was_given_up_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        drop(DataDirectory::open(Some(folder.path())).unwrap());
        assert_eq!(fs::read_to_string(folder.path().join(LOCK)).unwrap(), "");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_told_and_is_not_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = DataDirectory::open(Some(&file)).unwrap_err();
        assert!(!refused.is_in_use() && refused.to_string().contains("cannot be written"), "{refused}");
    }
}
