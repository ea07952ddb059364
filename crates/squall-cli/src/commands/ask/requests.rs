//! Where requests come from.

use std::ffi::OsStr;
use std::io::{self, BufRead, IsTerminal, Read};

use crate::exit::Exit;
use crate::output::say;

/// Requests, one after the other.
pub(crate) enum Requests {
    /// One from the command line, until it is taken.
    Text(Option<Vec<u8>>),
    /// All of standard input, until it is taken.
    All { taken: bool },
    /// Each line of standard input.
    Lines { taken: usize, verb: &'static str },
    /// What somebody types, line by line.
    Prompt,
}

impl Requests {
    /// Those of `text`, or of standard input. `verb` is what is done with them: `asked`.
    pub(crate) fn new(text: Option<&OsStr>, all_of_stdin: bool, verb: &'static str) -> Self {
        match text {
            Some(text) => Requests::Text(Some(text.as_encoded_bytes().to_vec())),
            None if all_of_stdin => Requests::All { taken: false },
            None if io::stdin().is_terminal() => Requests::Prompt,
            None => Requests::Lines { taken: 0, verb },
        }
    }

    /// The next request; `None` when there are no more.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Exit> {
        match self {
            Requests::Text(text) => Ok(text.take()),
            Requests::All { taken: true } => Ok(None),
            Requests::All { taken } => {
                *taken = true;
                read_all(io::stdin().lock()).map(Some)
            }
            Requests::Lines { taken, verb } => {
                let line = read_line()?;
                if line.is_none() && *taken == 0 {
                    say(format_args!(
                        "squall: nothing was {verb}: standard input is empty; TEXT \"\" is an empty datagram"
                    ));
                }
                *taken += 1;
                Ok(line)
            }
            Requests::Prompt => {
                // Beside the results, so that these can be redirected.
                eprint_prompt();
                let line = read_line()?;
                if line.is_none() {
                    say("");
                }
                Ok(line.filter(|line| !line.is_empty()))
            }
        }
    }

    /// The number of the present line, when requests are the lines of a file.
    pub(crate) fn line(&self) -> Option<usize> {
        match self {
            Requests::Lines { taken, .. } => Some(*taken),
            _ => None,
        }
    }
}

/// All of standard input, as one request.
pub(super) fn read_all(input: impl Read) -> Result<Vec<u8>, Exit> {
    let mut request = Vec::new();
    input.take(MAX_REQUEST + 1).read_to_end(&mut request).map_err(unreadable)?;
    bounded(request)
}

fn eprint_prompt() {
    use std::io::Write;
    let _ = write!(io::stderr(), "> ").and_then(|()| io::stderr().flush());
}

/// A line without its end; `None` at the end of standard input.
fn read_line() -> Result<Option<Vec<u8>>, Exit> {
    let mut line = Vec::new();
    io::stdin().lock().take(MAX_REQUEST + 1).read_until(b'\n', &mut line).map_err(unreadable)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    bounded(line).map(Some)
}

fn bounded(request: Vec<u8>) -> Result<Vec<u8>, Exit> {
    if request.len() as u64 > MAX_REQUEST {
        let error = format!("a request on standard input is longer than {} MiB", MAX_REQUEST >> 20);
        return Err(Exit::Usage.with(error));
    }
    Ok(request)
}

fn unreadable(error: io::Error) -> Exit {
    Exit::Failed.with(format!("cannot read standard input: {error}"))
}

/// The longest request, in bytes: enough for every stream that answers at once.
const MAX_REQUEST: u64 = 64 * 1024 * 1024;
