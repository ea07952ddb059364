//! Moving files: the receiving and the sending half of [`squall::files`] on real disks and connections.
//!
//! - [`Receiver`]: a directory that takes files; it serves each session of a [`SecureServer`](crate::secure::SecureServer).
//! - [`Sender`]: sends files and directories over a session.
//! - [`FileServer`], [`Upload`]: both with all that is around them, as the commands use them.
//! - [`plain`]: uploads over the plain wire of [`squall::files::plain`], and sending over it.
//! - [`FilesConfig`]: what can be set of the service `files`; [`Files`]: it, in a node that runs.

mod config;
mod counts;
mod disk;
pub mod plain;
mod plan;
mod receive;
mod remote;
mod secure;
mod send;
mod server;
mod upload;

pub(crate) use config::FileFiles;
pub use config::FilesConfig;
pub use counts::FileServerCounts;
pub use plan::Files;
pub(crate) use plan::{FilePlace, FilesPlan};
pub use receive::{ReceiveConfig, ReceiveError, ReceiveEvent, Receiver, ReceiverCounts, SessionCounts};
pub(crate) use remote::FilesRemote;
pub use secure::SecureFiles;
pub use send::{Item, SendConfig, SendCounts, SendEvent, SendFailure, Sender, Tally, sender_mark};
pub use server::{FileServer, FileServerError};
pub use upload::{Upload, UploadEnd, UploadEvent, UploadStopper, Uploaded};
