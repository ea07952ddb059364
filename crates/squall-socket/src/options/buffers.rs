//! Buffers: how much the kernel keeps for a socket, and what it dropped.

use std::io;
use std::os::fd::AsFd;

use super::numbers::SO_MEMINFO;
use crate::Socket;
use crate::socket::get_option;

/// What the kernel's memory for a socket holds, in bytes unless said otherwise (`SOL_SOCKET`, `SO_MEMINFO`;
/// `linux/sock_diag.h`). It counts each packet's bookkeeping too: a small datagram takes about 768 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Received and not yet read.
    pub receive_queued: u32,
    /// What may be: what [`Socket::receive_buffer`] says.
    pub receive_limit: u32,
    /// Sent and not yet gone.
    pub send_queued: u32,
    /// What may be: what [`Socket::send_buffer`] says.
    pub send_limit: u32,
    /// Reserved in advance.
    pub reserved: u32,
    /// Written to a stream and not yet sent.
    pub write_queued: u32,
    /// Used for options.
    pub options: u32,
    /// Arrived while a call held the socket, and not yet queued (the backlog).
    pub backlog: u32,
    /// Packets, not bytes, that the kernel dropped at this socket since it was opened: for want of room, or
    /// for a wrong checksum. It wraps.
    pub drops: u32,
}

impl Socket {
    /// Asks for room for `bytes` of received data and returns what the kernel granted (`SOL_SOCKET`,
    /// `SO_RCVBUF`, [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html)).
    ///
    /// Linux doubles the request, to make up for its bookkeeping, and silently cuts it to
    /// `net.core.rmem_max` (twice that is granted, 425,984 bytes for the usual 212,992). A result below
    /// twice the request means that the limit cut it. Squall never uses `SO_RCVBUFFORCE`: the limit is the
    /// operator's.
    ///
    /// # Errors
    /// The system's: `InvalidInput` or `ENOBUFS` for a size that other systems refuse.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<usize> {
        self.inner.set_recv_buffer_size(bytes.min(MAX_BUFFER))?;
        self.receive_buffer()
    }

    /// The room for received data in bytes, as the kernel counts it.
    ///
    /// # Errors
    /// The system's.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        self.inner.recv_buffer_size()
    }

    /// Asks for room for `bytes` of data to send and returns what the kernel granted (`SOL_SOCKET`,
    /// `SO_SNDBUF`): doubled and cut as [`set_receive_buffer`](Self::set_receive_buffer) says, by
    /// `net.core.wmem_max`.
    ///
    /// # Errors
    /// As [`set_receive_buffer`](Self::set_receive_buffer).
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<usize> {
        self.inner.set_send_buffer_size(bytes.min(MAX_BUFFER))?;
        self.send_buffer()
    }

    /// The room for data to send in bytes, as the kernel counts it.
    ///
    /// # Errors
    /// The system's.
    pub fn send_buffer(&self) -> io::Result<usize> {
        self.inner.send_buffer_size()
    }

    /// What the kernel's memory for this socket holds, and how many packets it dropped (`SOL_SOCKET`,
    /// `SO_MEMINFO`, Linux 4.12).
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; the system's otherwise.
    pub fn memory(&self) -> io::Result<Memory> {
        // The order of `SK_MEMINFO_*`.
        let values: [u32; 9] = get_option(self.as_fd(), SO_MEMINFO.level()?, SO_MEMINFO.name)?;
        let [
            receive_queued,
            receive_limit,
            send_queued,
            send_limit,
            reserved,
            write_queued,
            options,
            backlog,
            drops,
        ] = values;
        Ok(Memory {
            receive_queued,
            receive_limit,
            send_queued,
            send_limit,
            reserved,
            write_queued,
            options,
            backlog,
            drops,
        })
    }
}

/// The kernel takes an `int` and doubles it.
const MAX_BUFFER: usize = i32::MAX as usize / 2;
