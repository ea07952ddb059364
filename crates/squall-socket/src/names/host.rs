//! Hosts: this one's name, and everything the resolver knows of a host.

use std::ffi::CStr;
use std::io;
use std::net::IpAddr;

use super::{Lookup, NameError};
use crate::Family;

/// What the resolver knows of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostEntry {
    /// Its canonical name.
    pub name: String,
    /// Its other names. Always empty but with glibc: other C libraries do not tell them safely.
    pub aliases: Vec<String>,
    /// Its addresses, of the family that was asked for.
    pub addresses: Vec<IpAddr>,
}

/// The name of this machine
/// ([gethostname(2)](https://man7.org/linux/man-pages/man2/gethostname.2.html)).
///
/// # Errors
/// `System`.
pub fn host_name() -> Result<String, NameError> {
    // Linux allows 64 bytes, POSIX 255; the last byte stays zero.
    let mut name = [0u8; 256];
    // SAFETY: the buffer is good for the length given, which is one less than it has.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    if result < 0 {
        let source = io::Error::last_os_error();
        return Err(NameError::System { what: "the name of this machine".into(), source });
    }
    Ok(CStr::from_bytes_until_nul(&name).unwrap_or_default().to_string_lossy().into_owned())
}

/// The fully qualified name of a host, by the rules of Python's `socket.getfqdn`: of this machine when
/// `name` is empty or a wildcard address; otherwise the first of the host's names that has a dot, else its
/// canonical name, and `name` itself when the resolver knows nothing.
///
/// # Errors
/// `System` when this machine does not tell its name; that a lookup fails is no error.
pub fn fqdn(name: &str) -> Result<String, NameError> {
    let name = match name.trim() {
        "" | "0.0.0.0" | "::" => host_name()?,
        name => name.to_owned(),
    };
    let Some(address) = first_address(&name) else { return Ok(name) };
    let Ok(host) = host_by_address(address) else { return Ok(name) };
    let dotted = std::iter::once(&host.name).chain(&host.aliases).find(|name| name.contains('.'));
    Ok(dotted.unwrap_or(&host.name).clone())
}

/// The host `name` with its aliases and its addresses of one IP family
/// ([gethostbyname2_r(3)](https://man7.org/linux/man-pages/man3/gethostbyname.3.html)).
///
/// # Errors
/// [`NameError`]; `NoSuchName` too for a host without an address of the family; `Invalid` for a family that
/// is not IP.
pub fn host_by_name(name: &str, family: Family) -> Result<HostEntry, NameError> {
    let what = format!("host {name:?}");
    match family {
        Family::V4 | Family::V6 => system::by_name(name, family, what),
        _ => Err(NameError::Invalid { what, reason: format!("{family:?} is no IP family") }),
    }
}

/// The host with this address: its name, its aliases, and the address
/// ([gethostbyaddr_r(3)](https://man7.org/linux/man-pages/man3/gethostbyname.3.html)).
///
/// # Errors
/// [`NameError`].
pub fn host_by_address(address: IpAddr) -> Result<HostEntry, NameError> {
    system::by_address(address, format!("the name of {address}"))
}

fn first_address(name: &str) -> Option<IpAddr> {
    let entries = Lookup::new().host(name).resolve().ok()?;
    entries.first().map(|entry| entry.address.ip())
}

/// glibc's functions with a buffer of the caller's.
#[cfg(all(target_os = "linux", target_env = "gnu", not(squall_portable)))]
mod system {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::io;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::ptr;

    use libc::hostent;

    use super::HostEntry;
    use crate::Family;
    use crate::names::{NameError, c_string, with_buffer};

    unsafe extern "C" {
        fn gethostbyname2_r(
            name: *const c_char,
            family: c_int,
            entry: *mut hostent,
            buffer: *mut c_char,
            len: usize,
            result: *mut *mut hostent,
            h_errno: *mut c_int,
        ) -> c_int;
        fn gethostbyaddr_r(
            address: *const c_void,
            address_len: libc::socklen_t,
            family: c_int,
            entry: *mut hostent,
            buffer: *mut c_char,
            len: usize,
            result: *mut *mut hostent,
            h_errno: *mut c_int,
        ) -> c_int;
    }

