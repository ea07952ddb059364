//! `stamp`: the request behind a time stamp.

use squall::{Effect, Handler, Method, Refusal, Reply, Request};

use crate::clock;

/// Answers DATA with `[CTIME] DATA`, byte for byte. Of a stream each chunk that was read is one DATA,
/// its line end included: one client sends text without any, another ends it with CR LF and wants the
/// same back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp;

impl Handler for Stamp {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        reply.write(b"[")?;
        reply.write(&clock::text(request.now))?;
        reply.write(b"] ")?;
        reply.write(request.payload)
    }

    fn effect(&self, _method: Method) -> Effect {
        Effect::Safe
    }
}
