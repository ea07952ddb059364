//! The receiver as a service of a node.

use std::sync::{Arc, Mutex, PoisonError};

use squall::files::plain::{Receiver, ReceiverStats};
use squall::{Input, Outbox, Protocol, Refusal, Time};

/// A receiver whose senders are on loopback and in trusted networks alone.
#[derive(Debug)]
pub(super) struct GuardedReceiver {
    pub(super) receiver: Receiver,
    last: Arc<Mutex<ReceiverStats>>,
}

impl GuardedReceiver {
    /// Beside it, where its counts are once its server has ended.
    pub(super) fn new(receiver: Receiver) -> (Self, Arc<Mutex<ReceiverStats>>) {
        let last = Arc::default();
        (Self { receiver, last: Arc::clone(&last) }, last)
    }
}

impl Protocol for GuardedReceiver {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        match &input {
            Input::Message(request) if !request.origin.validated => {
                out.refuse(Refusal::Failed("plain files are for loopback and trusted networks"));
            }
            _ => self.receiver.handle_input(now, input, out),
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.receiver.handle_timeout(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.receiver.poll_timeout()
    }
}

impl Drop for GuardedReceiver {
    fn drop(&mut self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = self.receiver.stats();
    }
}
