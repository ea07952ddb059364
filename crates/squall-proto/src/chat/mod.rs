//! Chat: the hub, its wire, who is still there.
//!
//! - [`Hub`]: what one says, all hear.
//! - [`History`]: where a hub keeps what was said, and asks for it.
//! - [`client`]: a member that stays connected and knows what it missed.
//! - [`wire`]: the lines that members and hubs send.
//! - [`Liveness`]: how long a member may be silent before it counts as gone; [`Climate`] what the hub knows
//!   of the weather of all.

pub mod client;
mod history;
mod hub;
mod liveness;
pub mod wire;

pub use history::{History, Message, NoHistory, Query, Recall, RecallError, Recalled};
pub use hub::{
    Ban, Event, Hub, HubConfig, HubStats, LOBBY_NAME, MemberView, Refused, RoomView, Selector, Unheard, Who,
};
pub use liveness::{Climate, Liveness, LivenessConfig};
