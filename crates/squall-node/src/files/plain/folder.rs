//! The folder of uploads.

use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, Access, AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::files::disk::name_by_link;

/// A folder that is this node's as long as this value is there. Files in it are made, renamed and counted by names
/// without slashes, and links are followed nowhere.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    directory: OwnedFd,
}

/// Why a folder cannot be one of uploads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Another process, or another service, keeps its uploads there.
    #[error("{} is the folder of another node's uploads; name another one (--dir), or end that node first", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It is a symbolic link, or leads to no folder.
    #[error("{} is no folder; a symbolic link to one is not followed", path.display())]
    NoFolder {
        /// What it should have been.
        path: PathBuf,
    },
    /// The system says no.
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A file in the folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Seconds since 1970 of its last change.
    pub(super) modified: i64,
}

impl Folder {
    /// Opens a folder, and makes it, for this user alone, where it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let unwritable = |source| FolderError::Unwritable { path: path.into(), source };
        // For one that is there already, whatever it is, this does nothing.
        if let Err(source) = DirBuilder::new().recursive(true).mode(0o700).create(path)
            && source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(unwritable(source));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match fs::openat(CWD, path, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(FolderError::NoFolder { path: path.into() }),
            Err(problem) => return Err(unwritable(problem.into())),
        };
        match fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(FolderError::InUse { path: path.into() }),
            // Some file systems have no locks for folders.
            Err(problem) => tracing::debug!("{} cannot be locked: {problem}", path.display()),
        }
        fs::accessat(&directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .map_err(|problem| unwritable(problem.into()))?;
        Ok(Self { path: path.into(), directory })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file that is not there, for this user alone.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Reads a small text file, at most `limit` bytes.
    pub(super) fn read(&self, name: &str, limit: u64) -> io::Result<String> {
        use std::io::Read;

        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file: File = fs::openat(&self.directory, name, flags, Mode::empty())?.into();
        let mut text = String::new();
        file.take(limit).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Gives a file another name; `AlreadyExists` where something has that name.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(name_by_link(&self.directory, from, &self.directory, to.as_bytes())?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    /// Has the names on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.directory)?)
    }

    /// The files in it, those in folders of it left out.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.each(|name, bytes, modified| {
            entries.push(Entry { name: name.to_string_lossy().into_owned(), bytes, modified });
        })?;
        Ok(entries)
    }

    /// The bytes of all files in it.
    pub(super) fn used(&self) -> io::Result<u64> {
        let mut used = 0_u64;
        self.each(|_, bytes, _| used = used.saturating_add(bytes))?;
        Ok(used)
    }

    /// Lets another node have it: nothing is done there any more.
    pub(super) fn release(&self) {
        let _ = fs::flock(&self.directory, FlockOperation::Unlock);
    }

    fn each(&self, mut tell: impl FnMut(&CString, u64, i64)) -> io::Result<()> {
        for entry in Dir::read_from(self.directory.as_fd())? {
            let name = entry?.file_name().to_owned();
            // Whoever removes files meanwhile may.
            let Ok(stat) = fs::statat(&self.directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                tell(&name, u64::try_from(stat.st_size).unwrap_or(0), stat.st_mtime);
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    /// Closing it alone would leave it locked for a moment, where a child that is being started has a copy.
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_folder_is_made_for_its_user_and_has_one_owner() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("made/files");
        let folder = Folder::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(Folder::open(&path), Err(FolderError::InUse { .. })));
        drop(folder);
        Folder::open(&path).unwrap();
    }

    #[test]
    fn links_are_not_followed_and_nothing_is_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let link = place.path().join("link");
        symlink(place.path(), &link).unwrap();
        assert!(matches!(Folder::open(&link), Err(FolderError::NoFolder { .. })));
        std::fs::write(place.path().join("file"), "old").unwrap();
        assert!(matches!(Folder::open(&place.path().join("file")), Err(FolderError::NoFolder { .. })));
        let folder = Folder::open(place.path()).unwrap();
        folder.create("link").unwrap_err();
        folder.create("file").unwrap_err();
        folder.create("new").unwrap().write_all(b"content").unwrap();
        let mode = std::fs::metadata(place.path().join("new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for name in ["file", "link"] {
            assert_eq!(folder.rename("new", name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        folder.rename("new", "final").unwrap();
        folder.sync().unwrap();
        assert_eq!(folder.used().unwrap(), 10);
        let mut names: Vec<String> = folder.entries().unwrap().into_iter().map(|entry| entry.name).collect();
        names.sort();
        assert_eq!(names, ["file", "final"]);
        assert_eq!(folder.read("final", 3).unwrap(), "con");
        folder.read("link", 3).unwrap_err();
        folder.remove("final").unwrap();
    }
}
