//! Addresses as people write them: `udp://host:port`, `unix:/path`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use squall_proto::{Transport, coap, secure};
use squall_socket::names::{self, Lookup, NameError};
use squall_socket::{Address, Kind, UnixAddress, interface_index, interface_name};

/// An address with its transport, not resolved yet.
///
/// ```
/// use squall::Uri;
///
/// let uri: Uri = "udp://[fe80::1%lo]:9000".parse()?;
/// assert_eq!(uri.to_string(), "udp://[fe80::1%lo]:9000");
/// assert!("udp://localhost".parse::<Uri>().is_err(), "which port?");
/// assert_eq!(Uri::parse("localhost", squall::Transport::Udp, Some(1060))?.to_string(), "udp://localhost:1060");
/// # Ok::<(), squall::UriError>(())
/// ```
///
/// | form | meaning |
/// | --- | --- |
/// | `udp://host:port`, `tcp://host:port` | a name or an address; IPv6 in brackets, link-local with its zone; the port by number or service name |
/// | `host`, `host:port` | the same, where a transport is usual; an IPv6 address without a port needs no brackets |
/// | `udp://:port` | every interface, IPv4 and IPv6 |
/// | `coap://host`, `coap://host:port` | the same as `udp://`, for a service that speaks CoAP; port 5683 |
/// | `quic://host`, `quic://host:port` | the same, for a service of the secure tier; port 4433 |
/// | `unix:/path`, `unixgram:/path` | a Unix socket of streams or datagrams |
/// | `unix:@name`, `unixgram:@name` | the same in Linux's abstract namespace |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    transport: Transport,
    /// How it is written, where that is not the transport's own name.
    over: Option<Over>,
    place: Place,
}

/// A protocol with a scheme of its own, which is UDP underneath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Over {
    Coap,
    Quic,
}

impl Over {
    fn of(text: &str) -> Option<Self> {
        [Self::Coap, Self::Quic]
            .into_iter()
            .find(|over| text.strip_prefix(over.name()).is_some_and(|rest| rest.starts_with("://")))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Coap => "coap",
            Self::Quic => "quic",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Coap => coap::PORT,
            Self::Quic => secure::PORT,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Ip { host: String, port: String },
    Unix(UnixAddress),
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It has none of the forms that an address can have.
    #[error("{0:?} is no address: write host:port, udp://host:port, tcp://host:port or unix:/path")]
    Form(String),
    /// No transport is named and none is usual.
    #[error("{0:?} names no transport: write udp://, tcp://, unix: or unixgram: before it")]
    NoTransport(String),
    /// The transport is none of Squall's.
    #[error("{text:?}: {scheme:?} is no transport; there are udp, tcp, coap, quic, unix and unixgram")]
    UnknownTransport {
        /// What was written.
        text: String,
        /// The transport in it.
        scheme: String,
    },
    /// No port is named and none is usual.
    #[error("{0:?} names no port: write host:port")]
    NoPort(String),
    /// The port is no number up to 65535 and no service's name.
    #[error("{text:?}: {port:?} is neither a port (0 to 65535) nor a known service of {transport}")]
    BadPort {
        /// What was written.
        text: String,
        /// The port in it.
        port: String,
        /// The transport for which the service was looked up.
        transport: Transport,
    },
    /// An IPv6 address is not in brackets, or a bracket is not closed.
    #[error("{0:?}: an IPv6 address stands in brackets, [::1]:port")]
    Brackets(String),
    /// The zone of a link-local address is no interface of this machine.
    #[error("{text:?}: there is no interface {zone:?}; see `squall lookup --interfaces`")]
    NoInterface {
        /// What was written.
        text: String,
        /// The zone in it.
        zone: String,
    },
    /// A Unix socket cannot have such a name.
    #[error("{text:?}: {reason}")]
    BadPath {
        /// What was written.
        text: String,
        /// What is wrong with the path.
        reason: std::io::Error,
    },
    /// The host's name, which the reason tells, could not be resolved.
    #[error("{source}")]
    Name {
        /// What was written.
        text: String,
        /// Why.
        source: NameError,
    },
    /// The host has no address of the family that was asked for.
    #[error("{text:?} has no IPv{family} address")]
    NoAddress {
        /// What was written.
        text: String,
        /// 4 or 6.
        family: u8,
    },
}

impl UriError {
    /// Whether the same address may work later: a name server did not answer.
    pub fn is_temporary(&self) -> bool {
        matches!(self, UriError::Name { source: NameError::TryAgain { .. }, .. })
    }
}

/// Which IP addresses a name stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpFamily {
    /// Both.
    #[default]
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// Whether an address is of this family.
    pub fn has(self, ip: &IpAddr) -> bool {
        match self {
            IpFamily::Any => true,
            IpFamily::V4 => ip.is_ipv4(),
            IpFamily::V6 => ip.is_ipv6(),
        }
    }
}

