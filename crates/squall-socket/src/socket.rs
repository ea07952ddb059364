//! A socket of any family: opening, naming, connecting, closing.

mod apart;
mod connect;
mod convert;
#[cfg(test)]
mod tests;
mod transfer;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

pub use connect::ConnectError;
pub use transfer::Received;

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

impl Family {
    /// The family of an IP address.
    pub fn of(address: &std::net::IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The kernel's number, if this system's headers know the family.
    pub(crate) fn number(self) -> Option<i32> {
        Some(match self {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
            Family::Unix => libc::AF_UNIX,
            #[cfg(target_os = "linux")]
            Family::Vsock => libc::AF_VSOCK,
            #[cfg(target_os = "linux")]
            Family::Netlink(_) => libc::AF_NETLINK,
            #[cfg(not(target_os = "linux"))]
            Family::Vsock | Family::Netlink(_) => return None,
            Family::Other(number) => number,
        })
    }
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
    /// `SOCK_SEQPACKET`: datagrams over a connection, in order (Unix, vsock, TIPC).
    SequencedPacket,
    /// Any other type, by the kernel's number (`SOCK_RDM` is 4).
    Other(i32),
}

impl Kind {
    pub(crate) fn number(self) -> i32 {
        match self {
            Kind::Stream => libc::SOCK_STREAM,
            Kind::Datagram => libc::SOCK_DGRAM,
            Kind::Raw => libc::SOCK_RAW,
            Kind::SequencedPacket => libc::SOCK_SEQPACKET,
            Kind::Other(number) => number,
        }
    }

    pub(crate) fn from_number(number: i32) -> Self {
        match number {
            libc::SOCK_STREAM => Kind::Stream,
            libc::SOCK_DGRAM => Kind::Datagram,
            libc::SOCK_RAW => Kind::Raw,
            libc::SOCK_SEQPACKET => Kind::SequencedPacket,
            other => Kind::Other(other),
        }
    }
}

/// An open socket. It is closed when it is dropped, and never inherited by a program that is started
/// (`SOCK_CLOEXEC`) unless that is asked for.
#[derive(Debug)]
pub struct Socket {
    pub(crate) inner: socket2::Socket,
}

impl Socket {
    /// Opens a socket with the family's usual protocol for `kind`: UDP for an IP datagram socket, TCP for
    /// an IP stream ([socket(2)](https://man7.org/linux/man-pages/man2/socket.2.html)).
    ///
    /// # Errors
    /// `Unsupported` when this kernel has no such family; the system's error otherwise
    /// (`PermissionDenied` for a raw socket without the right to it).
    pub fn open(family: Family, kind: Kind) -> io::Result<Self> {
        match family {
            Family::Netlink(protocol) => Self::open_protocol(family, kind, protocol),
            _ => Self::open_protocol(family, kind, 0),
        }
    }

    /// Opens a socket for one protocol of its family, by number (`IPPROTO_ICMP` is 1); 0 is the usual one.
    ///
    /// # Errors
    /// As [`open`](Self::open); `EPROTONOSUPPORT` when the family has no such protocol.
    pub fn open_protocol(family: Family, kind: Kind, protocol: i32) -> io::Result<Self> {
        let domain = family.number().ok_or_else(|| no_family(family))?;
        let protocol = (protocol != 0).then_some(socket2::Protocol::from(protocol));
        match socket2::Socket::new(domain.into(), kind.number().into(), protocol) {
            Ok(inner) => Ok(Self { inner }),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Err(no_family(family)),
            Err(error) => Err(error),
        }
    }

