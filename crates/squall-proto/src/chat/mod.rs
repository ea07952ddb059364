//! Chat: the hub, its wire, who is still there.
//!
//! - [`History`]: where a hub keeps what was said, and asks for it.
//! - [`Liveness`]: how long a member may be silent before it counts as gone.
//! - [`client`]: a member that stays connected and knows what it missed.
//! - [`wire`]: the lines that members and hubs send.

pub mod client;
mod history;
mod liveness;
pub mod wire;

pub use history::{History, Message, NoHistory, Query, Recall, RecallError, Recalled};
pub use liveness::{Liveness, LivenessConfig};
