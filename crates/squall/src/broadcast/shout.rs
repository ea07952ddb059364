//! Sending to many.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::time::Duration;

use squall_socket::errno::{EACCES, EMSGSIZE, ENETUNREACH, ENODEV, EPERM};
use squall_socket::{Family, InterfaceError, Kind as SocketKind, Socket, Waker, display_address, interfaces};

use super::ear::{Ear, Heard, Waited, deadline};
use super::ways::{Obstacle, Way, ways};

/// How to send to many.
#[derive(Clone, Debug)]
pub struct Shout {
    interfaces: Vec<String>,
    hops: u8,
    broadcast: bool,
}

impl Default for Shout {
    fn default() -> Self {
        Self { interfaces: Vec::new(), hops: 1, broadcast: true }
    }
}

impl Shout {
    /// By all interfaces that are up and can, one hop far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends by this interface and by others that are named so, instead of by all. Loopback is used only
    /// where it is named.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interfaces.push(name.into());
        self
    }

    /// How many routers a multicast datagram may pass, 0 to 255: 0 stays on this machine, 1, the default,
    /// on the networks that it is on.
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// Whether the sockets ask for the permission to broadcast (`SO_BROADCAST`); they do by default. Without
    /// it a broadcast address is [`ShoutError::NoPermission`], also one that was not known to be one.
    pub fn broadcast(mut self, allowed: bool) -> Self {
        self.broadcast = allowed;
        self
    }

    /// Ready to send; sockets are opened as their families are needed.
    pub fn open(self) -> Shouter {
        Shouter { config: self, sockets: Vec::new(), families: Vec::new(), ear: None }
    }
}

/// Why a datagram for many was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShoutError {
    /// An interface that was named is not there.
    #[error("there is no interface {0:?}; see `squall lookup --interfaces`")]
    NoInterface(String),
    /// An interface that was named is switched off.
    #[error("interface {0} is down")]
    Down(String),
    /// An interface that was named has no address of the family.
    #[error("interface {interface} has no IPv{family} address to send from")]
    NoAddress {
        /// The interface.
        interface: String,
        /// 4 or 6.
        family: u8,
    },
    /// No interface can carry it.
    #[error(
        "cannot send to {to}: no interface but loopback is up, has an IPv{family} address and can {what}; name one to use it all the same"
    )]
    Nowhere {
        /// To whom.
        to: String,
        /// 4 or 6.
        family: u8,
        /// `broadcast` or `multicast`.
        what: &'static str,
    },
    /// The interfaces cannot be listed.
    #[error(transparent)]
    Interfaces(#[from] InterfaceError),
    /// It is a broadcast address, and the socket has no permission to broadcast.
    #[error(
        "cannot send to {to}{by}: it is a broadcast address, and the socket has no permission to broadcast (SO_BROADCAST)"
    )]
    NoPermission {
        /// To whom.
        to: String,
        /// ` by eth0`, or empty.
        by: String,
    },
    /// The machine's own firewall forbids it.
    #[error("cannot send to {to}{by}: a firewall or a route of this machine, or a sandbox, forbids it")]
    Forbidden {
        /// To whom.
        to: String,
        /// ` by eth0`, or empty.
        by: String,
    },
    /// The datagram is too long.
    #[error(
        "cannot send {len} bytes to {to}{by}: that is more than one datagram carries there (65,507 bytes over IPv4)"
    )]
    TooLong {
        /// To whom.
        to: String,
        /// ` by eth0`, or empty.
        by: String,
        /// Its length in bytes.
        len: usize,
    },
    /// No route leads there.
    #[error("cannot send to {to}{by}: no route leads there; an interface that is named needs none")]
    NoRoute {
        /// To whom.
        to: String,
        /// ` by eth0`, or empty.
        by: String,
    },
    /// The system refused for another reason.
    #[error("cannot send to {to}{by}: {source}")]
    System {
        /// To whom.
        to: String,
        /// ` by eth0`, or empty.
        by: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl ShoutError {
    /// Whether what the caller asked for cannot be, rather than the system refusing it.
    pub fn is_usage(&self) -> bool {
        matches!(self, ShoutError::NoInterface(_) | ShoutError::TooLong { .. })
    }
}

/// One sending of a datagram.
#[derive(Debug)]
#[non_exhaustive]
pub struct Sent {
    /// To whom.
    pub to: SocketAddr,
    /// The interface that it left by; `None` when the routes chose.
    pub interface: Option<String>,
    /// The address of this host that it came from; `None` when the kernel chose.
    pub source: Option<IpAddr>,
    /// Whether it left.
    pub result: Result<(), ShoutError>,
}

/// Sends to many, and hears what they answer.
#[derive(Debug)]
pub struct Shouter {
    config: Shout,
    sockets: Vec<Socket>,
    /// That of each of `sockets`.
    families: Vec<Family>,
    ear: Option<Ear>,
}

impl Shouter {
    /// Sends `payload` to `to` by each interface in question, and tells of each how that went. To the
    /// limited broadcast address, 255.255.255.255, and to a multicast group these are all that can, or the
    /// zone's; to the broadcast address of a network of this machine those that are on it; to every other
    /// address the one that the routes say. One result at least.
    ///
    /// # Errors
    /// [`Interfaces`](ShoutError::Interfaces), [`Nowhere`](ShoutError::Nowhere), or that a socket cannot be
    /// opened.
    pub fn send(&mut self, to: SocketAddr, payload: &[u8]) -> Result<Vec<Sent>, ShoutError> {
        let all = interfaces()?;
        let ways = ways(to, &all, &self.config.interfaces);
        let family = if to.is_ipv4() { 4 } else { 6 };
        if ways.is_empty() {
            let what = if to.ip().is_multicast() { "multicast" } else { "broadcast" };
            return Err(ShoutError::Nowhere { to: display_address(&to), family, what });
        }
        let socket = self.socket(Family::of(&to.ip())).map_err(|source| ShoutError::System {
            to: display_address(&to),
            by: String::new(),
            source,
        })?;
        let send = |way: Result<Way, (String, Obstacle)>| match way {
            Ok(way) => {
                let name = way.interface.as_ref().map(|(name, _)| name.clone());
                let sent = self.sockets[socket].send_by(payload, to, way.source, way.index());
                let permitted = to.is_ipv6() || self.config.broadcast;
                let explain = |error| explain(error, to, name.as_deref(), payload, permitted);
                let result = sent.map(drop).map_err(explain);
                Sent { to, interface: name, source: way.source, result }
            }
            Err((interface, obstacle)) => {
                let name = interface.clone();
                let error = obstacle.of(interface, family);
                Sent { to, interface: Some(name), source: None, result: Err(error) }
            }
        };
        Ok(ways.into_iter().map(send).collect())
    }

    /// Gives the answers that come to `each`, until that breaks off (the next call goes on behind it), `wait` is over (`None`: never) or the
    /// [`waker`](Self::waker) is called. What comes before the call waits in the kernel.
    ///
    /// # Errors
    /// The system's.
    pub fn receive(
        &mut self,
        wait: Option<Duration>,
        each: impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) -> io::Result<Waited> {
        let until = deadline(wait);
        let sockets = &self.sockets;
        let ear = match &mut self.ear {
            Some(ear) => ear,
            none => none.insert(Ear::new(1)?),
        };
        Ok(ear.hear(sockets, until, each)?.unwrap_or(Waited::Elapsed))
    }

    /// Ends [`receive`](Self::receive) from another thread.
    ///
    /// # Errors
    /// The system's.
    pub fn waker(&mut self) -> io::Result<Waker> {
        self.ear().map(|ear| ear.waker())
    }

    fn ear(&mut self) -> io::Result<&mut Ear> {
        match &mut self.ear {
            Some(ear) => Ok(ear),
            none => Ok(none.insert(Ear::new(1)?)),
        }
    }

    /// The place of the family's socket, which is opened when it is first needed.
    fn socket(&mut self, family: Family) -> io::Result<usize> {
        if let Some(place) = self.families.iter().position(|known| *known == family) {
            return Ok(place);
        }
        let socket = Socket::open(family, SocketKind::Datagram)?;
        let any: IpAddr = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            _ => {
                socket.set_only_v6(true)?;
                std::net::Ipv6Addr::UNSPECIFIED.into()
            }
        };
        if family == Family::V4 && self.config.broadcast {
            socket.set_broadcast(true)?;
        }
        socket.set_multicast_hops(self.config.hops)?;
        // One port for all sendings, so that every answer finds back.
        socket.bind(SocketAddr::new(any, 0))?;
        Ear::prepare(&socket)?;
        let place = self.sockets.len();
        self.ear()?.poller().add(&socket, place)?;
        self.sockets.push(socket);
        self.families.push(family);
        Ok(place)
    }
}

