//! One request's way through a server.

use alloc::vec::Vec;

use super::Server;
use super::admit::Rejected;
use super::asked::{Asked, identifies};
use super::counts::Event;
use super::mac;
use super::observers::{Observer, sequence};
use super::once::{Full, Key, Known};
use super::response::{Carrier, Exchange, Response};
use super::separate::Stage;
use super::uploads::{Arrived, Taken};
use crate::coap::block::Block;
use crate::coap::message::{Message, Type};
use crate::coap::writer::{Empty, Reliability};
use crate::{Effect, Method, Origin, Outbox, Refusal, Request, Status, Target, Time};

/// A request that is ready to be run.
#[derive(Clone, Copy)]
pub(super) struct Ready<'a> {
    pub(super) exchange: Exchange,
    pub(super) resource: usize,
    pub(super) target: Target<'a>,
    /// The whole message, by which a copy is known.
    pub(super) datagram: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    pub(super) safe: bool,
    /// How it is remembered, if it is.
    pub(super) key: Option<Key>,
    /// What its body, and that of its answer, are known by, where they are in blocks.
    pub(super) body: u64,
    /// The sequence number, if the answer begins an observation or is a notification.
    pub(super) observe: Option<u32>,
}

impl Server {
    pub(super) fn request(
        &mut self,
        now: Time,
        request: &Request<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        self.counts.add(Event::Requests);
        let confirmable = message.message_type() == Type::Confirmable;
        if request.group && confirmable {
            // RFC 7252 §8.1: such a request is non-confirmable.
            return out.refuse(Refusal::Malformed("a confirmable message to a group"));
        }
        let asked = Asked::read(message.options());
        let mut exchange = self.exchange(request, message, asked.no_response);
        (exchange.validated, exchange.lately) = self.validate(now, &request.origin, asked.echo);
        let (resource, method) = match self.admit(&exchange, &asked, message) {
            Ok(admitted) => admitted,
            Err(Rejected::With(status)) => return self.fail(now, &exchange, status, out),
            Err(Rejected::Reset) if request.group => return,
            Err(Rejected::Reset) => return self.reset(&request.origin, message.id(), out),
        };
        let target = Target::new(method, message.options());
        let Some(resource) = resource else {
            return self.give_directory(now, &exchange, &asked, target, out);
        };
        let effect = self.resources[resource].handler.effect(method);
        let safe = effect == Effect::Safe;
        let ready = Ready {
            exchange,
            resource,
            target,
            datagram: request.payload,
            payload: message.payload(),
            block1: asked.block1,
            block2: asked.block2,
            safe,
            key: None,
            body: 0,
            observe: None,
        };
        if !self.separate.list.is_empty()
            && let key = self.once.key(&request.origin, message.id(), request.payload)
            && let Some(waiting) = self.separate.find(key)
        {
            let is_acknowledged = !matches!(waiting.stage, Stage::Unacknowledged(..));
            self.counts.add(Event::ReplaysGone);
            if waiting.confirmable && is_acknowledged {
                self.empty(&request.origin, Empty::Acknowledgement(message.id()), out);
            }
            return;
        }
        if safe && asked.is_simple() && !request.group {
            return self.run_at_once(now, &ready, out);
        }
        if request.group && !safe {
            // Who could answer for all of them?
            return out.refuse(Refusal::Malformed("a request with effect to a group"));
        }
        let ready = Ready { body: self.body_key(&request.origin, target), ..ready };
        if asked.block2.is_some_and(|block| block.number() > 0) && self.give_kept(now, &ready, out) {
            return;
        }
        if let Some(value) = asked.observe
            && safe
            && asked.in_blocks().is_none()
            && matches!(method, Method::Get | Method::Fetch)
        {
            return self.observe(now, &ready, value, out);
        }
        self.remember(now, request, &asked, effect, ready, out);
    }

