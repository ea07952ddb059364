//! Ctrl-C and its like.

use std::io::{self, IsTerminal};
use std::process;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
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

/// From now on SIGINT, SIGTERM or SIGHUP calls `stop`, which is to end the program in good order, and a second one ends
/// it at once. SIGHUP does nothing where it was ignored before, as by nohup.
pub(crate) fn stop_on_signal(stop: impl FnOnce() + Send + 'static) -> Result<(), Exit> {
    let failed = |problem: io::Error| Exit::Failed.with(format_args!("cannot catch signals: {problem}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    if !squall::socket::process::ignores(SIGHUP).map_err(failed)? {
        signals.add_signal(SIGHUP).map_err(failed)?;
    }
    let wait = move || {
        let mut came = signals.forever();
        if came.next().is_some() {
            stop();
            if came.next().is_some() {
                process::exit(Exit::Interrupted.code().into());
            }
        }
    };
    thread::Builder::new().name("squall-signals".into()).spawn(wait).map_err(failed)?;
    Ok(())
}
