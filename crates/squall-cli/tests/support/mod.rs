//! Runs the binary, and servers for it to ask.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
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
    let mut terminal = Terminal::new(arguments, true);
    terminal.press(keys);
    terminal.end()
}

/// The binary on a terminal without echo.
pub(crate) struct Terminal {
    child: Child,
    ours: File,
    shown: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts it, with the terminal or with `/dev/null` as its standard input.
    pub(crate) fn new(arguments: &[&str], is_typed: bool) -> Self {
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
        command.args(arguments).stdout(stdio()).stderr(stdio()).env("TERM", "xterm");
        command.stdin(if is_typed { stdio() } else { Stdio::null() });
        let child = command.spawn().unwrap();
        // The last copies but the child's, so that reading ends when the child does.
        drop((command, theirs));
        let ours = File::from(ours);
        let (tell, shown) = channel();
        let mut from = ours.try_clone().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Linux says EIO when the other side has closed.
            while let Ok(count @ 1..) = from.read(&mut buffer)
                && tell.send(buffer[..count].to_vec()).is_ok()
            {}
        });
        Self { child, ours, shown, seen: Vec::new() }
    }

    pub(crate) fn press(&mut self, keys: &[u8]) {
        self.ours.write_all(keys).unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.ours, size).unwrap();
    }

    /// Waits until the terminal has shown `text`, and gives back what it has shown since the last time up to it.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) -> String {
        loop {
            let mut windows = self.seen.windows(text.len());
            if let Some(start) = windows.position(|window| window == text.as_bytes()) {
                return String::from_utf8(self.seen.drain(..start + text.len()).collect()).unwrap();
            }
            match self.shown.recv_timeout(PATIENCE) {
                Ok(more) => self.seen.extend(more),
                Err(_) => panic!("{text:?} is missing: {:?}", String::from_utf8_lossy(&self.seen)),
            }
        }
    }

    /// Waits for its end; its exit code, and what the terminal has shown since the last time.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut seen = std::mem::take(&mut self.seen);
        seen.extend(self.shown.iter().flatten());
        (self.child.wait().unwrap().code(), String::from_utf8(seen).unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long it waits for what is to be shown.
const PATIENCE: Duration = Duration::from_secs(20);
