//! Socket addresses of every family that Squall opens.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use socket2::SockAddr;

/// The address of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// IPv4 or IPv6: an IP address and a port.
    Ip(SocketAddr),
    /// A Unix socket: a path, a name in the abstract namespace, or none.
    Unix(UnixAddress),
    /// A virtual machine's or its host's socket ([vsock(7)](https://man7.org/linux/man-pages/man7/vsock.7.html)).
    Vsock {
        /// The machine: 2 is the host, `u32::MAX` any.
        cid: u32,
        /// The port, `u32::MAX` for any.
        port: u32,
    },
    /// A kernel interface ([netlink(7)](https://man7.org/linux/man-pages/man7/netlink.7.html)).
    Netlink {
        /// The port, often a process id; 0 is the kernel.
        pid: u32,
        /// A bit for each multicast group.
        groups: u32,
    },
}

impl Address {
    /// The IP address and port, if it is one.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            _ => None,
        }
    }

    /// The address as the kernel's structure.
    pub(crate) fn to_raw(self) -> RawAddress {
        let mut raw = RawAddress::default();
        self.write_to(&mut raw);
        raw
    }

    /// Writes the address over another, of which nothing behind its length is left to be read.
    pub(crate) fn write_to(self, raw: &mut RawAddress) {
        match self {
            Address::Ip(SocketAddr::V4(v4)) => raw.write(libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            }),
            Address::Ip(SocketAddr::V6(v6)) => raw.write(libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            }),
            Address::Unix(unix) => {
                let mut sun = libc::sockaddr_un {
                    sun_family: libc::AF_UNIX as libc::sa_family_t,
                    sun_path: [0; UNIX_PATH],
                };
                for (to, from) in sun.sun_path.iter_mut().zip(unix.name()) {
                    *to = *from as libc::c_char;
                }
                raw.write(sun);
                // A path is closed by a zero, an abstract name by its length.
                let end = usize::from(unix.as_path().is_some() && unix.name().len() < UNIX_PATH);
                raw.len = (UNIX_HEADER + unix.name().len() + end) as libc::socklen_t;
            }
            #[cfg(target_os = "linux")]
            Address::Vsock { cid, port } => raw.write(libc::sockaddr_vm {
                svm_family: libc::AF_VSOCK as libc::sa_family_t,
                svm_reserved1: 0,
                svm_port: port,
                svm_cid: cid,
                svm_zero: [0; 4],
            }),
            #[cfg(target_os = "linux")]
            Address::Netlink { pid, groups } => {
                // SAFETY: all zero is a valid sockaddr_nl; its padding is private to libc.
                let mut nl: libc::sockaddr_nl = unsafe { mem::zeroed() };
                nl.nl_family = libc::AF_NETLINK as libc::sa_family_t;
                nl.nl_pid = pid;
                nl.nl_groups = groups;
                raw.write(nl);
            }
            #[cfg(not(target_os = "linux"))]
            Address::Vsock { .. } | Address::Netlink { .. } => {}
        }
    }

    pub(crate) fn to_socket2(self) -> SockAddr {
        let raw = self.to_raw();
        // SAFETY: `to_raw` wrote a socket address of `len` bytes into the storage, zero behind it; both
        // storages have the C library's `sockaddr_storage` layout.
        unsafe {
            let storage = mem::transmute::<libc::sockaddr_storage, socket2::SockAddrStorage>(raw.storage);
            SockAddr::new(storage, raw.len)
        }
    }

    pub(crate) fn from_socket2(address: &SockAddr) -> io::Result<Self> {
        // SAFETY: a SockAddr's pointer is good for its whole storage, of which `len` bytes are set and
        // the others initialised.
        let storage = unsafe { *address.as_ptr().cast::<libc::sockaddr_storage>() };
        RawAddress { storage, len: address.len() }.parse()
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Ip(address)
    }
}

impl From<UnixAddress> for Address {
    fn from(address: UnixAddress) -> Self {
        Address::Unix(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(address) => address.fmt(f),
            Address::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Address::Netlink { pid, groups } => write!(f, "netlink:{pid}:{groups:#x}"),
        }
    }
}

