//! The squall command.
#![forbid(unsafe_code)]
fn main() {}
