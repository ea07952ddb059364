//! Sending and receiving, one call at a time.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use super::Socket;
use crate::address::{Address, RawAddress, UnixAddress};
use crate::ancillary::{Control, Writer};

/// What [`Socket::recv_from`] received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The bytes in the buffer.
    pub len: usize,
    /// Who sent them: for a stream the connected peer, [`UnixAddress::UNNAMED`] once it is gone.
    pub from: Address,
    /// Whether the buffer was too small and the rest of the datagram is lost (`MSG_TRUNC`).
    pub truncated: bool,
}

impl Socket {
    /// Receives into `buffer`: what a stream has (0 bytes is its end), or one datagram (0 bytes is an empty
    /// one). What a datagram has beyond the buffer is lost without a word; [`recv_from`](Self::recv_from)
    /// tells ([recv(2)](https://man7.org/linux/man-pages/man2/recv.2.html)).
    ///
    /// # Errors
    /// `WouldBlock` when nothing came within the read timeout or the socket is non-blocking,
    /// `Interrupted` for a signal, `ConnectionRefused` when an ICMP message answered an earlier datagram of
    /// a connected socket; the system's otherwise.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_flags(buffer, 0)
    }

    /// Receives into `buffer` and leaves what it read for the next call (`MSG_PEEK`).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_flags(buffer, libc::MSG_PEEK)
    }

    /// Receives a datagram, who sent it, and whether all of it is there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); `InvalidData` for a sender's address of an unknown family.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.recv_message(buffer, 0)
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram for the next call (`MSG_PEEK`).
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.recv_message(buffer, libc::MSG_PEEK)
    }

    /// Sends a datagram to the connected peer, or as many of the bytes as a stream takes now. A peer that
    /// has closed is an error and never a signal (`MSG_NOSIGNAL`,
    /// [send(2)](https://man7.org/linux/man-pages/man2/send.2.html)).
    ///
    /// # Errors
    /// `WouldBlock` when there is no room within the write timeout or the socket is non-blocking,
    /// `Interrupted` for a signal, `BrokenPipe` for a closed stream, `EMSGSIZE` for a datagram that is too
    /// long, `ConnectionRefused` as for [`recv`](Self::recv); the system's otherwise.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.send_with_flags(bytes, SEND_FLAGS)
    }

    /// Sends every byte, in as many calls as that takes; signals do not interrupt it. Made for streams:
    /// an empty slice sends nothing.
    ///
    /// # Errors
    /// As [`send`](Self::send), without `Interrupted`. How much went before an error is not told: the
    /// stream is then of no more use.
    pub fn send_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self;
        stream.write_all(bytes)
    }

    /// Sends a datagram to `address` ([sendto(2)](https://man7.org/linux/man-pages/man2/sendto.2.html)).
    ///
    /// # Errors
    /// As [`send`](Self::send); `IsConnected` for a Unix socket that is connected, `PermissionDenied` for
    /// a broadcast address without [`set_broadcast`](Self::set_broadcast).
    pub fn send_to(&self, bytes: &[u8], address: impl Into<Address>) -> io::Result<usize> {
        self.inner.send_to_with_flags(bytes, &address.into().to_socket2(), SEND_FLAGS)
    }

    /// Sends a datagram to `address` by the interface with number `interface`, whatever the routes say; 0
    /// leaves that to them. `source` is the address of this host that it comes from; `None` lets the kernel
    /// choose (`IP_PKTINFO`, [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html); `IPV6_PKTINFO`,
    /// [RFC 3542](https://www.rfc-editor.org/rfc/rfc3542#section-6.1)). The socket is of the address's
    /// family.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); `ENODEV` or `ENETUNREACH` when there is no such interface or it has no
    /// address of the family, `EINVAL` when `source` is no address of this host.
    pub fn send_by(
        &self,
        bytes: &[u8],
        address: SocketAddr,
        source: Option<IpAddr>,
        interface: u32,
    ) -> io::Result<usize> {
        let mut name = Address::Ip(address).to_raw();
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut control = Control::EMPTY;
        let mut writer = Writer::new(&mut control);
        if source.is_some() || interface != 0 {
            let source = source.unwrap_or(match address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            });
            writer.source(source, interface, address.is_ipv6());
        }
        let control_len = writer.len();
        // SAFETY: all zero is a valid msghdr: no name, no buffers, no control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_name = (&raw mut name.storage).cast();
        message.msg_namelen = name.len;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if control_len > 0 {
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = control_len as _;
        }
        // SAFETY: the message points at a name, one buffer and control data that are good for the lengths it
        // states and outlive the call; the kernel writes through none of them.
        let len = unsafe { libc::sendmsg(self.as_raw_fd(), &raw const message, SEND_FLAGS) };
        usize::try_from(len).map_err(|_| io::Error::last_os_error())
    }

    /// The bytes that the next receive can have at once: all that a stream holds, and on Linux the first
    /// datagram's length, which is also 0 when there is none (`FIONREAD`,
    /// [udp(7)](https://man7.org/linux/man-pages/man7/udp.7.html)).
    ///
    /// # Errors
    /// The system's: `InvalidInput` for a listening socket.
    pub fn available(&self) -> io::Result<usize> {
        let mut count: libc::c_int = 0;
        // SAFETY: FIONREAD writes one int through the pointer, which is good for it.
        let result = unsafe { libc::ioctl(self.as_raw_fd(), libc::FIONREAD, &raw mut count) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(count).unwrap_or(0)) }
    }

    fn recv_flags(&self, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
        // SAFETY: the pointer is good for `buffer.len()` bytes, which the kernel does not exceed.
        let len = unsafe { libc::recv(self.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
        usize::try_from(len).map_err(|_| io::Error::last_os_error())
    }

    fn recv_message(&self, buffer: &mut [u8], flags: i32) -> io::Result<Received> {
        let mut from = RawAddress::default();
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: all zero is a valid msghdr: no name, no buffers, no control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_name = (&raw mut from.storage).cast();
        message.msg_namelen = RawAddress::FULL;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        // SAFETY: the message points at a name and one buffer that are good for the lengths it states and
        // outlive the call.
        let len = unsafe { libc::recvmsg(self.as_raw_fd(), &raw mut message, flags) };
        let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
        from.len = message.msg_namelen;
        let from = match from.len {
            // A stream's bytes come without a sender: it is the peer. An unbound Unix sender has no name.
            0 => self.peer_address().unwrap_or(Address::Unix(UnixAddress::UNNAMED)),
            _ => from.parse()?,
        };
        Ok(Received { len, from, truncated: message.msg_flags & libc::MSG_TRUNC != 0 })
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.send_vectored_with_flags(parts, SEND_FLAGS)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut socket = &*self;
        socket.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where `SIGPIPE` cannot be turned off for a call, socket2 turns it off for the socket.
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;
