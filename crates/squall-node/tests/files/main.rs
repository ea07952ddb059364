//! Files over loopback: what a receiver has afterwards is what the sender had.

mod house;
mod resume;
mod trees;
