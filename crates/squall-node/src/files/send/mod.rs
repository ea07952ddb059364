//! The sending half.

mod deliver;
mod event;
mod large;
mod limit;
mod offers;
mod sender;
mod shared;
mod small;
mod verdicts;
mod walk;

pub use event::{SendCounts, SendEvent, SendFailure};
pub use sender::{SendConfig, Sender, sender_mark};
pub use walk::{Item, Tally};
