//! Opening the sockets of a server.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use squall_proto::Transport;
use squall_socket::errno::EADDRINUSE;
use squall_socket::unix::{self, PathError, SocketFile};
use squall_socket::{Address, Family, Kind, Socket};

use super::service::{Application, Listen};
use super::{Config, Service};
use crate::engine::Offload;
use crate::uri::{IpFamily, Uri, UriError};

/// Why a server could not open its sockets. None stays open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address is written wrong or cannot be resolved.
    #[error("service {service}: {source}")]
    Address {
        /// The service.
        service: String,
        /// What is wrong.
        source: UriError,
    },
    /// A service has no address, or there is no service.
    #[error("{0} has no address to listen on")]
    Nowhere(String),
    /// The service cannot be had on such a transport.
    #[error("service {service} cannot listen on {uri}: {reason}")]
    Transport {
        /// The service.
        service: String,
        /// The address.
        uri: String,
        /// Why.
        reason: &'static str,
    },
    /// Another socket has the port or name.
    #[error(
        "cannot listen on {uri} for {service}: another program has it; stop that program or choose another address"
    )]
    InUse {
        /// The service.
        service: String,
        /// The address.
        uri: String,
    },
    /// The system allows this port to privileged programs only.
    #[error(
        "cannot listen on {uri} for {service}: no permission for a port below 1024; choose a higher one or grant CAP_NET_BIND_SERVICE"
    )]
    Permission {
        /// The service.
        service: String,
        /// The address.
        uri: String,
    },
    /// No interface of this machine has the address.
    #[error(
        "cannot listen on {uri} for {service}: this machine has no such address; see `squall lookup --interfaces`"
    )]
    NotHere {
        /// The service.
        service: String,
        /// The address.
        uri: String,
    },
    /// This machine lacks the address family.
    #[error(
        "cannot listen on {uri} for {service}: this machine has no {family}; use an address of another family"
    )]
    NoFamily {
        /// The service.
        service: String,
        /// The address.
        uri: String,
        /// The family's name.
        family: &'static str,
    },
    /// The path of a Unix socket cannot be had.
    #[error("cannot listen on {uri} for {service}: {source}")]
    Path {
        /// The service.
        service: String,
        /// The address.
        uri: String,
        /// Why.
        source: PathError,
    },
    /// The system refused for another reason.
    #[error("cannot listen on {uri} for {service}: {source}")]
    System {
        /// The service.
        service: String,
        /// The address.
        uri: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A thread, process or poller could not be made.
    #[error("cannot start the server: {0}")]
    Start(#[source] io::Error),
}

impl BindError {
    /// Whether the caller asked for something that cannot be, rather than the system refusing it.
    pub fn is_usage(&self) -> bool {
        match self {
            BindError::Address { source, .. } => !source.is_temporary(),
            BindError::Nowhere(_) | BindError::Transport { .. } => true,
            _ => false,
        }
    }

    /// Whether the same may work later: a name server did not answer.
    pub fn is_temporary(&self) -> bool {
        matches!(self, BindError::Address { source, .. } if source.is_temporary())
    }

    fn is_absence(&self) -> bool {
        matches!(self, BindError::NotHere { .. } | BindError::NoFamily { .. })
    }
}

/// The sockets of one address of a service.
pub(crate) struct Bound {
    /// The service's index.
    pub(crate) service: usize,
    pub(crate) transport: Transport,
    /// Whether it is shown as `coap://`.
    pub(crate) coap: bool,
    /// Where it is bound, with the port that the kernel chose.
    pub(crate) address: Address,
    pub(crate) wildcard: bool,
    /// One for each shard; one alone where the transport or the service cannot be sharded.
    pub(crate) sockets: Vec<Arc<Socket>>,
    /// The receive buffer that the kernel gave, in bytes.
    pub(crate) receive_buffer: Option<usize>,
    /// Removes the socket file at the end.
    pub(crate) _file: Option<SocketFile>,
}

impl Bound {
    pub(crate) fn uri(&self) -> Uri {
        let uri = Uri::of(self.transport, self.address);
        if self.coap { uri.as_coap() } else { uri }
    }

    pub(crate) fn v6(&self) -> bool {
        self.address.ip().is_some_and(|address| address.is_ipv6())
    }
}

/// Opens the sockets of `services`, those of datagrams once for each of `shards`, and tells which
/// optional addresses this machine lacks.
pub(crate) fn bind_all(
    services: &[Service],
    config: &Config,
    shards: usize,
) -> Result<(Vec<Bound>, Vec<BindError>), BindError> {
    let mut all = Vec::new();
    let mut absent = Vec::new();
    if services.is_empty() && !config.may_be_empty {
        return Err(BindError::Nowhere("a server without services".into()));
    }
    let v4_wildcards: Vec<(Transport, Address)> = services
        .iter()
        .flat_map(|service| &service.listen)
        .filter(|listen| listen.uri.is_wildcard())
        .filter_map(|listen| Some((listen.uri.transport(), v4_wildcard(&listen.uri)?)))
        .collect();
    for (index, service) in services.iter().enumerate() {
        if service.listen.is_empty() {
            return Err(BindError::Nowhere(format!("service {}", service.name)));
        }
        for Listen { uri, optional } in &service.listen {
            let shards = if service.has_one_owner() { 1 } else { shards };
            let name = service.name.as_str();
            let binder = Binder { name, index, uri, config, shards, v4_wildcards: &v4_wildcards };
            match service.check(uri).and_then(|()| binder.bind()) {
                Ok(bound) => all.extend(bound),
                Err(error) if *optional && error.is_absence() => absent.push(error),
                Err(error) => return Err(error),
            }
        }
    }
    Ok((all, absent))
}

/// The IPv4 wildcard address that `uri` asks for by itself.
fn v4_wildcard(uri: &Uri) -> Option<Address> {
    let addresses = uri.resolve(IpFamily::Any).ok()?;
    let [address] = addresses[..] else { return None };
    address.ip().filter(|address| address.is_ipv4()).map(Address::Ip)
}

/// Opens the datagram sockets of the one address `uri`, for something called `name`.
pub(crate) fn bind_datagrams(name: &str, uri: &Uri, config: &Config) -> Result<Vec<Bound>, BindError> {
    if uri.transport().is_stream() {
        let (service, uri) = (name.to_owned(), uri.to_string());
        return Err(BindError::Transport { service, uri, reason: "sessions need udp or unixgram" });
    }
    Binder { name, index: 0, uri, config, shards: 1, v4_wildcards: &[] }.bind()
}

impl Service {
    /// Whether the service can be had on the transport of `uri`.
    fn check(&self, uri: &Uri) -> Result<(), BindError> {
        let stream = uri.transport().is_stream();
        let reason = match &self.app {
            Application::Conversation(_) if !stream => "a conversation needs tcp or unix",
            Application::Protocols(_) if stream => "a protocol for each shard needs udp or unixgram",
            _ => return Ok(()),
        };
        Err(BindError::Transport { service: self.name.clone(), uri: uri.to_string(), reason })
    }
}

pub(super) struct Binder<'a> {
    pub(super) name: &'a str,
    pub(super) index: usize,
    pub(super) uri: &'a Uri,
    pub(super) config: &'a Config,
    pub(super) shards: usize,
    pub(super) v4_wildcards: &'a [(Transport, Address)],
}

