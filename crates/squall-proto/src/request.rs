//! What a handler is asked.

use crate::{Origin, Target, Time};

/// One request: a datagram, or a frame cut out of a stream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// When it arrived, on the driver's clock.
    pub now: Time,
    /// The bytes of the datagram or frame. An empty datagram is a request too.
    pub payload: &'a [u8],
    /// Where it came from.
    pub origin: Origin,
    /// What it is addressed to; [`Target::PLAIN`] on transports that have only bytes.
    pub target: Target<'a>,
    /// Whether it was sent to a multicast group and not to this host alone: others are asked too.
    pub group: bool,
}

impl<'a> Request<'a> {
    /// A request of `payload` from `origin`, arrived at `now`.
    pub fn new(now: Time, payload: &'a [u8], origin: Origin) -> Self {
        Self { now, payload, origin, target: Target::PLAIN, group: false }
    }

    /// The same request to `target`.
    pub fn with_target(self, target: Target<'a>) -> Self {
        Self { target, ..self }
    }

    /// The same request, sent to a multicast group.
    pub fn to_group(self) -> Self {
        Self { group: true, ..self }
    }
}
