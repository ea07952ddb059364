//! What a datagram passes before a handler sees it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use squall_proto::guard::{PortSet, RateLimit, Trust, suspicious};
use squall_proto::{Origin, Peer, Refusal, Request, Transport};
use squall_socket::Ancillary;

use crate::hooks::Hooks;
use crate::verdict::Verdict;

/// The checks of one shard, in the order of their cost.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) trust: Arc<Trust>,
    pub(crate) ports: Arc<PortSet>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) hooks: Arc<Hooks>,
}

/// What a service asks of the gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// It answers anything that comes, so that a server's answer must not reach it.
    pub(crate) answers_anything: bool,
    /// The limits on the rate of peers hold for it.
    pub(crate) rate_limited: bool,
    /// It takes what is sent to multicast groups.
    pub(crate) groups: bool,
}

/// Where a datagram came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) origin: Origin,
    /// Whether it was sent to a multicast group.
    pub(crate) group: bool,
}

impl Gate {
    /// Where a UDP datagram came from, or `None` when it came by broadcast, or by multicast to a service
    /// that takes none: they get no plain answer. A wildcard socket knows the destination from the kernel; `bound` stands for it
    /// elsewhere.
    pub(crate) fn arrival(
        &self,
        rules: Rules,
        from: SocketAddr,
        bound: SocketAddr,
        said: &Ancillary,
    ) -> Option<Arrival> {
        let peer = canonical(from);
        let mut group = false;
        let local = match (said.destination, said.source) {
            (None, _) => bound,
            (Some(destination), _) if rules.groups && destination.is_multicast() => {
                group = true;
                // The kernel chooses the address that leads to the peer.
                let any = if peer.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
                SocketAddr::new(any, bound.port())
            }
            // The kernel answers from another address than the datagram was sent to.
            (Some(destination), source) if destination.is_multicast() || Some(destination) != source => {
                return None;
            }
            (Some(destination), _) => match canonical(SocketAddr::new(destination, bound.port())) {
                SocketAddr::V6(mut v6) if v6.ip().is_unicast_link_local() => {
                    v6.set_scope_id(said.interface);
                    v6.into()
                }
                address => address,
            },
        };
        let origin = Origin {
            peer: Peer::Ip(peer),
            local: Some(local),
            transport: Transport::Udp,
            validated: self.trust.validated(peer.ip()),
        };
        Some(Arrival { origin, group })
    }

    /// Whether `request` may reach the handler.
    pub(crate) fn admit(&mut self, rules: Rules, request: &Request<'_>) -> Result<(), Verdict> {
        if let Peer::Ip(peer) = request.origin.peer
            && request.origin.transport == Transport::Udp
        {
            // Nobody can be answered at port 0, whatever the service.
            if peer.port() == 0 {
                return Err(Verdict::Refused(Refusal::Loop("it came from port 0")));
            }
            if rules.answers_anything
                && let Some(refusal) = suspicious(peer.port(), &self.ports, request.payload)
            {
                return Err(Verdict::Refused(refusal));
            }
            if rules.rate_limited
                && let Some(limit) = &mut self.rate_limit
            {
                limit.admit(request.now, peer).map_err(Verdict::Refused)?;
            }
        }
        self.hooks.admit(request)
    }
}

/// An IPv4 address that an IPv6 socket gave mapped (`::ffff:192.0.2.1`), as the IPv4 address that it is.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use squall_proto::Time;
    use squall_proto::guard::{Rate, RateLimitConfig};

    use super::*;

    const QUIET: Rules = Rules { answers_anything: true, rate_limited: true, groups: false };
    const GROUPS: Rules = Rules { groups: true, ..QUIET };

    fn arrival(rules: Rules, destination: &str, source: &str) -> Option<Arrival> {
        let gate =
            Gate { trust: Arc::default(), ports: Arc::default(), rate_limit: None, hooks: Arc::default() };
        let mut said = Ancillary::default();
        said.destination = Some(destination.parse().unwrap());
        said.source = Some(source.parse().unwrap());
        said.interface = 3;
        let peer = if destination.contains(':') { "[fe80::9%3]:5000" } else { "192.0.2.9:5000" };
        let peer = peer.parse().unwrap();
        gate.arrival(rules, peer, "[::]:5683".parse().unwrap(), &said)
    }

    #[test]
    fn what_was_sent_to_many_reaches_only_a_service_that_takes_groups() {
        for (destination, source) in [("224.0.1.187", "192.0.2.1"), ("ff02::fd", "ff02::fd")] {
            assert!(arrival(QUIET, destination, source).is_none(), "{destination}");
            let arrival = arrival(GROUPS, destination, source).unwrap();
            assert!(arrival.group);
            let local = arrival.origin.local.unwrap();
            assert!(local.ip().is_unspecified() && local.port() == 5683, "the kernel chooses: {local}");
            let Peer::Ip(peer) = arrival.origin.peer else { panic!("{arrival:?}") };
            assert_eq!(local.is_ipv4(), peer.is_ipv4(), "an address that can reach {peer}");
        }
        assert!(arrival(GROUPS, "192.0.2.255", "192.0.2.1").is_none(), "broadcast is no group");
        assert!(!arrival(GROUPS, "192.0.2.1", "192.0.2.1").unwrap().group);
    }

    #[test]
    fn a_service_can_do_without_the_limits_on_rates() {
        let limit = RateLimitConfig::default().peer(Rate::new(1, 1));
        let admitted = |rules: Rules| {
            let mut gate = Gate {
                trust: Arc::default(),
                ports: Arc::default(),
                rate_limit: Some(RateLimit::new(&limit, 1)),
                hooks: Arc::default(),
            };
            let peer = Peer::Ip("192.0.2.9:5000".parse().unwrap());
            let origin = Origin { peer, local: None, transport: Transport::Udp, validated: true };
            let request = Request::new(Time::ZERO, b"content", origin);
            (0..10).filter(|_| gate.admit(rules, &request).is_ok()).count()
        };
        assert_eq!(admitted(QUIET), 1);
        assert_eq!(admitted(Rules { rate_limited: false, ..QUIET }), 10);
    }
}
