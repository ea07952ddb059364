//! Machines that several tests use.
#![allow(dead_code, reason = "no test uses all of it")]

use std::time::Duration;

use squall_proto::{Handler, Input, Origin, Outbox, Peer, Protocol, Reply, Request, Stateless, Transport};
use squall_sim::Time;

pub(crate) const SERVER: &str = "192.0.2.1:5683";
pub(crate) const CLIENT: &str = "192.0.2.2:40000";

/// Answers with what it was asked.
pub(crate) fn echo() -> Stateless<impl Handler> {
    Stateless(|request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload))
}

/// Where a client's machine sends to.
pub(crate) fn to(address: &str) -> Origin {
    let peer = Peer::Ip(address.parse().unwrap());
    Origin { peer, local: None, transport: Transport::Udp, validated: true }
}

/// Says something to a server, the number of the tick, every so often.
#[derive(Debug)]
pub(crate) struct Ticker {
    pub(crate) next: Option<Time>,
    pub(crate) interval: Duration,
    pub(crate) left: u32,
    pub(crate) sent: u32,
    pub(crate) heard: Vec<Vec<u8>>,
}

impl Ticker {
    pub(crate) fn new(interval: Duration, ticks: u32) -> Self {
        let next = Some(Time::from_epoch(interval));
        Self { next, interval, left: ticks, sent: 0, heard: Vec::new() }
    }
}

impl Protocol for Ticker {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, _out: &mut Outbox) {
        if let Input::Message(request) = input {
            self.heard.push(request.payload.to_vec());
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        while let Some(due) = self.next.filter(|due| *due <= now) {
            out.to(&to(SERVER)).write(&self.sent.to_be_bytes()).unwrap();
            self.sent += 1;
            self.left -= 1;
            self.next = (self.left > 0).then_some(due + self.interval);
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.next
    }
}
