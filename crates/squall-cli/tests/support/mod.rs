//! Runs the binary, and servers for it to ask.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use squall::{Refusal, Reply, Request, Running, Server, Service};

/// The end of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

    /// Whether it ended with `code` and said exactly this.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, stdout: &str, stderr: &str) {
        assert_eq!((self.code, self.text(), self.stderr.as_str()), (Some(code), stdout, stderr));
    }

    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn squall(arguments: &[&str]) -> Ended {
    command(arguments).stdin(Stdio::null()).output().unwrap().into()
}

pub(crate) fn squall_with(arguments: &[&str], stdin: &[u8]) -> Ended {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    child.wait_with_output().unwrap().into()
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server of one handler.
pub(crate) struct At {
    server: Running,
}

impl At {
    pub(crate) fn new(
        uri: &str,
        handler: impl Fn(&Request<'_>, &mut Reply<'_>) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        let service = Service::new("test", handler).at(uri).unwrap();
        Self { server: Server::new().service(service).shards(1).start().unwrap() }
    }

    /// Its `host:port`.
    pub(crate) fn address(&self) -> String {
        self.server.local_addrs()[0].to_string()
    }

    pub(crate) fn tcp(&self) -> String {
        format!("tcp://{}", self.address())
    }
}

/// Answers in capitals.
pub(crate) fn shout(request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    reply.write(&request.payload.to_ascii_uppercase())
}

/// Runs the binary on a terminal without echo, types `keys`, and gives back what the terminal showed.
pub(crate) fn typed(arguments: &[&str], keys: &[u8]) -> (Option<i32>, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
    let mut modes = tcgetattr(&theirs).unwrap();
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&theirs, OptionalActions::Now, &modes).unwrap();

    let stdio = || Stdio::from(theirs.try_clone().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(arguments).stdin(stdio()).stdout(stdio()).stderr(stdio()).env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    // The last copies but the child's, so that reading ends when the child does.
    drop((command, theirs));
    let mut ours = File::from(ours);
    ours.write_all(keys).unwrap();
    let mut shown = Vec::new();
    // Linux says EIO when the other side has closed.
    let _ = ours.read_to_end(&mut shown);
    (child.wait().unwrap().code(), String::from_utf8(shown).unwrap())
}