/// What a refusal of the system means to whoever sends to many. `permitted` says that the socket may broadcast, or
/// that there is no broadcast: permission can then not be what it lacks, but a route can prohibit it.
pub(crate) fn explain(
    error: io::Error,
    to: SocketAddr,
    interface: Option<&str>,
    payload: &[u8],
    permitted: bool,
) -> ShoutError {
    let by = interface.map_or_else(String::new, |name| format!(" by {name}"));
    let to = display_address(&to);
    match error.raw_os_error() {
        Some(EACCES) if !permitted => ShoutError::NoPermission { to, by },
        Some(EACCES | EPERM) => ShoutError::Forbidden { to, by },
        Some(EMSGSIZE) => ShoutError::TooLong { to, by, len: payload.len() },
        Some(ENETUNREACH) if interface.is_none() => ShoutError::NoRoute { to, by },
        Some(ENODEV) => ShoutError::NoInterface(interface.unwrap_or_default().to_owned()),
        _ => ShoutError::System { to, by, source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_put_down_to_a_lack_of_permission_only_where_there_is_one() {
        let told = |errno, to: &str, permitted| {
            let error = io::Error::from_raw_os_error(errno);
            explain(error, to.parse().unwrap(), Some("lan0"), b"x", permitted).to_string()
        };
        assert!(told(EACCES, "192.0.2.255:9", false).contains("(SO_BROADCAST)"));
        // A route of the type `prohibit` says the same.
        for (errno, to) in [(EACCES, "192.0.2.255:9"), (EACCES, "[ff02::1]:9"), (EPERM, "192.0.2.255:9")] {
            let told = told(errno, to, true);
            assert!(told.contains("forbids it") && told.contains("by lan0"), "{told}");
        }
    }
}
