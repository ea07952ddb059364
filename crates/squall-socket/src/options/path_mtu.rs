//! Path MTU discovery ([RFC 1191](https://www.rfc-editor.org/rfc/rfc1191),
//! [RFC 8201](https://www.rfc-editor.org/rfc/rfc8201), [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html)).

use std::io;

use super::numbers::{IP_MTU, IP_MTU_DISCOVER, IPV6_MTU, IPV6_MTU_DISCOVER};
use crate::Socket;

/// What the kernel does with a datagram that may be larger than its path carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathMtuDiscovery {
    /// `IP_PMTUDISC_DONT`: never sets "don't fragment"; fragments here and lets routers fragment.
    Dont,
    /// `IP_PMTUDISC_WANT`: fragments here what exceeds the path MTU it knows. Linux's default for UDP.
    Want,
    /// `IP_PMTUDISC_DO`: sets "don't fragment" and refuses what exceeds the path MTU it knows (`EMSGSIZE`).
    Do,
    /// `IP_PMTUDISC_PROBE`: sets "don't fragment" and ignores the path MTU it knows; only the interface's
    /// MTU limits. For probing, [RFC 8899](https://www.rfc-editor.org/rfc/rfc8899).
    Probe,
    /// `IP_PMTUDISC_INTERFACE`: as `Dont`, with the interface's MTU alone; what ICMP says about the path is
    /// not believed, and what exceeds the interface's MTU is refused.
    Interface,
    /// `IP_PMTUDISC_OMIT`: as `Interface`, and fragments here instead of refusing.
    Omit,
}

impl PathMtuDiscovery {
    /// The kernel's number, the same for both families (`linux/in.h`, `linux/in6.h`).
    fn number(self) -> i32 {
        match self {
            PathMtuDiscovery::Dont => 0,
            PathMtuDiscovery::Want => 1,
            PathMtuDiscovery::Do => 2,
            PathMtuDiscovery::Probe => 3,
            PathMtuDiscovery::Interface => 4,
            PathMtuDiscovery::Omit => 5,
        }
    }

    fn from_number(number: i32) -> io::Result<Self> {
        Ok(match number {
            0 => PathMtuDiscovery::Dont,
            1 => PathMtuDiscovery::Want,
            2 => PathMtuDiscovery::Do,
            3 => PathMtuDiscovery::Probe,
            4 => PathMtuDiscovery::Interface,
            5 => PathMtuDiscovery::Omit,
            _ => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an unknown mode of IP_MTU_DISCOVER"));
            }
        })
    }
}

impl Socket {
    /// Sets how the kernel treats datagrams that may be too large (`IPPROTO_IP`, `IP_MTU_DISCOVER`;
    /// `IPPROTO_IPV6`, `IPV6_MTU_DISCOVER`).
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; `InvalidInput` for a socket that is not IP.
    pub fn set_path_mtu_discovery(&self, mode: PathMtuDiscovery) -> io::Result<()> {
        self.set_ip(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, mode.number())
    }

    /// How the kernel treats datagrams that may be too large.
    ///
    /// # Errors
    /// As for setting it.
    pub fn path_mtu_discovery(&self) -> io::Result<PathMtuDiscovery> {
        PathMtuDiscovery::from_number(self.get_ip(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER)?)
    }

    /// The MTU that the kernel knows for the path to the connected peer, in bytes, headers included
    /// (`IPPROTO_IP`, `IP_MTU`; `IPPROTO_IPV6`, `IPV6_MTU`).
    ///
    /// # Errors
    /// `NotConnected`; `Unsupported` other than on Linux; `InvalidInput` for a socket that is not IP.
    pub fn path_mtu(&self) -> io::Result<u32> {
        self.get_ip(IP_MTU, IPV6_MTU).map(|mtu| u32::try_from(mtu).unwrap_or(0))
    }
}
