//! Hosts, and the machines on them.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;

use squall_proto::guard::Trust;
use squall_proto::{Outbox, Protocol};
use squall_time::Time;

/// A host of a [`Sim`](crate::Sim), and the type of its machine. A small number that is copied; it means
/// nothing to another simulation.
pub struct Host<P> {
    pub(crate) id: HostId,
    machine: PhantomData<fn() -> P>,
}

impl<P> Host<P> {
    pub(crate) fn new(id: HostId) -> Self {
        Self { id, machine: PhantomData }
    }

    /// The host, whatever machine is on it.
    pub fn id(self) -> HostId {
        self.id
    }
}

impl<P> Clone for Host<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Host<P> {}

impl<P> fmt::Debug for Host<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// A host of a [`Sim`](crate::Sim), whatever machine is on it: for lists of hosts with different machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) u32);

impl HostId {
    /// What is not a host of the simulation: where [`Sim::forge`](crate::Sim::forge) sends from, so that
    /// its paths can have a weather too.
    pub const OUTSIDE: HostId = HostId(u32::MAX);
}

impl<P> From<Host<P>> for HostId {
    fn from(host: Host<P>) -> HostId {
        host.id
    }
}

/// A machine that can be got back as the type that it is.
pub(crate) trait Machine: Protocol + Any {}

impl<P: Protocol + Any> Machine for P {}

/// A host's state.
pub(crate) struct State {
    /// `None` while the host is down.
    pub(crate) machine: Option<Box<dyn Machine>>,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) trust: Trust,
    /// What the machine asked for last.
    pub(crate) deadline: Option<Time>,
    /// When it is called for it: the deadline, or later if its driver is hostile.
    pub(crate) wake: Option<Time>,
    /// Timeouts in a row after which the machine asked for another at once.
    pub(crate) spins: u32,
}

/// An address of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    /// As the machine knows it.
    pub(crate) local: SocketAddr,
    /// As the network knows it; another one after the host's NAT has forgotten it.
    pub(crate) public: SocketAddr,
}

impl State {
    pub(crate) fn machine_as<P: Any>(&self) -> Option<&P> {
        let machine: &dyn Any = &**self.machine.as_ref()?;
        machine.downcast_ref()
    }

    /// The socket that a message for `peer` leaves from: the one that its origin names. For an unspecified
    /// address, and for none, the first of the peer's family, of the same port if there is one.
    pub(crate) fn socket_for(&self, local: Option<SocketAddr>, peer: SocketAddr) -> Option<&Socket> {
        let Some(local) = local.filter(|local| !local.ip().is_unspecified()) else {
            let family = || self.sockets.iter().filter(|socket| socket.local.is_ipv4() == peer.is_ipv4());
            let port = local.map(|local| local.port());
            return family().find(|socket| Some(socket.local.port()) == port).or_else(|| family().next());
        };
        self.sockets.iter().find(|socket| socket.local == local)
    }
}

/// Lends `machine` and an outbox to `call`, with the machine's type known.
pub(crate) fn with_type<P: Any, R>(
    machine: &mut dyn Machine,
    out: &mut Outbox,
    call: impl FnOnce(&mut P, &mut Outbox) -> R,
) -> R {
    let machine: &mut dyn Any = machine;
    let machine = machine.downcast_mut().expect("a handle has its machine's type");
    call(machine, out)
}
