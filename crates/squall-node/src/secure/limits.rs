//! How many connections there may be at a time, in all and from one address: in the greeting, and after it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bounds on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// In all.
    pub(super) all: usize,
    /// From one address; an IPv6 host has a whole /64.
    pub(super) of_address: usize,
}

/// What to do with a peer's first packet.
#[derive(Debug)]
pub(super) enum Ruling {
    /// It may go on.
    Admit(Place),
    /// It has to show first that it is where it says.
    Validate,
    /// There are too many.
    Refuse,
}

/// Who has a place.
#[derive(Debug)]
pub(super) struct Places {
    bounds: Bounds,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, held: Mutex::default() })
    }

    /// Rules on a first packet from `peer`, whose address is `validated` or may be forged.
    ///
    /// From an eighth of a bound on addresses are validated, so that forged ones take up an eighth at most and never
    /// the share of the host that really has the address.
    pub(super) fn rule(self: &Arc<Self>, peer: SocketAddr, validated: bool) -> Ruling {
        let address = network(peer.ip());
        let mut held = self.held();
        let of_address = held.by_address.get(&address).copied().unwrap_or(0);
        let Bounds { all, of_address: bound } = self.bounds;
        if !validated && (held.all >= all.div_ceil(8) || of_address >= bound.div_ceil(8)) {
            return Ruling::Validate;
        }
        if held.all >= all || of_address >= bound {
            return Ruling::Refuse;
        }
        held.all += 1;
        held.by_address.insert(address, of_address + 1);
        Ruling::Admit(Place { places: self.clone(), address })
    }

    /// A place for a peer whose address is known to be its own; `None` where there are too many.
    pub(super) fn take(self: &Arc<Self>, peer: SocketAddr) -> Option<Place> {
        match self.rule(peer, true) {
            Ruling::Admit(place) => Some(place),
            Ruling::Validate | Ruling::Refuse => None,
        }
    }

    /// Whether nobody gets a place any more.
    pub(super) fn is_full(&self) -> bool {
        self.held().all >= self.bounds.all
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.all -= 1;
        if let Some(count) = held.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.by_address.remove(&self.address);
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_open() -> Arc<Places> {
        Places::new(Bounds { all: 16, of_address: 8 })
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn forged_addresses_take_up_an_eighth_and_those_who_validate_the_rest() {
        let half_open = half_open();
        let mut places = Vec::new();
        for host in 1..=2 {
            match half_open.rule(peer(&format!("192.0.2.{host}:1")), false) {
                Ruling::Admit(place) => places.push(place),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(half_open.rule(peer("192.0.2.9:1"), false), Ruling::Validate));
        for host in 3..=16 {
            match half_open.rule(peer(&format!("192.0.2.{host}:1")), true) {
                Ruling::Admit(place) => places.push(place),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(half_open.held().all, 16);
        assert!(matches!(half_open.rule(peer("192.0.2.99:1"), true), Ruling::Refuse));
        places.pop();
        assert!(matches!(half_open.rule(peer("192.0.2.99:1"), true), Ruling::Admit(_)));
    }

    #[test]
    fn one_address_leaves_room_for_others_and_nothing_is_kept_of_who_left() {
        let half_open = half_open();
        let of_one: Vec<_> =
            (0..9).map(|host| half_open.rule(peer(&format!("[2001:db8::{host}]:1")), true)).collect();
        assert_eq!(of_one.iter().filter(|ruling| matches!(ruling, Ruling::Admit(_))).count(), 8);
        assert!(matches!(half_open.rule(peer("[2001:db8::1]:1"), false), Ruling::Validate));
        assert!(matches!(half_open.rule(peer("[2001:db8:0:1::1]:1"), true), Ruling::Admit(_)));
        assert!(matches!(half_open.rule(peer("[::ffff:192.0.2.1]:1"), true), Ruling::Admit(_)));
        drop(of_one);
        assert_eq!(half_open.held().all, 0);
        assert!(half_open.held().by_address.is_empty());
    }
}