    /// Opens two Unix sockets that are connected to each other
    /// ([socketpair(2)](https://man7.org/linux/man-pages/man2/socketpair.2.html)).
    ///
    /// # Errors
    /// The system's: `EPROTONOSUPPORT` for a kind that Unix sockets do not have.
    pub fn pair(kind: Kind) -> io::Result<(Self, Self)> {
        let (one, other) = socket2::Socket::pair(libc::AF_UNIX.into(), kind.number().into(), None)?;
        Ok((Self { inner: one }, Self { inner: other }))
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

    /// Connects, and gives up after `timeout`. The socket is blocking afterwards.
    ///
    /// # Errors
    /// `TimedOut`, after which the socket is of no more use; `InvalidInput` for a timeout of zero; the
    /// system's otherwise.
    pub fn connect_timeout(&self, address: impl Into<Address>, timeout: Duration) -> io::Result<()> {
        if timeout.is_zero() {
            return Err(zero_timeout());
        }
        self.inner.connect_timeout(&address.into().to_socket2(), timeout)
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

    /// The socket's family; for a netlink socket with its protocol (`SO_DOMAIN`, `SO_PROTOCOL`,
    /// [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html)).
    ///
    /// # Errors
    /// The system's.
    pub fn family(&self) -> io::Result<Family> {
        #[cfg(target_os = "linux")]
        let number = get_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN)?;
        #[cfg(not(target_os = "linux"))]
        let number = i32::from(self.inner.local_addr()?.family());
        Ok(match number {
            libc::AF_INET => Family::V4,
            libc::AF_INET6 => Family::V6,
            libc::AF_UNIX => Family::Unix,
            #[cfg(target_os = "linux")]
            libc::AF_VSOCK => Family::Vsock,
            #[cfg(target_os = "linux")]
            libc::AF_NETLINK => Family::Netlink(self.protocol()?),
            other => Family::Other(other),
        })
    }

    /// What the socket carries (`SO_TYPE`).
    ///
    /// # Errors
    /// The system's.
    pub fn kind(&self) -> io::Result<Kind> {
        get_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_TYPE).map(Kind::from_number)
    }

    /// The number of the socket's protocol: 17 is UDP, 6 TCP, 0 a Unix socket's (`SO_PROTOCOL`).
    ///
    /// # Errors
    /// `Unsupported` where the kernel does not tell (other than Linux); the system's otherwise.
    pub fn protocol(&self) -> io::Result<i32> {
        #[cfg(target_os = "linux")]
        return get_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_PROTOCOL);
        #[cfg(not(target_os = "linux"))]
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system does not tell a socket's protocol"))
    }

    /// Whether the socket was made to [`listen`](Self::listen) (`SO_ACCEPTCONN`).
    ///
    /// # Errors
    /// The system's.
    pub fn is_listening(&self) -> io::Result<bool> {
        get_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_ACCEPTCONN).map(|on: i32| on != 0)
    }

    /// A second descriptor of the same socket; the socket closes with its last one
    /// (`F_DUPFD_CLOEXEC`, [fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html)).
    ///
    /// # Errors
    /// The system's: the limit of open descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { inner: self.inner.try_clone()? })
    }

    /// Ends one or both directions for every descriptor of the socket
    /// ([shutdown(2)](https://man7.org/linux/man-pages/man2/shutdown.2.html)).
    ///
    /// # Errors
    /// `NotConnected`, or the system's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    /// The error that waits at the socket, and clears it (`SO_ERROR`): how a non-blocking connect ended,
    /// or what an ICMP message told a connected datagram socket.
    ///
    /// # Errors
    /// The system's, when the question itself fails.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.take_error()
    }

    /// Whether calls return `WouldBlock` instead of waiting (`O_NONBLOCK`).
    ///
    /// # Errors
    /// The system's.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.inner.set_nonblocking(nonblocking)
    }

    /// Whether the socket was made non-blocking.
    ///
    /// # Errors
    /// The system's.
    pub fn is_nonblocking(&self) -> io::Result<bool> {
        self.inner.nonblocking()
    }

    /// How long a receive or an accept waits before it fails with `WouldBlock`; `None`, the default, is
    /// for ever (`SO_RCVTIMEO`). Less than a microsecond counts as one.
    ///
    /// # Errors
    /// `InvalidInput` for zero, which to the kernel means for ever; the system's otherwise.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_read_timeout(kernel_timeout(timeout)?)
    }

    /// What [`set_read_timeout`](Self::set_read_timeout) set.
    ///
    /// # Errors
    /// The system's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.inner.read_timeout()
    }

    /// How long a send or a connect waits before it fails with `WouldBlock`; `None`, the default, is for
    /// ever (`SO_SNDTIMEO`). Less than a microsecond counts as one.
    ///
    /// # Errors
    /// `InvalidInput` for zero, which to the kernel means for ever; the system's otherwise.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_write_timeout(kernel_timeout(timeout)?)
    }

    /// What [`set_write_timeout`](Self::set_write_timeout) set.
    ///
    /// # Errors
    /// The system's.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.inner.write_timeout()
    }
}

fn no_family(family: Family) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("this kernel has no such family: {family:?}"))
}

/// A timeout for the kernel, which counts whole microseconds and takes zero for no timeout at all.
fn kernel_timeout(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    match timeout {
        Some(Duration::ZERO) => Err(zero_timeout()),
        Some(timeout) => Ok(Some(timeout.max(Duration::from_micros(1)))),
        None => Ok(None),
    }
}

fn zero_timeout() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a timeout of zero: make the socket non-blocking instead")
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
