//! The client's end: requests that are answered, or known to have failed.
//!
//! A [`Client`] is a [`Protocol`]: whoever drives it gives it the datagrams that arrive and the time, and
//! sends what it writes. [`Client::request`] begins a request, [`Client::poll_event`] tells what became of
//! it. Every request ends with exactly one last event, within a time that its settings state:
//!
//! | the server | the last event | when at the latest, by default |
//! | --- | --- | --- |
//! | answers | [`Event::Answered`] | when the answer is there |
//! | is silent | [`Why::TimedOut`] | 93 s after the first copy (MAX_TRANSMIT_WAIT) |
//! | acknowledges, and is then silent | [`Why::Unanswered`] | 93 s after the acknowledgement ([`Settings::answer_wait`]) |
//! | resets, or is not there and its host says so | [`Why::Refused`], [`Why::Unreachable`] | at once |
//!
//! Each block of a long body is such an exchange of its own, and requests beyond NSTART (1) at one server wait for
//! their turn first; [`RetryPolicy::total`](crate::retry::RetryPolicy::total) bounds all of it together.
//!
//! # What is promised
//! A request is executed at most once by one server process that keeps
//! [RFC 7252 §4.5](https://www.rfc-editor.org/rfc/rfc7252#section-4.5): all copies of a message carry one message
//! ID, which is used for nothing else within EXCHANGE_LIFETIME (247 s). That leaves at most 65,536 messages in
//! that time for one server, 265 a second; whoever asks more waits.
//! [`Failure::executed`] tells what is known of a request that failed.
//!
//! With several servers, the next is tried before the same again. A request that may be run twice
//! ([`Effect`]) goes on to the next one while one is silent; the first answer counts. One that must
//! not be stays with its server, and goes on only from one that has certainly not executed it: it answered the
//! only copy with 5.03 or a reset, or its host has nobody on the port.
//!
//! Answers are not cached.

mod call;
mod download;
mod endpoint;
mod event;
mod observation;
mod receive;
mod request;
mod send;
mod settings;
mod tokens;
mod upload;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;

pub use event::{Event, Executed, Failure, RequestError, RequestId, Response, Why};
pub use request::{BadOption, ClientRequest};
pub use settings::{Settings, policy};

use self::call::{Call, Purpose};
use self::endpoint::Endpoint;
use self::tokens::Tokens;
#[cfg(doc)]
use crate::Effect;
use crate::coap::message::Token;
use crate::random::SplitMix64;
use crate::retry::RetryPolicyError;
use crate::{Input, Method, Outbox, Protocol, Time};

/// A CoAP client as a machine.
///
/// ```
/// use squall_proto::coap::client::{Client, ClientRequest, Event, Settings};
/// use squall_proto::{Outbox, Protocol, Time};
///
/// let mut client = Client::new(Settings::default(), 1)?;
/// let mut out = Outbox::new();
/// let server = "192.0.2.1:5683".parse()?;
/// client.request(Time::ZERO, &[server], ClientRequest::get().path("time")?, &mut out)?;
/// assert_eq!(out.len(), 1);
/// // Nobody answers.
/// while let Some(due) = client.poll_timeout() {
///     client.handle_timeout(due, &mut out);
/// }
/// assert_eq!(out.len(), 5);
/// assert!(matches!(client.poll_event(), Some(Event::Failed { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    tokens: Tokens,
    random: SplitMix64,
    calls: BTreeMap<u64, Call>,
    by_token: BTreeMap<Token, u64>,
    endpoints: BTreeMap<SocketAddr, Endpoint>,
    timers: BTreeSet<(Time, Due)>,
    /// Servers at which a place has become free.
    freed: Vec<SocketAddr>,
    events: VecDeque<Event>,
    next_call: u64,
    counts: Counts,
}

/// What a client counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages sent for requests, copies counted.
    pub sent: u64,
    /// Copies among them.
    pub repeated: u64,
    /// Copies that did not go to the next server, because it had no place for them.
    pub withheld: u64,
    /// Messages for which the driver had no room.
    pub unsent: u64,
    /// Datagrams that are no message.
    pub malformed: u64,
    /// Messages that belong to no request that is open.
    pub strays: u64,
    /// Copies of messages that were acknowledged before.
    pub duplicates: u64,
    /// Notifications that came later than a newer one.
    pub outdated: u64,
    /// Notifications that were replaced by a newer one before anybody took them.
    pub replaced: u64,
    /// Answers of a group's members over the 1024 that are taken for one request.
    pub crowded_out: u64,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Call(u64),
    Queue(SocketAddr),
}

impl Client {
    /// A client whose tokens, message IDs and jitter follow from `seed`. Outside of tests it must be a number that
    /// nobody can guess, and another for each client.
    ///
    /// # Errors
    /// What [`Settings::validate`] finds.
    pub fn new(settings: Settings, seed: u64) -> Result<Self, RetryPolicyError> {
        settings.validate()?;
        let tokens = Tokens::new(seed);
        Ok(Self {
            settings,
            random: SplitMix64::new(tokens.other_seed()),
            tokens,
            calls: BTreeMap::new(),
            by_token: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            timers: BTreeSet::new(),
            freed: Vec::new(),
            events: VecDeque::new(),
            next_call: 0,
            counts: Counts::default(),
        })
    }

