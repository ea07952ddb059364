//! Sockets to and from descriptors and the standard library's types. A conversion changes no state of the
//! socket: a non-blocking one stays non-blocking.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use super::Socket;

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

impl IntoRawFd for Socket {
    /// Gives up the descriptor without closing it.
    fn into_raw_fd(self) -> RawFd {
        self.inner.into_raw_fd()
    }
}

impl From<UdpSocket> for Socket {
    fn from(socket: UdpSocket) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<TcpListener> for Socket {
    fn from(socket: TcpListener) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<UnixListener> for Socket {
    fn from(socket: UnixListener) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<UnixDatagram> for Socket {
    fn from(socket: UnixDatagram) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<Socket> for UdpSocket {
    /// Calls on the result fail when the socket is of another family or kind; nothing checks it here.
    fn from(socket: Socket) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<Socket> for TcpStream {
    /// Calls on the result fail when the socket is of another family or kind; nothing checks it here.
    fn from(socket: Socket) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<Socket> for TcpListener {
    /// Calls on the result fail when the socket is of another family or kind; nothing checks it here.
    fn from(socket: Socket) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<Socket> for UnixStream {
    /// Calls on the result fail when the socket is of another family or kind; nothing checks it here.
    fn from(socket: Socket) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<Socket> for UnixListener {
    /// Calls on the result fail when the socket is of another family or kind; nothing checks it here.
    fn from(socket: Socket) -> Self {
        OwnedFd::from(socket).into()
    }
}

impl From<Socket> for UnixDatagram {
    /// Calls on the result fail when the socket is of another family or kind; nothing checks it here.
    fn from(socket: Socket) -> Self {
        OwnedFd::from(socket).into()
    }
}
