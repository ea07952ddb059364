//! How what was written to the outbox finds its way out.

use std::net::SocketAddr;

use squall_proto::{Origin, Peer, Time, Transport};

use super::{App, Endpoint, Shard};
use crate::engine::sender::Exit;

impl Shard {
    /// Sends what waits after requests of the endpoint `token`.
    pub(super) fn flush(&mut self, token: usize, now: Time) {
        if self.outbox.is_empty() {
            return;
        }
        match self.endpoints[token].app {
            App::Protocol(index) if self.has_many_ways(index) => return self.flush_protocol(index, now),
            App::Protocol(index) => self.take_apart(index, now),
            App::Away(_) => {}
        }
        self.send(token, now, |_| true);
        self.outbox.clear();
    }

    /// Whether a protocol has more than one socket to write to.
    fn has_many_ways(&self, index: usize) -> bool {
        self.protocols[index].connections.is_some()
            || self.endpoints.iter().filter(|endpoint| endpoint.app.is(index)).count() > 1
    }

    /// Sends what a protocol wrote, each frame by the endpoint that its destination was heard on.
    pub(super) fn flush_protocol(&mut self, index: usize, now: Time) {
        self.take_apart(index, now);
        for token in 0..self.endpoints.len() {
            if self.outbox.is_empty() {
                break;
            }
            let endpoint = &self.endpoints[token];
            if endpoint.app.is(index) {
                let way = endpoint.way();
                self.send(token, now, |origin| way.leads_to(origin));
                let endpoint = &mut self.endpoints[token];
                endpoint.tally.publish(&endpoint.stats);
            }
        }
        if let Some(connections) = &mut self.protocols[index].connections {
            connections.deliver(&self.outbox);
        }
        self.outbox.clear();
        self.tell_full(index, now);
    }

    fn send(&mut self, token: usize, now: Time, belongs: impl Fn(&Origin) -> bool) {
        let endpoint = &mut self.endpoints[token];
        let exit = Exit {
            socket: &endpoint.socket,
            v6: endpoint.v6,
            unix: endpoint.bound.is_none(),
            wildcard: endpoint.wildcard,
            unix_peers: &self.unix_peers,
            stats: &endpoint.stats,
        };
        let unix_peers = &self.unix_peers;
        self.sender.send(now, &self.outbox, &exit, &mut endpoint.tally, |origin| {
            belongs(origin)
                && match origin.peer {
                    Peer::Ip(_) => true,
                    Peer::Conn(number) => {
                        unix_peers.address(number).is_none_or(|(endpoint, _)| endpoint == token)
                    }
                }
        });
    }
}

/// What an endpoint can be reached by.
#[derive(Clone, Copy)]
pub(super) struct Way {
    transport: Transport,
    bound: Option<SocketAddr>,
    wildcard: bool,
    v4: bool,
    v6: bool,
}

impl Endpoint {
    pub(super) fn way(&self) -> Way {
        let (v4, v6) = (!self.v6 || self.dual_stack, self.v6);
        Way { transport: self.transport, bound: self.bound, wildcard: self.wildcard, v4, v6 }
    }
}

impl Way {
    /// Whether `origin` was heard here, if any endpoint of its protocol heard it.
    pub(super) fn leads_to(&self, origin: &Origin) -> bool {
        self.transport == origin.transport
            && match (self.bound, origin.local) {
                (Some(bound), Some(local)) if self.wildcard => {
                    bound.port() == local.port() && if local.is_ipv4() { self.v4 } else { self.v6 }
                }
                (bound, local) => bound == local,
            }
    }
}
