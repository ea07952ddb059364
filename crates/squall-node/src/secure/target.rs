//! Whom a client wants.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};

use squall::{IpFamily, Transport, Uri, UriError};

use super::PORT;

/// A server, by name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    family: IpFamily,
}

/// Why a text names no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is written wrong.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// It is an address that QUIC does not have, or every address.
    #[error("{0:?} names no host of the secure tier: write HOST, HOST:PORT or quic://HOST:PORT")]
    NoHost(String),
}

impl Target {
    /// Reads `HOST`, `HOST:PORT` or `quic://HOST:PORT`; without a port it is 4433.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let uri = Uri::parse(text, Transport::Udp, Some(PORT))?;
        if uri.transport() != Transport::Udp || uri.is_coap() || uri.is_wildcard() {
            return Err(TargetError::NoHost(text.to_owned()));
        }
        Ok(Self { uri, family: IpFamily::Any })
    }

    /// Its addresses of this family alone; of both by default.
    pub fn family(mut self, family: IpFamily) -> Self {
        self.family = family;
        self
    }

    /// Its addresses, best first and the families in turn, so that one that does not work is not tried for long
    /// ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-4), 4). It may ask name servers.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, UriError> {
        let all: Vec<SocketAddr> =
            self.uri.resolve(self.family)?.into_iter().filter_map(|address| address.ip()).collect();
        let first_is_v6 = all.first().is_some_and(SocketAddr::is_ipv6);
        let (mut first, mut second): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
        first.truncate(MAX_ADDRESSES / 2);
        second.truncate(MAX_ADDRESSES / 2);
        let mut second = second.into_iter();
        let mut turns: Vec<_> =
            first.into_iter().flat_map(|one| [Some(one), second.next()]).flatten().collect();
        turns.extend(second);
        Ok(turns)
    }

    /// As known nodes have it, `HOST:PORT`, one spelling for each.
    pub(super) fn known_as(&self, port: u16) -> String {
        let written = self.to_string();
        let host = written.rsplit_once(':').map_or(written.as_str(), |(host, _)| host);
        let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match v6.and_then(|host| host.parse::<Ipv6Addr>().ok()) {
            Some(address) => format!("[{address}]"),
            // A name may end in the root's dot.
            None => host.trim_end_matches('.').to_ascii_lowercase(),
        };
        format!("{host}:{port}")
    }
}

/// A name can stand for any number of addresses; those that are tried of it.
const MAX_ADDRESSES: usize = 16;

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.uri.to_string();
        // However it was written: it is one node.
        f.write_str(uri.split_once("://").map_or(uri.as_str(), |(_, place)| place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_one_spelling() {
        for (text, known) in [
            ("Files.Example", "files.example:4433"),
            ("files.example.:4433", "files.example:4433"),
            ("udp://10.0.0.1:99", "10.0.0.1:99"),
            ("quic://10.0.0.1:99", "10.0.0.1:99"),
            ("::1", "[::1]:4433"),
            ("[0:0::1]:7", "[::1]:7"),
            ("fe80::1%lo", "[fe80::1%lo]:4433"),
        ] {
            let target = Target::parse(text).unwrap();
            let port = if text.ends_with("99") {
                99
            } else if text.ends_with(":7") {
                7
            } else {
                4433
            };
            assert_eq!(target.known_as(port), known, "{text}");
        }
    }

    #[test]
    fn what_is_no_host_of_this_tier_is_refused() {
        for text in ["tcp://host:1", "unix:/tmp/x", "coap://host", ":4433", "0.0.0.0", "[::]:1"] {
            assert!(matches!(Target::parse(text), Err(TargetError::NoHost(_))), "{text}");
        }
        assert!(matches!(Target::parse("host:999999"), Err(TargetError::Uri(_))), "a port");
    }
}
