//! What a datagram passes before a handler sees it.

use std::net::SocketAddr;
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
}

impl Gate {
    /// Where a UDP datagram came from, or `None` when it came by broadcast or multicast, which gets no
    /// plain answer. A wildcard socket knows the destination from the kernel; `bound` stands for it
    /// elsewhere.
    pub(crate) fn origin(&self, from: SocketAddr, bound: SocketAddr, said: &Ancillary) -> Option<Origin> {
        let peer = canonical(from);
        let local = match (said.destination, said.source) {
            (None, _) => bound,
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
        Some(Origin {
            peer: Peer::Ip(peer),
            local: Some(local),
            transport: Transport::Udp,
            validated: self.trust.validated(peer.ip()),
        })
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
            if let Some(limit) = &mut self.rate_limit {
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
