//! `squall man`: the manual pages.

use std::io;
use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use crate::cli;
use crate::exit::Exit;

/// Print the manual page, or write all pages into a folder
///
/// Read it with: squall man | man -l -
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An existing folder: squall.1 and a page for each command are written there
    folder: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    match &arguments.folder {
        None => Man::new(cli::definition()).render(&mut io::stdout().lock())?,
        Some(folder) => clap_mangen::generate_to(cli::definition(), folder).map_err(|error| {
            Exit::Failed.with(format!("cannot write manual pages to {}: {error}", folder.display()))
        })?,
    }
    Ok(Exit::Done)
}
