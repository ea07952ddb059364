//! Where nodes take orders, and who finds them there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use squall::socket::unix::{self, PathError, SocketFile};
use squall::socket::{Kind, Socket, process};

/// Why a node cannot take orders.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The user has no directory for sockets, and no home.
    #[error(
        "there is no directory for it: neither XDG_RUNTIME_DIR nor HOME is set; --control PATH says where"
    )]
    NoDirectory,
    /// The directory is not this user's alone.
    #[error("{}: {reason}; --control PATH says where else", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The path cannot be had.
    #[error(transparent)]
    Path(#[from] PathError),
    /// All usual paths are taken.
    #[error("{NODES} nodes take orders in {}; --control PATH says where else", .0.display())]
    Crowded(PathBuf),
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A socket on which orders can come, and its file.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(super) socket: Socket,
    pub(super) file: SocketFile,
}

impl Listener {
    /// Listens at `path`, in place of a dead node.
    pub(crate) fn at(path: &Path) -> Result<Self, ControlError> {
        let (socket, file) = unix::bind(path, Kind::Stream)?;
        let system = |what| move |source| ControlError::System { what, path: path.to_owned(), source };
        // Whoever came before this is asked who it is, too.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(system("keep to this user"))?;
        socket.listen(BACKLOG).map_err(system("listen on"))?;
        Ok(Self { socket, file })
    }

    /// Listens at the first usual path that no living node has.
    pub(crate) fn usual() -> Result<Self, ControlError> {
        let directory = directory().ok_or(ControlError::NoDirectory)?;
        own(&directory)?;
        for number in 1..=NODES {
            match Self::at(&directory.join(name(number))) {
                Err(ControlError::Path(PathError::InUse(_))) => {}
                // Another node that starts in this instant was quicker.
                Err(ControlError::Path(PathError::System { source, .. }))
                    if source.kind() == io::ErrorKind::AddrInUse => {}
                result => return result,
            }
        }
        Err(ControlError::Crowded(directory))
    }
}

/// The directory in which nodes of this user take orders unless they are told otherwise:
/// `$XDG_RUNTIME_DIR/squall`, else the same of the user's login session, else the user's data directory.
pub fn directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let session = || {
        let path = PathBuf::from(format!("/run/user/{}", process::user()));
        fs::metadata(&path).is_ok_and(|found| found.uid() == process::user()).then_some(path)
    };
    let data = || set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    Some(set("XDG_RUNTIME_DIR").or_else(session).or_else(data)?.join("squall"))
}

/// The sockets in the usual directory on which a node may take orders, dead ones too.
pub fn candidates() -> Vec<PathBuf> {
    let Some(directory) = directory() else { return Vec::new() };
    (1..=NODES).map(|number| directory.join(name(number))).filter(|path| path.exists()).collect()
}

/// The path at which the first node of this user takes orders, if there is a directory for it.
pub fn usual() -> Option<PathBuf> {
    Some(directory()?.join(name(1)))
}

fn name(number: usize) -> String {
    if number == 1 { "ctl.sock".to_owned() } else { format!("ctl-{number}.sock") }
}

/// Makes `directory` if it is missing, and sees that nobody else can put files there.
fn own(directory: &Path) -> Result<(), ControlError> {
    let system = |what| move |source| ControlError::System { what, path: directory.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(system("make"))?;
    let found = fs::metadata(directory).map_err(system("look at"))?;
    let reason = match (found.uid(), found.mode() & 0o022) {
        (owner, _) if owner != process::user() => format!("it is user {owner}'s"),
        (_, 0) => return Ok(()),
        (_, _) => "others can write there".to_owned(),
    };
    Err(ControlError::Directory { path: directory.to_owned(), reason })
}

/// Nodes of one user that take orders at usual paths.
const NODES: usize = 64;
const BACKLOG: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_its_users_alone_and_takes_a_dead_ones_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ctl.sock");
        let first = Listener::at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(Listener::at(&path), Err(ControlError::Path(PathError::InUse(_)))));
        first.file.keep();
        drop(first.socket);
        assert!(path.exists());
        Listener::at(&path).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a/b");
        own(&inner).unwrap();
        assert_eq!(fs::metadata(&inner).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o777)).unwrap();
        let error = own(&inner).unwrap_err().to_string();
        assert!(error.contains("others can write there; --control PATH"), "{error}");
    }
}
