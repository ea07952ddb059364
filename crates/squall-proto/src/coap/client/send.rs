//! Messages on their way to servers: places, copies, timers, ends.

use core::net::SocketAddr;
use core::time::Duration;

use super::call::{Call, Exchange, Purpose, Sent, State, Unsent};
use super::event::{Event, Failure, RequestId, Why};
use super::{Client, Due};
use crate::coap::message::Token;
use crate::coap::writer::Reliability;
use crate::retry::{Schedule, Step};
use crate::{Outbox, Time};

/// Why a message cannot be sent now.
enum NoPlace {
    /// NSTART exchanges are open, or others wait already.
    Busy,
    /// Not before this: for want of message IDs, or because the server has not answered.
    Until(Time),
}

impl Client {
    /// Begins the exchange that comes next, at once or when its server has a place for it.
    pub(super) fn begin(&mut self, now: Time, id: u64, mut call: Call, out: &mut Outbox) {
        if call.echo.is_none() {
            // An Echo serves one request, and the blocks of its transfer.
            call.echo = self.endpoints.get_mut(&call.server()).and_then(|endpoint| endpoint.echo.take());
        }
        let token = match (call.purpose, &call.observation) {
            (Purpose::Ping, _) => Token::EMPTY,
            (Purpose::Renew | Purpose::Withdraw, Some(observation)) => observation.token,
            _ => self.tokens.next(),
        };
        if call.purpose != Purpose::Ping {
            self.by_token.insert(token, id);
        }
        call.exchange = Some(Exchange::new(token));
        let server = call.server();
        let is_gather = call.gather_until.is_some();
        let queue_is_empty = self.endpoints.get(&server).is_none_or(|endpoint| endpoint.queue.is_empty());
        let launched = if queue_is_empty || is_gather {
            self.launch(now, id, &mut call, out)
        } else {
            Err(NoPlace::Busy)
        };
        match launched {
            Ok(Ok(())) => self.keep(id, call),
            Ok(Err(why)) => self.fail(id, call, why),
            Err(no_place) => {
                if let Some(endpoint) = self.endpoints.get_mut(&server) {
                    endpoint.queue.push_back(id);
                }
                self.wait(server, no_place);
                self.keep(id, call);
            }
        }
    }

    /// Gives the places that have become free to those that wait for them.
    pub(super) fn settle(&mut self, now: Time, out: &mut Outbox) {
        while let Some(server) = self.freed.pop() {
            while let Some(id) =
                self.endpoints.get(&server).and_then(|endpoint| endpoint.queue.front().copied())
            {
                let launched = match self.calls.remove(&id) {
                    Some(call) if call.end.is_some_and(|end| now >= end) => {
                        self.fail(id, call, Why::TimedOut);
                        continue;
                    }
                    Some(mut call) => match self.launch(now, id, &mut call, out) {
                        Ok(Ok(())) => {
                            self.keep(id, call);
                            Ok(())
                        }
                        Ok(Err(why)) => {
                            self.fail(id, call, why);
                            // It has left the queue with its end.
                            continue;
                        }
                        Err(no_place) => {
                            self.keep(id, call);
                            Err(no_place)
                        }
                    },
                    None => Ok(()),
                };
                if let Err(no_place) = launched {
                    self.wait(server, no_place);
                    break;
                }
                if let Some(endpoint) = self.endpoints.get_mut(&server) {
                    endpoint.queue.pop_front();
                }
            }
        }
    }

