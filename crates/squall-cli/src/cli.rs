//! The command line: one definition, from which help, completions and man pages come.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{ask, bench, completions, lookup, man, serve};
use crate::exit::Exit;

/// Datagram servers, clients and tools that hold up in bad weather.
#[derive(Debug, Parser)]
#[command(name = "squall", version, after_help = Exit::HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Arguments>),
    Ask(ask::Arguments),
    Bench(bench::Arguments),
    Lookup(lookup::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

pub(crate) fn run() -> ExitCode {
    let command = Cli::parse().command;
    let result = match command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Ask(arguments) => ask::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Lookup(arguments) => lookup::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    result.unwrap_or_else(|exit| exit).into()
}

/// The definition that everything comes from.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}
