//! The `squall` command: datagram servers, clients and tools.
#![forbid(unsafe_code)]

mod address;
mod cli;
mod commands;
mod exit;
mod heard;
mod input;
mod interrupt;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
