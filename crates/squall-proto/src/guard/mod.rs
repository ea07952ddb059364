//! What a server checks before it answers a datagram.
//!
//! - [`suspicious`]: is this another server's answer? Two servers that answer each other's answers go
//!   on for ever ([CVE-2024-2169](https://www.kb.cert.org/vuls/id/417980)).
//! - [`Repeats`]: the same question for an echo service, whose answers have no shape of their own.
//! - [`RateLimit`]: does this peer, or its network, ask too often?
//! - [`Trust`]: may this address get an answer that is much longer than its request?

pub(crate) mod hash;
mod loops;
mod ports;
pub(crate) mod prefix_counts;
pub(crate) mod rate_limit;
mod repeats;
mod trust;

pub use loops::{DEFAULT_PORTS, DEFAULT_REPLY, suspicious};
pub use ports::PortSet;
pub use rate_limit::{Rate, RateLimit, RateLimitConfig};
pub use repeats::{Repeats, RepeatsConfig};
pub use trust::{Network, NetworkError, Trust};
