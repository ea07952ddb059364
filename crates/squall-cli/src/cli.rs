//! The command line: one definition, from which help, completions and man pages come.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use squall::socket::process;

use crate::commands::{
    ask, bench, chat, completions, ctl, discover, listen, lookup, man, mtu, receive, relay, send, serve,
    shout, under,
};
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
    Ctl(ctl::Arguments),
    Ask(ask::Arguments),
    Chat(chat::Arguments),
    Send(Box<send::Arguments>),
    Receive(Box<receive::Arguments>),
    Relay(Box<relay::Arguments>),
    Under(Box<under::Arguments>),
    Mtu(mtu::Arguments),
    Shout(shout::Arguments),
    Listen(listen::Arguments),
    Discover(discover::Arguments),
    Lookup(lookup::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

pub(crate) fn run() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(problem) => return refuse(&problem),
    };
    // Commands and workers are waited for. It fails for no signal that there is.
    let _ = process::heed_children();
    let result = match command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Ctl(arguments) => ctl::run(&arguments),
        Command::Ask(arguments) => ask::run(&arguments),
        Command::Chat(arguments) => chat::run(&arguments),
        Command::Send(arguments) => send::run(*arguments),
        Command::Receive(arguments) => receive::run(&arguments),
        Command::Shout(arguments) => shout::run(&arguments),
        Command::Listen(arguments) => listen::run(&arguments),
        Command::Discover(arguments) => discover::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Lookup(arguments) => lookup::run(&arguments),
        // Its exit code is that of another program.
        Command::Under(arguments) => return under::run(&arguments),
        Command::Mtu(arguments) => mtu::run(&arguments),
        Command::Relay(arguments) => relay::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    result.unwrap_or_else(|exit| exit).into()
}

/// Help and the version go out as they are; what is typed wrong is told in one line.
fn refuse(problem: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if matches!(problem.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion) {
        problem.exit();
    }
    let mut text = problem.to_string();
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        // What was typed may be of any length, and what is wrong with it stands behind it.
        if let Some(ContextValue::String(typed)) = problem.get(kind)
            && let Some((end, _)) = typed.char_indices().nth(LONGEST)
        {
            text = text.replace(typed.as_str(), &format!("{}…", &typed[..end]));
        }
    }
    let told: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        // No option here takes what begins with a hyphen; behind -- it would be another argument.
        .filter(|line| !line.is_empty() && !line.contains("as a value, use '-- "))
        .collect();
    let told = told.join("; ").replace(":; ", ": ");
    Exit::Usage.with(format_args!("{}; see --help", told.trim_start_matches("error: "))).into()
}

/// Characters of what was typed that are said again.
const LONGEST: usize = 60;

/// The definition that everything comes from.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}
