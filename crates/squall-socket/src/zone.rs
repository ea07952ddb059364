//! Zones: the interface that a link-local IPv6 address belongs to
//! ([RFC 4007](https://www.rfc-editor.org/rfc/rfc4007#section-11)), written `fe80::1%eth0`.

use std::net::{AddrParseError, SocketAddr, SocketAddrV6};

use thiserror::Error;

use crate::interfaces::{InterfaceError, interface_index, interface_name};

/// Why a text is not an address with a zone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// Not an IP address and a port.
    #[error("{text:?} is not an IP address and port")]
    Address {
        /// What was read.
        text: String,
        /// What the standard library says of it.
        source: AddrParseError,
    },
    /// The zone names no interface.
    #[error("{text:?} has no valid zone")]
    Zone {
        /// What was read.
        text: String,
        /// Which interface was looked for.
        source: InterfaceError,
    },
}

/// Reads an IP address and port; the zone of an IPv6 address may be an interface's name or number:
/// `[fe80::1%eth0]:9000`, `[fe80::1%2]:9000`, `192.0.2.1:9000`. Asks the kernel for the interface, nobody
/// for a name.
///
/// # Errors
/// [`ZoneError`], which tells a bad address from an unknown interface.
pub fn parse_address(text: &str) -> Result<SocketAddr, ZoneError> {
    let Some((address, zone, port)) = split(text) else {
        return text.parse().map_err(|source| ZoneError::Address { text: text.into(), source });
    };
    // The standard library checks everything but the zone.
    let plain: SocketAddrV6 = format!("[{address}]:{port}")
        .parse()
        .map_err(|source| ZoneError::Address { text: text.into(), source })?;
    let zone = zone_index(zone).map_err(|source| ZoneError::Zone { text: text.into(), source })?;
    Ok(SocketAddrV6::new(*plain.ip(), plain.port(), 0, zone).into())
}

/// The number of a zone: of the interface with this name, or the number itself.
///
/// # Errors
/// [`NoSuchName`](InterfaceError::NoSuchName). A number is not checked: interfaces come and go.
pub fn zone_index(zone: &str) -> Result<u32, InterfaceError> {
    // RFC 4007: a number always is one, so that a name cannot shadow it.
    zone.parse().or_else(|_| interface_index(zone))
}

/// Writes an address for people: the zone of a link-local one by its interface's name, where it has one.
/// [`parse_address`] reads it back.
pub fn display_address(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => match interface_name(v6.scope_id()) {
            Ok(name) => format!("[{}%{name}]:{}", v6.ip(), v6.port()),
            Err(_) => address.to_string(),
        },
        _ => address.to_string(),
    }
}

/// Splits `[address%zone]:port`; `None` when there is no zone.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (address, rest) = text.strip_prefix('[')?.split_once('%')?;
    let (zone, port) = rest.rsplit_once("]:")?;
    Some((address, zone, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces;

    #[test]
    fn a_zone_is_read_by_name_and_by_number_and_written_by_name() {
        for interface in interfaces().unwrap() {
            let by_name = format!("[fe80::1%{}]:9000", interface.name);
            let read = parse_address(&by_name).unwrap();
            assert_eq!(read, SocketAddrV6::new("fe80::1".parse().unwrap(), 9000, 0, interface.index).into());
            assert_eq!(parse_address(&format!("[fe80::1%{}]:9000", interface.index)).unwrap(), read);
            assert_eq!(display_address(&read), by_name);
        }
    }

    #[test]
    fn addresses_without_a_zone_are_read_too() {
        for text in ["192.0.2.1:9000", "[::1]:7"] {
            assert_eq!(display_address(&parse_address(text).unwrap()), text);
        }
    }

    #[test]
    fn a_bad_address_and_a_bad_zone_are_told_apart() {
        for text in ["localhost:7", "[fe80::1%1]", "[1.2.3.4%1]:7", "[fe80::1%1]:x", "", "%", "[%]:"] {
            assert!(matches!(parse_address(text), Err(ZoneError::Address { .. })), "{text}");
        }
        assert!(matches!(parse_address("[fe80::1%no-such-dev0]:7"), Err(ZoneError::Zone { .. })));
    }

    #[test]
    fn a_zone_without_an_interface_is_written_by_its_number() {
        let gone = SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, u32::MAX);
        assert_eq!(display_address(&gone.into()), format!("[fe80::1%{}]:7", u32::MAX));
    }
}
