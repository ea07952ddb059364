//! Answers that come later ([RFC 7252 §5.2.2](https://www.rfc-editor.org/rfc/rfc7252#section-5.2.2)).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::once::Key;
use super::response::Exchange;
use crate::coap::block::Block;
use crate::{Method, Origin, Ticket, Time};

/// The requests whose answers are not there yet, or not acknowledged yet.
#[derive(Debug)]
pub(super) struct Separate {
    pub(super) list: Vec<Waiting>,
    next: u64,
    max: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) exchange: Exchange,
    /// What a copy of the request is known by.
    pub(super) request: Key,
    pub(super) confirmable: bool,
    pub(super) method: Method,
    /// What its body is known by, if it is given in blocks.
    pub(super) body: u64,
    pub(super) block2: Option<Block>,
    pub(super) block1: Option<Block>,
    pub(super) safe: bool,
    /// How it is remembered, where it has an effect.
    pub(super) key: Option<Key>,
    pub(super) stage: Stage,
}

/// How far one is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Not acknowledged yet; the acknowledgement is due at the first time, the answer at the second.
    Unacknowledged(Time, Time),
    /// The answer is due.
    Acknowledged(Time),
    /// The answer was sent and is to be acknowledged.
    Sent {
        /// Its message ID.
        id: u16,
        datagram: Box<[u8]>,
        due: Time,
        timeout: Duration,
        sent: u32,
    },
}

impl Separate {
    pub(super) fn new(max: usize) -> Self {
        Self { list: Vec::new(), next: 0, max }
    }

    /// A ticket for a request, while there is room.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        (self.list.len() < self.max).then_some(Ticket(self.next))
    }

    pub(super) fn insert(&mut self, waiting: Waiting) {
        self.next += 1;
        self.list.push(waiting);
    }

    /// The request that is repeated by one that is known by `request`.
    pub(super) fn find(&self, request: Key) -> Option<&Waiting> {
        self.list.iter().find(|waiting| waiting.request == request)
    }

    /// Takes the one with `ticket` out, if its answer is still awaited.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Waiting> {
        let awaited =
            |waiting: &Waiting| waiting.ticket == ticket && !matches!(waiting.stage, Stage::Sent { .. });
        self.list.iter().position(awaited).map(|index| self.list.swap_remove(index))
    }

    /// Takes an acknowledgement or a reset; whether it is one of an answer.
    pub(super) fn settle(&mut self, origin: &Origin, message_id: u16) -> bool {
        let found = self.list.iter().position(|waiting| {
            waiting.exchange.origin.peer == origin.peer
                && matches!(waiting.stage, Stage::Sent { id, .. } if id == message_id)
        });
        found.map(|index| self.list.swap_remove(index)).is_some()
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.list.iter().map(Waiting::due).min()
    }
}

impl Waiting {
    pub(super) fn due(&self) -> Time {
        match self.stage {
            Stage::Unacknowledged(due, deadline) => due.min(deadline),
            Stage::Acknowledged(due) | Stage::Sent { due, .. } => due,
        }
    }
}
