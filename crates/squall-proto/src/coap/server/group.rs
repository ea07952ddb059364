//! Answers to requests that went to a group of hosts, each of which waits a random time before it
//! answers ([RFC 7252 §8.2](https://www.rfc-editor.org/rfc/rfc7252#section-8.2)).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::{Origin, Time};

/// Answers that wait, by when they are due.
#[derive(Debug)]
pub(super) struct Delayed {
    /// By when they are due, and by a number that makes each of them another one.
    answers: BTreeMap<(Time, u64), Answer>,
    next: u64,
    max: usize,
}

type Answer = (Origin, Box<[u8]>);

impl Delayed {
    pub(super) fn new(max: usize) -> Self {
        Self { answers: BTreeMap::new(), next: 0, max }
    }

    /// Keeps `datagram` until `due`; whether there is room.
    pub(super) fn push(&mut self, due: Time, origin: Origin, datagram: &[u8]) -> bool {
        if self.answers.len() >= self.max {
            return false;
        }
        self.answers.insert((due, self.next), (origin, datagram.into()));
        self.next += 1;
        true
    }

    /// One that is due by `now`.
    pub(super) fn pop(&mut self, now: Time) -> Option<Answer> {
        let first = self.answers.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.answers.first_key_value().map(|((due, _), _)| *due)
    }
}
