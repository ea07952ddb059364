//! A shard's part in the connections of its protocols.

use std::sync::Arc;

use squall_proto::{Input, Request, Time};

use super::Shard;
use crate::hooks::{ServerError, panic_message};
use crate::stats::Counter;
use crate::stream::bridge::Told;
use crate::stream::line::Line;
use crate::verdict::{Verdict, contain};

impl Shard {
    /// Gives what happened on connections to their protocols.
    pub(super) fn take_connections(&mut self) {
        let mut told = Vec::new();
        for index in 0..self.protocols.len() {
            let Some(connections) = &mut self.protocols[index].connections else { continue };
            connections.bridge.waker.clear();
            connections.take(&mut told);
            let now = self.control.now();
            self.busy.set(now);
            for event in told.drain(..) {
                if let Some(line) = self.take_event(index, now, event)
                    && let Some(connections) = &mut self.protocols[index].connections
                {
                    connections.taken.push(line);
                }
                if self.config.time_requests {
                    self.busy.set(self.control.now());
                }
            }
            self.flush_protocol(index, now);
            self.busy.clear();
            // A protocol that puts its work off to a deadline that is now answers there, before anything else is read.
            if self.deadline(index).is_none_or(|due| due > now) {
                self.tell_taken(index);
            }
        }
    }

    /// Lets the connections read on whose frames were taken. A peer that has said its last word gets the answer to it:
    /// that is in its line now.
    pub(super) fn tell_taken(&mut self, index: usize) {
        if let Some(connections) = &mut self.protocols[index].connections {
            connections.taken.drain(..).for_each(|line| line.taken.notify_one());
        }
    }

    /// The line whose frames were taken, if this was about frames.
    fn take_event(&mut self, index: usize, now: Time, event: Told) -> Option<Arc<Line>> {
        let connections = self.protocols[index].connections.as_mut()?;
        match event {
            Told::Opened(line) => {
                connections.open(&line);
                self.input(index, now, Input::Opened(line.origin));
            }
            Told::Frames(line, frames) => {
                for payload in frames.iter() {
                    // Frames of a connection that the protocol ended are late; of a server that stops, not taken.
                    if !self.takes() || !self.is_open(index, &line) {
                        break;
                    }
                    self.take_frame(index, now, &line, payload);
                }
                return Some(line);
            }
            Told::Writable(line) => {
                // One that has filled up again meanwhile tells once more: a protocol that went on now would never be told
                // that it is full.
                if connections.is_open(&line) && !line.is_full() {
                    self.input(index, now, Input::Writable(line.origin));
                }
            }
            Told::Closed(line, place) => {
                connections.close(&line);
                self.input(index, now, Input::Closed(line.origin));
                drop(place);
            }
        }
        None
    }

    /// Whether a protocol has not ended a connection, nor is about to.
    fn is_open(&self, index: usize, line: &Arc<Line>) -> bool {
        let connections = self.protocols[index].connections.as_ref();
        connections.is_some_and(|connections| connections.is_open(line))
            && !self.outbox.closes().contains(&line.origin)
    }

    fn take_frame(&mut self, index: usize, now: Time, line: &Line, payload: &[u8]) {
        line.stats.add(Counter::Received, 1);
        line.stats.add(Counter::ReceivedBytes, payload.len() as u64);
        let request = Request::new(now, payload, line.origin);
        let verdict = match self.gate.hooks.admit(&request) {
            Ok(()) => self.call(index, &request),
            Err(verdict) => verdict,
        };
        line.stats.add(verdict.counter(), 1);
        self.control.hooks().observe(line.stats.service(), &request, verdict);
        if verdict.is_handled() {
            self.control.count_handled();
        }
        if self.outbox.len() >= super::FLUSH_AT || !self.outbox.has_room() {
            self.flush_protocol(index, now);
        }
    }

    /// Lets a protocol take a request.
    pub(super) fn call(&mut self, index: usize, request: &Request<'_>) -> Verdict {
        let (protocol, outbox) = (&mut self.protocols[index].protocol, &mut self.outbox);
        let (mark, before) = (outbox.mark(), outbox.len());
        match contain(|| protocol.handle_input(request.now, Input::Message(*request), outbox)) {
            Err(panic) => {
                outbox.rewind(mark);
                self.report_protocol_panic(index, &panic_message(&*panic));
                Verdict::Panicked
            }
            Ok(()) => match (self.outbox.take_refusal(), self.outbox.len() - before) {
                (Some(refusal), _) => Verdict::Refused(refusal),
                (None, 0) => Verdict::Silent,
                (None, replies) => Verdict::Answered(replies),
            },
        }
    }

    /// Tells a protocol which of its connections take no more for now.
    pub(super) fn tell_full(&mut self, index: usize, now: Time) {
        // What the protocol says to one comes here again: thousands that fill at once must not take a piece of
        // the stack each.
        match &mut self.protocols[index].connections {
            Some(connections) if !connections.telling => connections.telling = true,
            _ => return,
        }
        while let Some(connections) = &mut self.protocols[index].connections {
            let Some(origin) = connections.next_filled() else {
                connections.telling = false;
                return;
            };
            self.input(index, now, Input::Full(origin));
        }
    }

    pub(super) fn report_protocol_panic(&self, index: usize, message: &str) {
        let service = self.protocols[index].service.clone();
        self.control.hooks().report(&ServerError::Panicked { service, message: message.to_owned() });
    }
}
