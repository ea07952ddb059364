//! Uploads over the plain wire, in a folder.
//!
//! The machine is [`squall::files::plain::Receiver`]. What it takes goes by way of a bounded queue to a thread that writes, and
//! from there to one that makes files of what was written: on disk first, then under a name.

mod drops;
mod finisher;
mod folder;
mod front;
mod name;
mod outcome;
mod plan;
mod running;
pub mod send;
mod service;
mod shared;
mod store;
mod told;
mod writer;

pub use folder::FolderError;
pub use name::{Pattern, PatternError};
pub(crate) use plan::PlainPlan;
pub(crate) use running::PlainRemote;
pub use running::{PlainFiles, PlainReport};
pub use store::StoreStats;

#[cfg(test)]
mod tests;
