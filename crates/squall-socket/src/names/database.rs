//! The names of services and protocols, from `/etc/services` and `/etc/protocols` or what the system has in
//! their place. A machine without these files knows no names; that is `NoSuchService` and `NoSuchName`.

use std::ffi::CStr;
use std::net::{Ipv4Addr, SocketAddr};

use super::{Lookup, NameError, Reverse, c_string};
use crate::{Family, Kind};

/// The port of the service `name` for sockets of `kind`: 53 for `domain`.
///
/// # Errors
/// `NoSuchService`; a number is no name.
pub fn service_port(name: &str, kind: Kind) -> Result<u16, NameError> {
    let missing = || NameError::NoSuchService { what: describe_service(name, kind) };
    // RFC 6335, section 5.1: a name has a letter. getaddrinfo would take a number for the port.
    if !name.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return Err(missing());
    }
    let entries = Lookup::new().service(name).family(Family::V4).kind(kind).resolve();
    match entries {
        Ok(entries) => entries.first().map(|entry| entry.address.port()).ok_or_else(missing),
        Err(NameError::NoSuchName { .. } | NameError::NoSuchService { .. }) => Err(missing()),
        Err(error) => Err(error),
    }
}

/// The service that usually has the port `port` for sockets of `kind`.
///
/// # Errors
/// `NoSuchService` for a port without a name.
pub fn service_name(port: u16, kind: Kind) -> Result<String, NameError> {
    let reverse = Reverse::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).numeric_host();
    let reverse = if kind == Kind::Datagram { reverse.datagram() } else { reverse };
    let name = reverse.look_up()?.service;
    if name == port.to_string() {
        return Err(NameError::NoSuchService { what: describe_service(&name, kind) });
    }
    Ok(name)
}

/// The number of the protocol `name`: 17 for `udp`.
///
/// # Errors
/// `NoSuchName`.
pub fn protocol_number(name: &str) -> Result<i32, NameError> {
    let what = format!("protocol {name:?}");
    let c_name = c_string(name, &what)?;
    system::by_name(&c_name, |entry| entry.p_proto).ok_or(NameError::NoSuchName { what })
}

/// The name of the protocol with this number.
///
/// # Errors
/// `NoSuchName`.
pub fn protocol_name(number: i32) -> Result<String, NameError> {
    // SAFETY: an entry's name ends with a zero, and the entry is not used after the call.
    let name =
        |entry: &libc::protoent| unsafe { CStr::from_ptr(entry.p_name) }.to_string_lossy().into_owned();
    system::by_number(number, name)
        .ok_or_else(|| NameError::NoSuchName { what: format!("protocol number {number}") })
}

fn describe_service(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Datagram => format!("{name:?} over udp"),
        Kind::Stream => format!("{name:?} over tcp"),
        kind => format!("{name:?} over {kind:?}"),
    }
}

/// glibc's functions with a buffer of the caller's
/// ([getprotoent_r(3)](https://man7.org/linux/man-pages/man3/getprotoent_r.3.html)).
#[cfg(all(target_os = "linux", target_env = "gnu", not(squall_portable)))]
mod system {
    use std::ffi::{CStr, c_char, c_int};
    use std::ptr;

    use libc::protoent;

    use crate::names::with_buffer;

    unsafe extern "C" {
        fn getprotobyname_r(
            name: *const c_char,
            entry: *mut protoent,
            buffer: *mut c_char,
            len: usize,
            result: *mut *mut protoent,
        ) -> c_int;
        fn getprotobynumber_r(
            number: c_int,
            entry: *mut protoent,
            buffer: *mut c_char,
            len: usize,
            result: *mut *mut protoent,
        ) -> c_int;
    }

    pub(super) fn by_name<T>(name: &CStr, read: impl Fn(&protoent) -> T) -> Option<T> {
        // SAFETY: the name ends with a zero; the rest is `find`'s contract.
        find(&read, |entry, buffer, len, result| unsafe {
            getprotobyname_r(name.as_ptr(), entry, buffer, len, result)
        })
    }

    pub(super) fn by_number<T>(number: i32, read: impl Fn(&protoent) -> T) -> Option<T> {
        // SAFETY: `find`'s contract.
        find(&read, |entry, buffer, len, result| unsafe {
            getprotobynumber_r(number, entry, buffer, len, result)
        })
    }

