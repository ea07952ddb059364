//! `squall completions`: what a shell offers at the tab key.

use std::io::{self, Write};

use clap::Args;
use clap_complete::Shell;

use crate::cli;
use crate::exit::Exit;

/// Print completions for a shell
///
/// Where they go depends on the shell: for bash to
/// ~/.local/share/bash-completion/completions/squall, for zsh to a file _squall in a folder of $fpath, for
/// fish to ~/.config/fish/completions/squall.fish.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    // In memory first: the generator takes a closed pipe for a bug.
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli::definition(), "squall", &mut text);
    io::stdout().lock().write_all(&text)?;
    Ok(Exit::Done)
}
