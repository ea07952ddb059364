//! A shard's part in hearing peers on sockets of their own.

use std::io;

use squall_proto::{Origin, Peer, Time, Transport};
use squall_socket::ReceiveBatch;

use super::Shard;
use crate::engine::Offload;
use crate::engine::apart::BUFFER;
use crate::stats::Counter;

impl Shard {
    /// Gives those peers a socket of their own whom the protocol asked to take apart.
    pub(super) fn take_apart(&mut self, index: usize, now: Time) {
        for at in 0..self.outbox.isolated().len() {
            let origin = self.outbox.isolated()[at];
            let mut endpoints = self.endpoints.iter();
            let heard =
                endpoints.position(|endpoint| endpoint.app.is(index) && endpoint.way().leads_to(&origin));
            // Connections have a socket of their own, and Unix sockets know each peer's queue.
            if let Some(token) = heard.filter(|_| origin.transport == Transport::Udp)
                && !self.apart.contains(token, &origin)
            {
                let counter = match self.open_apart(token, &origin, now) {
                    true => Counter::Isolated,
                    false => Counter::IsolateFailed,
                };
                let endpoint = &mut self.endpoints[token];
                endpoint.tally.add(counter, 1);
                endpoint.tally.publish(&endpoint.stats);
            }
        }
    }

    fn open_apart(&mut self, token: usize, origin: &Origin, now: Time) -> bool {
        let endpoint = &self.endpoints[token];
        let (Peer::Ip(peer), Some(local)) = (origin.peer, origin.local) else { return false };
        // A group's datagram does not say where the peer sends what is for this host alone.
        if !endpoint.alone || local.ip().is_unspecified() || !self.apart.make_room(now) {
            return false;
        }
        match endpoint.socket.open_apart(local, peer, self.config.gro != Offload::Off) {
            Ok(socket) => {
                // Only now: what others sent before it was connected found a buffer of the usual size.
                let _ = socket.set_receive_buffer(BUFFER);
                self.apart.push(now, token, *origin, socket);
                true
            }
            Err(_) => {
                self.apart.pause(now);
                false
            }
        }
    }

    /// Reads a few datagrams of each peer that has a socket of its own, if it is time.
    pub(super) fn read_apart(&mut self) {
        let now = self.control.now();
        if self.apart.due().is_none_or(|due| due > now) || !self.takes() {
            return;
        }
        self.busy.set(now);
        let share = self.apart.share();
        // Those that are opened meanwhile are read the next time.
        for at in 0..self.apart.all.len() {
            let over = self.apart.all[at].over;
            let datagrams = self.read_one_apart(at, now, if over { LAST } else { share });
            let apart = &mut self.apart.all[at];
            apart.closed = over;
            let dropped = apart.heard(now, datagrams);
            let endpoint = &mut self.endpoints[apart.token];
            endpoint.tally.add(Counter::IsolatedDropped, dropped);
            endpoint.tally.add(Counter::IsolatedEnded, u64::from(over));
            endpoint.tally.publish(&endpoint.stats);
        }
        self.apart.end_turn(now);
        self.busy.clear();
    }

    /// Reads up to `share` datagrams, and the rest of the last train; returns how many came.
    fn read_one_apart(&mut self, at: usize, now: Time, share: usize) -> u64 {
        let token = self.apart.all[at].token;
        let (mut datagrams, mut errors) = (0, 0);
        while datagrams < share {
            let apart = &mut self.apart.all[at];
            let limit = if apart.trains { 1 } else { self.config.batch.min(share - datagrams) };
            match self.batch.receive(&apart.socket, limit) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP message for an answer, or an interruption: what waits comes with the next call.
                Err(_) if errors < MAX_ERRORS => {
                    errors += 1;
                    continue;
                }
                Err(_) => break,
            }
            let bound = apart.origin.local;
            // Lent out, so that the rest of the shard can be used meanwhile.
            let batch = std::mem::replace(&mut self.batch, ReceiveBatch::new(0, 0));
            for received in batch.iter() {
                let count = received.segments().count();
                self.apart.all[at].trains = count > 1;
                datagrams += count;
                // Whoever it is from: others' datagrams fell in before the socket was connected.
                self.take(token, bound, now, &received);
            }
            self.batch = batch;
        }
        if errors > 0 {
            self.endpoints[token].tally.add(Counter::IcmpErrors, errors);
        }
        self.flush(token, now);
        datagrams as u64
    }
}

/// Datagrams that are read before a socket is closed: more than its buffer holds.
const LAST: usize = 4096;
/// Errors that are passed over in a turn.
const MAX_ERRORS: u64 = 4;
