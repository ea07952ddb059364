//! Moving files: the receiving and the sending half of [`squall::files`] on real disks and connections.
//!
//! - [`Receiver`]: a directory that takes files; it serves each session of a [`SecureServer`](crate::secure::SecureServer).
//! - [`Sender`]: sends files and directories over a session.

mod disk;
mod receive;
mod send;

pub use receive::{ReceiveConfig, ReceiveError, ReceiveEvent, Receiver, SessionCounts};
pub use send::{Item, SendConfig, SendCounts, SendEvent, SendFailure, Sender, Tally};
