//! Options of IP sockets that concern what they send.

use std::io;

use super::numbers::{IP_TOS, IP_TTL, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY};
use crate::Socket;

/// Explicit congestion notification: the last two bits of the traffic class
/// ([RFC 3168](https://www.rfc-editor.org/rfc/rfc3168#section-5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// The transport does not take part.
    #[default]
    NotCapable,
    /// ECT(0): a router may mark instead of drop.
    Capable0,
    /// ECT(1): the same, and L4S by [RFC 9331](https://www.rfc-editor.org/rfc/rfc9331).
    Capable1,
    /// CE: a router was congested.
    Congested,
}

impl Ecn {
    /// The mark in a traffic class.
    pub fn of_traffic_class(class: u8) -> Self {
        match class & 0b11 {
            0b00 => Ecn::NotCapable,
            0b10 => Ecn::Capable0,
            0b01 => Ecn::Capable1,
            _ => Ecn::Congested,
        }
    }

    /// The two bits.
    pub fn bits(self) -> u8 {
        match self {
            Ecn::NotCapable => 0b00,
            Ecn::Capable0 => 0b10,
            Ecn::Capable1 => 0b01,
            Ecn::Congested => 0b11,
        }
    }
}

impl Socket {
    /// Keeps an IPv6 socket to IPv6 (`IPPROTO_IPV6`, `IPV6_V6ONLY`,
    /// [ipv6(7)](https://man7.org/linux/man-pages/man7/ipv6.7.html)). Off, a socket bound to `::` also gets
    /// IPv4, from mapped addresses (`::ffff:192.0.2.1`): make them canonical before any comparison. Set it
    /// before the bind, for its default is the machine's (`net.ipv6.bindv6only`).
    ///
    /// # Errors
    /// `InvalidInput` after the bind, or for a socket that is not IPv6.
    pub fn set_only_v6(&self, on: bool) -> io::Result<()> {
        self.set(IPV6_V6ONLY, on.into())
    }

    /// Whether an IPv6 socket keeps to IPv6.
    ///
    /// # Errors
    /// The system's, for a socket that is not IPv6.
    pub fn only_v6(&self) -> io::Result<bool> {
        self.get(IPV6_V6ONLY).map(|on| on != 0)
    }

    /// How many routers a datagram may pass, 1 to 255; 64 by default (`IPPROTO_IP`, `IP_TTL`;
    /// `IPPROTO_IPV6`, `IPV6_UNICAST_HOPS`).
    ///
    /// # Errors
    /// `InvalidInput` for 0 or a socket that is not IP; the system's otherwise.
    pub fn set_hop_limit(&self, hops: u8) -> io::Result<()> {
        // IPv6 would take 0 and send what nobody may receive.
        if hops == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a hop limit of 0"));
        }
        self.set_ip(IP_TTL, IPV6_UNICAST_HOPS, hops.into())
    }

    /// What [`set_hop_limit`](Self::set_hop_limit) set, or the machine's default.
    ///
    /// # Errors
    /// As for setting it.
    pub fn hop_limit(&self) -> io::Result<u8> {
        self.get_ip(IP_TTL, IPV6_UNICAST_HOPS).map(|hops| u8::try_from(hops).unwrap_or(u8::MAX))
    }

    /// The traffic class of what the socket sends: six bits DSCP
    /// ([RFC 2474](https://www.rfc-editor.org/rfc/rfc2474)), two bits [`Ecn`] (`IPPROTO_IP`, `IP_TOS`;
    /// `IPPROTO_IPV6`, `IPV6_TCLASS`). For TCP the kernel owns the ECN bits and keeps them.
    ///
    /// # Errors
    /// `InvalidInput` for a socket that is not IP; the system's otherwise.
    pub fn set_traffic_class(&self, class: u8) -> io::Result<()> {
        self.set_ip(IP_TOS, IPV6_TCLASS, class.into())
    }

    /// What [`set_traffic_class`](Self::set_traffic_class) set; 0 by default.
    ///
    /// # Errors
    /// As for setting it.
    pub fn traffic_class(&self) -> io::Result<u8> {
        // IPV6_TCLASS is -1 to some kernels before it is set.
        self.get_ip(IP_TOS, IPV6_TCLASS).map(|class| u8::try_from(class).unwrap_or(0))
    }

    /// Sets the ECN bits of what the socket sends and keeps the DSCP.
    ///
    /// # Errors
    /// As [`set_traffic_class`](Self::set_traffic_class).
    pub fn set_ecn(&self, ecn: Ecn) -> io::Result<()> {
        self.set_traffic_class(self.traffic_class()? & !0b11 | ecn.bits())
    }

    /// The ECN bits of what the socket sends.
    ///
    /// # Errors
    /// As [`traffic_class`](Self::traffic_class).
    pub fn ecn(&self) -> io::Result<Ecn> {
        self.traffic_class().map(Ecn::of_traffic_class)
    }
}
