//! UDP sockets for QUIC, with large buffers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use squall::socket::{Family, Kind, Socket};
use squall::{BindError, Transport, Uri};

/// The buffers asked for, in bytes: 60 ms of 1 Gbit/s, since a burst that comes while the reader waits for a processor
/// or a disk would be lost otherwise.
pub(super) const BUFFERS: usize = 8 << 20;

/// What the kernel gave a socket of the buffers that were asked for. Linux counts its own bookkeeping too and gives
/// twice what it is asked for, but at most twice `net.core.rmem_max` and `net.core.wmem_max`, which are 208 KiB unless
/// the operator raised them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buffers {
    /// What was asked for, in bytes.
    pub asked: usize,
    /// What the kernel gave for receiving, in bytes.
    pub receive: usize,
    /// What the kernel gave for sending, in bytes.
    pub send: usize,
}

impl Buffers {
    fn ask(socket: &Socket, asked: usize) -> Self {
        // Where the system refuses the size it keeps its own.
        let given = |given: io::Result<usize>, now: io::Result<usize>| given.or(now).unwrap_or(0);
        Self {
            asked,
            receive: given(socket.set_receive_buffer(asked), socket.receive_buffer()),
            send: given(socket.set_send_buffer(asked), socket.send_buffer()),
        }
    }

    /// Whether the kernel's limit cut the buffer for receiving, so that bursts are lost at high rates.
    pub fn is_cut(&self) -> bool {
        self.receive < self.asked
    }

    /// A note to the operator, where the limit cut it.
    pub fn note(&self) -> Option<String> {
        let Self { asked, receive, .. } = *self;
        let kib = |bytes: usize| bytes.div_ceil(1024);
        self.is_cut().then(|| {
            format!(
                "the kernel gave {} KiB of the receive buffer of {} KiB that was asked for, and at high rates \
                 packets are lost: `sysctl -w net.core.rmem_max={asked}` allows it",
                kib(receive),
                kib(asked)
            )
        })
    }
}

/// A socket, and what is told of it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) socket: UdpSocket,
    pub(super) uri: Uri,
    pub(super) local: SocketAddr,
    pub(super) buffers: Buffers,
}

impl Opened {
    /// The sockets of `uri`, as every server of Squall opens them.
    pub(super) fn at(uri: &Uri, buffers: usize) -> Result<Vec<Self>, BindError> {
        const NAME: &str = "QUIC";
        if uri.transport() != Transport::Udp || uri.is_coap() {
            let (service, uri) = (NAME.to_owned(), uri.to_string());
            return Err(BindError::Transport { service, uri, reason: "QUIC needs udp" });
        }
        let mut all = Vec::new();
        for open in squall::open(NAME, uri)? {
            // Nobody else has the one that was just opened; and a UDP socket has an IP address.
            let (Some(socket), Some(local)) = (Arc::into_inner(open.socket), open.address.ip()) else {
                continue;
            };
            // quinn asks for the destination in its own way. With what is asked for already, an IPv4 datagram on a socket
            // for both families brings it twice, and the end of what the kernel tells, how merged datagrams are
            // to be cut, finds no room in quinn's buffer of 88 bytes. Where it cannot be taken back it was not asked for.
            let _ = socket.set_receive_packet_info(false);
            let buffers = Buffers::ask(&socket, buffers);
            all.push(Self { socket: socket.into(), uri: open.uri.as_quic(), local, buffers });
        }
        Ok(all)
    }

    /// A socket to reach `peer` from, of the system's choice.
    pub(super) fn toward(peer: SocketAddr) -> io::Result<(UdpSocket, Buffers)> {
        let socket = Socket::open(Family::of(&peer.ip()), Kind::Datagram)?;
        socket.bind(from_any(peer))?;
        let buffers = Buffers::ask(&socket, BUFFERS);
        Ok((socket.into(), buffers))
    }
}

/// An address of the system's choice, from which `peer` can be reached.
pub(super) fn from_any(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
