//! What the tests of whole programs share.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{self, BufRead, BufReader, Lines};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// An example that runs, until it is dropped.
pub(crate) struct Example {
    pub(crate) child: Child,
    /// What it listens on.
    pub(crate) uri: String,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

impl Example {
    /// Starts the example `name`, which Cargo built before this test, and reads where it listens.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, arguments, Stdio::null())
    }

    /// As [`start`](Self::start), with `input` as its standard input.
    pub(crate) fn start_with(name: &str, arguments: &[&str], input: Stdio) -> Self {
        let mut command = Command::new(path(name));
        command.args(arguments).stdin(input).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; `cargo test -p squall` builds it"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap_or_else(|| panic!("{name} says nothing")).unwrap();
        let uri = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, uri, lines }
    }

    /// The IP address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.uri.split("://").nth(1).unwrap().parse().unwrap()
    }

    /// A UDP socket that hears nobody but the example.
    pub(crate) fn udp(&self) -> UdpSocket {
        client(self.address())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where Cargo puts the examples: beside the folder of this test program.
pub(crate) fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    profile.join("examples").join(name)
}

/// A UDP socket that hears nobody but `server`.
pub(crate) fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((if server.is_ipv4() { "127.0.0.1" } else { "::1" }, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

/// Sends `request` and returns the answer.
pub(crate) fn ask(socket: &UdpSocket, request: &[u8]) -> String {
    socket.send(request).unwrap();
    hear(socket)
}

/// The next datagram.
pub(crate) fn hear(socket: &UdpSocket) -> String {
    let mut buffer = vec![0; 65_536];
    let count = receive(socket, &mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

/// `recv` that goes on after an interruption: with a time-out a call is not restarted by itself, whatever
/// interrupts it (signal(7)).
pub(crate) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Waits for what another thread or process is about to do.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONG, "never: {what}");
        std::thread::yield_now();
    }
}

/// What a process does, as `/proc` tells it; `None` when it is gone.
pub(crate) fn state(process: &str) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:"))?.trim().chars().next()
}