impl Uri {
    /// Reads `text`, in which the transport and the port may be left out.
    ///
    /// # Errors
    /// [`UriError`], for what is written wrong.
    pub fn parse(text: &str, usual: Transport, usual_port: Option<u16>) -> Result<Self, UriError> {
        Self::read(text, Some(usual), usual_port)
    }

    /// The address of a socket that is open already.
    pub fn of(transport: Transport, address: Address) -> Self {
        let place = match address {
            Address::Unix(address) => Place::Unix(address),
            Address::Ip(SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
                let zone = interface_name(v6.scope_id()).unwrap_or_else(|_| v6.scope_id().to_string());
                Place::Ip { host: format!("{}%{zone}", v6.ip()), port: v6.port().to_string() }
            }
            Address::Ip(address) => {
                Place::Ip { host: address.ip().to_string(), port: address.port().to_string() }
            }
            other => Place::Ip { host: other.to_string(), port: "0".into() },
        };
        Self { transport, over: None, place }
    }

    /// The transport.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether it is a `coap://` address, for a service that speaks CoAP.
    pub fn is_coap(&self) -> bool {
        self.over == Some(Over::Coap)
    }

    /// Whether it is a `quic://` address, for a service of the secure tier.
    pub fn is_quic(&self) -> bool {
        self.over == Some(Over::Quic)
    }

    /// The same address as `coap://`; as it is where the transport is not UDP.
    pub fn as_coap(self) -> Self {
        self.over(Over::Coap)
    }

    /// The same address as `quic://`; as it is where the transport is not UDP.
    pub fn as_quic(self) -> Self {
        self.over(Over::Quic)
    }

    fn over(self, over: Over) -> Self {
        Self { over: (self.transport == Transport::Udp).then_some(over), ..self }
    }

    /// The path or abstract name, of a Unix socket.
    pub fn unix(&self) -> Option<UnixAddress> {
        match self.place {
            Place::Unix(address) => Some(address),
            Place::Ip { .. } => None,
        }
    }

    /// Whether it stands for every interface.
    pub fn is_wildcard(&self) -> bool {
        match &self.place {
            Place::Ip { host, .. } => {
                host.is_empty() || host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
            }
            Place::Unix(_) => false,
        }
    }

    /// The socket addresses that it stands for, in the order of the resolver; one at least. An empty host
    /// gives the IPv6 wildcard address first, which takes IPv4 too where its socket is dual-stack.
    ///
    /// # Errors
    /// [`UriError`]: names that do not exist or cannot be looked up now, a zone that is no interface.
    pub fn resolve(&self, family: IpFamily) -> Result<Vec<Address>, UriError> {
        let (host, port) = match &self.place {
            Place::Unix(address) => return Ok(vec![Address::Unix(*address)]),
            Place::Ip { host, port } => (host.as_str(), self.port_number(port)?),
        };
        let wanted = |address: &SocketAddr| family.has(&address.ip());
        let all: Vec<SocketAddr> = if host.is_empty() {
            let any: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
            any.map(|ip| SocketAddr::new(ip, port)).to_vec()
        } else if let Some((address, zone)) = host.split_once('%') {
            let no_interface = || UriError::NoInterface { text: self.to_string(), zone: zone.to_owned() };
            let index = match zone.parse() {
                Ok(index) => index,
                Err(_) => interface_index(zone).map_err(|_| no_interface())?,
            };
            let address = address.parse().map_err(|_| UriError::Brackets(self.to_string()))?;
            vec![SocketAddrV6::new(address, port, 0, index).into()]
        } else if let Ok(address) = host.parse::<IpAddr>() {
            vec![SocketAddr::new(address, port)]
        } else {
            let entries = Lookup::new().host(host).kind(self.kind()).resolve();
            let entries = entries.map_err(|source| UriError::Name { text: self.to_string(), source })?;
            let with_port = |mut address: SocketAddr| {
                address.set_port(port);
                address
            };
            entries.into_iter().map(|entry| with_port(entry.address)).collect()
        };
        let found: Vec<Address> = all.into_iter().filter(wanted).map(Address::Ip).collect();
        if found.is_empty() {
            let family = if family == IpFamily::V6 { 6 } else { 4 };
            return Err(UriError::NoAddress { text: self.to_string(), family });
        }
        Ok(found)
    }

