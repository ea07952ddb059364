//! A protocol as its shard runs it: with the calls that wait for it.

use std::sync::Arc;

use squall_proto::{Input, Outbox, Protocol, Time};
use squall_socket::Waker;

use super::{Calls, Remote};

/// A protocol, and what calls it from other threads. The type of the protocol is known within alone.
pub(crate) trait Machine: Protocol {
    /// Has `waker` woken when calls wait.
    fn attach(&self, waker: Waker);

    /// Says that it runs on this thread.
    fn own(&self);

    /// The number of calls that wait. Those that come later wake the shard.
    fn calls(&self) -> usize;

    /// Makes the next call.
    fn run_call(&mut self, now: Time, out: &mut Outbox);
}

/// A protocol that nobody calls.
pub(crate) struct Plain<P>(pub(crate) P);

impl<P: Protocol> Machine for Plain<P> {
    fn attach(&self, _waker: Waker) {}

    fn own(&self) {}

    fn calls(&self) -> usize {
        0
    }

    fn run_call(&mut self, _now: Time, _out: &mut Outbox) {}
}

impl<P: Protocol> Protocol for Plain<P> {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        self.0.handle_input(now, input, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.0.handle_timeout(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.0.poll_timeout()
    }
}

/// `protocol` as a machine, and what calls it.
pub(crate) fn with_calls<P: Protocol + 'static>(protocol: P) -> (Box<dyn Machine>, Remote<P>) {
    let calls = Arc::new(Calls::new());
    (Box::new(Called { protocol, calls: Arc::clone(&calls) }), Remote { calls })
}

/// A protocol that is called. When it is dropped, calls are refused.
struct Called<P> {
    protocol: P,
    calls: Arc<Calls<P>>,
}

impl<P: Protocol> Machine for Called<P> {
    fn attach(&self, waker: Waker) {
        self.calls.attach(waker);
    }

    fn own(&self) {
        self.calls.own();
    }

    fn calls(&self) -> usize {
        self.calls.announced()
    }

    fn run_call(&mut self, now: Time, out: &mut Outbox) {
        if let Some(call) = self.calls.pop() {
            call(&mut self.protocol, now, out);
        }
    }
}

impl<P: Protocol> Protocol for Called<P> {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        self.protocol.handle_input(now, input, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.protocol.handle_timeout(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.protocol.poll_timeout()
    }
}

impl<P> Drop for Called<P> {
    fn drop(&mut self) {
        self.calls.end();
    }
}
