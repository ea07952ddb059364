//! A directory that is held open: what is in it is reached by a name and never by a path, so that no link leads out.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Timestamps, UTIME_OMIT};
use rustix::io::{Errno, Result};
use squall::files::Name;
use squall::files::wire::Modified;

/// An open directory.
#[derive(Debug)]
pub(in crate::files) struct Folder {
    fd: OwnedFd,
    /// For people: where it was when it was opened.
    path: PathBuf,
}

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::files) enum Kind {
    File,
    Directory,
    Link,
    /// A device, a socket, a pipe.
    Other,
}

/// What is known of something without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::files) struct Stat {
    pub(in crate::files) kind: Kind,
    pub(in crate::files) mode: u32,
    pub(in crate::files) size: u64,
    pub(in crate::files) modified: Modified,
    /// When anything of it was last changed, as the system has it (seconds, nanoseconds): nobody can set that back.
    pub(in crate::files) changed: (i64, i64),
    /// Which it is on this machine: device and inode.
    pub(in crate::files) node: (u64, u64),
}

impl Stat {
    pub(in crate::files) fn of(fd: impl AsFd) -> Result<Self> {
        Ok(Self::from(rustix::fs::fstat(fd)?))
    }

    /// Whether what was read in between is what was there at both times.
    pub(in crate::files) fn is_same_content(&self, other: &Stat) -> bool {
        (self.size, self.modified, self.changed, self.node)
            == (other.size, other.modified, other.changed, other.node)
    }
}

impl From<rustix::fs::Stat> for Stat {
    fn from(stat: rustix::fs::Stat) -> Self {
        use rustix::fs::FileType;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            size: stat.st_size.try_into().unwrap_or(0),
            modified: Modified {
                seconds: stat.st_mtime,
                nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            node: (stat.st_dev, stat.st_ino),
        }
    }
}

impl Folder {
    /// Opens a directory by its path, links in it followed: the user named it.
    pub(in crate::files) fn open(path: &Path) -> Result<Self> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
        Ok(Self { fd, path: path.into() })
    }

    /// Opens one in it; a link is none.
    pub(in crate::files) fn enter(&self, name: Name<'_>) -> Result<Self> {
        let fd = rustix::fs::openat(&self.fd, name.as_bytes(), DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self { fd, path: self.path_of(name) })
    }

    /// Makes one in it that its owner can write, and opens it; whether it was there already comes with it.
    pub(in crate::files) fn make(&self, name: Name<'_>, mode: u32) -> Result<(Self, bool)> {
        let was_there =
            match rustix::fs::mkdirat(&self.fd, name.as_bytes(), Mode::from_raw_mode(mode & 0o777 | 0o700)) {
                Ok(()) => false,
                Err(Errno::EXIST) => true,
                Err(errno) => return Err(errno),
            };
        Ok((self.enter(name)?, was_there))
    }

    /// Opens a file in it; a link is none, and a pipe does not make it wait.
    pub(in crate::files) fn read(&self, name: Name<'_>) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::openat(&self.fd, name.as_bytes(), flags, Mode::empty())
    }

    /// Whether a name is that of a file, and not of a link to one.
    fn is_own_file(&self, name: &str) -> bool {
        use rustix::fs::FileType;
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
    }

    /// Opens a file in it for reading and writing, for its owner alone, and makes it where it is not there.
    pub(in crate::files) fn write(&self, name: &str, truncate: bool) -> Result<OwnedFd> {
        let mut flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if truncate {
            flags |= OFlags::TRUNC;
        }
        let open = |flags| rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o600));
        let fd = match open(flags) {
            // It had been given the permissions that it was to have, and then not its name.
            Err(Errno::ACCESS) if self.is_own_file(name) => {
                rustix::fs::chmodat(&self.fd, name, Mode::from_raw_mode(0o600), AtFlags::empty())?;
                open(flags)?
            }
            opened => opened?,
        };
        if rustix::fs::fstat(&fd)?.st_nlink == 1 {
            return Ok(fd);
        }
        // It has its own name already, and this one was about to go; or somebody else links it.
        self.remove(name)?;
        open(flags | OFlags::EXCL)
    }

    /// Closes it to everybody else.
    ///
    /// # Errors
    /// [`Errno::PERM`] if it is somebody else's.
    pub(in crate::files) fn keep_private(&self) -> Result<()> {
        if rustix::fs::fstat(&self.fd)?.st_uid != rustix::process::geteuid().as_raw() {
            return Err(Errno::PERM);
        }
        rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(0o700))
    }

    /// Its permissions.
    pub(in crate::files) fn mode(&self) -> Result<u32> {
        Ok(Stat::of(&self.fd)?.mode)
    }

    /// Gives it these, which is its owner's to do.
    pub(in crate::files) fn set_mode(&self, mode: u32) -> Result<()> {
        rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode))
    }

    /// What `name` is; `None` if it is not there.
    pub(in crate::files) fn stat(&self, name: Name<'_>) -> Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// What a link says.
    pub(in crate::files) fn read_link(&self, name: Name<'_>) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, name.as_bytes(), Vec::new())?.into_bytes())
    }

    /// Makes a link.
    pub(in crate::files) fn link(&self, name: &[u8], target: &[u8]) -> Result<()> {
        rustix::fs::symlinkat(target, &self.fd, name)
    }

    /// Moves `from` of this directory to `name` in `to`, and only where nothing has that name unless `replace`.
    pub(in crate::files) fn move_to(
        &self,
        from: &str,
        to: &Folder,
        name: Name<'_>,
        replace: bool,
    ) -> Result<()> {
        let to_name = name.as_bytes();
        if replace {
            return rustix::fs::renameat(&self.fd, from, &to.fd, to_name);
        }
        match rustix::fs::renameat_with(&self.fd, from, &to.fd, to_name, RenameFlags::NOREPLACE) {
            // File systems that cannot (NFS, FUSE).
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                name_by_link(&self.fd, from, &to.fd, to_name)
            }
            result => result,
        }
    }

    /// Takes a file out; that it is not there is fine.
    pub(in crate::files) fn remove(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => result,
        }
    }

    /// Sets the times of a link.
    pub(in crate::files) fn set_link_times(&self, name: &[u8], modified: Modified) -> Result<()> {
        rustix::fs::utimensat(&self.fd, name, &timestamps(modified), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Sets the permissions and the time of the directory itself.
    pub(in crate::files) fn set(&self, mode: u32, modified: Modified) -> Result<()> {
        // What makes files of a group's directory the group's stays.
        let kept = Stat::of(&self.fd)?.mode & 0o7000;
        rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode & 0o777 | kept))?;
        set_file_times(&self.fd, modified)
    }

    /// The same directory, opened anew.
    pub(in crate::files) fn again(&self) -> Result<Self> {
        let fd = rustix::fs::openat(&self.fd, ".", DIRECTORY, Mode::empty())?;
        Ok(Self { fd, path: self.path.clone() })
    }

    /// Waits until its entries are on disk.
    pub(in crate::files) fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd)
    }

    /// Waits until everything on its file system is on disk.
    pub(in crate::files) fn sync_all(&self) -> Result<()> {
        rustix::fs::syncfs(&self.fd)
    }

    pub(in crate::files) fn path_of(&self, name: Name<'_>) -> PathBuf {
        self.path.join(OsStr::from_bytes(name.as_bytes()))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Gives `from` in one directory the name `to` in another; [`Errno::EXIST`] where something has it.
///
/// By a second link, which never replaces anything. On a file system without these, as FAT has it, somebody else who
/// gives that name at the same moment is not seen.
pub(in crate::files) fn name_by_link(
    directory: impl AsFd,
    from: &str,
    target: impl AsFd,
    to: &[u8],
) -> Result<()> {
    use rustix::fs::{linkat, renameat, statat, unlinkat};
    match linkat(&directory, from, &target, to, AtFlags::empty()) {
        Ok(()) => unlinkat(&directory, from, AtFlags::empty()),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK | Errno::ACCESS) => {
            match statat(&target, to, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => renameat(&directory, from, &target, to),
                Err(errno) => Err(errno),
            }
        }
        Err(errno) => Err(errno),
    }
}

