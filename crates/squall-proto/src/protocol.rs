//! A machine with time and state.

use crate::{Handler, Origin, Outbox, Request, Time};

/// What happens to a protocol.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A datagram arrived, or a frame of a stream.
    Message(Request<'a>),
    /// A stream connection was accepted.
    Opened(Origin),
    /// A stream connection ended; nothing can be sent to this peer any more.
    /// It is told once for each that was opened, also after the protocol ended it.
    Closed(Origin),
    /// A stream's peer reads more slowly than it is written to, and its queue is full: what is written now may
    /// be dropped. It is told once, before anything is.
    Full(Origin),
    /// A stream that was full takes messages again.
    Writable(Origin),
    /// The driver is about to stop. What is written now is still sent; nothing is asked afterwards. A protocol
    /// that has more to say than the outbox holds says so by a deadline that has passed: a driver may go on calling it
    /// for that for as long as it has time.
    Stopping,
}

/// A sans-IO state machine with one owner.
///
/// The driver calls [`handle_input`](Self::handle_input) for whatever happens and
/// [`handle_timeout`](Self::handle_timeout) once the present has reached
/// [`poll_timeout`](Self::poll_timeout). Calls may come in any order, and a timeout may come early, late or
/// without being due: a machine compares `now` with its own deadlines and does nothing when none has
/// passed. `now` never goes back.
pub trait Protocol: Send {
    /// Takes an input and writes what is to be sent into `out`.
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox);

    /// Does what was due by `now`.
    fn handle_timeout(&mut self, now: Time, out: &mut Outbox);

    /// When [`handle_timeout`](Self::handle_timeout) is wanted next; `None` when nothing is waiting.
    fn poll_timeout(&self) -> Option<Time>;
}

impl<P: Protocol + ?Sized> Protocol for alloc::boxed::Box<P> {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        (**self).handle_input(now, input, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        (**self).handle_timeout(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        (**self).poll_timeout()
    }
}

/// A handler as a protocol: it answers messages and never waits for anything.
#[derive(Clone, Copy, Debug)]
pub struct Stateless<H>(pub H);

impl<H: Handler> Protocol for Stateless<H> {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        if let Input::Message(request) = input {
            let mut reply = out.answer(&request);
            let outcome = self.0.handle(&request, &mut reply);
            if let Err(refusal) = reply.finish(outcome) {
                out.refuse(refusal);
            }
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}
