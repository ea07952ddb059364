//! How what was written to the outbox finds its way out.

use squall_proto::{Origin, Peer, Time};

use super::{App, Shard};
use crate::engine::sender::Exit;

impl Shard {
    /// Sends what waits after requests of the endpoint `token`.
    pub(super) fn flush(&mut self, token: usize, now: Time) {
        if self.outbox.is_empty() {
            return;
        }
        match self.endpoints[token].app {
            App::Protocol(index) if self.has_many_ways(index) => {
                self.flush_protocol(index, now);
            }
            _ => {
                self.send(token, now, |_| true);
                self.outbox.clear();
            }
        }
    }

    /// Whether a protocol has more than one socket to write to.
    fn has_many_ways(&self, index: usize) -> bool {
        self.protocols[index].connections.is_some()
            || self.endpoints.iter().filter(|endpoint| endpoint.app.is(index)).count() > 1
    }

    /// Sends what a protocol wrote, each frame by the endpoint that its destination was heard on.
    pub(super) fn flush_protocol(&mut self, index: usize, now: Time) {
        for token in 0..self.endpoints.len() {
            if self.outbox.is_empty() {
                break;
            }
            let endpoint = &self.endpoints[token];
            if endpoint.app.is(index) {
                let (transport, bound, wildcard) = (endpoint.transport, endpoint.bound, endpoint.wildcard);
                let (v4, v6) = (!endpoint.v6 || endpoint.dual_stack, endpoint.v6);
                self.send(token, now, |origin| {
                    transport == origin.transport
                        && match (bound, origin.local) {
                            (Some(bound), Some(local)) if wildcard => {
                                bound.port() == local.port() && if local.is_ipv4() { v4 } else { v6 }
                            }
                            (bound, local) => bound == local,
                        }
                });
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
