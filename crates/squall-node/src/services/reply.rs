//! `reply`: a fixed text.

use squall::guard::{DEFAULT_REPLY, Repeats, RepeatsConfig};
use squall::{Effect, Handler, Method, Refusal, Reply, Request};

/// Answers anything with one text.
#[derive(Debug)]
pub struct FixedReply {
    text: String,
    /// A text that other servers do not know as an answer could go back and forth for ever.
    repeats: Option<Repeats>,
}

impl FixedReply {
    /// Answers with `text`. Over 56 bytes, an empty datagram from an address that is not validated
    /// gets no answer: it would be more than three times the request.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let known = text == DEFAULT_REPLY;
        let repeats = (!known).then(|| Repeats::new(&RepeatsConfig::default(), squall::seed()));
        Self { text, repeats }
    }
}

impl Default for FixedReply {
    /// Answers `你好`.
    fn default() -> Self {
        Self::new(DEFAULT_REPLY)
    }
}

impl Handler for FixedReply {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        if let Some(repeats) = &self.repeats {
            super::check_repeats(repeats, request)?;
        }
        reply.write(self.text.as_bytes())
    }

    fn effect(&self, _method: Method) -> Effect {
        Effect::Safe
    }
}
