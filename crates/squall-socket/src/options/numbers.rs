//! Which options there are here: level and name of each, or that this build lacks it.

use std::io;

/// An option's level and name, with the name in words for errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) name: i32,
    pub(super) label: &'static str,
    level: Option<i32>,
}

impl Number {
    const fn here(label: &'static str, level: i32, name: i32) -> Self {
        Self { name, label, level: Some(level) }
    }

    #[cfg(any(not(target_os = "linux"), squall_portable))]
    const fn missing(label: &'static str) -> Self {
        Self { name: 0, label, level: None }
    }

    /// The option's level.
    ///
    /// # Errors
    /// `Unsupported` when the system or the portable back end lacks the option.
    pub(super) fn level(self) -> io::Result<i32> {
        self.level.ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, format!("this build has no {}", self.label))
        })
    }
}

pub(super) const IP_TTL: Number = Number::here("IP_TTL", libc::IPPROTO_IP, libc::IP_TTL);
pub(super) const IP_TOS: Number = Number::here("IP_TOS", libc::IPPROTO_IP, libc::IP_TOS);
pub(super) const IPV6_UNICAST_HOPS: Number =
    Number::here("IPV6_UNICAST_HOPS", libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS);
pub(super) const IPV6_TCLASS: Number = Number::here("IPV6_TCLASS", libc::IPPROTO_IPV6, libc::IPV6_TCLASS);
pub(super) const IPV6_V6ONLY: Number = Number::here("IPV6_V6ONLY", libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
pub(super) const IPV6_RECVTCLASS: Number =
    Number::here("IPV6_RECVTCLASS", libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS);
pub(super) const IPV6_RECVHOPLIMIT: Number =
    Number::here("IPV6_RECVHOPLIMIT", libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT);
pub(super) const IPV6_RECVPKTINFO: Number =
    Number::here("IPV6_RECVPKTINFO", libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO);

pub(super) use datagram::*;

/// What Linux and Apple share.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod datagram {
    use super::Number;

    pub(in crate::options) const IP_PKTINFO: Number =
        Number::here("IP_PKTINFO", libc::IPPROTO_IP, libc::IP_PKTINFO);
    pub(in crate::options) const IP_RECVTOS: Number =
        Number::here("IP_RECVTOS", libc::IPPROTO_IP, libc::IP_RECVTOS);
    pub(in crate::options) const IP_RECVTTL: Number =
        Number::here("IP_RECVTTL", libc::IPPROTO_IP, libc::IP_RECVTTL);
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod datagram {
    use super::Number;

    pub(in crate::options) const IP_PKTINFO: Number = Number::missing("IP_PKTINFO");
    pub(in crate::options) const IP_RECVTOS: Number = Number::missing("IP_RECVTOS");
    pub(in crate::options) const IP_RECVTTL: Number = Number::missing("IP_RECVTTL");
}

pub(super) use linux::*;

/// What Linux alone has.
#[cfg(all(target_os = "linux", not(squall_portable)))]
mod linux {
    use super::Number;

    pub(in crate::options) const SO_MEMINFO: Number =
        Number::here("SO_MEMINFO", libc::SOL_SOCKET, libc::SO_MEMINFO);
    pub(in crate::options) const SO_RXQ_OVFL: Number =
        Number::here("SO_RXQ_OVFL", libc::SOL_SOCKET, libc::SO_RXQ_OVFL);
    pub(in crate::options) const SO_TIMESTAMPNS: Number =
        Number::here("SO_TIMESTAMPNS", libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
    pub(in crate::options) const SO_INCOMING_CPU: Number =
        Number::here("SO_INCOMING_CPU", libc::SOL_SOCKET, libc::SO_INCOMING_CPU);
    pub(in crate::options) const IP_MTU_DISCOVER: Number =
        Number::here("IP_MTU_DISCOVER", libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
    pub(in crate::options) const IPV6_MTU_DISCOVER: Number =
        Number::here("IPV6_MTU_DISCOVER", libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER);
    pub(in crate::options) const IP_MTU: Number = Number::here("IP_MTU", libc::IPPROTO_IP, libc::IP_MTU);
    pub(in crate::options) const IPV6_MTU: Number =
        Number::here("IPV6_MTU", libc::IPPROTO_IPV6, libc::IPV6_MTU);
    pub(in crate::options) const IP_RECVERR: Number =
        Number::here("IP_RECVERR", libc::IPPROTO_IP, libc::IP_RECVERR);
    pub(in crate::options) const IPV6_RECVERR: Number =
        Number::here("IPV6_RECVERR", libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
    pub(in crate::options) const UDP_GRO: Number = Number::here("UDP_GRO", libc::SOL_UDP, libc::UDP_GRO);
    pub(in crate::options) const UDP_SEGMENT: Number =
        Number::here("UDP_SEGMENT", libc::SOL_UDP, libc::UDP_SEGMENT);
    pub(in crate::options) const IP_MULTICAST_ALL: Number =
        Number::here("IP_MULTICAST_ALL", libc::IPPROTO_IP, libc::IP_MULTICAST_ALL);
    pub(in crate::options) const IPV6_MULTICAST_ALL: Number =
        Number::here("IPV6_MULTICAST_ALL", libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL);
}

#[cfg(not(all(target_os = "linux", not(squall_portable))))]
mod linux {
    use super::Number;

    pub(in crate::options) const SO_MEMINFO: Number = Number::missing("SO_MEMINFO");
    pub(in crate::options) const SO_RXQ_OVFL: Number = Number::missing("SO_RXQ_OVFL");
    pub(in crate::options) const SO_TIMESTAMPNS: Number = Number::missing("SO_TIMESTAMPNS");
    pub(in crate::options) const SO_INCOMING_CPU: Number = Number::missing("SO_INCOMING_CPU");
    pub(in crate::options) const IP_MTU_DISCOVER: Number = Number::missing("IP_MTU_DISCOVER");
    pub(in crate::options) const IPV6_MTU_DISCOVER: Number = Number::missing("IPV6_MTU_DISCOVER");
    pub(in crate::options) const IP_MTU: Number = Number::missing("IP_MTU");
    pub(in crate::options) const IPV6_MTU: Number = Number::missing("IPV6_MTU");
    pub(in crate::options) const IP_RECVERR: Number = Number::missing("IP_RECVERR");
    pub(in crate::options) const IPV6_RECVERR: Number = Number::missing("IPV6_RECVERR");
    pub(in crate::options) const UDP_GRO: Number = Number::missing("UDP_GRO");
    pub(in crate::options) const UDP_SEGMENT: Number = Number::missing("UDP_SEGMENT");
    pub(in crate::options) const IP_MULTICAST_ALL: Number = Number::missing("IP_MULTICAST_ALL");
    pub(in crate::options) const IPV6_MULTICAST_ALL: Number = Number::missing("IPV6_MULTICAST_ALL");
}
