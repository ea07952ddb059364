//! What servers send.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::Client;
use super::call::{Call, Purpose, State};
use super::download::Downloaded;
use super::event::{Event, Executed, RequestId, Response, Why, max_age};
use super::observation::Observation;
use super::upload::Uploaded;
use crate::coap::block::{Block, BlockSize};
use crate::coap::message::{Code, Message, Type};
use crate::coap::options::{Options, OptionsBuf, number};
use crate::coap::writer::Empty;
use crate::{Effect, Origin, Outbox, Request, Status, Time};

impl Client {
    /// Says that the host of `server` has refused a datagram (ICMP port unreachable), or that no path leads to it.
    /// Requests to it go on to the next server or fail.
    pub fn unreachable(&mut self, now: Time, server: SocketAddr, out: &mut Outbox) {
        let Some(endpoint) = self.endpoints.get(&server) else { return };
        // A word about one of several datagrams does not say which it was.
        let is_only = endpoint.unheard <= 1;
        let mut ids: Vec<u64> = endpoint.by_id.values().copied().collect();
        ids.dedup();
        for id in ids {
            let Some(call) = self.calls.remove(&id) else { continue };
            if call.gather_until.is_some() {
                self.keep(id, call);
                continue;
            }
            let is_single = call.exchange.as_ref().is_some_and(|exchange| exchange.is_single());
            self.move_on(now, id, call, server, Why::Unreachable, is_only && is_single, out);
        }
        self.settle(now, out);
    }

    pub(super) fn receive(&mut self, now: Time, datagram: &Request<'_>, out: &mut Outbox) {
        let origin = &datagram.origin;
        let Some(from) = origin.peer.ip() else { return };
        let message = match Message::parse(datagram.payload) {
            Ok(message) => message,
            Err(error) => {
                self.counts.malformed += 1;
                if let Some(id) = error.reset() {
                    self.answer(origin, Empty::Reset(id), out);
                }
                return;
            }
        };
        if let Some(endpoint) = self.endpoints.get_mut(&from) {
            endpoint.unheard = 0;
            endpoint.probed_until = Time::ZERO;
        }
        match (message.message_type(), message.code()) {
            (Type::Acknowledgement, Code::Empty) => self.on_acknowledgement(now, from, message.id()),
            (Type::Reset, _) => self.on_reset(now, from, message.id(), out),
            (kind, Code::Response(status)) => {
                self.on_response(now, origin, from, kind, status, &message, out)
            }
            // A ping, or a request, to somebody who serves nothing (RFC 7252 §4.2).
            (Type::Confirmable, _) => self.answer(origin, Empty::Reset(message.id()), out),
            _ => self.counts.strays += 1,
        }
    }

    fn on_acknowledgement(&mut self, now: Time, from: SocketAddr, message_id: u16) {
        let Some((id, mut call)) = self.take_by_id(from, message_id) else { return };
        let until = now + self.settings.answer_wait_or_default();
        if let Some(exchange) = &mut call.exchange
            && matches!(exchange.state, State::Waiting(_))
            && call.purpose != Purpose::Ping
        {
            exchange.state = State::Acknowledged { until };
            let sent = exchange.sent.iter_mut().find(|sent| sent.server == from && sent.is_open);
            if let (Some(sent), Some(endpoint)) = (sent, self.endpoints.get_mut(&from)) {
                // The exchange no longer counts for NSTART (RFC 7252 §4.7).
                sent.is_open = false;
                endpoint.open -= 1;
                self.freed.push(from);
            }
            call.bind(from);
        }
        self.keep(id, call);
    }

    fn on_reset(&mut self, now: Time, from: SocketAddr, message_id: u16, out: &mut Outbox) {
        let Some((id, call)) = self.take_by_id(from, message_id) else { return };
        if call.purpose == Purpose::Ping {
            return self.finish(id, call, Event::Pong { id: RequestId(id), from });
        }
        let is_single = call.exchange.as_ref().is_some_and(|exchange| exchange.is_single());
        self.move_on(now, id, call, from, Why::Refused, is_single, out);
    }

