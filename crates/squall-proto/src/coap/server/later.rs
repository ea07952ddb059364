//! What a server sends by itself: notifications, answers that come later, answers to groups.

use alloc::vec::Vec;

use super::Server;
use super::counts::Event;
use super::observers::Pending;
use super::response::{Carrier, Exchange, Representation, usual_status};
use super::run::represent;
use super::separate::{Stage, Waiting};
use super::serve::Ready;
use crate::coap::options::Options;
use crate::coap::writer::{Empty, Reliability};
use crate::{Outbox, Request, Status, Target, Ticket, Time};

impl Server {
    /// Gives the answer that was to come later: `status`, or what is usual for the method, and `body` of
    /// the Content-Format `format`. False when nobody waits for it any more.
    pub fn complete(
        &mut self,
        now: Time,
        ticket: Ticket,
        status: Option<Status>,
        format: Option<u16>,
        body: &[u8],
        out: &mut Outbox,
    ) -> bool {
        let Some(waiting) = self.separate.take(ticket) else { return false };
        let status = status.unwrap_or(usual_status(waiting.method));
        self.answer_later(
            now,
            waiting,
            Representation { status, format, max_age: None, etag: None },
            body,
            out,
        );
        true
    }

    pub(super) fn send_delayed(&mut self, now: Time, out: &mut Outbox) {
        while let Some((origin, datagram)) = self.delayed.pop(now) {
            if out.to(&origin).write(&datagram).is_err() {
                self.counts.add(Event::GroupDropped);
            }
        }
    }

    /// Acknowledges, gives up and sends again what is due.
    pub(super) fn push_separate(&mut self, now: Time, out: &mut Outbox) {
        while let Some(index) = self.separate.list.iter().position(|waiting| waiting.due() <= now) {
            let mut waiting = self.separate.list.swap_remove(index);
            let exchange = waiting.exchange;
            match waiting.stage {
                Stage::Unacknowledged(due, deadline) if due < deadline => {
                    self.acknowledge(&mut waiting.exchange, out);
                    waiting.stage = Stage::Acknowledged(deadline);
                    self.separate.list.push(waiting);
                }
                Stage::Unacknowledged(..) | Stage::Acknowledged(_) => {
                    self.counts.add(Event::SeparateOverdue);
                    let status = Status::INTERNAL_SERVER_ERROR;
                    let what = Representation { status, format: None, max_age: None, etag: None };
                    self.answer_later(now, waiting, what, &[], out);
                }
                Stage::Sent { sent, .. } if sent > self.config.transmission.max_retransmit() => {
                    self.counts.add(Event::SeparateLost);
                }
                Stage::Sent { id, datagram, timeout, sent, .. } => {
                    if datagram.len() > exchange.budget() {
                        self.counts.add(Event::Restrained);
                    } else {
                        self.counts.add(Event::Retransmissions);
                        waiting.exchange.spend(datagram.len());
                        // Without room it is as good as lost, and comes again.
                        let _ = out.to(&exchange.origin).write(&datagram);
                    }
                    let timeout = timeout * 2;
                    waiting.stage = Stage::Sent { id, datagram, due: now + timeout, timeout, sent: sent + 1 };
                    self.separate.list.push(waiting);
                }
            }
        }
    }

    /// Says that a request arrived whose answer comes later.
    pub(super) fn acknowledge(&mut self, exchange: &mut Exchange, out: &mut Outbox) {
        let empty = Empty::Acknowledgement(exchange.id).datagram();
        exchange.spend(empty.len());
        self.put(&exchange.origin, &empty, out);
    }

    fn answer_later(
        &mut self,
        now: Time,
        mut waiting: Waiting,
        what: Representation,
        body: &[u8],
        out: &mut Outbox,
    ) {
        self.counts.add(Event::Separate);
        let rides = matches!(waiting.stage, Stage::Unacknowledged(..));
        let origin = waiting.exchange.origin;
        if !rides {
            let reliability =
                if waiting.confirmable { Reliability::Confirmable } else { Reliability::NonConfirmable };
            waiting.exchange.carrier = Carrier::Message(reliability, self.next_id(&origin));
        }
        let ready = Ready {
            exchange: waiting.exchange,
            resource: 0,
            target: Target::new(waiting.method, Options::EMPTY),
            datagram: &[],
            payload: &[],
            block1: waiting.block1,
            block2: waiting.block2,
            safe: waiting.safe,
            key: None,
            body: waiting.body,
            observe: None,
        };
        let mark = out.mark();
        self.give(now, &ready, what, body, out);
        if let Some(key) = waiting.key {
            if rides {
                self.once.answer(key, waiting.exchange.validated, out.since(mark));
            } else if waiting.confirmable {
                let empty = Empty::Acknowledgement(waiting.exchange.id).datagram();
                self.once.answer(key, waiting.exchange.validated, &empty);
            }
        }
        if let Carrier::Message(Reliability::Confirmable, id) = waiting.exchange.carrier {
            let timeout = self.config.transmission.initial_timeout(self.random.unit());
            let datagram = out.since(mark);
            if datagram.is_empty() {
                return;
            }
            waiting.exchange.spend(datagram.len());
            let datagram = datagram.into();
            waiting.stage = Stage::Sent { id, datagram, due: now + timeout, timeout, sent: 1 };
            self.separate.list.push(waiting);
        }
    }

