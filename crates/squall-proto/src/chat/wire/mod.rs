//! The lines that members and hubs send.
//!
//! - [`lines`]: what a member's datagram, or its line of a stream, says.
//! - [`Line`]: what a hub says.
//! - [`Name`], [`RoomName`]: who says it, and where.

mod command;
mod line;
mod name;
mod parse;
mod said;
pub mod timestamp;

pub use command::{Command, CommandError, LAST_DEFAULT, LAST_MAX, Last, Token};
pub use line::{Line, Me, Member, Reason};
pub use name::{Key, MAX_NAME, Name, NameError, RoomName, is_speaker, speaker_key};
pub use said::{Said, Shape, lines};

/// The longest datagram to a plain member, in bytes.
pub const MAX_MEMBER_DATAGRAM: usize = 1024;

#[cfg(test)]
mod tests;
