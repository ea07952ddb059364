//! Files as a transfer needs them: directories that nothing leads out of, what has come so far, hashes.

mod folder;
mod hash;
mod journal;
mod staged;
mod trouble;
mod write_back;

/// The directory in a receiver's in which files are while they arrive.
pub(super) const STAGING: &str = ".squall-partial";

pub(super) use folder::{Folder, Kind, Stat, name_by_link, set_file_times};
pub(super) use hash::{Root, chunk_hash, file_hash};
pub(super) use journal::Journal;
pub(super) use staged::{Staged, data_name, journal_name, mode_name, read_chunk, small_name};
pub(super) use trouble::{Trouble, said, show};
