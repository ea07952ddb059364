//! `time`: the time of day, whatever is asked.

use squall::{Effect, Handler, Method, Refusal, Reply, Request};

use crate::clock;

/// Answers anything with the local time as C's `ctime` prints it, without a newline:
/// `Wed Aug 15 20:35:08 2012`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOfDay;

impl Handler for TimeOfDay {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        reply.write(&clock::text(request.now))
    }

    fn effect(&self, _method: Method) -> Effect {
        Effect::Safe
    }
}