    pub(super) fn by_name(name: &str, family: Family, what: String) -> Result<HostEntry, NameError> {
        let c_name = c_string(name, &what)?;
        let number = if family == Family::V4 { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: the name ends with a zero; the rest is `find`'s contract.
        find(what, |entry, buffer, len, result, h_errno| unsafe {
            gethostbyname2_r(c_name.as_ptr(), number, entry, buffer, len, result, h_errno)
        })
    }

    pub(super) fn by_address(address: IpAddr, what: String) -> Result<HostEntry, NameError> {
        let (bytes, family) = match address {
            IpAddr::V4(v4) => (v4.octets().to_vec(), libc::AF_INET),
            IpAddr::V6(v6) => (v6.octets().to_vec(), libc::AF_INET6),
        };
        let len = bytes.len() as libc::socklen_t;
        // SAFETY: the address has the length of its family; the rest is `find`'s contract.
        find(what, |entry, buffer, room, result, h_errno| unsafe {
            gethostbyaddr_r(bytes.as_ptr().cast(), len, family, entry, buffer, room, result, h_errno)
        })
    }

    /// Calls `call` with an entry, a buffer good for the length, a result and an `h_errno` to write, and
    /// reads the entry that it found.
    fn find(
        what: String,
        call: impl Fn(*mut hostent, *mut c_char, usize, *mut *mut hostent, *mut c_int) -> c_int,
    ) -> Result<HostEntry, NameError> {
        let mut h_errno = 0;
        let found = with_buffer(|buffer| {
            // SAFETY: all zero is a valid hostent: null pointers and numbers.
            let mut entry: hostent = unsafe { std::mem::zeroed() };
            let mut result = ptr::null_mut();
            match call(&raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut result, &raw mut h_errno) {
                // SAFETY: the result is null or `entry`, filled with pointers into `buffer`.
                0 => Ok(unsafe { result.as_ref().map(|entry| read(entry)) }),
                error => Err(error),
            }
        });
        match found {
            Ok(Some(entry)) => Ok(entry),
            // The error number beside NETDB_INTERNAL is the system's; beside others it means nothing.
            Err(error) if h_errno == NETDB_INTERNAL => {
                Err(NameError::System { what, source: io::Error::from_raw_os_error(error) })
            }
            _ => Err(match h_errno {
                TRY_AGAIN => NameError::TryAgain { what },
                NO_RECOVERY => NameError::Failed { what },
                _ => NameError::NoSuchName { what },
            }),
        }
    }

    /// # Safety
    /// `entry` was filled by the C library, and the buffer that its pointers lead into is still there.
    unsafe fn read(entry: &hostent) -> HostEntry {
        // SAFETY: by this function's contract: texts end with a zero, lists with a null pointer, addresses
        // have the length of their family.
        unsafe {
            let text = |pointer: *const c_char| CStr::from_ptr(pointer).to_string_lossy().into_owned();
            let address = |pointer: *mut c_char| match entry.h_addrtype {
                libc::AF_INET => IpAddr::V4(Ipv4Addr::from(pointer.cast::<[u8; 4]>().read())),
                _ => IpAddr::V6(Ipv6Addr::from(pointer.cast::<[u8; 16]>().read())),
            };
            HostEntry {
                name: text(entry.h_name),
                aliases: list(entry.h_aliases).map(|alias| text(alias)).collect(),
                addresses: list(entry.h_addr_list).map(address).collect(),
            }
        }
    }

    /// # Safety
    /// `first` is null or the start of a list that ends with a null pointer and outlives the iterator.
    unsafe fn list(first: *mut *mut c_char) -> impl Iterator<Item = *mut c_char> {
        (0..)
            // SAFETY: by this function's contract; nothing is read behind the null pointer.
            .map_while(move |index| (!first.is_null()).then(|| unsafe { *first.add(index) }))
            .take_while(|pointer| !pointer.is_null())
    }

    /// The values of `h_errno` (`netdb.h`); 1 and 4 mean that there is no such host or address.
    const NETDB_INTERNAL: c_int = -1;
    const TRY_AGAIN: c_int = 2;
    const NO_RECOVERY: c_int = 3;
}

/// What every C library can tell safely: no aliases.
#[cfg(not(all(target_os = "linux", target_env = "gnu", not(squall_portable))))]
mod system {
    use std::net::{IpAddr, SocketAddr};

    use super::HostEntry;
    use crate::names::{Lookup, NameError, Reverse};
    use crate::{Family, Kind};

    pub(super) fn by_name(name: &str, family: Family, _what: String) -> Result<HostEntry, NameError> {
        let lookup = Lookup::new().host(name).family(family).kind(Kind::Stream).canonical_name();
        let entries = lookup.resolve()?;
        let canonical = entries.iter().find_map(|entry| entry.canonical_name.clone());
        Ok(HostEntry {
            name: canonical.unwrap_or_else(|| name.to_owned()),
            aliases: Vec::new(),
            addresses: entries.into_iter().map(|entry| entry.address.ip()).collect(),
        })
    }

    pub(super) fn by_address(address: IpAddr, what: String) -> Result<HostEntry, NameError> {
        let reverse = Reverse::new(SocketAddr::new(address, 0)).name_required().numeric_service();
        match reverse.look_up() {
            Ok(found) => Ok(HostEntry { name: found.host, aliases: Vec::new(), addresses: vec![address] }),
            Err(NameError::NoSuchName { .. }) => Err(NameError::NoSuchName { what }),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn this_machine_has_a_name() {
        let name = host_name().unwrap();
        assert!(!name.is_empty() && !name.contains('\0'));
    }

    #[test]
    fn localhost_has_its_address_and_back() {
        let host = host_by_name("localhost", Family::V4).unwrap();
        assert!(host.name.contains("localhost"), "{host:?}");
        assert!(host.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let host = host_by_address(Ipv4Addr::LOCALHOST.into()).unwrap();
        assert!(host.name.contains("localhost"), "{host:?}");
        assert_eq!(host.addresses, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }

    #[test]
    fn an_address_counts_as_its_own_name() {
        let host = host_by_name("192.0.2.7", Family::V4).unwrap();
        assert_eq!(host.name, "192.0.2.7");
        assert_eq!(host.addresses, [IpAddr::from([192, 0, 2, 7])]);
    }

    #[test]
    fn a_family_that_is_no_ip_is_refused() {
        let error = host_by_name("localhost", Family::Unix).unwrap_err();
        assert!(matches!(error, NameError::Invalid { .. }), "{error:?}");
    }

    #[test]
    fn the_full_name_of_loopback_is_one_of_its_names() {
        let host = host_by_address(Ipv4Addr::LOCALHOST.into()).unwrap();
        let full = fqdn(" 127.0.0.1 ").unwrap();
        assert!(full == host.name || host.aliases.contains(&full), "{full}");
        let dotted = host.aliases.iter().any(|alias| alias.contains('.')) || host.name.contains('.');
        assert_eq!(full.contains('.'), dotted);
    }
}
