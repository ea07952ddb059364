//! Exit codes, and what is said on the way out.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked to.
    Done,
    /// The system refused, or the work failed.
    Failed,
    /// What the user typed cannot be.
    Usage,
    /// The peer did not answer (`EX_UNAVAILABLE` of sysexits.h).
    NoAnswer,
    /// It stopped half-way, and the same command resumes it (`EX_TEMPFAIL` of sysexits.h).
    HalfWay,
    /// Ctrl-C (128 and the number of SIGINT).
    Interrupted,
}

impl Exit {
    pub(crate) const HELP: &str = "Exit codes: 0 done; 1 failed; 2 wrong usage; 69 the peer did not answer; \
        75 stopped half-way and can be resumed; 130 interrupted.";

    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NoAnswer => 69,
            Exit::HalfWay => 75,
            Exit::Interrupted => 130,
        }
    }

    /// The first of several ends that is not [`Exit::Done`].
    pub(crate) fn or(self, next: Self) -> Self {
        if self == Exit::Done { next } else { self }
    }

    /// Says `error` on standard error, in one line, and ends so.
    pub(crate) fn with(self, error: impl Display) -> Self {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "squall: {error}");
        self
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl From<io::Error> for Exit {
    /// A failure to write results. A reader that has gone is no failure: it has what it wanted.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Failed.with(error),
        }
    }
}