    /// Does what is due for a request.
    pub(super) fn on_timer(&mut self, now: Time, id: u64, mut call: Call, out: &mut Outbox) {
        if call.gather_until.is_some_and(|until| now >= until) {
            let members = call.members.len() as u32;
            return self.finish(id, call, Event::Gathered { id: RequestId(id), members });
        }
        if call.end.is_some_and(|end| now >= end) {
            let why = call.why_silent();
            return self.fail(id, call, why);
        }
        let turns = call.turns();
        match &mut call.exchange {
            None => {
                if call.observation.as_ref().is_some_and(|observation| now >= observation.renew_at) {
                    call.purpose = Purpose::Renew;
                    return self.begin(now, id, call, out);
                }
            }
            Some(Exchange { state: State::Waiting(schedule), .. }) => match schedule.handle_timeout(now) {
                Some(Step::Try) => {
                    let server = call.servers[schedule.server() % turns as usize];
                    self.repeat(now, id, &mut call, server, out);
                }
                Some(Step::GiveUp) => return self.fail(id, call, Why::TimedOut),
                None => {}
            },
            Some(Exchange { state: State::Unconfirmed { until, length }, sent, .. }) if now >= *until => {
                let rate = u64::from(self.settings.transmission.probing_rate());
                let pause = Duration::from_millis(*length as u64 * 1000 / rate);
                for sent in sent {
                    if let Some(endpoint) = self.endpoints.get_mut(&sent.server) {
                        endpoint.probed_until = endpoint.probed_until.max(sent.at + pause);
                    }
                }
                return self.fail(id, call, Why::TimedOut);
            }
            Some(Exchange { state: State::Acknowledged { until }, .. }) if now >= *until => {
                let server = call.server();
                return self.move_on(now, id, call, server, Why::Unanswered, false, out);
            }
            Some(_) => {}
        }
        self.keep(id, call);
    }

    /// Sends the first copy of the present exchange.
    fn launch(
        &mut self,
        now: Time,
        id: u64,
        call: &mut Call,
        out: &mut Outbox,
    ) -> Result<Result<(), Why>, NoPlace> {
        let server = call.server();
        let message_id = self.place(now, id, call, server)?;
        let length = match self.transmit(call, message_id, server, out) {
            Ok(length) => length,
            Err(why) => return Ok(Err(why)),
        };
        let state = match call.reliability() {
            Reliability::Confirmable => {
                // The jitter is drawn, and the end is the call's.
                let policy = self.settings.retry.drawn(self.random.next_u64()).total(None);
                match Schedule::new(&policy, call.turns(), 0, now) {
                    Ok(schedule) => State::Waiting(schedule),
                    Err(_) => return Ok(Err(Why::TimedOut)),
                }
            }
            Reliability::NonConfirmable => {
                let until = now + self.settings.answer_wait_or_default();
                State::Unconfirmed { until: call.gather_until.unwrap_or(until), length }
            }
        };
        if let Some(exchange) = &mut call.exchange {
            exchange.state = state;
        }
        Ok(Ok(()))
    }

    /// Sends another copy, to the same server or to the next.
    fn repeat(&mut self, now: Time, id: u64, call: &mut Call, server: SocketAddr, out: &mut Outbox) {
        let earlier = call.exchange.iter().flat_map(|exchange| &exchange.sent);
        let message_id = match earlier.clone().find(|sent| sent.server == server) {
            // The server may have forgotten the first copy.
            Some(sent) if now.since(sent.at) > self.settings.transmission.max_transmit_span() => None,
            Some(sent) => Some(sent.id),
            None => self.place(now, id, call, server).ok(),
        };
        let Some(message_id) = message_id else {
            self.counts.withheld += 1;
            return;
        };
        self.counts.repeated += 1;
        // The first copy was written, so this one can be.
        let _ = self.transmit(call, message_id, server, out);
    }

    /// Takes a place and a message ID at `server`.
    fn place(&mut self, now: Time, id: u64, call: &mut Call, server: SocketAddr) -> Result<u16, NoPlace> {
        let transmission = &self.settings.transmission;
        let reliability = call.reliability();
        let (Some(endpoint), Some(exchange)) = (self.endpoints.get_mut(&server), &mut call.exchange) else {
            return Err(NoPlace::Busy);
        };
        // A group's members answer for themselves, so there is no exchange to be counted.
        let is_open = call.gather_until.is_none();
        if is_open {
            if endpoint.open >= transmission.nstart() {
                return Err(NoPlace::Busy);
            }
            if reliability == Reliability::NonConfirmable && now < endpoint.probed_until {
                return Err(NoPlace::Until(endpoint.probed_until));
            }
        }
        let lifetime = match reliability {
            Reliability::Confirmable => transmission.exchange_lifetime(),
            Reliability::NonConfirmable => transmission.non_lifetime(),
        };
        let message_id = endpoint.take_id(now, lifetime).map_err(NoPlace::Until)?;
        endpoint.open += u32::from(is_open);
        endpoint.by_id.insert(message_id, id);
        exchange.sent.push(Sent { server, id: message_id, at: now, is_open });
        Ok(message_id)
    }

