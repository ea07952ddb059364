//! The engine of datagram servers: one thread for each shard, all of its sockets, one receive pool.

mod apart;
mod gate;
pub(crate) mod hosted;
mod lull;
pub(crate) mod returns;
mod sender;
mod shard;
mod unix_peers;

pub(crate) use gate::{Gate, Rules, canonical};
pub use sender::Offload;
pub(crate) use shard::{App, Endpoint, Shard, ShardConfig};
