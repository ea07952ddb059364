//! What the command line can be told to do, a file each.

pub(crate) mod ask;
pub(crate) mod serve;