    fn transmit(
        &mut self,
        call: &mut Call,
        message_id: u16,
        server: SocketAddr,
        out: &mut Outbox,
    ) -> Result<usize, Why> {
        let written = call.write(message_id, server, out);
        if let Err(Unsent::Never(why)) = written {
            return Err(why);
        }
        call.messages += 1;
        if let Some(exchange) = &mut call.exchange {
            exchange.copies += 1;
        }
        if let Some(endpoint) = self.endpoints.get_mut(&server) {
            endpoint.unheard = endpoint.unheard.saturating_add(1);
        }
        match written {
            Ok(length) => {
                self.counts.sent += 1;
                Ok(length)
            }
            Err(_) => {
                self.counts.unsent += 1;
                Ok(0)
            }
        }
    }

    /// Asks the next server instead of `server`, which has certainly not executed the request if `is_definite`;
    /// where that must not be, the request fails.
    #[expect(clippy::too_many_arguments, reason = "what happened, where, and what is known of it")]
    pub(super) fn move_on(
        &mut self,
        now: Time,
        id: u64,
        mut call: Call,
        server: SocketAddr,
        why: Why,
        is_definite: bool,
        out: &mut Outbox,
    ) {
        if !call.can_move(is_definite) {
            let executed = if is_definite { call.executed } else { call.executed() };
            return self.fail_knowing(id, call, why, executed);
        }
        if !is_definite {
            call.executed = call.executed();
        }
        self.conclude(id, &mut call);
        call.leave(server);
        self.release(server);
        call.tag = self.random.next_u64() as u32;
        self.begin(now, id, call, out);
    }

    /// Ends the present exchange, answered or not.
    pub(super) fn conclude(&mut self, id: u64, call: &mut Call) {
        let Some(exchange) = call.exchange.take() else { return };
        let is_observed = call.observation.as_ref().is_some_and(|observed| observed.token == exchange.token);
        if !is_observed {
            self.by_token.remove(&exchange.token);
        }
        for sent in &exchange.sent {
            if let Some(endpoint) = self.endpoints.get_mut(&sent.server) {
                endpoint.by_id.remove(&sent.id);
                if sent.is_open {
                    endpoint.open -= 1;
                    self.freed.push(sent.server);
                }
            }
        }
        if matches!(exchange.state, State::Queued)
            && let Some(endpoint) = self.endpoints.get_mut(&call.server())
        {
            endpoint.queue.retain(|waiting| *waiting != id);
            if let Some(wake) = endpoint.wake.take_if(|_| endpoint.queue.is_empty()) {
                self.timers.remove(&(wake, Due::Queue(call.server())));
            }
        }
    }

    /// Ends a request without an answer.
    pub(super) fn fail(&mut self, id: u64, call: Call, why: Why) {
        let executed = call.executed();
        self.fail_knowing(id, call, why, executed);
    }

    fn fail_knowing(&mut self, id: u64, call: Call, why: Why, executed: super::Executed) {
        let why = if call.purpose == Purpose::Withdraw { Why::Cancelled } else { why };
        let failure = Failure { why, executed, messages: call.messages };
        self.finish(id, call, Event::Failed { id: RequestId(id), failure });
    }

    /// Ends a request with its last event.
    pub(super) fn finish(&mut self, id: u64, mut call: Call, event: Event) {
        self.conclude(id, &mut call);
        if let Some(observation) = &call.observation {
            self.by_token.remove(&observation.token);
        }
        if let Some(due) = call.timer {
            self.timers.remove(&(due, Due::Call(id)));
        }
        for server in &call.servers {
            self.release(*server);
        }
        self.events.push_back(event);
    }

    /// Puts a request back, with its timer.
    pub(super) fn keep(&mut self, id: u64, mut call: Call) {
        let due = call.deadline();
        if due != call.timer {
            if let Some(old) = call.timer {
                self.timers.remove(&(old, Due::Call(id)));
            }
            if let Some(due) = due {
                self.timers.insert((due, Due::Call(id)));
            }
            call.timer = due;
        }
        self.calls.insert(id, call);
    }

    fn wait(&mut self, server: SocketAddr, no_place: NoPlace) {
        let (NoPlace::Until(until), Some(endpoint)) = (no_place, self.endpoints.get_mut(&server)) else {
            return;
        };
        if let Some(old) = endpoint.wake.replace(until) {
            self.timers.remove(&(old, Due::Queue(server)));
        }
        self.timers.insert((until, Due::Queue(server)));
    }
}
