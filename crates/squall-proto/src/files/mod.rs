//! Moving files.
//!
//! - [`plain`]: content in datagrams and nothing else, for the programs that speak it.

pub mod plain;
