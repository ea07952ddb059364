//! Socket files: taking a path over from a server that died, and tidying up afterwards.
//!
//! A Unix socket's file stays when its server dies, and a later bind to the path fails with `AddrInUse`
//! ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)). Removing the file before each bind is no
//! answer: it also cuts off a server that lives.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;

use thiserror::Error;

use crate::{Family, Kind, Socket, UnixAddress};

/// Why a path for a Unix socket could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PathError {
    /// A living server has it.
    #[error("{} is in use by a running server", .0.display())]
    InUse(PathBuf),
    /// What is there is not a socket, and not ours to remove.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot {what} {}: {source}", .path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens a socket and binds it to `path`, in place of a dead server's socket file if there is one. The
/// returned guard removes the file again.
///
/// # Errors
/// As [`claim_path`]; `System` when the path is too long, its directory is missing, or opening fails.
pub fn bind(path: impl AsRef<Path>, kind: Kind) -> Result<(Socket, SocketFile), PathError> {
    let path = path.as_ref();
    claim_path(path)?;
    let open = || {
        let socket = Socket::open(Family::Unix, kind)?;
        socket.bind(UnixAddress::from_path(path)?)?;
        Ok((socket, SocketFile::at(path)?))
    };
    open().map_err(|source| system("bind a socket to", path, source))
}

/// Makes `path` free for a bind: does nothing when nothing is there, and removes a socket file that no
/// process listens on any more. Whether one does, a connection attempt of the datagram kind tells: it is
/// refused only for a dead file, and a living server of another kind never notices it.
///
/// Two servers that start for one path in the same instant can both find the file dead; the second one to
/// bind then fails, or has the path.
///
/// # Errors
/// [`InUse`](PathError::InUse) for a living server's path, [`NotASocket`](PathError::NotASocket) for any
/// other file; `System` when the path cannot be looked at, tested (`PermissionDenied`: the file of another
/// user) or removed.
pub fn claim_path(path: impl AsRef<Path>) -> Result<(), PathError> {
    let path = path.as_ref();
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(system("look at", path, source)),
    };
    if !found.file_type().is_socket() {
        return Err(PathError::NotASocket(path.into()));
    }
    let probe = || Socket::open(Family::Unix, Kind::Datagram)?.connect(UnixAddress::from_path(path)?);
    match probe().map_err(|error| (error.raw_os_error(), error)) {
        Err((Some(libc::ECONNREFUSED), _)) => {}
        Err((Some(libc::ENOENT), _)) => return Ok(()),
        // A living server's, of another kind or connected to a peer of its own.
        Ok(()) | Err((Some(libc::EPROTOTYPE | libc::EPERM), _)) => {
            return Err(PathError::InUse(path.into()));
        }
        Err((_, source)) => return Err(system("test the socket", path, source)),
    }
    let stale = SocketFile { path: path.into(), identity: identity(&found), process: process::id() };
    stale.remove().map_err(|source| system("remove the stale socket", path, source))
}

/// Removes a socket's file when it is dropped, if the file is still the same one (device and inode) and the
/// process that made the guard is the one that drops it.
///
/// Drop it before the socket: while that is open, no other file can get its inode.
#[derive(Debug)]
#[must_use = "the socket file is removed when this is dropped"]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    process: u32,
}

impl SocketFile {
    /// Guards the file that is at `path` now: call it right after the bind.
    ///
    /// # Errors
    /// The system's, when there is none.
    pub fn at(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let identity = identity(&fs::symlink_metadata(path)?);
        Ok(Self { path: path.into(), identity, process: process::id() })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file where it is, for a successor that inherits the socket.
    pub fn keep(mut self) {
        self.process = NOBODY;
    }

    /// Removes the file now, if it is still the same.
    ///
    /// # Errors
    /// The system's; that it is gone already is none.
    pub fn remove(mut self) -> io::Result<()> {
        let result = self.remove_if_ours();
        // Whatever came of it, the drop that follows must not try again.
        self.process = NOBODY;
        result
    }

    fn remove_if_ours(&self) -> io::Result<()> {
        // A forked child drops the guard too, and its parent still serves.
        if self.process != process::id() {
            return Ok(());
        }
        let result = match fs::symlink_metadata(&self.path) {
            Ok(found) if identity(&found) == self.identity => fs::remove_file(&self.path),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A drop has nobody to tell; the next server finds the file dead and removes it.
        let _ = self.remove_if_ours();
    }
}

/// No process has this id.
const NOBODY: u32 = 0;

fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn system(what: &'static str, path: &Path, source: io::Error) -> PathError {
    PathError::System { what, path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_server_s_socket_file_is_replaced_and_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        for kind in [Kind::Datagram, Kind::Stream, Kind::Datagram] {
            let (dead, file) = bind(&path, kind).unwrap();
            file.keep();
            drop(dead);
            assert!(path.exists());
        }
        let (server, file) = bind(&path, Kind::Stream).unwrap();
        server.listen(1).unwrap();
        assert_eq!(file.path(), path);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_living_server_keeps_its_path_and_hears_nothing_of_the_attempt() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind) in [("s", Kind::Stream), ("d", Kind::Datagram), ("p", Kind::SequencedPacket)] {
            let path = folder.path().join(name);
            let (server, _file) = bind(&path, kind).unwrap();
            // Not yet listening: alive all the same.
            assert!(matches!(bind(&path, kind), Err(PathError::InUse(found)) if found == path));
            if kind != Kind::Datagram {
                server.listen(1).unwrap();
                server.set_nonblocking(true).unwrap();
                assert!(matches!(claim_path(&path), Err(PathError::InUse(_))));
                assert_eq!(server.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
            }
        }
    }

    #[test]
    fn a_datagram_server_that_is_connected_elsewhere_counts_as_living() {
        let folder = tempfile::tempdir().unwrap();
        let (one, _one_file) = bind(folder.path().join("one"), Kind::Datagram).unwrap();
        let (_other, other_file) = bind(folder.path().join("other"), Kind::Datagram).unwrap();
        one.connect(UnixAddress::from_path(other_file.path()).unwrap()).unwrap();
        assert!(matches!(claim_path(folder.path().join("one")), Err(PathError::InUse(_))));
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "text").unwrap();
        assert!(matches!(bind(&path, Kind::Stream), Err(PathError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn a_successor_s_file_survives_the_guard_of_its_predecessor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (_old, old_file) = bind(&path, Kind::Datagram).unwrap();
        fs::remove_file(&path).unwrap();
        let (_new, new_file) = bind(&path, Kind::Datagram).unwrap();
        drop(old_file);
        assert!(path.exists());
        new_file.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn an_error_says_what_was_tried_and_where() {
        let error = bind("/nonexistent/socket", Kind::Stream).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot bind a socket to /nonexistent/socket: No such file or directory (os error 2)"
        );
    }
}
