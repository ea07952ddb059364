//! Who is at the other end of a Unix socket.

use std::io;

use crate::Socket;

/// A process at the other end of a Unix stream socket, as it was when it connected, or when it began to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its effective user.
    pub user: u32,
    /// Its number; `None` where the system does not tell, or the process is of another namespace.
    pub process: Option<u32>,
}

impl Socket {
    /// Who is at the other end of this connected Unix stream socket (`SOL_SOCKET`, `SO_PEERCRED`,
    /// [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)). The kernel wrote it down: the peer
    /// cannot claim to be another.
    ///
    /// # Errors
    /// `Unsupported` for a socket that has no such peer and on systems other than Linux; the system's
    /// otherwise.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsFd;

            let found: libc::ucred =
                crate::socket::get_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED)?;
            if found.uid == libc::uid_t::MAX {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "this socket has no peer with credentials",
                ));
            }
            let process = u32::try_from(found.pid).ok().filter(|process| *process > 0);
            Ok(Credentials { user: found.uid, process })
        }
        #[cfg(not(target_os = "linux"))]
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no SO_PEERCRED"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, process};

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peer_of_a_pair_is_this_process() {
        let (one, _other) = Socket::pair(Kind::Stream).unwrap();
        let found = one.peer_credentials().unwrap();
        assert_eq!(found, Credentials { user: process::user(), process: Some(std::process::id()) });
    }

    #[test]
    fn a_socket_without_a_peer_has_no_credentials() {
        let alone = Socket::open(crate::Family::V4, Kind::Datagram).unwrap();
        let error = alone.peer_credentials().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
