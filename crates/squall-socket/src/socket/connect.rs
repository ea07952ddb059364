//! Connecting to a host by its name.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::{Family, Kind, Socket};
use crate::names::{NameError, resolve};

/// Why no connection to a host came about.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Its name could not be looked up.
    #[error(transparent)]
    Name(#[from] NameError),
    /// None of its addresses could be connected to; this is what the last one said.
    #[error("cannot connect to {host} at {address}, the last of {tried} addresses")]
    Address {
        /// The host.
        host: String,
        /// The address that was tried last.
        address: SocketAddr,
        /// How many were tried.
        tried: usize,
        /// What the system said of the last one.
        source: io::Error,
    },
}

impl Socket {
    /// Opens a socket that is connected to `host`: its addresses are tried one after the other, each for
    /// `timeout` at most. `service` is a port or a service's name. The timeout is for connecting alone; the
    /// socket then blocks.
    ///
    /// # Errors
    /// [`ConnectError`]. A datagram socket connects to whatever has a route: nobody need listen.
    pub fn connect_to(
        host: &str,
        service: &str,
        kind: Kind,
        timeout: Option<Duration>,
    ) -> Result<Self, ConnectError> {
        let addresses = resolve(host, service, kind)?;
        let tried = addresses.len();
        let mut last = None;
        for address in addresses {
            match connect(address, kind, timeout) {
                Ok(socket) => return Ok(socket),
                Err(source) => {
                    last = Some(ConnectError::Address { host: host.into(), address, tried, source })
                }
            }
        }
        // The resolver never answers without an address; if it did, there is no such host.
        Err(last.unwrap_or_else(|| NameError::NoSuchName { what: format!("host {host:?}") }.into()))
    }
}

fn connect(address: SocketAddr, kind: Kind, timeout: Option<Duration>) -> io::Result<Socket> {
    let socket = Socket::open(Family::of(&address.ip()), kind)?;
    match timeout {
        Some(timeout) => socket.connect_timeout(address, timeout)?,
        None => socket.connect(address)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn bound() -> (Socket, String) {
        let socket = Socket::open(Family::V4, Kind::Stream).unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = socket.local_address().unwrap().ip().unwrap().port();
        (socket, port.to_string())
    }

    #[test]
    fn a_host_is_reached_by_name() {
        let (listener, port) = bound();
        listener.listen(1).unwrap();
        // Where localhost is also ::1, that address refuses and the next one is tried.
        for timeout in [None, Some(Duration::from_secs(5))] {
            let client = Socket::connect_to("localhost", &port, Kind::Stream, timeout).unwrap();
            assert_eq!(listener.accept().unwrap().1, client.local_address().unwrap());
        }
    }

    #[test]
    fn a_host_that_refuses_is_named_with_its_address() {
        let (_not_listening, port) = bound();
        let error = Socket::connect_to("127.0.0.1", &port, Kind::Stream, None).unwrap_err();
        let expected = format!("cannot connect to 127.0.0.1 at 127.0.0.1:{port}, the last of 1 addresses");
        assert_eq!(error.to_string(), expected);
        let ConnectError::Address { source, .. } = error else { panic!("no address") };
        assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_name_that_cannot_be_looked_up_is_an_error_of_its_own() {
        let error = Socket::connect_to("127.0.0.1", "no-such-service", Kind::Stream, None).unwrap_err();
        assert!(matches!(error, ConnectError::Name(NameError::NoSuchService { .. })), "{error:?}");
    }
}
