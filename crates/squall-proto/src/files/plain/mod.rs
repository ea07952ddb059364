//! The plain wire: a file's content, datagram after datagram, and then a datagram [`BYE`].
//!
//! Nothing is answered, so that what is lost, doubled or overtaken on the way is noticed by nobody. The wire is as old as
//! the programs that speak it, which is why it is here.
//!
//! - [`Cutter`], the sender's half: which bytes go into which datagram. [`Pace`] says when each may go.
//! - [`Receiver`], the receiver's half: whose datagrams are which upload, and when it has ended.

mod cutter;
mod pace;
mod receiver;

pub use cutter::Cutter;
pub use pace::Pace;
pub use receiver::{
    End, Ended, KeepError, Keeper, Receiver, ReceiverConfig, ReceiverStats, Started, UploadId,
};

/// The datagram that ends an upload. It is this and no more: programs compare the whole datagram, without
/// trimming it.
pub const BYE: &[u8] = b"bye";
/// The longest datagram that a sender makes: receivers read as many bytes at a time.
pub const LONGEST_PIECE: usize = 1024;
/// The port of receivers.
pub const PORT: u16 = 7776;
