//! Who wants to be told when a resource changes ([RFC 7641](https://www.rfc-editor.org/rfc/rfc7641)).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::coap::message::Token;
use crate::{Method, Origin, Time};

/// The observations there are, and when each resource is asked next.
#[derive(Debug)]
pub(super) struct Observers {
    pub(super) list: Vec<Observer>,
    /// For each resource, when its observers are told next.
    due: Vec<Option<Time>>,
    max: usize,
    max_each: usize,
}

/// One observation.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) origin: Origin,
    pub(super) token: Token,
    pub(super) resource: usize,
    pub(super) method: Method,
    /// The request's options, for they say what is wanted.
    pub(super) options: Box<[u8]>,
    pub(super) payload: Box<[u8]>,
    /// The last sequence number, 24 bits.
    pub(super) sequence: u32,
    /// How many notifications were sent since a confirmable one.
    pub(super) unconfirmed: u32,
    pub(super) confirmed: Time,
    /// What was told last, and when.
    pub(super) hash: u64,
    pub(super) told: Time,
    /// The message IDs of the last notifications, by which a reset finds this.
    pub(super) ids: [Option<u16>; 4],
    pub(super) pending: Option<Pending>,
}

/// A confirmable notification that is not acknowledged yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) due: Time,
    pub(super) timeout: Duration,
    pub(super) sent: u32,
}

impl Observers {
    pub(super) fn new(resources: usize, max: usize, max_each: usize) -> Self {
        Self { list: Vec::new(), due: alloc::vec![None; resources], max, max_each }
    }

    /// Whether `origin` may begin another observation, or have this one again.
    pub(super) fn has_room(&self, origin: &Origin, token: Token) -> bool {
        if self.find(origin, token).is_some() {
            return true;
        }
        let own = self.list.iter().filter(|observer| observer.origin.peer == origin.peer).count();
        self.list.len() < self.max && own < self.max_each
    }

    /// Begins an observation, in the place of one of the same peer and token.
    pub(super) fn insert(&mut self, now: Time, observer: Observer, every: Duration) {
        if let Some(index) = self.find(&observer.origin, observer.token) {
            self.list.swap_remove(index);
        }
        self.due[observer.resource].get_or_insert(now + every);
        self.list.push(observer);
    }

    pub(super) fn remove(&mut self, origin: &Origin, token: Token) -> bool {
        let found = self.find(origin, token);
        found.map(|index| self.list.swap_remove(index)).is_some()
    }

    /// Takes an acknowledgement; whether it is one of a notification.
    pub(super) fn acknowledge(&mut self, now: Time, origin: &Origin, id: u16) -> bool {
        match self.list.iter_mut().find(|observer| observer.sent(origin, id)) {
            Some(observer) => {
                observer.pending = None;
                observer.confirmed = now;
                true
            }
            None => false,
        }
    }

    /// Takes a reset; whether it ended an observation.
    pub(super) fn reset(&mut self, origin: &Origin, id: u16) -> bool {
        let found = self.list.iter().position(|observer| observer.sent(origin, id));
        found.map(|index| self.list.swap_remove(index)).is_some()
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Time> {
        if self.list.is_empty() {
            return None;
        }
        let pending = self.list.iter().filter_map(|observer| observer.pending).map(|pending| pending.due);
        self.due.iter().copied().flatten().chain(pending).min()
    }

    /// Whether the observers of `resource` are to be told by `now`; then it is due again after `every`.
    pub(super) fn take_due(&mut self, now: Time, resource: usize, every: Duration) -> bool {
        let Some(due) = self.due[resource].filter(|due| *due <= now) else { return false };
        let is_observed = self.list.iter().any(|observer| observer.resource == resource);
        // In step with the first, unless that has fallen behind.
        let next = due + every;
        self.due[resource] = is_observed.then_some(if next > now { next } else { now + every });
        is_observed
    }

    fn find(&self, origin: &Origin, token: Token) -> Option<usize> {
        self.list.iter().position(|observer| observer.origin.peer == origin.peer && observer.token == token)
    }
}

impl Observer {
    fn sent(&self, origin: &Origin, id: u16) -> bool {
        self.origin.peer == origin.peer && self.ids.contains(&Some(id))
    }

    /// The next sequence number: milliseconds, so that a server that starts again goes on higher, but one
    /// more than the last at least ([RFC 7641 §4.4](https://www.rfc-editor.org/rfc/rfc7641#section-4.4)).
    pub(super) fn next_sequence(&mut self, now: Time) -> u32 {
        let clock = sequence(now);
        let ahead = clock.wrapping_sub(self.sequence) & SEQUENCE;
        let is_ahead = ahead != 0 && ahead <= SEQUENCE / 2;
        self.sequence = if is_ahead { clock } else { (self.sequence + 1) & SEQUENCE };
        self.sequence
    }

    pub(super) fn note(&mut self, id: u16) {
        self.ids.rotate_right(1);
        self.ids[0] = Some(id);
    }
}

/// The sequence number that the clock says.
pub(super) fn sequence(now: Time) -> u32 {
    (now.as_nanos() / 1_000_000) as u32 & SEQUENCE
}

/// 24 bits.
const SEQUENCE: u32 = 0x00ff_ffff;
