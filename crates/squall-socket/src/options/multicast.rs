//! Multicast: [RFC 1112](https://www.rfc-editor.org/rfc/rfc1112) for IPv4,
//! [RFC 3493](https://www.rfc-editor.org/rfc/rfc3493#section-5.2) for IPv6. Interfaces are numbered as in
//! [`Interface::index`](crate::Interface::index); 0 lets the kernel choose by its routes.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use super::numbers::{IP_MULTICAST_ALL, IPV6_MULTICAST_ALL};
use crate::socket::set_option;
use crate::{Family, Socket};

impl Socket {
    /// Receives what is sent to `group` on `interface` (`IPPROTO_IP`, `IP_ADD_MEMBERSHIP`;
    /// `IPPROTO_IPV6`, `IPV6_JOIN_GROUP`). The group's family must be the socket's.
    ///
    /// # Errors
    /// `InvalidInput` when `group` is no multicast address; `AddrInUse` when it is joined already, `ENODEV`
    /// when there is no such interface or no route to choose one by; the system's otherwise.
    pub fn join_multicast(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        match checked(group)? {
            IpAddr::V4(group) => self.inner.join_multicast_v4_n(&group, &by_index(interface)),
            IpAddr::V6(group) => self.inner.join_multicast_v6(&group, interface),
        }
    }

    /// Undoes [`join_multicast`](Self::join_multicast) (`IP_DROP_MEMBERSHIP`, `IPV6_LEAVE_GROUP`).
    ///
    /// # Errors
    /// `InvalidInput` when `group` is no multicast address; `AddrNotAvailable` when it was not joined on
    /// that interface; the system's otherwise.
    pub fn leave_multicast(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        match checked(group)? {
            IpAddr::V4(group) => self.inner.leave_multicast_v4_n(&group, &by_index(interface)),
            IpAddr::V6(group) => self.inner.leave_multicast_v6(&group, interface),
        }
    }

    /// How many routers a multicast datagram may pass, 0 to 255: 0 stays on this machine, 1, the default,
    /// on the link (`IPPROTO_IP`, `IP_MULTICAST_TTL`; `IPPROTO_IPV6`, `IPV6_MULTICAST_HOPS`).
    ///
    /// # Errors
    /// `InvalidInput` for a socket that is not IP; the system's otherwise.
    pub fn set_multicast_hops(&self, hops: u8) -> io::Result<()> {
        match self.family()? {
            Family::V4 => self.inner.set_multicast_ttl_v4(hops.into()),
            Family::V6 => self.inner.set_multicast_hops_v6(hops.into()),
            family => Err(not_multicast(family)),
        }
    }

    /// What [`set_multicast_hops`](Self::set_multicast_hops) set.
    ///
    /// # Errors
    /// As for setting it.
    pub fn multicast_hops(&self) -> io::Result<u8> {
        let hops = match self.family()? {
            Family::V4 => self.inner.multicast_ttl_v4()?,
            Family::V6 => self.inner.multicast_hops_v6()?,
            family => return Err(not_multicast(family)),
        };
        Ok(u8::try_from(hops).unwrap_or(u8::MAX))
    }

    /// Whether this machine hears its own multicast datagrams; it does by default (`IPPROTO_IP`,
    /// `IP_MULTICAST_LOOP`; `IPPROTO_IPV6`, `IPV6_MULTICAST_LOOP`). On Linux it counts at the sender.
    ///
    /// # Errors
    /// `InvalidInput` for a socket that is not IP; the system's otherwise.
    pub fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        match self.family()? {
            Family::V4 => self.inner.set_multicast_loop_v4(on),
            Family::V6 => self.inner.set_multicast_loop_v6(on),
            family => Err(not_multicast(family)),
        }
    }

    /// What [`set_multicast_loop`](Self::set_multicast_loop) set.
    ///
    /// # Errors
    /// As for setting it.
    pub fn multicast_loop(&self) -> io::Result<bool> {
        match self.family()? {
            Family::V4 => self.inner.multicast_loop_v4(),
            Family::V6 => self.inner.multicast_loop_v6(),
            family => Err(not_multicast(family)),
        }
    }

    /// The interface that multicast datagrams leave by (`IPPROTO_IP`, `IP_MULTICAST_IF`; `IPPROTO_IPV6`,
    /// `IPV6_MULTICAST_IF`).
    ///
    /// # Errors
    /// `InvalidInput` for a socket that is not IP; `AddrNotAvailable` or `ENODEV` when there is no such
    /// interface; the system's otherwise.
    pub fn set_multicast_interface(&self, interface: u32) -> io::Result<()> {
        match self.family()? {
            Family::V4 => self.set_multicast_interface_v4(interface),
            Family::V6 => self.inner.set_multicast_if_v6(interface),
            family => Err(not_multicast(family)),
        }
    }

    /// Whether a socket also hears groups that *another* socket of this machine joined; it does by
    /// default (`IPPROTO_IP`, `IP_MULTICAST_ALL`, [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html);
    /// `IPPROTO_IPV6`, `IPV6_MULTICAST_ALL`, since Linux 4.20). On an IPv6 socket it holds for both families.
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; the system's otherwise.
    pub fn set_multicast_all(&self, on: bool) -> io::Result<()> {
        self.set(IP_MULTICAST_ALL, on.into())?;
        match self.family()? {
            Family::V6 => self.set(IPV6_MULTICAST_ALL, on.into()),
            _ => Ok(()),
        }
    }

    fn set_multicast_interface_v4(&self, interface: u32) -> io::Result<()> {
        let request = libc::ip_mreqn {
            imr_multiaddr: libc::in_addr { s_addr: 0 },
            imr_address: libc::in_addr { s_addr: 0 },
            imr_ifindex: i32::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?,
        };
        set_option(self.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_IF, request)
    }
}

fn checked(group: IpAddr) -> io::Result<IpAddr> {
    if group.is_multicast() {
        return Ok(group);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{group} is not a multicast address")))
}

fn by_index(interface: u32) -> socket2::InterfaceIndexOrAddress {
    socket2::InterfaceIndexOrAddress::Index(interface)
}

fn not_multicast(family: Family) -> io::Error {
    let reason = format!("multicast is for IP sockets, and this one is {family:?}");
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