    /// Tells observers what is new, and asks those again that have not confirmed.
    pub(super) fn push_observers(&mut self, now: Time, out: &mut Outbox) {
        for resource in 0..self.resources.len() {
            let Some(every) = self.resources[resource].every else { continue };
            if !self.observers.take_due(now, resource, every) {
                continue;
            }
            let mut index = 0;
            while index < self.observers.list.len() {
                let observer = &self.observers.list[index];
                // RFC 7641 §4.5.2: what is new waits for the retransmission, which carries the newest.
                let wanted = observer.resource == resource && observer.pending.is_none();
                if !wanted || self.notify(now, index, false, out) {
                    index += 1;
                }
            }
        }
        let is_due = |pending: Pending| pending.due <= now;
        while let Some(index) =
            self.observers.list.iter().position(|observer| observer.pending.is_some_and(is_due))
        {
            let sent = self.observers.list[index].pending.map_or(0, |pending| pending.sent);
            if sent > self.config.transmission.max_retransmit() {
                self.counts.add(Event::ObserversLost);
                self.observers.list.swap_remove(index);
            } else {
                self.counts.add(Event::Retransmissions);
                self.notify(now, index, true, out);
            }
        }
    }

    /// Tells observer `index` what its resource says now, if that is new or has to be `confirmed`; false
    /// when the observation has ended by it.
    fn notify(&mut self, now: Time, index: usize, again: bool, out: &mut Outbox) -> bool {
        let observer = &self.observers.list[index];
        let origin = observer.origin;
        let encoded: Vec<u8> = observer.options.to_vec();
        let payload: Vec<u8> = observer.payload.to_vec();
        // They were read before.
        let options = Options::parse(&encoded).map(|(options, _)| options).unwrap_or_default();
        let target = Target::new(observer.method, options);
        let resource = observer.resource;
        self.bench.clear();
        let request = Request::new(now, &payload, origin).with_target(target);
        let mut reply = self.bench.begin(&origin, &[]);
        let outcome = self.resources[resource].handler.handle(&request, &mut reply);
        let says = reply.says();
        let outcome = reply.finish(outcome).map(|_| says);
        let bench = core::mem::replace(&mut self.bench, Outbox::with_limits(0, 0));
        let what = match outcome {
            Ok(says) => represent(&self.resources[resource], observer.method, &says),
            Err(_) => Representation {
                status: Status::INTERNAL_SERVER_ERROR,
                format: None,
                max_age: None,
                etag: None,
            },
        };
        let hash = self.mac.hash(&[bench.bytes()]);
        let news = News { what, target, body: bench.bytes(), hash };
        let keeps = self.tell(now, index, again, &news, out);
        self.bench = bench;
        keeps
    }

    fn tell(&mut self, now: Time, index: usize, again: bool, news: &News<'_>, out: &mut Outbox) -> bool {
        let News { what, target, body, hash } = *news;
        let max_age = what.max_age.unwrap_or(DEFAULT_MAX_AGE);
        let observer = &self.observers.list[index];
        let origin = observer.origin;
        let is_old = now.since(observer.told).as_secs() >= u64::from(max_age);
        let must_confirm = now.since(observer.confirmed) >= self.config.confirm_within;
        if observer.hash == hash && what.status.is_success() && !is_old && !must_confirm && !again {
            return true;
        }
        if !out.has_room() && !again {
            // The next one says what is new then.
            self.counts.add(Event::NotificationsSkipped);
            return true;
        }
        let id = self.next_id(&origin);
        let timeout = self.config.transmission.initial_timeout(self.random.unit());
        let observer = &mut self.observers.list[index];
        let confirms = again || must_confirm || observer.unconfirmed + 1 >= self.config.confirm_every;
        observer.unconfirmed = if confirms { 0 } else { observer.unconfirmed + 1 };
        (observer.hash, observer.told) = (hash, now);
        observer.note(id);
        let sequence = observer.next_sequence(now);
        if confirms {
            let (timeout, sent) = match observer.pending {
                Some(pending) => (pending.timeout * 2, pending.sent + 1),
                None => (timeout, 1),
            };
            observer.pending = Some(Pending { due: now + timeout, timeout, sent });
        }
        let reliability = if confirms { Reliability::Confirmable } else { Reliability::NonConfirmable };
        let exchange = Exchange {
            origin,
            validated: true,
            lately: false,
            carrier: Carrier::Message(reliability, id),
            id,
            token: observer.token,
            size: 0,
            spent: 0,
            group: false,
            no_response: 0,
        };
        let ready = Ready {
            exchange,
            resource: observer.resource,
            target,
            datagram: &[],
            payload: &[],
            block1: None,
            block2: None,
            safe: true,
            key: None,
            body: self.body_key(&origin, target),
            observe: what.status.is_success().then_some(sequence),
        };
        self.counts.add(Event::Notifications);
        self.give(now, &ready, what, body, out);
        if !what.status.is_success() {
            // RFC 7641 §4.2: an error ends the observation.
            self.observers.list.swap_remove(index);
        }
        what.status.is_success()
    }
}

/// What a resource says now.
struct News<'a> {
    what: Representation,
    target: Target<'a>,
    body: &'a [u8],
    hash: u64,
}

/// How long an answer may be kept that does not say, in seconds
/// ([RFC 7252 §5.10.5](https://www.rfc-editor.org/rfc/rfc7252#section-5.10.5)).
const DEFAULT_MAX_AGE: u32 = 60;
