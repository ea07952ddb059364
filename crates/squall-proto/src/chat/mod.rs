//! Chat: the hub, its wire, who is still there.
//!
//! - [`History`]: where a hub keeps what was said, and asks for it.
//! - [`Liveness`]: how long a member may be silent before it counts as gone.
//! - [`wire`]: the lines that members and hubs send.
//! - [`Liveness`]: how long a member may be silent before it counts as gone; [`Climate`] what the hub knows
//!   of the weather of all.

mod history;
mod liveness;
pub mod wire;

pub use history::{History, Message, NoHistory, Query, Recall, RecallError, Recalled};
pub use liveness::{Climate, Liveness, LivenessConfig};