/// The address of a Unix socket ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixAddress {
    len: u8,
    name: [u8; UNIX_PATH],
}

impl UnixAddress {
    /// A socket that nobody can address: one that was never bound.
    pub const UNNAMED: UnixAddress = UnixAddress { len: 0, name: [0; UNIX_PATH] };

    /// Whether this system has abstract names ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)):
    /// Linux alone has.
    pub const HAS_ABSTRACT: bool = cfg!(target_os = "linux");

    /// The socket file at `path`.
    ///
    /// # Errors
    /// `InvalidInput` when the path is empty, holds a zero byte, or is longer than the 107 bytes that a
    /// socket address can carry.
    pub fn from_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let bytes = path.as_ref().as_os_str().as_bytes();
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path for a Unix socket"));
        }
        Self::from_name(bytes, UNIX_PATH - 1)
    }

    /// The name `name` in Linux's abstract namespace: no file, gone with its last socket.
    ///
    /// # Errors
    /// `InvalidInput` when the name is longer than 107 bytes. Whether the system has such names says
    /// [`HAS_ABSTRACT`](Self::HAS_ABSTRACT).
    pub fn from_abstract(name: impl AsRef<[u8]>) -> io::Result<Self> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(name.as_ref());
        Self::from_name(&bytes, UNIX_PATH)
    }

    /// The path of the socket file, if the address is one.
    pub fn as_path(&self) -> Option<&Path> {
        match self.name() {
            [] | [0, ..] => None,
            bytes => Some(Path::new(OsStr::from_bytes(bytes))),
        }
    }

    /// The name in the abstract namespace, if the address is one.
    pub fn as_abstract(&self) -> Option<&[u8]> {
        match self.name() {
            [0, name @ ..] => Some(name),
            _ => None,
        }
    }

    /// Whether nobody can address it.
    pub fn is_unnamed(&self) -> bool {
        self.len == 0
    }

    fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.len)]
    }

    fn from_name(bytes: &[u8], limit: usize) -> io::Result<Self> {
        if bytes.len() > limit {
            let reason =
                format!("a Unix socket's name is at most {} bytes, not {}", UNIX_PATH - 1, bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let mut name = [0; UNIX_PATH];
        name[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { len: bytes.len() as u8, name })
    }
}

impl fmt::Display for UnixAddress {
    /// The path; an abstract name behind `@`; `(unnamed)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_path(), self.as_abstract()) {
            (Some(path), _) => path.display().fmt(f),
            (_, Some(name)) => write!(f, "@{}", String::from_utf8_lossy(name)),
            _ => f.write_str("(unnamed)"),
        }
    }
}

impl fmt::Debug for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixAddress({self})")
    }
}

/// A socket address as the kernel reads and writes it.
#[derive(Clone, Copy)]
pub(crate) struct RawAddress {
    pub(crate) storage: libc::sockaddr_storage,
    pub(crate) len: libc::socklen_t,
}

impl RawAddress {
    /// Room for any address, for the kernel to write into.
    pub(crate) const FULL: libc::socklen_t = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;

    /// Copies an address that the C library points at; `None` for a null pointer.
    ///
    /// # Safety
    /// A pointer that is not null is good for a `sockaddr`, and for the whole structure of its family when
    /// that is IPv4 or IPv6.
    pub(crate) unsafe fn copy_ip(address: *const libc::sockaddr) -> Option<Self> {
        if address.is_null() {
            return None;
        }
        let mut raw = Self::default();
        // SAFETY: by this function's contract; C libraries do not promise alignment.
        unsafe {
            match libc::c_int::from((&raw const (*address).sa_family).read_unaligned()) {
                libc::AF_INET => raw.write(address.cast::<libc::sockaddr_in>().read_unaligned()),
                libc::AF_INET6 => raw.write(address.cast::<libc::sockaddr_in6>().read_unaligned()),
                _ => return None,
            }
        }
        Some(raw)
    }

    fn write<T>(&mut self, address: T) {
        const { assert!(mem::size_of::<T>() <= mem::size_of::<libc::sockaddr_storage>()) }
        // SAFETY: the storage is large enough (above) and aligned for every socket address.
        unsafe { (&raw mut self.storage).cast::<T>().write(address) };
        self.len = mem::size_of::<T>() as libc::socklen_t;
    }