impl Binder<'_> {
    pub(super) fn bind(&self) -> Result<Vec<Bound>, BindError> {
        let service = || self.name.to_owned();
        let addresses = self
            .uri
            .resolve(IpFamily::Any)
            .map_err(|source| BindError::Address { service: service(), source })?;
        if self.uri.is_wildcard() && addresses.len() > 1 {
            // Every interface: one socket for both families, or IPv4 alone where IPv6 is missing.
            let bound = match self.bind_one(addresses[0]) {
                Err(error) if error.is_absence() => self.bind_one(addresses[1]),
                result => result,
            };
            return Ok(vec![bound?]);
        }
        // A name can stand for addresses that this machine lacks; one must be there.
        let mut all = Vec::new();
        let mut absence = None;
        for address in addresses {
            match self.bind_one(address) {
                Ok(bound) => all.push(bound),
                Err(error) if error.is_absence() => absence = Some(error),
                Err(error) => return Err(error),
            }
        }
        match absence {
            Some(error) if all.is_empty() => Err(error),
            _ => Ok(all),
        }
    }

    fn bind_one(&self, address: Address) -> Result<Bound, BindError> {
        let transport = self.uri.transport();
        let kind = if transport.is_stream() { Kind::Stream } else { Kind::Datagram };
        let mut bound = match address {
            Address::Unix(name) => {
                let (socket, file) = match name.as_path() {
                    Some(path) => {
                        let (socket, file) =
                            unix::bind(path, kind).map_err(|error| self.path_error(error))?;
                        (socket, Some(file))
                    }
                    None => (self.open(Family::Unix, kind, address, |_| Ok(()))?, None),
                };
                self.bound(address, vec![socket], file)
            }
            Address::Ip(ip) if transport == Transport::Tcp => {
                let family = Family::of(&ip.ip());
                let socket = self.open(family, kind, address, |socket| {
                    // Connections of the last run may linger in TIME_WAIT. Two that listen still collide.
                    socket.set_reuse_address(true)?;
                    self.set_dual_stack(socket, ip)
                })?;
                self.bound(address, vec![socket], None)
            }
            Address::Ip(ip) => self.bind_udp(ip)?,
            other => {
                let (service, uri) = (self.name.to_owned(), other.to_string());
                return Err(BindError::Transport { service, uri, reason: "servers use IP and Unix sockets" });
            }
        };
        if transport.is_stream() {
            for socket in &bound.sockets {
                socket.listen(self.config.stream_limits.backlog).map_err(|error| self.error(error))?;
            }
        } else {
            for socket in &bound.sockets {
                // The kernel's default of 208 KiB is a few hundred datagrams.
                let given = socket.set_receive_buffer(self.config.receive_buffer);
                bound.receive_buffer = given.ok().or(bound.receive_buffer);
            }
        }
        bound.address = bound.sockets[0].local_address().map_err(|error| self.error(error))?;
        Ok(bound)
    }

    fn bound(&self, address: Address, sockets: Vec<Socket>, file: Option<SocketFile>) -> Bound {
        Bound {
            service: self.index,
            transport: self.uri.transport(),
            coap: self.uri.is_coap(),
            address,
            wildcard: address.ip().is_some_and(|ip| ip.ip().is_unspecified()),
            sockets: sockets.into_iter().map(Arc::new).collect(),
            receive_buffer: None,
            _file: file,
        }
    }

    /// A group of sockets, one for each shard. The first is bound as the only one, so that a port that
    /// another program holds is an error, even if that program shares it (`SO_REUSEPORT`).
    fn bind_udp(&self, ip: SocketAddr) -> Result<Bound, BindError> {
        let wildcard = ip.ip().is_unspecified();
        let family = Family::of(&ip.ip());
        let prepare = |socket: &Socket| {
            self.set_dual_stack(socket, ip)?;
            if wildcard && let Err(error) = socket.set_receive_packet_info(true) {
                // Without it replies leave from the address that the kernel prefers.
                if error.kind() != io::ErrorKind::Unsupported {
                    return Err(error);
                }
            }
            // With a limit on requests each must come by itself, as it could be the last.
            if self.config.gro != Offload::Off && self.config.limit.is_none() {
                // Not every kernel has it; datagrams then come one by one.
                let _ = socket.set_receive_offload(true);
            }
            if self.config.icmp_errors {
                let _ = socket.set_receive_errors(true);
            }
            Ok(())
        };
        let first = self.open(family, Kind::Datagram, ip.into(), prepare)?;
        let address = first.local_address().map_err(|error| self.error(error))?;
        let mut sockets = vec![first];
        if self.shards > 1 {
            sockets[0].set_reuse_port(true).map_err(|error| self.error(error))?;
        }
        while sockets.len() < self.shards {
            sockets.push(self.open(family, Kind::Datagram, address, |socket| {
                socket.set_reuse_port(true)?;
                prepare(socket)
            })?);
        }
        Ok(self.bound(address, sockets, None))
    }

    /// `[::]` takes IPv4 too, unless that has a socket of its own in this server.
    fn set_dual_stack(&self, socket: &Socket, ip: SocketAddr) -> io::Result<()> {
        match ip.ip() {
            IpAddr::V6(v6) if v6.is_unspecified() => {
                let v4 = Address::Ip(SocketAddr::new(IpAddr::from([0, 0, 0, 0]), ip.port()));
                let apart = self.v4_wildcards.contains(&(self.uri.transport(), v4));
                socket.set_only_v6(apart)
            }
            IpAddr::V6(_) => socket.set_only_v6(true),
            IpAddr::V4(_) => Ok(()),
        }
    }

    fn open(
        &self,
        family: Family,
        kind: Kind,
        address: Address,
        prepare: impl Fn(&Socket) -> io::Result<()>,
    ) -> Result<Socket, BindError> {
        let open = || {
            let socket = Socket::open(family, kind)?;
            prepare(&socket)?;
            socket.bind(address)?;
            Ok(socket)
        };
        open().map_err(|error: io::Error| match (error.kind(), address) {
            (io::ErrorKind::Unsupported, Address::Ip(ip)) => BindError::NoFamily {
                service: self.name.to_owned(),
                uri: self.uri.to_string(),
                family: if ip.is_ipv4() { "IPv4" } else { "IPv6" },
            },
            _ => self.error(error),
        })
    }

    fn path_error(&self, source: PathError) -> BindError {
        BindError::Path { service: self.name.to_owned(), uri: self.uri.to_string(), source }
    }

    fn error(&self, source: io::Error) -> BindError {
        let (service, uri) = (self.name.to_owned(), self.uri.to_string());
        match source.kind() {
            _ if source.raw_os_error() == Some(EADDRINUSE) => BindError::InUse { service, uri },
            io::ErrorKind::PermissionDenied => BindError::Permission { service, uri },
            io::ErrorKind::AddrNotAvailable => BindError::NotHere { service, uri },
            _ => BindError::System { service, uri, source },
        }
    }
}
