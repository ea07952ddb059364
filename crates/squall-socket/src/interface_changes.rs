//! Being told when interfaces come, go, or change their addresses.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Becomes readable when an interface or an address of this machine comes, goes or changes.
///
/// Put it into a [`Poller`](crate::Poller); after [`drain`](Self::drain), read
/// [`interfaces`](crate::interfaces()) anew. On Linux it is a routing socket
/// ([rtnetlink(7)](https://man7.org/linux/man-pages/man7/rtnetlink.7.html)); other systems tell nothing.
#[derive(Debug)]
pub struct InterfaceChanges {
    socket: std::os::fd::OwnedFd,
}

impl InterfaceChanges {
    /// Begins to watch.
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux; the system's.
    #[cfg(all(target_os = "linux", not(squall_portable)))]
    pub fn watch() -> io::Result<Self> {
        use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above made this descriptor, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all zero is a valid address.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as _;
        address.nl_groups = (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR) as u32;
        // SAFETY: the pointer is good for the length beside it.
        let bound = unsafe {
            let size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size)
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { socket })
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// `Unsupported`, on this system.
    #[cfg(not(all(target_os = "linux", not(squall_portable))))]
    pub fn watch() -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system tells no changes of its interfaces"))
    }

    /// Takes all that was told, so that the descriptor waits for the next change; true when there was
    /// anything. More changes than the socket could hold count as one.
    pub fn drain(&self) -> bool {
        use std::os::fd::AsRawFd;

        let mut any = false;
        let mut buffer = [0_u8; 4096];
        loop {
            // SAFETY: the pointer is good for the length beside it.
            let read = unsafe {
                let fd = self.socket.as_raw_fd();
                libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
            };
            if read < 0 {
                match io::Error::last_os_error().raw_os_error() {
                    // Some were lost: a change all the same.
                    Some(libc::ENOBUFS) => any = true,
                    Some(libc::EINTR) => {}
                    _ => return any,
                }
            } else {
                any = true;
            }
        }
    }
}

impl AsFd for InterfaceChanges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(all(test, target_os = "linux", not(squall_portable)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Poller;

    #[test]
    fn nothing_is_told_while_nothing_changes() {
        let changes = InterfaceChanges::watch().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(&changes, 1).unwrap();
        changes.drain();
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert_eq!(ready, [0; 0]);
        assert!(!changes.drain());
    }
}