    /// Runs a request that may have to be remembered, or takes its block.
    fn remember(
        &mut self,
        now: Time,
        request: &Request<'_>,
        asked: &Asked<'_>,
        effect: Effect,
        ready: Ready<'_>,
        out: &mut Outbox,
    ) {
        let exchange = ready.exchange;
        let in_blocks = asked.in_blocks();
        let is_first = in_blocks.is_some_and(|block| block.number() == 0);
        let is_last = in_blocks.is_some_and(|block| !block.more());
        // Once a body is complete its blocks are gone, so that its last block can only be answered from
        // memory when it comes again, whatever the effect; and a late copy of its first block would
        // begin another body, of which the next body's blocks could become a part.
        let key = (effect == Effect::Once && in_blocks.is_none() || is_first || is_last)
            .then(|| self.once.key(&exchange.origin, exchange.id, request.payload));
        if let Some(key) = key {
            match self.once.look(now, key) {
                Known::New => {}
                Known::Answered(answer) if exchange.is_answer(answer) => {
                    self.counts.add(Event::Replayed);
                    let sent = out.to(&exchange.origin).write(answer);
                    return sent.unwrap_or_else(|refusal| out.refuse(refusal));
                }
                Known::Answered(_) | Known::Gone => {
                    self.counts.add(Event::ReplaysGone);
                    return out.refuse(Refusal::Overload("the answer to a repeated request is gone"));
                }
            }
        }
        if let Some(key) = key.filter(|_| is_first)
            && !self.mark(now, &exchange, key, out)
        {
            return;
        }
        let mut whole = None;
        if let Some(block) = in_blocks {
            let arrived = Arrived {
                key: ready.body,
                peer: self.mac.hash(&[&mac::peer(&exchange.origin)]),
                validated: exchange.validated,
                block,
                payload: ready.payload,
            };
            let taken = match asked.size1 {
                Some(size) if size as usize > self.config.max_body => Taken::TooLarge,
                _ => self.uploads.take(now, &arrived),
            };
            for _ in 0..self.uploads.take_dropped() {
                self.counts.add(Event::UploadsDropped);
            }
            if taken != Taken::Last {
                let mark = out.mark();
                self.answer_block(now, &exchange, block, taken, out);
                if let Some(key) = key.filter(|_| is_first) {
                    self.once.answer(key, exchange.validated, out.since(mark));
                }
                return;
            }
            self.counts.add(Event::BlocksTaken);
            whole = Some(arrived);
        }
        if let Some(key) = key {
            if !self.mark(now, &exchange, key, out) {
                return;
            }
            self.counts.add(Event::Executed);
        }
        let whole: Option<Vec<u8>> = whole.and_then(|last| self.uploads.finish(&last));
        let ready = Ready { payload: whole.as_deref().unwrap_or(ready.payload), key, ..ready };
        let mark = out.mark();
        self.run(now, &ready, out);
        let answer = out.since(mark);
        if let Some(key) = key.filter(|_| !answer.is_empty()) {
            self.once.answer(key, exchange.validated, answer);
        }
    }

    /// Remembers a request, or refuses it for want of room.
    fn mark(&mut self, now: Time, exchange: &Exchange, key: Key, out: &mut Outbox) -> bool {
        let lifetime = match exchange.carrier {
            Carrier::Acknowledgement(_) => self.config.transmission.exchange_lifetime(),
            Carrier::Message(..) => self.config.transmission.non_lifetime(),
        };
        let inserted = self.once.insert(now, key, &exchange.origin, exchange.validated, lifetime);
        if let Err(full) = inserted {
            self.counts.add(match full {
                Full::Store => Event::RefusedFull,
                Full::Quota => Event::RefusedQuota,
            });
            self.fail(now, exchange, Status::SERVICE_UNAVAILABLE, out);
        }
        inserted.is_ok()
    }

    /// Says what became of a block that is not the last.
    fn answer_block(&mut self, now: Time, exchange: &Exchange, block: Block, taken: Taken, out: &mut Outbox) {
        let size = block.size().min(self.config.block_size);
        let mut response = Response::new(Status::CONTINUE);
        match taken {
            Taken::Continue | Taken::Last => {
                self.counts.add(Event::BlocksTaken);
                // In the answer to the first block a smaller size can be asked for.
                let size = if block.number() == 0 { size } else { block.size() };
                response.block1 = Block::new(block.number(), true, size);
            }
            Taken::Incomplete => response.status = Status::REQUEST_ENTITY_INCOMPLETE,
            Taken::Malformed => response.status = Status::BAD_REQUEST,
            Taken::TooLarge => {
                response.status = Status::REQUEST_ENTITY_TOO_LARGE;
                response.block1 = Block::new(block.number(), block.more(), size);
                response.size1 = Some(self.config.max_body as u32);
            }
            Taken::Full => {
                self.counts.add(Event::UploadsRefused);
                response.status = Status::SERVICE_UNAVAILABLE;
                response.max_age = Some(self.retry_after());
            }
        }
        self.send(now, exchange, &response, out);
    }

