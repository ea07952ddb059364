//! Chat: the hub, its wire, who is still there.
//!
//! - [`Hub`]: what one says, all hear.
//! - [`History`]: where a hub keeps what was said, and asks for it.
//! - [`Liveness`]: how long a member may be silent before it counts as gone.
//! - [`wire`]: the lines that members and hubs send.

mod history;
mod hub;
mod liveness;
pub mod wire;

pub use history::{History, Message, NoHistory, Query, Recall, RecallError, Recalled};
pub use hub::{
    Ban, Event, Hub, HubConfig, HubStats, LOBBY_NAME, MemberView, Refused, RoomView, Selector, Who,
};
pub use liveness::{Liveness, LivenessConfig};
