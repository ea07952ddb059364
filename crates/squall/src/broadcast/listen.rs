//! Hearing what is sent to many.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use squall_socket::errno::{EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT};
use squall_socket::{
    Family, Interface, InterfaceChanges, InterfaceError, Kind as SocketKind, PortHolder, Socket, Waker,
    display_address, interfaces, udp_port_holders,
};

use super::ear::{Ear, Heard, Waited, deadline};
use super::ways::{can_multicast, has_family};

/// What to listen to.
#[derive(Clone, Debug)]
pub struct Listen {
    port: u16,
    addresses: Vec<SocketAddr>,
    groups: Vec<(IpAddr, Option<u32>)>,
    interfaces: Vec<String>,
    receive_buffer: usize,
}

impl Listen {
    /// Everything that comes to UDP port `port`, on every interface, IPv4 and IPv6; 0 lets the kernel choose
    /// a port.
    ///
    /// Other programs may listen on the same port if they share it too (`SO_REUSEADDR`, as is usual for
    /// it): each gets every broadcast and multicast, while a datagram for this host alone goes to one of
    /// them.
    pub fn on_port(port: u16) -> Self {
        let receive_buffer = 4 * 1024 * 1024;
        Self { port, addresses: Vec::new(), groups: Vec::new(), interfaces: Vec::new(), receive_buffer }
    }

    /// Only what is sent to `address`, and to others that are added so. A broadcast is sent to another
    /// address than a host's own: 255.255.255.255 or that of a network, which can be named here too. The
    /// address has a port of its own.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Also what is sent to this multicast group: on the interface of number `zone`, or else on those that
    /// are named, or else on all that can but loopback, those too that come later.
    pub fn group(mut self, group: IpAddr, zone: Option<u32>) -> Self {
        self.groups.push((group, zone));
        self
    }

    /// Only what comes by this interface, and by others that are named so.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interfaces.push(name.into());
        self
    }

    /// Asks the kernel for this much room for what is not read yet, in bytes; 4 MiB by default, which it cuts
    /// to its limit (`net.core.rmem_max`).
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = bytes;
        self
    }

    /// Opens the sockets and joins the groups.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn open(self) -> Result<Listener, ListenError> {
        Listener::open(self)
    }
}

