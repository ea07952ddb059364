//! The command line: one definition, from which help, completions and man pages come.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{ask, serve};
use crate::exit::Exit;

/// Datagram servers, clients and tools that hold up in bad weather.
#[derive(Debug, Parser)]
#[command(name = "squall", version, about, after_help = Exit::HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Ask(ask::Arguments),
}

pub(crate) fn run() -> ExitCode {
    let command = Cli::parse().command;
    let result = match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Ask(arguments) => ask::run(&arguments),
    };
    result.unwrap_or_else(|exit| exit).into()
}
