//! Where a request came from.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// Who sent a request, as far as a reply needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A peer of a UDP socket or the far end of a TCP connection.
    Ip(SocketAddr),
    /// A Unix peer, by a number that its driver gave it. The number means nothing to another driver,
    /// and nothing once the driver has said that the peer is gone.
    Conn(u32),
}

impl Peer {
    /// The peer's IP address and port; `None` for a Unix peer.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Peer::Ip(address) => Some(*address),
            Peer::Conn(_) => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(address) => address.fmt(f),
            Peer::Conn(number) => write!(f, "#{number}"),
        }
    }
}

/// What carried a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// UDP: one datagram is one request.
    Udp,
    /// TCP: requests are cut out of the stream by a framing.
    Tcp,
    /// A Unix stream socket, framed like TCP.
    Unix,
    /// A Unix datagram socket: one datagram is one request.
    Unixgram,
}

impl Transport {
    /// The transport's name as it stands in an address: `udp`, `tcp`, `unix`, `unixgram`.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Unix => "unix",
            Transport::Unixgram => "unixgram",
        }
    }

    /// Whether bytes arrive as a stream, without boundaries of their own.
    pub fn is_stream(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Unix)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a request came from and where its reply leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Who sent it.
    pub peer: Peer,
    /// The address that it was sent to, which its reply leaves from; `None` for Unix sockets.
    pub local: Option<SocketAddr>,
    /// What carried it.
    pub transport: Transport,
    /// Whether the peer has shown that it is where it says: true for connections, Unix peers, loopback
    /// and networks that the operator trusts. Anybody can forge another sender's address in a
    /// datagram, so an answer to an address that is not validated is limited in size.
    pub validated: bool,
}

impl Origin {
    /// The bytes of IP and UDP header around a datagram of this origin: 28 for IPv4, 48 for IPv6, none
    /// elsewhere. IP options and extension headers are not counted.
    pub fn header_size(&self) -> usize {
        match (self.transport, self.peer) {
            (Transport::Udp, Peer::Ip(address)) => match address.ip() {
                IpAddr::V4(_) => 20 + 8,
                IpAddr::V6(_) => 40 + 8,
            },
            _ => 0,
        }
    }
}
