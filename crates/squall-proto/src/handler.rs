//! One request, its replies, no memory.

use alloc::sync::Arc;

use crate::{Effect, Method, Refusal, Reply, Request};

/// Answers requests, each by itself, on any transport.
///
/// A handler is shared by all shards and threads of a server and keeps no state between requests that
/// it does not guard itself. It never sees a socket: it writes its replies, none or many, into
/// [`Reply`], and the server decides how the bytes leave. With an error, all that it wrote for this
/// request is discarded, the refusal is counted, and the peer gets nothing.
///
/// Every closure of this shape is a handler:
///
/// ```
/// use squall_proto::{Handler, Refusal, Reply, Request};
///
/// fn takes(_: impl Handler) {}
/// takes(|request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload));
/// ```
pub trait Handler: Send + Sync {
    /// Answers `request` by writing into `reply`.
    ///
    /// # Errors
    /// A [`Refusal`] when there is no answer; [`Reply::write`] gives one when the answer may not be sent.
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal>;

    /// Whether a repeated request of `method` may be run again: by default what the method's definition
    /// says, by which a `Post`, and so every plain datagram, is to be run once. A handler whose answer
    /// changes nothing says [`Effect::Safe`]: where requests are remembered, as on CoAP, its requests
    /// need not be.
    fn effect(&self, method: Method) -> Effect {
        method.effect()
    }
}

impl<F> Handler for F
where
    F: Fn(&Request<'_>, &mut Reply<'_>) -> Result<(), Refusal> + Send + Sync,
{
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        self(request, reply)
    }
}

impl<H: Handler + ?Sized> Handler for Arc<H> {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        (**self).handle(request, reply)
    }

    fn effect(&self, method: Method) -> Effect {
        (**self).effect(method)
    }
}
