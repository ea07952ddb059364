//! The network interfaces of this machine, with their addresses.

use std::ffi::{CStr, CString};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ptr;

use thiserror::Error;

use crate::address::RawAddress;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Its name: `eth0`.
    pub name: String,
    /// Its number, from 1 on; what a zone and a multicast membership name. 0 if it vanished meanwhile.
    pub index: u32,
    /// The largest packet it carries, in bytes, IP header included; `None` other than on Linux.
    pub mtu: Option<u32>,
    /// What state it is in and what it can do.
    pub flags: InterfaceFlags,
    /// Its IP addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// The state and abilities of an interface
/// ([netdevice(7)](https://man7.org/linux/man-pages/man7/netdevice.7.html)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceFlags {
    /// `IFF_UP`: switched on.
    pub up: bool,
    /// `IFF_RUNNING`: its link works.
    pub running: bool,
    /// `IFF_LOOPBACK`: leads to this machine.
    pub loopback: bool,
    /// `IFF_BROADCAST`: its IPv4 addresses have a broadcast address.
    pub broadcast: bool,
    /// `IFF_MULTICAST`: carries multicast.
    pub multicast: bool,
    /// `IFF_POINTOPOINT`: has one peer.
    pub point_to_point: bool,
}

/// An IP address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// The bits of the address that name its network: 24 for the mask 255.255.255.0.
    pub prefix: u8,
    /// Where a datagram to all of the network goes; IPv4 alone.
    pub broadcast: Option<Ipv4Addr>,
    /// The zone of a link-local IPv6 address: the interface's index. 0 for every other address.
    pub zone: u32,
}

