//! What the two sides of a secure connection say before anything else.
//!
//! The encryption is QUIC's; here is the greeting in it, by which both sides prove that they have the same token,
//! and the reasons for which a connection is closed.

mod greeting;
mod parting;

pub use greeting::{Greeting, GreetingError, PROOF};
pub use parting::Parting;

/// The UDP port of the secure tier.
pub const PORT: u16 = 4433;