    #[expect(clippy::too_many_arguments, reason = "a message taken apart")]
    fn on_response(
        &mut self,
        now: Time,
        origin: &Origin,
        from: SocketAddr,
        kind: Type,
        status: Status,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let (message_id, token) = (message.id(), message.token());
        if kind == Type::Confirmable
            && let Some(endpoint) = self.endpoints.get_mut(&from)
            && endpoint.has_heard(now, message_id, token)
        {
            self.counts.duplicates += 1;
            return self.answer(origin, Empty::Acknowledgement(message_id), out);
        }
        let wanted = self.by_token.get(&token).copied().filter(|id| {
            let Some(call) = self.calls.get(id) else { return false };
            let exchange = call.exchange.as_ref().filter(|exchange| exchange.token == token);
            match exchange {
                _ if call.gather_until.is_some() => true,
                // An acknowledgement is of one message.
                Some(exchange) if kind == Type::Acknowledgement => {
                    exchange.sent.iter().any(|sent| sent.server == from && sent.id == message_id)
                }
                Some(exchange) => exchange.went_to(from),
                None => kind != Type::Acknowledgement && call.server() == from,
            }
        });
        let Some((id, call)) = wanted.and_then(|id| Some((id, self.calls.remove(&id)?))) else {
            self.counts.strays += 1;
            if kind != Type::Acknowledgement {
                // Ends an observation that was forgotten, too (RFC 7641 §3.6).
                self.answer(origin, Empty::Reset(message_id), out);
            }
            return;
        };
        if kind == Type::Confirmable && message.options().unrecognized_critical(is_known).is_some() {
            // RFC 7252 §5.4.1: it is rejected; what becomes of the request is seen below.
            self.answer(origin, Empty::Reset(message_id), out);
        } else if kind == Type::Confirmable {
            let lifetime = self.settings.transmission.exchange_lifetime();
            if let Some(endpoint) = self.endpoints.get_mut(&from) {
                endpoint.hear(now, lifetime, message_id, token);
            }
            self.answer(origin, Empty::Acknowledgement(message_id), out);
        }
        if call.gather_until.is_some() {
            return self.take_member(id, call, from, status, message);
        }
        let is_exchange = call.exchange.as_ref().is_some_and(|exchange| exchange.token == token);
        if !is_exchange {
            return self.take_notification(now, id, call, from, status, message, out);
        }
        if call.purpose == Purpose::Withdraw {
            if kind != Type::Acknowledgement && message.options().contains(number::OBSERVE) {
                // One of the last notifications, not the answer.
                return self.keep(id, call);
            }
            return self.fail(id, call, Why::Cancelled);
        }
        self.take_answer(now, id, call, from, status, message, out);
    }

