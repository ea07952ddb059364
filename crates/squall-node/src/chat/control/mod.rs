//! The operator's side: orders to a node, a JSON object a line each, on a Unix socket that is its user's alone.
//!
//! ```text
//! → {"do":"kick","who":"bob"}
//! ← {"done":{"members":1}}
//! → {"do":"members"}
//! ← {"member":{"number":17,"name":"bob","room":"lobby","via":"udp","address":"127.0.0.1:4000", …}}
//! ← {"done":{"members":1}}
//! ```

mod answer;
mod client;
mod order;
mod place;
mod server;
#[cfg(test)]
mod tests;

pub use answer::{Answer, BanRow, Done, MemberRow, NodeView, StatsView};
pub use client::{Client, ClientError};
pub(super) use order::length;
pub use order::{HELP, Order, Typed, parse_network};
pub(crate) use place::Listener;
pub use place::{ControlError, candidates, directory, usual};
pub(crate) use server::{ControlServer, Obey};
