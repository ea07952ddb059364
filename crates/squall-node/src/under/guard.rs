//! Nothing is left behind, even when this program is killed: a second process watches the first, and ends
//! what lives on in its hosts.

use std::env;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use squall::socket::hosts::Namespace;
use squall::socket::process as os;

use super::hosts::Hosts;

/// What tells a process that it is a guard, and of whom: the descriptors of a pipe that ends with the first
/// process, and of both hosts. Nobody inherits it: a guard starts no program.
const VARIABLE: &str = "SQUALL_UNDER_GUARD";

/// The second process, seen from the first.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    /// Its other end says that this process has ended.
    line: Option<PipeWriter>,
}

impl Guard {
    /// Starts this program again, which must call [`guard_if_asked`] first.
    pub(super) fn start(hosts: &Hosts) -> io::Result<Self> {
        let (theirs, line) = io::pipe()?;
        let given = [theirs.as_fd(), hosts.client.namespace.as_fd(), hosts.server.namespace.as_fd()];
        let numbers = given.map(|fd| fd.as_raw_fd().to_string()).join(" ");
        let mut command = Command::new(os::own_program()?);
        let mut arguments = env::args_os();
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command.args(arguments).env(VARIABLE, numbers);
        // In a group of its own: what ends the first process's group does not end the guard.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        os::inherit(&mut command, &given);
        Ok(Self { child: command.spawn()?, line: Some(line) })
    }

    /// Lets it end what is left, and waits for its end.
    pub(super) fn finish(mut self) -> io::Result<()> {
        drop(self.line.take());
        self.child.wait().map(drop)
    }
}

/// In the process that guards another one's hosts, does that until the other has ended, and returns true: the
/// program ends then. Returns false in every other.
///
/// # Errors
/// The system's; `InvalidInput` where the variable that makes a guard was set by somebody else.
pub fn guard_if_asked() -> io::Result<bool> {
    let Ok(text) = env::var(VARIABLE) else { return Ok(false) };
    let bad = || {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{VARIABLE} is {text:?}, which no squall set"))
    };
    let numbers: Vec<i32> = text.split(' ').map_while(|word| word.parse().ok()).collect();
    let [line, client, server] = numbers[..] else { return Err(bad()) };
    os::set_name("squall-guard");
    os::ignore_termination()?;
    let mut line = PipeReader::from(os::take_inherited(line)?);
    let host = |number| Namespace::try_from(File::from(os::take_inherited(number)?));
    let hosts = [host(client)?, host(server)?];
    // It brings nothing but its end.
    line.read_to_end(&mut Vec::new())?;
    for host in &hosts {
        end_all(host)?;
    }
    Ok(true)
}

/// Ends every process in `host`, and says how many there were.
pub(super) fn end_all(host: &Namespace) -> io::Result<usize> {
    let first = host.signal_processes(os::SIGKILL)?;
    // What was just being started may have been missed; what was killed goes on until it is next scheduled.
    for _ in 0..ROUNDS {
        if host.signal_processes(os::SIGKILL)? == 0 {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok(first)
}

const ROUNDS: u32 = 500;
const PAUSE: Duration = Duration::from_millis(2);
