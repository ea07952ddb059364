//! The model of processes: workers of the same program that inherit their sockets.
//!
//! The parent makes and keeps all sockets; it serves none itself. Each worker is the program started
//! again with the same arguments and an environment variable that names its number, its line to the
//! parent, and its sockets. While a worker is replaced its sockets stay open, so that their requests wait
//! and no other worker sees this one's peers.

mod line;
mod parent;
mod worker;

pub(crate) use parent::{Plan, Supervisor};
pub use worker::is_worker;
pub(crate) use worker::{inheritance, run_as_worker};

/// What names a worker's inheritance: the parent's process, number, line to the parent, and for each address
/// `service:transport:descriptor`. The process tells a worker from a program that a worker started, which
/// has the variable too and nothing to inherit.
const VARIABLE: &str = "SQUALL_WORKER";
