//! UDP segmentation offload ([udp(7)](https://man7.org/linux/man-pages/man7/udp.7.html)).

use std::io;

use super::numbers::{UDP_GRO, UDP_SEGMENT};
use crate::Socket;

impl Socket {
    /// Lets the kernel hand over several datagrams of one peer and size as one (`SOL_UDP`, `UDP_GRO`, Linux
    /// 5.0). Their size comes as ancillary data: whoever does not read it takes them for one datagram.
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; `ENOPROTOOPT` from an older kernel or for a socket that is not UDP.
    pub fn set_receive_offload(&self, on: bool) -> io::Result<()> {
        self.set(UDP_GRO, on.into())
    }

    /// Whether [`set_receive_offload`](Self::set_receive_offload) is on.
    ///
    /// # Errors
    /// As for setting it.
    pub fn receive_offload(&self) -> io::Result<bool> {
        self.get(UDP_GRO).map(|on| on != 0)
    }

    /// Cuts everything that the socket sends into datagrams of `size` bytes, at most 64 of them (128 since
    /// Linux 6.9); 0 turns it off (`SOL_UDP`, `UDP_SEGMENT`, Linux 4.18). A single send can say it for
    /// itself, by ancillary data. That the option can be set does not mean that a send will work: the
    /// interface decides, with `EIO`, `EINVAL` or `EMSGSIZE`.
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; `ENOPROTOOPT` from an older kernel or for a socket that is not UDP.
    pub fn set_send_segment(&self, size: u16) -> io::Result<()> {
        self.set(UDP_SEGMENT, size.into())
    }

    /// What [`set_send_segment`](Self::set_send_segment) set; 0 is off.
    ///
    /// # Errors
    /// As for setting it.
    pub fn send_segment(&self) -> io::Result<u16> {
        self.get(UDP_SEGMENT).map(|size| u16::try_from(size).unwrap_or(0))
    }
}