    fn kind(&self) -> Kind {
        if self.transport.is_stream() { Kind::Stream } else { Kind::Datagram }
    }

    fn port_number(&self, port: &str) -> Result<u16, UriError> {
        if let Ok(port) = port.parse() {
            return Ok(port);
        }
        let bad =
            || UriError::BadPort { text: self.to_string(), port: port.to_owned(), transport: self.transport };
        names::service_port(port, self.kind()).map_err(|_| bad())
    }

    fn read(text: &str, usual: Option<Transport>, usual_port: Option<u16>) -> Result<Self, UriError> {
        let over = Over::of(text);
        let usual_port = over.map(Over::port).or(usual_port);
        let (transport, rest) = match text.split_once(':') {
            // The root of a server's resources is the server.
            Some((_, rest)) if over.is_some() => match rest[2..].trim_end_matches('/') {
                rest if rest.contains('/') => return Err(UriError::Form(text.to_owned())),
                rest => (Some(Transport::Udp), rest),
            },
            Some((scheme, rest)) if rest.starts_with("//") => (Some(ip_transport(text, scheme)?), &rest[2..]),
            Some(("unix", path)) => return Self::read_unix(text, Transport::Unix, path),
            Some(("unixgram", path)) => return Self::read_unix(text, Transport::Unixgram, path),
            Some(("udp" | "tcp" | "coap" | "quic", _)) => return Err(UriError::Form(text.to_owned())),
            _ => (usual, text),
        };
        let transport = transport.ok_or_else(|| UriError::NoTransport(text.to_owned()))?;
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(|| UriError::Brackets(text.to_owned()))?;
                match port.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if port.is_empty() => (host, None),
                    None => return Err(UriError::Brackets(text.to_owned())),
                }
            }
            // Whatever could be a port is a part of the address.
            None if rest == text && usual_port.is_some() && is_bare_v6(rest) => (rest, None),
            None if rest.matches(':').count() > 1 => return Err(UriError::Brackets(text.to_owned())),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if rest.starts_with('[') && !is_v6(host) {
            return Err(UriError::Brackets(text.to_owned()));
        }
        if host.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
            return Err(UriError::Form(text.to_owned()));
        }
        let port = match port {
            Some(port) if !port.is_empty() => port.to_owned(),
            _ => usual_port.ok_or_else(|| UriError::NoPort(text.to_owned()))?.to_string(),
        };
        let uri = Self { transport, over, place: Place::Ip { host: host.to_owned(), port: port.clone() } };
        // A port that is wrong is told before anything is looked up.
        uri.port_number(&port)?;
        Ok(uri)
    }

    fn read_unix(text: &str, transport: Transport, path: &str) -> Result<Self, UriError> {
        let address = match path.strip_prefix('@') {
            Some(name) => UnixAddress::from_abstract(name),
            None => UnixAddress::from_path(path),
        };
        match address {
            Ok(address) => Ok(Self { transport, over: None, place: Place::Unix(address) }),
            Err(reason) => Err(UriError::BadPath { text: text.to_owned(), reason }),
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::read(text, None, None)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Ip { host, port } => {
                let scheme = self.over.map_or(self.transport.name(), Over::name);
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}:{port}")
            }
            Place::Unix(address) => write!(f, "{}:{address}", self.transport),
        }
    }
}

