//! By which interfaces a datagram for many leaves, and on which a group is heard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use squall_socket::{Interface, InterfaceAddress};

use super::shout::ShoutError;

/// One way to send a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The interface, with its number; `None` leaves it to the routes.
    pub(crate) interface: Option<(String, u32)>,
    /// The address of this host to send from; `None` leaves it to the kernel.
    pub(crate) source: Option<IpAddr>,
}

impl Way {
    /// What the kernel makes of it.
    pub(crate) const BY_ROUTE: Way = Way { interface: None, source: None };

    pub(crate) fn index(&self) -> u32 {
        self.interface.as_ref().map_or(0, |(_, index)| *index)
    }
}

/// Why there is no way by an interface that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Missing,
    Down,
    NoAddress,
}

impl Obstacle {
    /// What is said of it, for datagrams of `family` (4 or 6).
    pub(crate) fn of(self, interface: String, family: u8) -> ShoutError {
        match self {
            Obstacle::Missing => ShoutError::NoInterface(interface),
            Obstacle::Down => ShoutError::Down(interface),
            Obstacle::NoAddress => ShoutError::NoAddress { interface, family },
        }
    }
}

/// The ways to `to` by the interfaces `chosen`, or by all that can: those that are up, have a link, an
/// address of the family, and more on the other side than this machine.
pub(crate) fn ways(
    to: SocketAddr,
    all: &[Interface],
    chosen: &[String],
) -> Vec<Result<Way, (String, Obstacle)>> {
    let v4 = to.is_ipv4();
    if let SocketAddr::V6(v6) = to
        && v6.scope_id() != 0
        && chosen.is_empty()
    {
        // The zone says it all.
        let name = all.iter().find(|interface| interface.index == v6.scope_id());
        let interface = name.map(|interface| (interface.name.clone(), interface.index));
        return vec![Ok(Way { interface, source: None })];
    }
    if !chosen.is_empty() {
        let named = |name: &String| {
            let interface = all.iter().find(|interface| interface.name == *name);
            let interface = interface.ok_or_else(|| (name.clone(), Obstacle::Missing))?;
            if !interface.flags.up {
                return Err((name.clone(), Obstacle::Down));
            }
            by(interface, to).ok_or_else(|| (name.clone(), Obstacle::NoAddress))
        };
        return chosen.iter().map(named).collect();
    }
    let everywhere = |can: fn(&Interface) -> bool| {
        let able = all
            .iter()
            .filter(move |interface| can(interface) && interface.flags.running && !interface.flags.loopback);
        able.filter_map(move |interface| by(interface, to)).map(Ok).collect()
    };
    match to.ip() {
        IpAddr::V4(Ipv4Addr::BROADCAST) => {
            everywhere(|interface| interface.flags.up && interface.flags.broadcast)
        }
        ip if ip.is_multicast() => everywhere(can_multicast),
        ip => {
            // A network that several interfaces are on is shouted to by each of them.
            let of_networks: Vec<_> = all
                .iter()
                .filter(|interface| v4 && interface.flags.up && network(interface, ip).is_some())
                .filter_map(|interface| by(interface, to))
                .map(Ok)
                .collect();
            if of_networks.is_empty() { vec![Ok(Way::BY_ROUTE)] } else { of_networks }
        }
    }
}

/// Whether groups are heard on an interface when none is chosen.
pub(super) fn can_multicast(interface: &Interface) -> bool {
    interface.flags.up && interface.flags.multicast && !interface.flags.loopback
}

/// Whether an interface has an address of the family.
pub(super) fn has_family(interface: &Interface, v4: bool) -> bool {
    interface.addresses.iter().any(|known| known.address.is_ipv4() == v4)
}

/// The way by `interface`, from its address on the network that `to` is the broadcast address of, or else its
/// first one. IPv6 chooses by the scope of the destination
/// ([RFC 6724](https://www.rfc-editor.org/rfc/rfc6724#section-5)), and the kernel knows how.
fn by(interface: &Interface, to: SocketAddr) -> Option<Way> {
    let named = Some((interface.name.clone(), interface.index));
    if to.is_ipv6() {
        return has_family(interface, false).then_some(Way { interface: named, source: None });
    }
    let mut own = interface.addresses.iter().filter(|known| known.address.is_ipv4());
    let source = network(interface, to.ip()).or_else(|| own.next())?;
    Some(Way { interface: named, source: Some(source.address) })
}

/// The address of `interface` on the network whose broadcast address is `ip`.
fn network(interface: &Interface, ip: IpAddr) -> Option<&InterfaceAddress> {
    interface.addresses.iter().find(|known| known.broadcast.is_some_and(|all| IpAddr::V4(all) == ip))
}
