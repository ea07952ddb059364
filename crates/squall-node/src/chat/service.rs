//! The hub as a service of a node.

use std::sync::{Arc, Mutex, PoisonError};

use squall::chat::{Event, Hub, HubStats};
use squall::guard::Trust;
use squall::{Input, Origin, Outbox, Peer, Protocol, Refusal, Time, Transport};

/// A hub whose members come from loopback, Unix sockets and trusted networks alone.
#[derive(Debug)]
pub(crate) struct GuardedHub {
    pub(crate) hub: Hub,
    trust: Trust,
    last: Arc<Mutex<LastWords>>,
}

/// What a hub leaves when its server ends.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    pub(super) stats: HubStats,
    pub(super) events: Vec<Event>,
}

impl GuardedHub {
    pub(super) fn new(hub: Hub, trust: Trust) -> (Self, Arc<Mutex<LastWords>>) {
        let last = Arc::default();
        (Self { hub, trust, last: Arc::clone(&last) }, last)
    }

    /// Whether `origin` may be a member. For datagrams the server has looked at the address already; a connection
    /// is validated wherever it comes from.
    #[inline]
    fn admits(&self, origin: &Origin) -> bool {
        match origin.peer {
            Peer::Ip(_) if origin.transport == Transport::Udp => origin.validated,
            Peer::Ip(peer) => self.trust.validated(peer.ip()),
            Peer::Conn(_) => true,
        }
    }
}

impl Protocol for GuardedHub {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        match &input {
            Input::Message(request) if !self.admits(&request.origin) => {
                out.refuse(Refusal::Failed("chat is for loopback and trusted networks"));
            }
            Input::Opened(origin) if !self.admits(origin) => {
                // Where so many are closed at once that this one cannot be, what it says is refused.
                let _ = out.close(origin);
            }
            Input::Closed(origin) | Input::Full(origin) | Input::Writable(origin) if !self.admits(origin) => {
            }
            _ => self.hub.handle_input(now, input, out),
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.hub.handle_timeout(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.hub.poll_timeout()
    }
}

impl Drop for GuardedHub {
    fn drop(&mut self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.events.extend(std::iter::from_fn(|| self.hub.poll_event()));
        last.stats = self.hub.stats();
    }
}