    fn read<T: Copy>(&self) -> T {
        const { assert!(mem::size_of::<T>() <= mem::size_of::<libc::sockaddr_storage>()) }
        // SAFETY: the storage is large enough (above), aligned, and initialised in full; the structures
        // that are read have no invalid bit patterns.
        unsafe { (&raw const self.storage).cast::<T>().read() }
    }

    /// Reads what the kernel wrote.
    ///
    /// # Errors
    /// `InvalidData` for a family that Squall does not know or a length that does not fit it.
    pub(crate) fn parse(&self) -> io::Result<Address> {
        let len = self.len as usize;
        match libc::c_int::from(self.storage.ss_family) {
            libc::AF_INET if len >= mem::size_of::<libc::sockaddr_in>() => {
                let v4: libc::sockaddr_in = self.read();
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Ok(Address::Ip(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into()))
            }
            libc::AF_INET6 if len >= mem::size_of::<libc::sockaddr_in6>() => {
                let v6: libc::sockaddr_in6 = self.read();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Ok(Address::Ip(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into()))
            }
            libc::AF_UNIX => {
                let sun: libc::sockaddr_un = self.read();
                let name = sun.sun_path.map(|c| c as u8);
                let len = len.saturating_sub(UNIX_HEADER).min(UNIX_PATH);
                let len = match name.first() {
                    Some(0) => len,
                    _ => name[..len].iter().position(|byte| *byte == 0).unwrap_or(len),
                };
                UnixAddress::from_name(&name[..len], UNIX_PATH).map(Address::Unix)
            }
            // An unnamed Unix peer comes without any address.
            _ if len == 0 => Ok(Address::Unix(UnixAddress::UNNAMED)),
            #[cfg(target_os = "linux")]
            libc::AF_VSOCK => {
                let vm: libc::sockaddr_vm = self.read();
                Ok(Address::Vsock { cid: vm.svm_cid, port: vm.svm_port })
            }
            #[cfg(target_os = "linux")]
            libc::AF_NETLINK => {
                let nl: libc::sockaddr_nl = self.read();
                Ok(Address::Netlink { pid: nl.nl_pid, groups: nl.nl_groups })
            }
            family => {
                let reason = format!("an address of unknown family {family}");
                Err(io::Error::new(io::ErrorKind::InvalidData, reason))
            }
        }
    }
}

impl Default for RawAddress {
    fn default() -> Self {
        // SAFETY: all zero is a valid sockaddr_storage (of family AF_UNSPEC).
        Self { storage: unsafe { mem::zeroed() }, len: 0 }
    }
}

/// The bytes of a Unix address's name: 108 on Linux.
const UNIX_PATH: usize = 108;
/// The bytes before the name.
const UNIX_HEADER: usize = mem::offset_of!(libc::sockaddr_un, sun_path);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_survives_the_way_to_the_kernel_s_form_and_back() {
        let long = "x".repeat(UNIX_PATH - 1);
        let addresses = [
            Address::Ip("192.0.2.7:65535".parse().unwrap()),
            Address::Ip(SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 3).into()),
            Address::Unix(UnixAddress::from_path("/tmp/a b.sock").unwrap()),
            Address::Unix(UnixAddress::from_path(&long).unwrap()),
            Address::Unix(UnixAddress::from_abstract(b"a\0b").unwrap()),
            Address::Unix(UnixAddress::UNNAMED),
            Address::Vsock { cid: 2, port: 9999 },
            Address::Netlink { pid: 7, groups: 3 },
        ];
        for address in addresses {
            assert_eq!(address.to_raw().parse().unwrap(), address);
            assert_eq!(Address::from_socket2(&address.to_socket2()).unwrap(), address);
        }
    }

    #[test]
    fn a_path_that_no_socket_address_can_carry_is_refused() {
        assert!(UnixAddress::from_path("x".repeat(UNIX_PATH)).is_err());
        assert!(UnixAddress::from_path("").is_err());
        assert!(UnixAddress::from_path("a\0b").is_err());
    }
}
