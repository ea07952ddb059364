//! From names to addresses.

use std::ffi::CStr;
use std::io;
use std::net::SocketAddr;
use std::ptr;

use super::{NameError, c_string};
use crate::address::RawAddress;
use crate::{Family, Kind};

/// Looks up the addresses of `host` for sockets of `kind`; `service` is a port or a service's name.
///
/// # Errors
/// [`NameError`].
pub fn resolve(host: &str, service: &str, kind: Kind) -> Result<Vec<SocketAddr>, NameError> {
    let entries = Lookup::new().host(host).service(service).kind(kind).resolve()?;
    Ok(entries.into_iter().map(|entry| entry.address).collect())
}

/// A question to the resolver
/// ([getaddrinfo(3)](https://man7.org/linux/man-pages/man3/getaddrinfo.3.html)). Asked with neither host nor
/// service it is an error.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is looked up before `resolve`"]
pub struct Lookup {
    host: Option<String>,
    service: Option<String>,
    family: Option<Family>,
    kind: Option<Kind>,
    protocol: i32,
    flags: libc::c_int,
}

/// One answer: an address, and what to open for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The address and port.
    pub address: SocketAddr,
    /// The kind of socket.
    pub kind: Kind,
    /// The protocol's number; 17 is UDP.
    pub protocol: i32,
    /// The host's canonical name, on the first entry, when it was asked for.
    pub canonical_name: Option<String>,
}

impl Entry {
    /// The address's family.
    pub fn family(&self) -> Family {
        Family::of(&self.address.ip())
    }
}

impl Lookup {
    /// A question without restrictions.
    pub fn new() -> Self {
        Self::default()
    }

    /// The host: a name or an address. Default: this machine, see [`passive`](Self::passive).
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The service: a port or a name such as `domain`. Default: port 0.
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// Addresses of this family alone. Default: IPv4 and IPv6.
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Sockets of this kind alone. Default: each address once for every kind.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// This protocol alone, by number. Default: 0, all.
    pub fn protocol(mut self, protocol: i32) -> Self {
        self.protocol = protocol;
        self
    }

    /// Without a host, the wildcard addresses to bind to instead of loopback ones (`AI_PASSIVE`).
    pub fn passive(self) -> Self {
        self.flag(libc::AI_PASSIVE)
    }

    /// Takes the host for an address and asks nobody (`AI_NUMERICHOST`): returns at once.
    pub fn numeric_host(self) -> Self {
        self.flag(libc::AI_NUMERICHOST)
    }

    /// Takes the service for a port (`AI_NUMERICSERV`).
    pub fn numeric_service(self) -> Self {
        self.flag(libc::AI_NUMERICSERV)
    }

    /// Asks for the canonical name too (`AI_CANONNAME`).
    pub fn canonical_name(self) -> Self {
        self.flag(libc::AI_CANONNAME)
    }

    /// Leaves out the families that no interface but loopback has an address of (`AI_ADDRCONFIG`).
    pub fn configured_families(self) -> Self {
        self.flag(libc::AI_ADDRCONFIG)
    }

    /// Asks; the system sorts the answers, best first
    /// ([RFC 6724](https://www.rfc-editor.org/rfc/rfc6724)).
    ///
    /// # Errors
    /// [`NameError`]; `Invalid` too for a family that is not IP.
    pub fn resolve(&self) -> Result<Vec<Entry>, NameError> {
        let what = self.describe();
        let c_name = |name: &Option<String>| name.as_deref().map(|name| c_string(name, &what)).transpose();
        let (host, service) = (c_name(&self.host)?, c_name(&self.service)?);
        let pointer =
            |name: &Option<std::ffi::CString>| name.as_ref().map_or(ptr::null(), |name| name.as_ptr());
        // SAFETY: all zero is a valid addrinfo: no restriction, no pointers.
        let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
        hints.ai_family = match self.family {
            None => libc::AF_UNSPEC,
            // -1 is no family, which is what getaddrinfo then says.
            Some(family) => family.number().unwrap_or(-1),
        };
        hints.ai_socktype = self.kind.map_or(0, Kind::number);
        hints.ai_protocol = self.protocol;
        hints.ai_flags = self.flags;
        let mut first = ptr::null_mut();
        // SAFETY: the names are null or end with a zero, and like the hints outlive the call, which writes
        // one pointer.
        let code =
            unsafe { libc::getaddrinfo(pointer(&host), pointer(&service), &raw const hints, &raw mut first) };
        if code != 0 {
            return Err(NameError::from_eai(code, what));
        }
        let answers = Answers(first);
        answers
            .entries()
            .map(|entry| entry.map_err(|source| NameError::System { what: what.clone(), source }))
            .collect()
    }

    fn flag(mut self, flag: libc::c_int) -> Self {
        self.flags |= flag;
        self
    }