impl InterfaceAddress {
    /// The address with a port, and with its zone where it needs one: what a bind takes.
    pub fn with_port(&self, port: u16) -> SocketAddr {
        match self.address {
            IpAddr::V4(v4) => (v4, port).into(),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, self.zone).into(),
        }
    }

    /// The mask of the network, as IPv4 writes it: 255.255.255.0 for a prefix of 24.
    pub fn netmask(&self) -> IpAddr {
        let prefix = u32::from(self.prefix);
        match self.address {
            IpAddr::V4(_) => Ipv4Addr::from(u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into(),
            IpAddr::V6(_) => Ipv6Addr::from(u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into(),
        }
    }
}

/// Why an interface could not be found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// There is none of this name.
    #[error("no interface {0:?}")]
    NoSuchName(String),
    /// There is none of this number.
    #[error("no interface number {0}")]
    NoSuchIndex(u32),
    /// The system refused to tell.
    #[error("cannot list the network interfaces")]
    System(#[source] io::Error),
}

/// All network interfaces, by index
/// ([getifaddrs(3)](https://man7.org/linux/man-pages/man3/getifaddrs.3.html)).
///
/// # Errors
/// [`System`](InterfaceError::System).
pub fn interfaces() -> Result<Vec<Interface>, InterfaceError> {
    let list = List::read().map_err(InterfaceError::System)?;
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in list.entries() {
        // SAFETY: getifaddrs gives every entry a name that ends with a zero.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
        let position = interfaces.iter().position(|known| known.name == name).unwrap_or_else(|| {
            interfaces.push(Interface {
                index: interface_index(&name).unwrap_or(0),
                mtu: mtu(&name),
                flags: flags(entry.ifa_flags as libc::c_int),
                addresses: Vec::new(),
                name,
            });
            interfaces.len() - 1
        });
        interfaces[position].addresses.extend(address(entry));
    }
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

/// The number of the interface `name`
/// ([if_nametoindex(3)](https://man7.org/linux/man-pages/man3/if_nametoindex.3.html)).
///
/// # Errors
/// [`NoSuchName`](InterfaceError::NoSuchName).
pub fn interface_index(name: &str) -> Result<u32, InterfaceError> {
    let missing = || InterfaceError::NoSuchName(name.into());
    let c_name = CString::new(name).map_err(|_| missing())?;
    // SAFETY: the name ends with a zero and outlives the call.
    match unsafe { libc::if_nametoindex(c_name.as_ptr()) } {
        0 => Err(missing()),
        index => Ok(index),
    }
}

/// The name of the interface with number `index`
/// ([if_indextoname(3)](https://man7.org/linux/man-pages/man3/if_nametoindex.3.html)).
///
/// # Errors
/// [`NoSuchIndex`](InterfaceError::NoSuchIndex).
pub fn interface_name(index: u32) -> Result<String, InterfaceError> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the IF_NAMESIZE bytes that the call may write.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    if found.is_null() {
        return Err(InterfaceError::NoSuchIndex(index));
    }
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

/// The C library's list, freed when it is dropped.
struct List(*mut libc::ifaddrs);

impl List {
    fn read() -> io::Result<Self> {
        let mut first = ptr::null_mut();
        // SAFETY: the call writes one pointer.
        if unsafe { libc::getifaddrs(&raw mut first) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(first))
    }

    fn entries(&self) -> impl Iterator<Item = &libc::ifaddrs> {
        // SAFETY: each pointer is null or a valid entry, unchanged until the list is freed, which it is
        // not before `self` and with it every reference is gone.
        let entry = |pointer: *mut libc::ifaddrs| unsafe { pointer.as_ref() };
        std::iter::successors(entry(self.0), move |last| entry(last.ifa_next))
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: it came from getifaddrs and is freed once.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

/// The IP address of an entry of a [`List`]; the others are link-layer addresses.
fn address(entry: &libc::ifaddrs) -> Option<InterfaceAddress> {
    // SAFETY: getifaddrs gives complete addresses of their family, or null.
    let (address, mask, broadcast) =
        unsafe { (ip(entry.ifa_addr)?, ip(entry.ifa_netmask), ip(broadcast_pointer(entry))) };
    let prefix = match mask.map(|mask| mask.ip()) {
        Some(IpAddr::V4(mask)) => mask.to_bits().count_ones() as u8,
        Some(IpAddr::V6(mask)) => mask.to_bits().count_ones() as u8,
        None if address.is_ipv4() => 32,
        None => 128,
    };
    let has_broadcast = flags(entry.ifa_flags as libc::c_int).broadcast;
    let broadcast = match broadcast {
        Some(SocketAddr::V4(v4)) if has_broadcast => Some(*v4.ip()),
        _ => None,
    };
    let zone = match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    Some(InterfaceAddress { address: address.ip(), prefix, broadcast, zone })
}

/// # Safety
/// As for [`RawAddress::copy_ip`].
unsafe fn ip(pointer: *const libc::sockaddr) -> Option<SocketAddr> {
    // SAFETY: by this function's contract.
    unsafe { RawAddress::copy_ip(pointer) }?.parse().ok()?.ip()
}

#[cfg(target_os = "linux")]
fn broadcast_pointer(entry: &libc::ifaddrs) -> *const libc::sockaddr {
    entry.ifa_ifu
}

#[cfg(not(target_os = "linux"))]
fn broadcast_pointer(entry: &libc::ifaddrs) -> *const libc::sockaddr {
    entry.ifa_dstaddr
}

fn flags(bits: libc::c_int) -> InterfaceFlags {
    InterfaceFlags {
        up: bits & libc::IFF_UP != 0,
        running: bits & libc::IFF_RUNNING != 0,
        loopback: bits & libc::IFF_LOOPBACK != 0,
        broadcast: bits & libc::IFF_BROADCAST != 0,
        multicast: bits & libc::IFF_MULTICAST != 0,
        point_to_point: bits & libc::IFF_POINTOPOINT != 0,
    }
}

/// The MTU of an interface (`SIOCGIFMTU`,
/// [netdevice(7)](https://man7.org/linux/man-pages/man7/netdevice.7.html)).
#[cfg(target_os = "linux")]
fn mtu(name: &str) -> Option<u32> {
    use std::os::fd::AsRawFd;

    use crate::{Family, Kind, Socket};

    // Any socket answers; a Unix one is there on machines without IP too.
    let socket = Socket::open(Family::Unix, Kind::Datagram).ok()?;
    // SAFETY: all zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte less than the field, which thus stays closed by a zero.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the request is good for reading and writing, which is all that SIOCGIFMTU does.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) } < 0 {
        return None;
    }
    // SAFETY: the kernel wrote this member; an int is valid for all bit patterns.
    u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).ok()
}

#[cfg(not(target_os = "linux"))]
fn mtu(_name: &str) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> Interface {
        let all = interfaces().unwrap();
        all.into_iter().find(|interface| interface.flags.loopback).expect("a loopback interface")
    }

    #[test]
    fn the_loopback_interface_is_up_and_has_its_address() {
        let loopback = loopback();
        assert!(loopback.flags.up);
        assert!(!loopback.flags.broadcast);
        let home = loopback.addresses.iter().find(|known| known.address == Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(home.prefix, 8);
        assert_eq!(home.netmask(), IpAddr::from([255, 0, 0, 0]));
        assert_eq!(home.broadcast, None);
        assert_eq!(home.with_port(7).to_string(), "127.0.0.1:7");
        if cfg!(target_os = "linux") {
            assert!(loopback.mtu.unwrap() >= 1280);
        }
    }

    #[test]
    fn names_and_numbers_belong_together() {
        for interface in interfaces().unwrap() {
            assert_eq!(interface_index(&interface.name).unwrap(), interface.index);
            assert_eq!(interface_name(interface.index).unwrap(), interface.name);
        }
    }

    #[test]
    fn link_local_addresses_carry_their_zone() {
        for interface in interfaces().unwrap() {
            for known in &interface.addresses {
                let link_local = matches!(known.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
                assert_eq!(known.zone, if link_local { interface.index } else { 0 });
            }
        }
    }

    #[test]
    fn every_prefix_has_its_mask() {
        let v6 = |prefix| InterfaceAddress {
            address: Ipv6Addr::LOCALHOST.into(),
            prefix,
            broadcast: None,
            zone: 0,
        };
        assert_eq!(v6(128).netmask(), IpAddr::from([0xffff; 8]));
        assert_eq!(v6(64).netmask().to_string(), "ffff:ffff:ffff:ffff::");
        assert_eq!(v6(0).netmask(), IpAddr::from([0; 16]));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(interface_index("no-such-dev0").unwrap_err().to_string(), "no interface \"no-such-dev0\"");
        assert!(interface_index("a\0b").is_err());
        assert!(matches!(interface_name(u32::MAX), Err(InterfaceError::NoSuchIndex(u32::MAX))));
    }
}
