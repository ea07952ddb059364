//! The receiving half.

mod claims;
mod commit;
mod compare;
mod content;
mod control;
mod event;
mod incoming;
mod opened;
mod outlet;
mod plan;
mod receiver;
mod room;
mod session;
mod tallies;
mod window;

pub use event::{ReceiveEvent, SessionCounts};
pub use receiver::{ReceiveConfig, ReceiveError, Receiver};
pub use tallies::ReceiverCounts;