    fn describe(&self) -> String {
        match (&self.host, &self.service) {
            (Some(host), Some(service)) => format!("host {host:?}, service {service:?}"),
            (Some(host), None) => format!("host {host:?}"),
            (None, Some(service)) => format!("service {service:?}"),
            (None, None) => "neither host nor service".into(),
        }
    }
}

/// The C library's list, freed when it is dropped.
struct Answers(*mut libc::addrinfo);

impl Answers {
    fn entries(&self) -> impl Iterator<Item = io::Result<Entry>> {
        // SAFETY: each pointer is null or a valid entry, unchanged until the list is freed, which it is
        // not before `self` and with it every reference is gone.
        let entry = |pointer: *mut libc::addrinfo| unsafe { pointer.as_ref() };
        std::iter::successors(entry(self.0), move |last| entry(last.ai_next)).map(read)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it came from getaddrinfo and is freed once.
            unsafe { libc::freeaddrinfo(self.0) }
        }
    }
}

/// Reads an entry of [`Answers`].
fn read(entry: &libc::addrinfo) -> io::Result<Entry> {
    // SAFETY: getaddrinfo gives complete addresses of their family.
    let raw = unsafe { RawAddress::copy_ip(entry.ai_addr) };
    let address = raw.map(|raw| raw.parse()).transpose()?.and_then(|address| address.ip());
    let address = address.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let canonical_name = (!entry.ai_canonname.is_null()).then(|| {
        // SAFETY: a canonical name that is not null ends with a zero.
        unsafe { CStr::from_ptr(entry.ai_canonname) }.to_string_lossy().into_owned()
    });
    Ok(Entry {
        address,
        kind: Kind::from_number(entry.ai_socktype),
        protocol: entry.ai_protocol,
        canonical_name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_loopback() {
        let addresses = resolve("localhost", "9000", Kind::Datagram).unwrap();
        assert!(!addresses.is_empty());
        for address in addresses {
            assert!(address.ip().is_loopback());
            assert_eq!(address.port(), 9000);
        }
    }

    #[test]
    fn an_address_is_read_without_asking_anybody() {
        let entries = Lookup::new().host("192.0.2.7").service("53").numeric_host().kind(Kind::Datagram);
        let entries = entries.canonical_name().resolve().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].address, "192.0.2.7:53".parse().unwrap());
        assert_eq!((entries[0].kind, entries[0].protocol), (Kind::Datagram, libc::IPPROTO_UDP));
        assert_eq!(entries[0].family(), Family::V4);
        assert_eq!(entries[0].canonical_name.as_deref(), Some("192.0.2.7"));
    }

    #[test]
    fn a_name_where_an_address_must_be_is_no_such_name() {
        let error = Lookup::new().host("localhost").numeric_host().resolve().unwrap_err();
        assert!(matches!(&error, NameError::NoSuchName { .. }), "{error:?}");
        assert_eq!(error.to_string(), "no such name: host \"localhost\"");
    }

    #[test]
    fn without_a_host_it_is_loopback_or_to_bind_the_wildcard() {
        for entry in Lookup::new().service("0").kind(Kind::Stream).resolve().unwrap() {
            assert!(entry.address.ip().is_loopback());
        }
        for entry in Lookup::new().service("0").kind(Kind::Stream).passive().resolve().unwrap() {
            assert!(entry.address.ip().is_unspecified());
        }
    }

    #[test]
    fn a_family_is_kept_to() {
        let v4 = Lookup::new().service("7").family(Family::V4).resolve().unwrap();
        assert!(!v4.is_empty() && v4.iter().all(|entry| entry.address.is_ipv4()));
        let error = Lookup::new().host("::1").numeric_host().family(Family::V4).resolve().unwrap_err();
        assert!(matches!(error, NameError::NoSuchName { .. }), "{error:?}");
        let error = Lookup::new().service("7").family(Family::Unix).resolve().unwrap_err();
        assert!(matches!(error, NameError::Invalid { .. }), "{error:?}");
    }

    #[test]
    fn an_unknown_service_and_an_empty_question_are_errors() {
        let error = Lookup::new().host("127.0.0.1").service("no-such-service").kind(Kind::Datagram);
        let error = error.resolve().unwrap_err();
        assert!(matches!(error, NameError::NoSuchService { .. }), "{error:?}");
        assert!(Lookup::new().resolve().is_err());
        let error = Lookup::new().host("a\0b").resolve().unwrap_err();
        assert!(matches!(error, NameError::Invalid { .. }), "{error:?}");
    }

    #[test]
    fn a_link_local_address_keeps_its_zone() {
        let entries = Lookup::new().host("fe80::1%1").service("7").numeric_host().resolve().unwrap();
        let SocketAddr::V6(v6) = entries[0].address else { panic!("not IPv6") };
        assert_eq!(v6.scope_id(), 1);
    }
}
