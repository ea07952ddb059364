//! What the command line can be told to do, a file each.

pub(crate) mod bench;
pub(crate) mod serve;
