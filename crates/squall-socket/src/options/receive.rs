//! What comes with a received datagram, as ancillary data: options that turn each on. All are off by default.

use std::io;

use super::numbers::{
    IP_PKTINFO, IP_RECVERR, IP_RECVTOS, IP_RECVTTL, IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO,
    IPV6_RECVTCLASS, SO_RXQ_OVFL, SO_TIMESTAMPNS,
};
use crate::Socket;

impl Socket {
    /// The address a datagram was sent to and the interface it came by (`IPPROTO_IP`, `IP_PKTINFO`;
    /// `IPPROTO_IPV6`, `IPV6_RECVPKTINFO`), so that a wildcard socket can answer from that address. An IPv6
    /// socket gets both for IPv4: the mapped address, and behind it `IP_PKTINFO`, which alone tells a
    /// broadcast from a datagram to this host.
    ///
    /// # Errors
    /// `InvalidInput` for a socket that is not IP; `Unsupported` on systems without it.
    pub fn set_receive_packet_info(&self, on: bool) -> io::Result<()> {
        self.set_ip(IP_PKTINFO, IPV6_RECVPKTINFO, on.into())
    }

    /// Whether [`set_receive_packet_info`](Self::set_receive_packet_info) is on.
    ///
    /// # Errors
    /// As for setting it.
    pub fn receive_packet_info(&self) -> io::Result<bool> {
        self.get_ip(IP_PKTINFO, IPV6_RECVPKTINFO).map(|on| on != 0)
    }

    /// Each datagram's traffic class, with its ECN bits (`IPPROTO_IP`, `IP_RECVTOS`; `IPPROTO_IPV6`,
    /// `IPV6_RECVTCLASS`).
    ///
    /// # Errors
    /// As [`set_receive_packet_info`](Self::set_receive_packet_info).
    pub fn set_receive_traffic_class(&self, on: bool) -> io::Result<()> {
        self.set_ip(IP_RECVTOS, IPV6_RECVTCLASS, on.into())
    }

    /// Whether [`set_receive_traffic_class`](Self::set_receive_traffic_class) is on.
    ///
    /// # Errors
    /// As for setting it.
    pub fn receive_traffic_class(&self) -> io::Result<bool> {
        self.get_ip(IP_RECVTOS, IPV6_RECVTCLASS).map(|on| on != 0)
    }

    /// Each datagram's hop limit as it arrived (`IPPROTO_IP`, `IP_RECVTTL`; `IPPROTO_IPV6`,
    /// `IPV6_RECVHOPLIMIT`).
    ///
    /// # Errors
    /// As [`set_receive_packet_info`](Self::set_receive_packet_info).
    pub fn set_receive_hop_limit(&self, on: bool) -> io::Result<()> {
        self.set_ip(IP_RECVTTL, IPV6_RECVHOPLIMIT, on.into())
    }

    /// Whether [`set_receive_hop_limit`](Self::set_receive_hop_limit) is on.
    ///
    /// # Errors
    /// As for setting it.
    pub fn receive_hop_limit(&self) -> io::Result<bool> {
        self.get_ip(IP_RECVTTL, IPV6_RECVHOPLIMIT).map(|on| on != 0)
    }

    /// The real time, in nanoseconds, at which the kernel got each datagram (`SOL_SOCKET`,
    /// `SO_TIMESTAMPNS`, [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html)).
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; the system's otherwise.
    pub fn set_receive_timestamps(&self, on: bool) -> io::Result<()> {
        self.set(SO_TIMESTAMPNS, on.into())
    }

    /// Whether [`set_receive_timestamps`](Self::set_receive_timestamps) is on.
    ///
    /// # Errors
    /// As for setting it.
    pub fn receive_timestamps(&self) -> io::Result<bool> {
        self.get(SO_TIMESTAMPNS).map(|on| on != 0)
    }

    /// With each datagram, how many the kernel has dropped at this socket so far (`SOL_SOCKET`,
    /// `SO_RXQ_OVFL`). It tells of a drop only with a later datagram: [`memory`](Self::memory) tells at once.
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; the system's otherwise.
    pub fn set_receive_drops(&self, on: bool) -> io::Result<()> {
        self.set(SO_RXQ_OVFL, on.into())
    }

    /// Whether [`set_receive_drops`](Self::set_receive_drops) is on.
    ///
    /// # Errors
    /// As for setting it.
    pub fn receive_drops(&self) -> io::Result<bool> {
        self.get(SO_RXQ_OVFL).map(|on| on != 0)
    }

    /// Keeps ICMP errors, with the datagram that each answers, in a queue of their own (`IPPROTO_IP`,
    /// `IP_RECVERR`; `IPPROTO_IPV6`, `IPV6_RECVERR`, [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html)).
    /// From then on an error that one peer's network sends also fails the next call on an unconnected
    /// socket, whomever that one concerns: drain the queue and make the call again.
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; `InvalidInput` for a socket that is not IP.
    pub fn set_receive_errors(&self, on: bool) -> io::Result<()> {
        self.set_ip(IP_RECVERR, IPV6_RECVERR, on.into())
    }

    /// Whether [`set_receive_errors`](Self::set_receive_errors) is on.
    ///
    /// # Errors
    /// As for setting it.
    pub fn receive_errors(&self) -> io::Result<bool> {
        self.get_ip(IP_RECVERR, IPV6_RECVERR).map(|on| on != 0)
    }
}
