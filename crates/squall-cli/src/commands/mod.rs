//! What the command line can be told to do, a file each.

pub(crate) mod ask;
pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod ctl;
pub(crate) mod discover;
pub(crate) mod listen;
pub(crate) mod lookup;
pub(crate) mod man;
pub(crate) mod mtu;
pub(crate) mod receive;
pub(crate) mod relay;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod shout;
pub(crate) mod under;