/// Why listening cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// An interface that was named is not there.
    #[error("there is no interface {0:?}; see `squall lookup --interfaces`")]
    NoInterface(String),
    /// Another program has the port and does not share it.
    #[error("cannot listen on {address}: another program has port {} and does not share it", address.port())]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The sockets that are bound to the port, as far as the system tells.
        holders: Vec<PortHolder>,
    },
    /// The address is none of this machine's.
    #[error("cannot listen on {}: this machine has no such address; see `squall lookup --interfaces`", display_address(.0))]
    NotHere(SocketAddr),
    /// The system allows this port to privileged programs only.
    #[error("cannot listen on {}: no permission for a port below 1024; choose a higher one or grant CAP_NET_BIND_SERVICE", display_address(.0))]
    Permission(SocketAddr),
    /// The group is no multicast address.
    #[error("{0} is no multicast group: those are 224.0.0.0 to 239.255.255.255, and ff00::/8")]
    NoGroup(IpAddr),
    /// There is no socket of the group's family among those that were asked for.
    #[error("cannot join {0}: nothing is listened to that is of its family")]
    OtherFamily(IpAddr),
    /// A group cannot be joined on an interface that was named.
    #[error("cannot join {group} on {interface}: {source}")]
    Join {
        /// The group.
        group: IpAddr,
        /// The interface.
        interface: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The interfaces cannot be listed.
    #[error(transparent)]
    Interfaces(#[from] InterfaceError),
    /// The system refused for another reason.
    #[error("cannot listen on {}: {source}", display_address(address))]
    System {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// What the sockets are waited for with cannot be had.
    #[error("cannot listen: {0}")]
    Start(#[source] io::Error),
}

impl ListenError {
    /// Whether what the caller asked for cannot be, rather than the system refusing it.
    pub fn is_usage(&self) -> bool {
        use ListenError::{NoGroup, NoInterface, OtherFamily};
        matches!(self, NoInterface(_) | NoGroup(_) | OtherFamily(_))
    }
}

/// A group that is heard on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: IpAddr,
    /// The interface's name.
    pub interface: String,
    /// Its number.
    pub index: u32,
}

/// What a listener does without.
#[derive(Debug)]
#[non_exhaustive]
pub enum Absent {
    /// This machine lacks a family; nothing of it is heard.
    Family(SocketAddr),
    /// The group could not be joined on an interface that nobody named.
    Group {
        /// The group, and where.
        membership: Membership,
        /// The system's reason.
        source: io::Error,
    },
}

/// Hears what is sent to many, and to this host.
#[derive(Debug)]
pub struct Listener {
    config: Listen,
    ear: Ear,
    sockets: Vec<Socket>,
    addresses: Vec<SocketAddr>,
    memberships: Vec<Membership>,
    absent: Vec<Absent>,
    /// The numbers of the interfaces that were named; empty for all.
    only: Vec<u32>,
    watch: Option<InterfaceChanges>,
    passed_over: u64,
}

impl Listener {
    fn open(config: Listen) -> Result<Self, ListenError> {
        let all = interfaces()?;
        if let Some(missing) =
            config.interfaces.iter().find(|name| !all.iter().any(|known| known.name == **name))
        {
            return Err(ListenError::NoInterface(missing.clone()));
        }
        if let Some((group, _)) = config.groups.iter().find(|(group, _)| !group.is_multicast()) {
            return Err(ListenError::NoGroup(*group));
        }
        let mut ear = Ear::new(BATCH).map_err(ListenError::Start)?;
        let mut absent = Vec::new();
        let bound = bind(&config, &mut absent)?;
        let mut listener = Self {
            only: numbers(&config.interfaces, &all),
            sockets: Vec::new(),
            addresses: Vec::new(),
            memberships: Vec::new(),
            absent,
            watch: InterfaceChanges::watch().ok(),
            passed_over: 0,
            ear: {
                for (token, (socket, _)) in bound.iter().enumerate() {
                    ear.poller().add(socket, token).map_err(ListenError::Start)?;
                }
                ear
            },
            config,
        };
        for (socket, address) in bound {
            listener.sockets.push(socket);
            listener.addresses.push(address);
        }
        if let Some(watch) = &listener.watch {
            listener.ear.poller().add(watch, WATCH).map_err(ListenError::Start)?;
        }
        for (group, _) in &listener.config.groups {
            if !listener.addresses.iter().any(|address| address.is_ipv4() == group.is_ipv4()) {
                return Err(ListenError::OtherFamily(*group));
            }
        }
        listener.join(&all, true)?;
        Ok(listener)
    }

    /// The port, which the kernel chose if none was named.
    pub fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }

    /// What the sockets are bound to.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The groups that are heard now, by interface.
    pub fn memberships(&self) -> &[Membership] {
        &self.memberships
    }

    /// The groups that were asked for.
    pub fn groups(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.config.groups.iter().map(|(group, _)| *group)
    }

    /// What this machine lacks.
    pub fn absent(&self) -> &[Absent] {
        &self.absent
    }

    /// Datagrams that came by other interfaces than those that were named, and were passed over.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Datagrams that the kernel dropped because they were not read in time; 0 where it does not tell.
    pub fn dropped(&self) -> u64 {
        let drops = |socket: &Socket| socket.memory().map_or(0, |memory| u64::from(memory.drops));
        self.sockets.iter().map(drops).sum()
    }

    /// Something that ends [`receive`](Self::receive) from another thread.
    pub fn waker(&self) -> Waker {
        self.ear.waker()
    }

    /// Gives what comes to `each`, until that breaks off (up to 15 datagrams behind it are then lost), `wait` is over (`None`: never) or the
    /// [`waker`](Self::waker) is called. Meanwhile groups are joined on interfaces that come.
    ///
    /// # Errors
    /// The system's.
    pub fn receive(
        &mut self,
        wait: Option<Duration>,
        mut each: impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) -> io::Result<Waited> {
        let until = deadline(wait);
        loop {
            // Where nothing tells of interfaces that come, they are looked for now and then.
            let look = if self.watch.is_none() { Instant::now().checked_add(LOOK_AGAIN) } else { None };
            let next = [until, look].into_iter().flatten().min();
            let (only, passed_over) = (&self.only, &mut self.passed_over);
            let each = |heard: Heard<'_>| {
                if !only.is_empty() && heard.interface != 0 && !only.contains(&heard.interface) {
                    *passed_over += 1;
                    return ControlFlow::Continue(());
                }
                each(heard)
            };
            let waited = self.ear.hear(&self.sockets, next, each)?;
            match waited {
                Some(Waited::Elapsed) if until.is_some_and(|until| until <= Instant::now()) => {
                    return Ok(Waited::Elapsed);
                }
                Some(waited @ (Waited::Woken | Waited::Enough)) => return Ok(waited),
                Some(Waited::Elapsed) | None => self.follow(),
            }
        }
    }

    /// Takes notice of interfaces that came and went.
    fn follow(&mut self) {
        if let Some(watch) = &self.watch {
            watch.drain();
        }
        // Without a list everything stays as it is until the next news.
        let Ok(all) = interfaces() else { return };
        // One that comes again has another number.
        self.only = numbers(&self.config.interfaces, &all);
        self.memberships.retain(|known| {
            all.iter().any(|interface| interface.index == known.index && interface.name == known.interface)
        });
        self.absent.retain(|absent| matches!(absent, Absent::Family(_)));
        // What cannot be joined now is told as absent.
        let _ = self.join(&all, false);
    }

    /// Joins the groups on the interfaces where that was not done yet. An interface that was named is an
    /// error if it fails and `strict`.
    fn join(&mut self, all: &[Interface], strict: bool) -> Result<(), ListenError> {
        for (group, zone) in self.config.groups.clone() {
            for interface in all {
                let named = self.config.interfaces.contains(&interface.name);
                let wanted = match zone {
                    Some(zone) => interface.index == zone,
                    None if self.config.interfaces.is_empty() => {
                        can_multicast(interface) && has_family(interface, group.is_ipv4())
                    }
                    None => named,
                };
                let membership =
                    Membership { group, interface: interface.name.clone(), index: interface.index };
                if !wanted || self.memberships.contains(&membership) {
                    continue;
                }
                let own = self.addresses.iter().position(|address| address.is_ipv4() == group.is_ipv4());
                let Some(own) = own else { continue };
                match self.sockets[own].join_multicast(group, interface.index) {
                    Ok(()) => self.memberships.push(membership),
                    // It is one already: the interface went down and came up.
                    Err(error) if error.raw_os_error() == Some(EADDRINUSE) => {
                        self.memberships.push(membership);
                    }
                    Err(source) if strict && (named || zone.is_some()) => {
                        return Err(ListenError::Join { group, interface: interface.name.clone(), source });
                    }
                    Err(source) => self.absent.push(Absent::Group { membership, source }),
                }
            }
        }
        Ok(())
    }
}

