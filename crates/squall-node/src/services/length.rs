//! `length`: how long the request was.

use std::fmt::Write;

use squall::{Effect, Handler, Method, Refusal, Reply, Request};

/// Answers N bytes with `Your data was N bytes long`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Length;

impl Handler for Length {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        // The reply keeps the reason of a write that it refuses.
        let _ = write!(reply, "Your data was {} bytes long", request.payload.len());
        Ok(())
    }

    fn effect(&self, _method: Method) -> Effect {
        Effect::Safe
    }
}