    /// Takes the answer to the present exchange.
    #[expect(clippy::too_many_arguments, reason = "a message taken apart")]
    fn take_answer(
        &mut self,
        now: Time,
        id: u64,
        mut call: Call,
        from: SocketAddr,
        status: Status,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let options = message.options();
        let echo = options.get(number::ECHO);
        // A server that was full for one copy may have had room for the next.
        let is_only = call.exchange.as_ref().is_some_and(|exchange| exchange.copies <= 1);
        if status == Status::SERVICE_UNAVAILABLE && call.can_move(is_only) {
            return self.move_on(now, id, call, from, Why::Refused, is_only, out);
        }
        let token = call.exchange.as_ref().map(|exchange| exchange.token);
        if call.upload.is_last() && call.purpose == Purpose::Ask && status.is_success() {
            call.executed = Executed::Yes;
        }
        let renews = matches!(call.purpose, Purpose::Ask | Purpose::Renew) && call.request.observe;
        if renews {
            // Before the exchange is concluded, so that the token of an observation stays.
            let sequence = options.uint(number::OBSERVE).filter(|_| status.is_success());
            let renew_at = self.renew_at(now, options);
            call.observation =
                token.zip(sequence).map(|(token, sequence)| Observation::new(token, sequence, now, renew_at));
        }
        self.conclude(id, &mut call);
        if options.unrecognized_critical(is_known).is_some() {
            return self.fail(id, call, Why::Protocol("a critical option that is not known"));
        }
        call.bind(from);
        if let Some(echo) = echo {
            call.echo = Some(echo.to_vec());
            if status == Status::UNAUTHORIZED && call.echoes < MAX_ECHOES {
                // RFC 9175 §2.3: the same request again, with the Echo.
                call.echoes += 1;
                return self.begin(now, id, call, out);
            }
        }
        if matches!(call.purpose, Purpose::Ask | Purpose::Rest)
            && !call.download.has_begun()
            && call.block2.is_none_or(|block| block.number() == 0)
        {
            let Ok(block1) = Block::of(options, number::BLOCK1) else {
                return self.fail(id, call, Why::Protocol("a block of no valid size"));
            };
            if !call.upload.is_last() && status.is_success() && status != Status::CONTINUE {
                // Each block is processed when it arrives, without waiting for the rest (RFC 7959 §2.5).
                call.executed = Executed::Unknown;
            }
            match call.upload.take(status, block1) {
                Ok(Uploaded::Final) => {}
                Ok(Uploaded::Next) => return self.begin(now, id, call, out),
                Ok(Uploaded::Restart) => {
                    call.tag = self.random.next_u64() as u32;
                    return self.begin(now, id, call, out);
                }
                Err(why) => return self.fail(id, call, why),
            }
        }
        self.take_part(now, id, call, from, status, message, out);
    }

    /// Takes a notification.
    #[expect(clippy::too_many_arguments, reason = "a message taken apart")]
    fn take_notification(
        &mut self,
        now: Time,
        id: u64,
        mut call: Call,
        from: SocketAddr,
        status: Status,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let options = message.options();
        let sequence = options.uint(number::OBSERVE).filter(|_| status.is_success());
        let renew_at = self.renew_at(now, options);
        match (&mut call.observation, sequence) {
            (Some(observation), Some(sequence)) => {
                if !observation.take(sequence, now, renew_at) {
                    self.counts.outdated += 1;
                    return self.keep(id, call);
                }
            }
            (observation, _) => {
                // The resource is gone, or can no longer be observed.
                if let Some(ended) = observation.take() {
                    self.by_token.remove(&ended.token);
                }
            }
        }
        // What was being fetched is an older state.
        self.conclude(id, &mut call);
        if options.unrecognized_critical(is_known).is_some() {
            return self.fail(id, call, Why::Protocol("a critical option that is not known"));
        }
        if let Some(echo) = options.get(number::ECHO) {
            call.echo = Some(echo.to_vec());
        }
        call.download = Default::default();
        self.take_part(now, id, call, from, status, message, out);
    }

    /// Takes the body of an answer or notification, or a part of it.
    #[expect(clippy::too_many_arguments, reason = "a message taken apart")]
    fn take_part(
        &mut self,
        now: Time,
        id: u64,
        mut call: Call,
        from: SocketAddr,
        status: Status,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let is_safe = call.request.effect() == Effect::Safe;
        let wanted = call.request.block_size.unwrap_or(self.settings.block_size);
        if call.observation.is_some() {
            call.purpose = Purpose::Rest;
        }
        if is_safe && call.download.began_small(message.options(), wanted) {
            call.download.widened = true;
            call.start_over(wanted);
            call.tag = self.random.next_u64() as u32;
            return self.begin(now, id, call, out);
        }
        match call.download.take(message, status, self.settings.max_body) {
            Ok(Downloaded::Next(block)) => {
                call.block2 = Some(block);
                self.begin(now, id, call, out);
            }
            Ok(Downloaded::Restart) if is_safe => {
                let size = call.block2.map_or(BlockSize::MAX, |block| block.size());
                call.start_over(size);
                call.tag = self.random.next_u64() as u32;
                self.begin(now, id, call, out);
            }
            // To run it again only to see its answer whole is not ours to decide.
            Ok(Downloaded::Restart) => {
                self.fail(id, call, Why::Protocol("the answer changed while it was fetched"))
            }
            Ok(Downloaded::Whole(response)) => self.take_whole(id, call, from, response),
            Err(why) => self.fail(id, call, why),
        }
    }

