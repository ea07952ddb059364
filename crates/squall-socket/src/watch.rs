//! Interfaces and addresses that come and go.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::Socket;
#[cfg(target_os = "linux")]
use crate::{Address, Family, Kind};

/// Becomes readable when an interface or an address of this machine comes, goes or changes
/// ([rtnetlink(7)](https://man7.org/linux/man-pages/man7/rtnetlink.7.html)). What there is now then tells
/// [`interfaces`](crate::interfaces).
#[derive(Debug)]
pub struct InterfaceWatch {
    socket: Socket,
}

impl InterfaceWatch {
    /// Watches from now on.
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; the system's otherwise.
    pub fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            let socket = Socket::open(Family::Netlink(libc::NETLINK_ROUTE), Kind::Raw)?;
            socket.set_nonblocking(true)?;
            let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
            socket.bind(Address::Netlink { pid: 0, groups: groups as u32 })?;
            Ok(Self { socket })
        }
        #[cfg(not(target_os = "linux"))]
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system does not tell of interfaces that change"))
    }

    /// Takes the news, however many; true when there were any.
    pub fn clear(&self) -> bool {
        // What changed is read elsewhere, so that a message may be cut.
        let mut buffer = [0; 64];
        let mut any = false;
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS: more than the kernel kept. It is news all the same, and told once.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for InterfaceWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
