//! `squall serve`: a running node.

use clap::Args;

use crate::exit::Exit;

/// Run services: without arguments time, length, stamp and reply on their default addresses.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: &Arguments) -> Result<Exit, Exit> {
    Ok(Exit::Done)
}
