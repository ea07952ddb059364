//! Ctrl-C, for commands that have nothing to finish.

use std::io::{self, IsTerminal};
use std::process;
use std::thread;

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::output::say;

/// From now on Ctrl-C calls `tidy` and ends the program, whatever it is doing.
pub(crate) fn end_on_interrupt(tidy: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT])?;
    thread::Builder::new().name("interrupt".into()).spawn(move || {
        if signals.forever().next().is_some() {
            tidy();
            if io::stderr().is_terminal() {
                // The terminal shows ^C; the shell's prompt goes below it.
                say("");
            }
            process::exit(Exit::Interrupted.code().into());
        }
    })?;
    Ok(())
}