/// Whether it is an IPv6 address, with a zone or without.
fn is_v6(host: &str) -> bool {
    host.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Whether it is one that cannot be read as one with a port behind it: no interface's name has a colon here.
fn is_bare_v6(text: &str) -> bool {
    is_v6(text) && text.split_once('%').is_none_or(|(_, zone)| !zone.contains(':'))
}

fn ip_transport(text: &str, scheme: &str) -> Result<Transport, UriError> {
    match scheme {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        _ => Err(UriError::UnknownTransport { text: text.to_owned(), scheme: scheme.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Vec<String> {
        let uri: Uri = text.parse().unwrap();
        uri.resolve(IpFamily::Any).unwrap().iter().map(Address::to_string).collect()
    }

    #[test]
    fn every_form_survives_reading_and_writing() {
        for text in [
            "udp://127.0.0.1:20000",
            "tcp://[::1]:21567",
            "udp://[fe80::1%lo]:9",
            "udp://:9000",
            "coap://[::1]:5683",
            "quic://localhost:4433",
            "unix:/tmp/a b.sock",
            "unixgram:@name",
        ] {
            assert_eq!(text.parse::<Uri>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_coap_address_is_udp_with_a_port_of_its_own() {
        for (text, again) in [
            ("coap://localhost", "coap://localhost:5683"),
            ("coap://[::1]/", "coap://[::1]:5683"),
            ("coap://127.0.0.1:7", "coap://127.0.0.1:7"),
            ("coap://", "coap://:5683"),
        ] {
            let uri: Uri = text.parse().unwrap();
            assert_eq!(
                (uri.to_string().as_str(), uri.transport(), uri.is_coap()),
                (again, Transport::Udp, true)
            );
        }
        assert!("coap:localhost".parse::<Uri>().is_err());
        assert!("coap://localhost/time".parse::<Uri>().is_err(), "a resource is no address");
        assert!(!"udp://:5683".parse::<Uri>().unwrap().is_coap());
        let quic: Uri = "quic://localhost".parse().unwrap();
        assert_eq!(
            (quic.to_string().as_str(), quic.is_quic(), quic.is_coap()),
            ("quic://localhost:4433", true, false)
        );
    }

    #[test]
    fn addresses_resolve_to_themselves_and_an_empty_host_to_every_interface() {
        assert_eq!(resolved("udp://127.0.0.1:20000"), ["127.0.0.1:20000"]);
        assert_eq!(resolved("udp://[::1]:1"), ["[::1]:1"]);
        assert_eq!(resolved("udp://:9000"), ["[::]:9000", "0.0.0.0:9000"]);
        assert_eq!(resolved("unix:/tmp/x"), ["/tmp/x"]);
        assert!("udp://:9000".parse::<Uri>().unwrap().is_wildcard());
    }

    #[test]
    fn an_ipv6_address_alone_needs_no_brackets_where_the_port_is_known() {
        let read = |text| Uri::parse(text, Transport::Udp, Some(1060));
        for (text, uri) in [
            ("::1", "udp://[::1]:1060"),
            ("fe80::1%lo", "udp://[fe80::1%lo]:1060"),
            ("::1:80", "udp://[::1:80]:1060"),
            ("::ffff:192.0.2.1", "udp://[::ffff:192.0.2.1]:1060"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), uri);
            assert!(matches!(Uri::parse(text, Transport::Udp, None), Err(UriError::Brackets(_))), "{text}");
        }
        for text in ["::1:20000", "udp://::1", "1:2:3", "::1]:5", "fe80::1%lo:5"] {
            assert!(matches!(read(text), Err(UriError::Brackets(_))), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("localhost:1", "no transport"),
            ("http://localhost:1", "\"http\" is no transport"),
            ("udp://localhost", "names no port"),
            ("udp://localhost:70000", "\"70000\" is neither a port"),
            ("udp://localhost:no-such-service", "neither a port"),
            ("udp:localhost:5", "is no address: write host:port, udp://"),
            ("udp://a/b:5", "is no address"),
            ("udp://a b:5", "is no address"),
            ("udp://::1:5", "brackets"),
            ("udp://[::1:5", "brackets"),
            ("udp://[localhost]:5", "brackets"),
            ("unix:", "not a path"),
        ] {
            let error = text.parse::<Uri>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let error = "udp://[fe80::1%no-such]:1".parse::<Uri>().unwrap().resolve(IpFamily::Any).unwrap_err();
        assert!(error.to_string().contains("no interface \"no-such\""), "{error}");
        let error = "udp://a..b:1".parse::<Uri>().unwrap().resolve(IpFamily::Any).unwrap_err();
        assert_eq!(error.to_string(), "no such name: host \"a..b\"");
        let error = "udp://127.0.0.1:1".parse::<Uri>().unwrap().resolve(IpFamily::V6).unwrap_err();
        assert!(error.to_string().contains("no IPv6 address"), "{error}");
    }
}
