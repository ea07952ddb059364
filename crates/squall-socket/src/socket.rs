//! A socket of any family.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::Address;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
    /// `AF_UNIX`.
    Unix,
    /// `AF_VSOCK`: between a virtual machine and its host.
    Vsock,
    /// `AF_NETLINK`: to the kernel. The number is the netlink protocol, 0 for routing.
    Netlink(i32),
    /// Any other family, by the kernel's number (`AF_TIPC` is 30).
    Other(i32),
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `SOCK_STREAM`: bytes in order, without boundaries.
    Stream,
    /// `SOCK_DGRAM`: datagrams.
    Datagram,
    /// `SOCK_RAW`.
    Raw,
}

/// An open socket. It is closed when it is dropped, and never inherited by a program that is started
/// (`SOCK_CLOEXEC`) unless that is asked for.
#[derive(Debug)]
pub struct Socket {
    pub(crate) inner: socket2::Socket,
}

impl Socket {
    /// Opens a socket ([socket(2)](https://man7.org/linux/man-pages/man2/socket.2.html)).
    ///
    /// # Errors
    /// `Unsupported` when this kernel has no such family; the system's error otherwise.
    pub fn open(family: Family, kind: Kind) -> io::Result<Self> {
        let (domain, protocol) = match family {
            Family::V4 => (libc::AF_INET, 0),
            Family::V6 => (libc::AF_INET6, 0),
            Family::Unix => (libc::AF_UNIX, 0),
            #[cfg(target_os = "linux")]
            Family::Vsock => (libc::AF_VSOCK, 0),
            #[cfg(target_os = "linux")]
            Family::Netlink(protocol) => (libc::AF_NETLINK, protocol),
            #[cfg(not(target_os = "linux"))]
            Family::Vsock | Family::Netlink(_) => return Err(no_family(family)),
            Family::Other(number) => (number, 0),
        };
        let kind = match kind {
            Kind::Stream => libc::SOCK_STREAM,
            Kind::Datagram => libc::SOCK_DGRAM,
            Kind::Raw => libc::SOCK_RAW,
        };
        let protocol = (protocol != 0).then_some(socket2::Protocol::from(protocol));
        match socket2::Socket::new(domain.into(), kind.into(), protocol) {
            Ok(inner) => Ok(Self { inner }),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Err(no_family(family)),
            Err(error) => Err(error),
        }
    }

    /// Gives the socket the address `address`; port 0 lets the kernel choose
    /// ([bind(2)](https://man7.org/linux/man-pages/man2/bind.2.html)).
    ///
    /// # Errors
    /// The system's: `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` for a port below 1024.
    pub fn bind(&self, address: impl Into<Address>) -> io::Result<()> {
        self.inner.bind(&address.into().to_socket2())
    }

    /// Makes a stream socket accept connections; the kernel keeps up to `backlog` of them waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(&self, backlog: u32) -> io::Result<()> {
        self.inner.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    /// Takes a connection that waits, with the address of its other end.
    ///
    /// # Errors
    /// `WouldBlock` on a non-blocking socket when none waits; the system's otherwise.
    pub fn accept(&self) -> io::Result<(Socket, Address)> {
        let (inner, address) = self.inner.accept()?;
        Ok((Self { inner }, Address::from_socket2(&address)?))
    }

    /// Connects a stream socket, or fixes whom a datagram socket sends to and hears.
    ///
    /// # Errors
    /// The system's; for a non-blocking stream socket `WouldBlock` or `EINPROGRESS` means that it goes on.
    pub fn connect(&self, address: impl Into<Address>) -> io::Result<()> {
        self.inner.connect(&address.into().to_socket2())
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// The system's.
    pub fn local_address(&self) -> io::Result<Address> {
        Address::from_socket2(&self.inner.local_addr()?)
    }

    /// The address that the socket is connected to.
    ///
    /// # Errors
    /// `NotConnected`, or the system's.
    pub fn peer_address(&self) -> io::Result<Address> {
        Address::from_socket2(&self.inner.peer_addr()?)
    }

    /// Whether calls return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.inner.set_nonblocking(nonblocking)
    }
}

impl From<OwnedFd> for Socket {
    /// Takes over a descriptor that is a socket.
    fn from(fd: OwnedFd) -> Self {
        Self { inner: fd.into() }
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.inner.into()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

fn no_family(family: Family) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("this kernel has no such family: {family:?}"))
}

/// Reads an option of fixed size.
pub(crate) fn get_option<T: Copy>(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointers are good for `len` bytes of `value`, which the kernel does not exceed.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed before and written by the kernel; `T` is an integer or a plain structure of the
    // kernel's, valid for all bit patterns.
    Ok(unsafe { value.assume_init() })
}

/// Sets an option of fixed size.
pub(crate) fn set_option<T: Copy>(fd: BorrowedFd<'_>, level: i32, name: i32, value: T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer is good for `len` bytes and the kernel only reads.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a `Socket` of a descriptor that a system call has just returned.
#[allow(dead_code)]
pub(crate) fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
