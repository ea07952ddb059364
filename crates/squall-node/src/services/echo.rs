//! `echo`: the request itself ([RFC 862](https://www.rfc-editor.org/rfc/rfc862)).

use squall::guard::{Repeats, RepeatsConfig};
use squall::{Effect, Handler, Method, Refusal, Reply, Request};

/// Answers DATA with DATA. An echo's answers have no form by which another server would know them, so
/// a UDP peer that keeps returning what it was sent is left without one answer now and then, which ends
/// a loop; a client that sends one text for ever loses one answer in 34.
#[derive(Debug)]
pub struct Echo {
    repeats: Repeats,
}

impl Default for Echo {
    fn default() -> Self {
        Self { repeats: Repeats::new(&RepeatsConfig::default(), squall::seed()) }
    }
}

impl Handler for Echo {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        super::check_repeats(&self.repeats, request)?;
        reply.write(request.payload)
    }

    fn effect(&self, _method: Method) -> Effect {
        Effect::Safe
    }
}
