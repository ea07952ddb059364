//! Moving files, without input and output: what both sides say, and who owes what to whom.
//!
//! The sender offers a tree, entry by entry; the receiver answers each with what it wants of it. Content goes over
//! streams of its own: small files together, large ones in [`CHUNK`]s, each with its place. Nothing waits for the
//! answer to the entry before. The wire is described in [`wire`].
//!
//! [`plain`] is another wire: content in datagrams and nothing else, for the programs that speak it.

mod assembly;
mod chunks;
mod ledger;
mod name;
pub mod plain;
pub mod wire;

pub use assembly::{Assembly, AssemblyError, Said, Total};
pub use chunks::{CHUNK, Chunks, HASH, Hash};
pub use ledger::{Ledger, LedgerError, WINDOW};
pub use name::{MAX_NAME, MAX_TARGET, Name, NameError};
