//! Handlers, and what becomes of what they write.

use super::Server;
use super::resource::Resource;
use super::response::{Carrier, Representation, usual_status};
use super::separate::{Stage, Waiting};
use super::serve::Ready;
use crate::coap::message::{HEADER, MAX_TOKEN};
use crate::outbox::Says;
use crate::{Method, Origin, Outbox, Refusal, Request, Time};

impl Server {
    /// Runs a safe request whose handler writes into the datagram itself.
    pub(super) fn run_at_once(&mut self, now: Time, ready: &Ready<'_>, out: &mut Outbox) {
        let Ready { exchange, target, .. } = ready;
        let resource = &self.resources[ready.resource];
        let mut bytes = [0; HEADER + MAX_TOKEN];
        let length = exchange.header(usual_status(target.method())).encode(&mut bytes);
        let mark = out.mark();
        let mut reply = out.begin(&exchange.origin, &bytes[..length]);
        // The reply keeps the reason of a write that it refuses.
        let _ = reply.write(&resource.prepared);
        let ticket = self.separate.ticket();
        if let Some(ticket) = ticket {
            reply.offer(ticket);
        }
        let outcome = resource.handler.handle(&inner(now, ready), &mut reply);
        let says = reply.says();
        let outcome = reply.finish(outcome);
        let prefix = length + resource.prepared.len();
        let fits = exchange.budget().min(prefix + self.config.block_size.bytes());
        match outcome {
            Ok(_) if says.deferred => {
                out.rewind(mark);
                self.wait(now, &self.with_body(ready), out);
            }
            Ok(_) => {
                let written = out.since(mark).len();
                if written <= fits && says == (Says { ticket, ..Says::default() }) {
                    if written == prefix {
                        // No payload, so no marker before it.
                        out.pop();
                    }
                    return;
                }
                let mut datagram = core::mem::take(&mut self.datagram);
                datagram.clear();
                datagram.extend_from_slice(&out.since(mark)[prefix..]);
                out.rewind(mark);
                let what = represent(resource, ready.target.method(), &says);
                self.give(now, &self.with_body(ready), what, &datagram, out);
                self.datagram = datagram;
            }
            // The outbox is not as large as a body may be; being safe, it can be run again.
            Err(Refusal::Full) => {
                self.run(now, &self.with_body(ready), out);
            }
            Err(refusal) => self.refused(now, exchange, refusal, out),
        }
    }

    /// Runs a request whose answer is looked at before it is sent.
    pub(super) fn run(&mut self, now: Time, ready: &Ready<'_>, out: &mut Outbox) -> bool {
        let resource = &self.resources[ready.resource];
        let ticket = self.separate.ticket().filter(|_| ready.observe.is_none() && !ready.exchange.group);
        self.bench.clear();
        let mut reply = self.bench.begin(&ready.exchange.origin, &[]);
        if let Some(ticket) = ticket {
            reply.offer(ticket);
        }
        let outcome = resource.handler.handle(&inner(now, ready), &mut reply);
        let says = reply.says();
        let outcome = reply.finish(outcome).map(|_| says);
        // Only now, for a handler may panic, and its driver goes on with this server.
        let bench = core::mem::replace(&mut self.bench, Outbox::with_limits(0, 0));
        let is_success = match outcome {
            Ok(says) if says.deferred => {
                self.wait(now, ready, out);
                false
            }
            Ok(says) => {
                let what = represent(&self.resources[ready.resource], ready.target.method(), &says);
                self.give(now, ready, what, bench.bytes(), out);
                what.status.is_success()
            }
            Err(refusal) => {
                let refusal = if refusal == Refusal::Full {
                    Refusal::Failed("the answer is longer than answers may be")
                } else {
                    refusal
                };
                self.refused(now, &ready.exchange, refusal, out);
                false
            }
        };
        self.bench = bench;
        is_success
    }

    /// Keeps a request whose answer comes later.
    fn wait(&mut self, now: Time, ready: &Ready<'_>, out: &mut Outbox) {
        let Some(ticket) = self.separate.ticket() else { return };
        let mut exchange = ready.exchange;
        let confirmable = matches!(exchange.carrier, Carrier::Acknowledgement(_));
        let deadline = now + self.config.separate_within;
        let delay = self.config.acknowledge_after.min(self.config.transmission.ack_timeout() / 2);
        let stage = if !confirmable {
            Stage::Acknowledged(deadline)
        } else if delay.is_zero() {
            self.acknowledge(&mut exchange, out);
            Stage::Acknowledged(deadline)
        } else {
            Stage::Unacknowledged(now + delay, deadline)
        };
        self.separate.insert(Waiting {
            ticket,
            exchange,
            request: self.once.key(&exchange.origin, exchange.id, ready.datagram),
            confirmable,
            method: ready.target.method(),
            body: ready.body,
            block2: ready.block2,
            block1: ready.block1,
            safe: ready.safe,
            key: ready.key,
            stage,
        });
    }

    fn with_body<'a>(&self, ready: &Ready<'a>) -> Ready<'a> {
        Ready { body: self.body_key(&ready.exchange.origin, ready.target), ..*ready }
    }
}

/// The request as a handler sees it.
fn inner<'a>(now: Time, ready: &Ready<'a>) -> Request<'a> {
    let origin = Origin { validated: ready.exchange.validated, ..ready.exchange.origin };
    let request = Request::new(now, ready.payload, origin).with_target(ready.target);
    if ready.exchange.group { request.to_group() } else { request }
}

pub(super) fn represent(resource: &Resource, method: Method, says: &Says) -> Representation {
    Representation {
        status: says.status.unwrap_or(usual_status(method)),
        format: says.content_format.or(resource.format),
        max_age: says.max_age.or(resource.max_age),
        etag: says.etag,
    }
}