/// The numbers that the interfaces of these names have now; those that are not there have none.
fn numbers(names: &[String], all: &[Interface]) -> Vec<u32> {
    if names.is_empty() {
        return Vec::new();
    }
    let named = |interface: &&Interface| names.contains(&interface.name);
    let found: Vec<u32> = all.iter().filter(named).map(|interface| interface.index).collect();
    // No interface has this number: nothing is heard until one of them comes back.
    if found.is_empty() { vec![u32::MAX] } else { found }
}

/// Opens the sockets, all on one port where none was named.
fn bind(config: &Listen, absent: &mut Vec<Absent>) -> Result<Vec<(Socket, SocketAddr)>, ListenError> {
    let everywhere = config.addresses.is_empty();
    let wanted = if everywhere {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        any.map(|ip| SocketAddr::new(ip, config.port)).to_vec()
    } else {
        config.addresses.clone()
    };
    let mut tries = 0;
    loop {
        let mut bound: Vec<(Socket, SocketAddr)> = Vec::new();
        let mut missing = Vec::new();
        let mut taken = None;
        for address in &wanted {
            let mut address = *address;
            if let (0, Some((_, first))) = (address.port(), bound.first()) {
                address.set_port(first.port());
            }
            match socket(address, config.receive_buffer) {
                Ok(socket) => {
                    let chosen =
                        socket.local_address().map_err(|source| ListenError::System { address, source })?;
                    bound.push((socket, chosen.ip().unwrap_or(address)));
                }
                Err(error) => match error.raw_os_error() {
                    Some(EADDRINUSE) => {
                        taken = Some(address);
                        break;
                    }
                    Some(EADDRNOTAVAIL | EAFNOSUPPORT) if everywhere => missing.push(Absent::Family(address)),
                    _ if everywhere && error.kind() == io::ErrorKind::Unsupported => {
                        missing.push(Absent::Family(address));
                    }
                    Some(EADDRNOTAVAIL) => return Err(ListenError::NotHere(address)),
                    _ if error.kind() == io::ErrorKind::PermissionDenied => {
                        return Err(ListenError::Permission(address));
                    }
                    _ => return Err(ListenError::System { address, source: error }),
                },
            }
        }
        if let Some(address) = taken {
            tries += 1;
            // The kernel chose a port for one family that is taken in the other.
            if wanted.iter().all(|wanted| wanted.port() == 0) && tries < PORTS {
                continue;
            }
            return Err(ListenError::InUse { address, holders: udp_port_holders(address.port()) });
        }
        let Some((_, first)) = bound.first() else {
            let source = io::Error::new(io::ErrorKind::Unsupported, "this machine has neither IPv4 nor IPv6");
            return Err(ListenError::System { address: wanted[0], source });
        };
        for absent in &mut missing {
            if let Absent::Family(address) = absent {
                address.set_port(first.port());
            }
        }
        *absent = missing;
        return Ok(bound);
    }
}

fn socket(address: SocketAddr, receive_buffer: usize) -> io::Result<Socket> {
    let socket = Socket::open(Family::of(&address.ip()), SocketKind::Datagram)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_shared_with_listeners(true)?;
    let _ = socket.set_receive_buffer(receive_buffer);
    Ear::prepare(&socket)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Datagrams that are taken with one call.
const BATCH: usize = 16;
/// No socket has this token.
const WATCH: usize = usize::MAX - 1;
/// How often interfaces are looked for where nothing tells of them.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How many ports are tried, where the kernel chooses, until both families have it.
const PORTS: u32 = 16;
