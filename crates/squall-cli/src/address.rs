//! What commands that name a peer have in common.

use clap::Args;
use squall::socket::{Kind, names};
use squall::{IpFamily, Transport, Uri, UriError};

use crate::exit::Exit;

/// `-4` and `-6`.
#[derive(Debug, Args)]
pub(crate) struct Family {
    /// IPv4 addresses alone
    #[arg(short = '4', long = "ipv4", conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 addresses alone
    #[arg(short = '6', long = "ipv6")]
    ipv6: bool,
}

impl Family {
    pub(crate) fn get(&self) -> IpFamily {
        match self {
            Family { ipv4: true, .. } => IpFamily::V4,
            Family { ipv6: true, .. } => IpFamily::V6,
            _ => IpFamily::Any,
        }
    }
}

/// Reads the address of a peer; `port` is the one it has when it names none.
pub(crate) fn peer(text: &str, usual: Transport, port: u16) -> Result<Uri, Exit> {
    let uri = Uri::parse(text, usual, Some(port)).map_err(|error| Exit::Usage.with(error))?;
    if uri.is_quic() {
        let error = format!(
            "{text:?} is an address of the secure tier, which squall send speaks: write udp:// or tcp://"
        );
        return Err(Exit::Usage.with(error));
    }
    if uri.is_wildcard() {
        let error = format!("{text:?} is every address of this machine, to listen on: name one to ask");
        return Err(Exit::Usage.with(error));
    }
    Ok(uri)
}

/// How it ends when an address does not resolve. A name server that is silent is a peer that does not answer.
pub(crate) fn unresolved(error: &UriError) -> Exit {
    if error.is_temporary() { Exit::NoAnswer } else { Exit::Usage }
}

/// A port by its number or by its service's name.
pub(crate) fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().or_else(|_| {
        names::service_port(text, Kind::Datagram)
            .map_err(|_| format!("{text:?} is neither a port (0 to 65535) nor a known service"))
    })
}