    /// Sends `request` to the first of `servers`, or puts it in its queue; the others are asked as the module's
    /// documentation says. Nothing of it is sent when it is refused.
    ///
    /// # Errors
    /// [`RequestError`]
    pub fn request(
        &mut self,
        now: Time,
        servers: &[SocketAddr],
        request: ClientRequest,
        out: &mut Outbox,
    ) -> Result<RequestId, RequestError> {
        self.open(now, servers, request, Purpose::Ask, out)
    }

    /// Asks whether `server` is there, with an empty message that every CoAP endpoint resets
    /// ([RFC 7252 §4.3](https://www.rfc-editor.org/rfc/rfc7252#section-4.3)). It is sent again as a request is.
    ///
    /// # Errors
    /// [`RequestError`]
    pub fn ping(
        &mut self,
        now: Time,
        server: SocketAddr,
        out: &mut Outbox,
    ) -> Result<RequestId, RequestError> {
        self.open(now, &[server], ClientRequest::new(Method::Get), Purpose::Ping, out)
    }

    /// Gives a request up. Its last event is a failure, [`Why::Cancelled`]: at once, but for an observation once
    /// its server has been told and has answered, or is not heard of in time. Does nothing for a request that is
    /// over.
    pub fn cancel(&mut self, now: Time, id: RequestId, out: &mut Outbox) {
        let Some(mut call) = self.calls.remove(&id.0) else { return };
        if call.observation.is_some() && call.purpose != Purpose::Withdraw {
            self.conclude(id.0, &mut call);
            call.purpose = Purpose::Withdraw;
            self.begin(now, id.0, call, out);
        } else {
            self.fail(id.0, call, Why::Cancelled);
        }
        self.settle(now, out);
    }

    /// What happened next; `None` when there is nothing new.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many requests are open.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no request is open.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn open(
        &mut self,
        now: Time,
        servers: &[SocketAddr],
        request: ClientRequest,
        purpose: Purpose,
        out: &mut Outbox,
    ) -> Result<RequestId, RequestError> {
        let mut distinct: Vec<SocketAddr> = Vec::with_capacity(servers.len());
        servers.iter().for_each(|server| {
            if !distinct.contains(server) {
                distinct.push(*server);
            }
        });
        if request.gather.is_some() {
            distinct.truncate(1);
        }
        if distinct.is_empty() {
            return Err(RequestError::NoServer);
        }
        if self.calls.len() + self.events.len() >= self.settings.max_requests {
            return Err(RequestError::TooMany(self.settings.max_requests));
        }
        self.remember(now, &distinct)?;
        let id = self.next_call;
        self.next_call += 1;
        let mut call = Call::new(request, distinct, self.settings.block_size, purpose);
        call.tag = self.random.next_u64() as u32;
        call.end = self.settings.retry.total_limit().map(|total| now + total);
        call.echo = call.request.echo.take();
        call.gather_until = call.request.gather.map(|time| now + time);
        self.begin(now, id, call, out);
        self.settle(now, out);
        Ok(RequestId(id))
    }

    /// Makes sure that all of `servers` are remembered, and are until [`release`](Self::release).
    fn remember(&mut self, now: Time, servers: &[SocketAddr]) -> Result<(), RequestError> {
        let limit = self.settings.max_endpoints;
        let unknown = |endpoints: &BTreeMap<_, _>| {
            servers.iter().filter(|server| !endpoints.contains_key(*server)).count()
        };
        if self.endpoints.len() + unknown(&self.endpoints) > limit {
            self.endpoints.retain(|_, endpoint| !endpoint.is_idle(now));
            if self.endpoints.len() + unknown(&self.endpoints) > limit {
                return Err(RequestError::TooManyServers(limit));
            }
        }
        for server in servers {
            let first_id = self.random.next_u64() as u16;
            self.endpoints.entry(*server).or_insert_with(|| Endpoint::new(first_id)).calls += 1;
        }
        Ok(())
    }

    fn release(&mut self, server: SocketAddr) {
        if let Some(endpoint) = self.endpoints.get_mut(&server) {
            endpoint.calls -= 1;
        }
    }
}

impl Protocol for Client {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        if let Input::Message(datagram) = input {
            self.receive(now, &datagram, out);
            self.settle(now, out);
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        while let Some(&(due, what)) = self.timers.first().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, what));
            match what {
                Due::Call(id) => {
                    if let Some(mut call) = self.calls.remove(&id) {
                        call.timer = None;
                        self.on_timer(now, id, call, out);
                    }
                }
                Due::Queue(server) => {
                    if let Some(endpoint) = self.endpoints.get_mut(&server) {
                        endpoint.wake = None;
                        self.freed.push(server);
                    }
                }
            }
            self.settle(now, out);
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests;