    /// Begins or ends an observation, and answers.
    fn observe(&mut self, now: Time, ready: &Ready<'_>, value: u32, out: &mut Outbox) {
        let exchange = &ready.exchange;
        let every = self.resources[ready.resource].every;
        let mut sequence_number = None;
        let (origin, token) = (exchange.origin, exchange.token);
        match (value, every) {
            (REGISTER, Some(_)) if exchange.group => {}
            (REGISTER, Some(_)) if !exchange.validated => {
                // Notifications are no answers to anything that the peer sends, so that nothing bounds them.
                self.counts.add(Event::Restrained);
                return self.ask_for_echo(now, exchange, out);
            }
            (REGISTER, Some(_)) if self.observers.has_room(&origin, token) && ready.fits_an_observer() => {
                sequence_number = Some(sequence(now));
            }
            (REGISTER, Some(_)) => self.counts.add(Event::ObserversRefused),
            (DEREGISTER, _) => {
                self.observers.remove(&origin, token);
            }
            _ => {}
        }
        let is_success = self.run(now, &Ready { observe: sequence_number, ..*ready }, out);
        if let (Some(sequence), Some(every)) = (sequence_number, every) {
            if !is_success {
                self.observers.remove(&origin, token);
                return;
            }
            self.counts.add(Event::Observed);
            let observer = Observer {
                origin,
                token,
                resource: ready.resource,
                method: ready.target.method(),
                options: ready.target.options().encoded().into(),
                payload: ready.payload.into(),
                sequence,
                unconfirmed: 0,
                confirmed: now,
                hash: self.mac.hash(&[self.bench.bytes()]),
                told: now,
                ids: [None; 4],
                pending: None,
            };
            self.observers.insert(now, observer, every);
        }
    }

    fn exchange(&mut self, request: &Request<'_>, message: &Message<'_>, no_response: u8) -> Exchange {
        let carrier = match message.message_type() {
            Type::Confirmable => Carrier::Acknowledgement(message.id()),
            _ => Carrier::Message(Reliability::NonConfirmable, self.next_id(&request.origin)),
        };
        Exchange {
            origin: request.origin,
            validated: request.origin.validated,
            lately: false,
            carrier,
            id: message.id(),
            token: message.token(),
            size: request.payload.len(),
            spent: 0,
            group: request.group,
            no_response,
        }
    }

    /// Whether the peer is validated, and whether it is by another request and so lately that this may be a
    /// copy of one that came before it.
    fn validate(&mut self, now: Time, origin: &Origin, echo: Option<&[u8]>) -> (bool, bool) {
        if origin.validated {
            return (true, false);
        }
        if echo.is_some_and(|value| self.echoes.admit(now, origin, value)) {
            self.counts.add(Event::Validated);
            return (true, false);
        }
        let since = self.echoes.known_since(now, origin);
        let lately = |since| now.since(since) <= self.config.transmission.max_latency();
        (since.is_some(), since.is_some_and(lately))
    }

    /// What the body of a request or answer is known by: its peer, method and options.
    pub(super) fn body_key(&self, origin: &Origin, target: Target<'_>) -> u64 {
        let mut identity = Vec::with_capacity(64);
        identity.push(target.method().code());
        for field in target.options().iter().filter(|field| identifies(field.number)) {
            identity.extend_from_slice(&field.number.to_be_bytes());
            identity.extend_from_slice(&(field.value.len() as u32).to_be_bytes());
            identity.extend_from_slice(field.value);
        }
        self.mac.hash(&[&mac::peer(origin), &mac::local(origin), &identity])
    }
}

impl Ready<'_> {
    /// Whether this request alone, run once more, gives the answer that a former one was given.
    pub(super) fn can_run_again(&self) -> bool {
        self.safe && (self.target.method() == Method::Get || !self.payload.is_empty())
    }

    /// Whether what an observer's request is made of is not too much to keep.
    fn fits_an_observer(&self) -> bool {
        self.target.options().encoded().len() + self.payload.len() <= MAX_OBSERVER
    }
}

/// The Content-Format of `/.well-known/core`.
pub(super) const LINK_FORMAT: u16 = 40;
/// The most bytes of options and payload that an observation keeps.
const MAX_OBSERVER: usize = 512;
const REGISTER: u32 = 0;
const DEREGISTER: u32 = 1;
