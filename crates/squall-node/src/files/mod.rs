//! Moving files: the receiving and the sending half of [`squall::files`] on real disks and connections.
//!
//! - [`Receiver`]: a directory that takes files; it serves each session of a [`SecureServer`](crate::secure::SecureServer).
//! - [`Sender`]: sends files and directories over a session.
//! - [`FileServer`], [`Upload`]: both with all that is around them, as the commands use them.

mod disk;
mod receive;
mod send;
mod server;
mod upload;

pub use receive::{ReceiveConfig, ReceiveError, ReceiveEvent, Receiver, SessionCounts};
pub use send::{Item, SendConfig, SendCounts, SendEvent, SendFailure, Sender, Tally, sender_mark};
pub use server::{FileServer, FileServerError};
pub use upload::{Upload, UploadEnd, UploadEvent, Uploaded};
