//! The `squall` command: datagram servers, clients and tools.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod exit;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
