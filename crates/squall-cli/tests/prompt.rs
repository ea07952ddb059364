//! `squall ask` on a terminal.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use squall::{Reply, Request};
use support::{At, shout};

#[test]
fn a_prompt_asks_line_by_line_and_an_empty_line_ends_it() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let (code, shown) = typed(&["ask", &server.address()], b"one\ntwo\n\nnever\n");
    assert_eq!((code, shown.as_str()), (Some(0), "> ONE\r\n> TWO\r\n> "));
}

#[test]
fn the_end_of_file_ends_the_prompt_on_a_line_of_its_own() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let (code, shown) = typed(&["ask", &server.address()], b"one\n\x04");
    assert_eq!((code, shown.as_str()), (Some(0), "> ONE\r\n> \r\n"));
}

#[test]
fn what_a_peer_sends_cannot_act_on_the_terminal() {
    let server = At::new("udp://127.0.0.1:0", |_: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write("red\x1b[31m\n\u{202e}".as_bytes())
    });
    let (_, shown) = typed(&["ask", &server.address(), "x"], b"");
    assert_eq!(shown, "red\\x1b[31m\r\n\\u{202e}\r\n");
}

/// Runs the binary on a terminal without echo, types `keys`, and gives back what the terminal showed.
fn typed(arguments: &[&str], keys: &[u8]) -> (Option<i32>, String) {
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
    command.args(arguments).stdin(stdio()).stdout(stdio()).stderr(stdio());
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