    fn take_whole(&mut self, id: u64, mut call: Call, from: SocketAddr, response: Response) {
        if let (Some(echo), Some(endpoint)) = (call.echo.take(), self.endpoints.get_mut(&from)) {
            endpoint.echo = Some(echo);
        }
        let name = RequestId(id);
        if call.observation.is_none() {
            let messages = call.messages;
            return self.finish(id, call, Event::Answered { id: name, from, response, messages });
        }
        call.end = None;
        call.block2 = call.request.block_size.map(Block::first);
        call.download = Default::default();
        let event = Event::Notification { id: name, from, response };
        let unread = self
            .events
            .iter_mut()
            .find(|event| matches!(event, Event::Notification { id, .. } if *id == name));
        match unread {
            Some(older) => {
                *older = event;
                self.counts.replaced += 1;
            }
            None => self.events.push_back(event),
        }
        self.keep(id, call);
    }

    fn take_member(
        &mut self,
        id: u64,
        mut call: Call,
        from: SocketAddr,
        status: Status,
        message: &Message<'_>,
    ) {
        if call.members.len() >= MAX_MEMBERS {
            self.counts.crowded_out += 1;
        } else if call.members.contains(&from) {
            self.counts.duplicates += 1;
        } else if message.options().unrecognized_critical(is_known).is_none() {
            call.members.push(from);
            let mut options = OptionsBuf::new();
            for field in message.options() {
                let _ = options.push(field.number, field.value);
            }
            let response = Response { status, options, payload: message.payload().to_vec() };
            self.events.push_back(Event::Member { id: RequestId(id), from, response });
        }
        self.keep(id, call);
    }

    /// When a state of these options is asked for again: after Max-Age, and 5 to 15 s more, so that clients do not
    /// come in step ([RFC 7641 §3.3.1](https://www.rfc-editor.org/rfc/rfc7641#section-3.3.1)).
    fn renew_at(&mut self, now: Time, options: Options<'_>) -> Time {
        now + max_age(options) + Duration::from_secs(5) + Duration::from_secs(10).mul_f64(self.random.unit())
    }

    fn take_by_id(&mut self, from: SocketAddr, message_id: u16) -> Option<(u64, Call)> {
        let id = *self.endpoints.get(&from)?.by_id.get(&message_id)?;
        Some((id, self.calls.remove(&id)?))
    }

    fn answer(&mut self, origin: &Origin, empty: Empty, out: &mut Outbox) {
        if out.to(origin).write(&empty.datagram()).is_err() {
            self.counts.unsent += 1;
        } else if let Some(endpoint) = origin.peer.ip().and_then(|from| self.endpoints.get_mut(&from)) {
            endpoint.unheard = endpoint.unheard.saturating_add(1);
        }
    }
}

/// The critical options that a response may have.
fn is_known(option: u16) -> bool {
    matches!(option, number::BLOCK1 | number::BLOCK2 | number::URI_HOST | number::URI_PORT)
}

/// How often a server may ask for its Echo in one request: RFC 9175 knows reasons for a second time, such as a
/// server that has changed its key.
const MAX_ECHOES: u8 = 2;
/// How many members of a group are heard for one request.
const MAX_MEMBERS: usize = 1024;
