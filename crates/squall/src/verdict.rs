//! What became of a request.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use squall_proto::{Handler, Outbox, Refusal, Request};

use crate::stats::Counter;

/// What became of a request, as an observer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It got this many replies, which are about to be sent.
    Answered(usize),
    /// It was handled and wanted no reply.
    Silent,
    /// It got none, for this reason.
    Refused(Refusal),
    /// The admission hook turned it away.
    NotAdmitted,
    /// The handler panicked.
    Panicked,
    /// The handler took longer than the deadline; what it may still answer is thrown away. An observer
    /// sees such a request without its payload, which the handler still has.
    Late,
}

impl Verdict {
    pub(crate) fn counter(self) -> Counter {
        match self {
            Verdict::Answered(_) => Counter::Answered,
            Verdict::Silent => Counter::Silent,
            Verdict::Refused(refusal) => refusal.into(),
            Verdict::NotAdmitted => Counter::NotAdmitted,
            Verdict::Panicked => Counter::Panicked,
            Verdict::Late => Counter::Late,
        }
    }

    /// Whether the handler saw the request and finished it.
    pub(crate) fn is_handled(self) -> bool {
        matches!(self, Verdict::Answered(_) | Verdict::Silent)
    }
}

/// A verdict, or what the handler panicked with.
pub(crate) type Handled = Result<Verdict, Box<dyn Any + Send>>;

/// Lets `handler` answer `request` into `outbox`. A panic loses this request and nothing else.
pub(crate) fn answer(handler: &dyn Handler, request: &Request<'_>, outbox: &mut Outbox) -> Handled {
    let mark = outbox.mark();
    let result = contain(|| {
        let mut reply = outbox.answer(request);
        let outcome = handler.handle(request, &mut reply);
        reply.finish(outcome)
    });
    match result {
        Ok(Ok(0)) => Ok(Verdict::Silent),
        Ok(Ok(replies)) => Ok(Verdict::Answered(replies)),
        Ok(Err(refusal)) => Ok(Verdict::Refused(refusal)),
        Err(panic) => {
            outbox.rewind(mark);
            Err(panic)
        }
    }
}

/// Runs somebody else's code and contains its panic. What it was working on is left to it: a handler's
/// own locks are poisoned as usual, and a protocol goes on with the state that it left.
pub(crate) fn contain<T>(code: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(code))
}
