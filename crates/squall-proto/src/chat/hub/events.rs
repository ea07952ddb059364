//! What happens in a hub, for who watches it.

use alloc::collections::VecDeque;
use alloc::string::String;
use core::time::Duration;

use crate::Origin;
use crate::chat::wire::Reason;

/// Something that happened in a hub; see [`Hub::poll_event`](super::Hub::poll_event).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A member came.
    Came(Who),
    /// A member is gone.
    Went {
        /// Who.
        who: Who,
        /// Why.
        reason: Reason<'static>,
        /// How long it had been silent.
        silence: Duration,
        /// How long it could have been silent; `None` for a connection.
        limit: Option<Duration>,
        /// The measured interval of its heartbeats, where there were enough.
        interval: Option<Duration>,
        /// The measured share of its heartbeats that was lost, where there were enough.
        loss: Option<f32>,
    },
    /// A member changed its name; it is told with the new one.
    Renamed {
        /// Who, by its new name.
        who: Who,
        /// The old name, or `~` and its number.
        old: String,
    },
    /// A member says more than can be relayed.
    Flooding(Who),
    /// A newcomer was turned away.
    Refused {
        /// Who.
        origin: Origin,
        /// Why.
        reason: Refused,
    },
}

/// A member in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The member's number.
    pub number: u64,
    /// Its name, or `~` and its number.
    pub name: String,
    /// Its room's name.
    pub room: String,
    /// Where it speaks from.
    pub origin: Origin,
}

/// Why a newcomer was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are as many members as there may be.
    #[error("the hub is full")]
    Full,
    /// Its network has as many members as it may have.
    #[error("too many members of one network")]
    Prefix,
    /// The operator does not want it.
    #[error("banned")]
    Banned,
    /// It, or its network, comes too often.
    #[error("coming too often; try again in a few seconds")]
    Rate,
}

/// Events until they are taken.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    pub(super) dropped: u64,
}

impl Events {
    /// Adds what `event` makes if there is room.
    pub(super) fn push(&mut self, event: impl FnOnce() -> Event) {
        if self.queue.len() < MAX_EVENTS {
            self.queue.push_back(event());
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }
}

/// Events that wait at most.
const MAX_EVENTS: usize = 1024;