/// Sets when an open file was last changed.
pub(in crate::files) fn set_file_times(fd: impl AsFd, modified: Modified) -> Result<()> {
    rustix::fs::futimens(fd, &timestamps(modified))
}

fn timestamps(modified: Modified) -> Timestamps {
    Timestamps {
        last_access: rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: rustix::fs::Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanos.into() },
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn name(text: &str) -> Name<'_> {
        Name::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn no_link_leads_out_of_a_directory() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let inside = tempfile::tempdir().unwrap();
        symlink(outside.path(), inside.path().join("way")).unwrap();
        symlink(outside.path().join("secret"), inside.path().join("file")).unwrap();
        let folder = Folder::open(inside.path()).unwrap();
        assert!(folder.enter(name("way")).is_err());
        assert!(folder.make(name("way"), 0o755).is_err());
        assert_eq!(folder.read(name("file")).unwrap_err(), Errno::LOOP);
        assert_eq!(folder.write("file", true).unwrap_err(), Errno::LOOP);
        assert_eq!(folder.stat(name("way")).unwrap().unwrap().kind, Kind::Link);
        assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "s");
    }

    #[test]
    fn nothing_is_replaced_without_being_asked() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        fs::write(root.path().join("new"), "new").unwrap();
        fs::write(root.path().join("old"), "old").unwrap();
        assert_eq!(folder.move_to("new", &folder, name("old"), false), Err(Errno::EXIST));
        assert_eq!(fs::read_to_string(root.path().join("old")).unwrap(), "old");
        folder.move_to("new", &folder, name("old"), true).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("old")).unwrap(), "new");
        assert_eq!(folder.remove("new"), Ok(()));
    }

    #[test]
    fn what_has_no_second_name_is_moved_and_replaces_nothing_either() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        fs::write(root.path().join("old"), "old").unwrap();
        // For a directory the kernel says what it says for everything on FAT.
        fs::create_dir(root.path().join("new")).unwrap();
        assert_eq!(name_by_link(&folder, "new", &folder, b"old"), Err(Errno::EXIST));
        name_by_link(&folder, "new", &folder, b"final").unwrap();
        assert!(root.path().join("final").is_dir() && !root.path().join("new").exists());
        assert_eq!(name_by_link(&folder, "old", &folder, b"final"), Err(Errno::EXIST));
        name_by_link(&folder, "old", &folder, b"other").unwrap();
        assert_eq!(fs::read_to_string(root.path().join("other")).unwrap(), "old");
    }

    #[test]
    fn times_before_1970_and_nanoseconds_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let file = folder.write("x", false).unwrap();
        for modified in
            [Modified { seconds: -5, nanos: 7 }, Modified { seconds: 1 << 32, nanos: 999_999_999 }]
        {
            set_file_times(&file, modified).unwrap();
            assert_eq!(folder.stat(name("x")).unwrap().unwrap().modified, modified);
        }
        folder.link(b"l", b"nowhere").unwrap();
        let modified = Modified { seconds: 77, nanos: 1 };
        folder.set_link_times(b"l", modified).unwrap();
        assert_eq!(folder.stat(name("l")).unwrap().unwrap().modified, modified);
        assert_eq!(folder.read_link(name("l")).unwrap(), b"nowhere");
    }
}
