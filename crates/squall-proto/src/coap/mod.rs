//! The Constrained Application Protocol: requests that are answered once, or known to have failed
//! ([RFC 7252](https://www.rfc-editor.org/rfc/rfc7252)).
//!
//! - [`client`]: the end that asks.
//! - [`message`]: one datagram, read without allocating; [`writer`] writes one.
//! - [`options`]: what stands between a message's token and its payload.
//! - [`server`]: handlers as resources, each request with effect run at most once.
//! - [`block`]: bodies in blocks ([RFC 7959](https://www.rfc-editor.org/rfc/rfc7959)).
//! - [`content_format`]: what payloads are made of.
//! - [`transmission`]: the times that everything else follows from.
//! - [`link_format`]: what a server lists under `/.well-known/core`
//!   ([RFC 6690](https://www.rfc-editor.org/rfc/rfc6690)).
//! - [`uri`]: `coap://host/path` and the options that it stands for.

pub mod block;
pub mod client;
pub mod content_format;
pub mod link_format;
pub mod message;
pub mod options;
pub mod server;
pub mod transmission;
pub mod uri;
pub mod writer;

/// The UDP port of `coap://` ([RFC 7252 §12.6](https://www.rfc-editor.org/rfc/rfc7252#section-12.6)).
pub const PORT: u16 = 5683;