    /// Calls `call` with an entry, a buffer good for the length and a result to write, and reads the entry
    /// that it found. A missing file is no entry.
    fn find<T>(
        read: &impl Fn(&protoent) -> T,
        call: impl Fn(*mut protoent, *mut c_char, usize, *mut *mut protoent) -> c_int,
    ) -> Option<T> {
        with_buffer(|buffer| {
            let mut entry = protoent { p_name: ptr::null_mut(), p_aliases: ptr::null_mut(), p_proto: 0 };
            let mut result = ptr::null_mut();
            match call(&raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut result) {
                // SAFETY: the result is null or `entry`, filled with pointers into `buffer`.
                0 => Ok(unsafe { result.as_ref() }.map(read)),
                error => Err(error),
            }
        })
        .ok()
        .flatten()
    }
}

/// The C standard's functions share one entry for the whole process: a lock keeps this crate's callers apart
/// ([getprotoent(3)](https://man7.org/linux/man-pages/man3/getprotoent.3.html)).
#[cfg(not(all(target_os = "linux", target_env = "gnu", not(squall_portable))))]
mod system {
    use std::ffi::CStr;
    use std::sync::{Mutex, PoisonError};

    use libc::protoent;

    static LOCK: Mutex<()> = Mutex::new(());

    pub(super) fn by_name<T>(name: &CStr, read: impl Fn(&protoent) -> T) -> Option<T> {
        let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the name ends with a zero; the result is null or an entry that stays until the next call,
        // which the lock keeps off.
        unsafe { libc::getprotobyname(name.as_ptr()).as_ref() }.map(read)
    }

    pub(super) fn by_number<T>(number: i32, read: impl Fn(&protoent) -> T) -> Option<T> {
        let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the result is null or an entry that stays until the next call, which the lock keeps off.
        unsafe { libc::getprotobynumber(number).as_ref() }.map(read)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_service_has_a_port_and_a_port_a_service() {
        if !Path::new("/etc/services").exists() {
            assert!(matches!(service_port("domain", Kind::Datagram), Err(NameError::NoSuchService { .. })));
            return;
        }
        assert_eq!(service_port("domain", Kind::Datagram).unwrap(), 53);
        assert_eq!(service_port("domain", Kind::Stream).unwrap(), 53);
        assert_eq!(service_name(53, Kind::Datagram).unwrap(), "domain");
        assert_eq!(service_name(53, Kind::Stream).unwrap(), "domain");
    }

    #[test]
    fn a_service_of_another_protocol_does_not_count() {
        if Path::new("/etc/services").exists() {
            assert!(service_port("tftp", Kind::Datagram).is_ok());
            assert!(matches!(service_port("tftp", Kind::Stream), Err(NameError::NoSuchService { .. })));
        }
    }

    #[test]
    fn a_protocol_has_a_number_and_a_number_a_protocol() {
        if !Path::new("/etc/protocols").exists() {
            assert!(matches!(protocol_number("udp"), Err(NameError::NoSuchName { .. })));
            return;
        }
        assert_eq!(protocol_number("udp").unwrap(), 17);
        assert_eq!(protocol_number("UDP").unwrap(), 17);
        assert_eq!(protocol_name(6).unwrap(), "tcp");
    }

    #[test]
    fn what_has_no_name_is_said_to_have_none() {
        for name in ["no-such-service", "80", " 80", "", "+1"] {
            let error = service_port(name, Kind::Datagram).unwrap_err();
            assert!(matches!(error, NameError::NoSuchService { .. }), "{name:?}: {error:?}");
        }
        let error = service_name(65_535, Kind::Datagram).unwrap_err();
        assert_eq!(error.to_string(), "no such service: \"65535\" over udp");
        assert!(matches!(protocol_number("no-such-protocol"), Err(NameError::NoSuchName { .. })));
        assert!(matches!(protocol_name(-1), Err(NameError::NoSuchName { .. })));
    }

    #[test]
    fn many_threads_may_ask_at_once() {
        if !Path::new("/etc/protocols").exists() {
            return;
        }
        std::thread::scope(|scope| {
            for (name, number) in [("udp", 17), ("tcp", 6), ("icmp", 1), ("ip", 0)] {
                scope.spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(protocol_number(name).unwrap(), number);
                        assert_eq!(protocol_name(number).unwrap(), name);
                    }
                });
            }
        });
    }
}
