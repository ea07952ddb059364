//! `squall serve files` with files over QUIC: addresses, counts, how it ends.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use squall_node::secure::Token;
use support::{Ended, command};

/// A node that takes files, in a home of its own.
struct Files {
    process: Option<Child>,
    home: tempfile::TempDir,
    /// The lines of its table.
    rows: Vec<String>,
}

impl Files {
    /// Takes files at `on`.
    fn new(on: &[&str], more: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (control, folder) = (home.path().join("ctl.sock"), home.path().join("in"));
        let mut arguments = vec!["serve", "files", "--control", control.to_str().unwrap()];
        arguments.extend(["--dir", folder.to_str().unwrap()]);
        arguments.extend(on.iter().flat_map(|uri| ["--on", uri]));
        arguments.extend(more);
        let mut process = at_home(&home, &arguments).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let rows = lines.skip(1).take(on.len()).map(Result::unwrap).collect();
        Self { process: Some(process), home, rows }
    }

    /// The address in row `index` of its table.
    fn address(&self, index: usize) -> &str {
        let uri = self.rows[index].split_whitespace().nth(1).unwrap();
        uri.split_once("://").unwrap().1
    }

    /// Sends `content` over QUIC as `name`, with the token in the file `token` of the home.
    fn send(&self, content: &str, name: &str, token: &str) -> Ended {
        let (from, token) = (self.home.path().join(name), self.home.path().join(token));
        std::fs::write(&from, content).unwrap();
        let quic = self.rows.iter().position(|row| row.contains("quic://")).unwrap();
        let (from, token) = (from.to_str().unwrap(), token.to_str().unwrap());
        let to = self.address(quic).replace("[::]", "127.0.0.1");
        self.run(&["send", from, &to, "--token-file", token])
    }

    fn ctl(&self, arguments: &[&str]) -> Ended {
        let control = self.home.path().join("ctl.sock");
        self.run(&[&["ctl", "--socket", control.to_str().unwrap()], arguments].concat())
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        at_home(&self.home, arguments).stdin(Stdio::null()).output().unwrap().into()
    }

    fn end(mut self) -> Ended {
        let process = self.process.take().unwrap();
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        process.wait_with_output().unwrap().into()
    }
}

impl Drop for Files {
    /// A test that fails leaves nothing behind.
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The binary, which knows no home but this one.
fn at_home(home: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env("HOME", home.path());
    for variable in ["STATE_DIRECTORY", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
        command.env_remove(variable);
    }
    command
}

#[test]
fn a_node_may_take_files_over_quic_alone() {
    for (on, model) in [("quic://127.0.0.1:0", "inline"), ("quic://:0", "processes:1")] {
        let files = Files::new(&[on], &["--model", model]);
        let row = &files.rows[0];
        assert!(row.starts_with("files    quic://"), "{row}");
        assert!(row.contains("echo hello | squall send - 127.0.0.1:"), "{row}");
        let sent = files.send("hello", "greeting", TOKEN);
        assert_eq!(sent.code, Some(0), "{}", sent.stderr);
        assert_eq!(std::fs::read_to_string(files.home.path().join("in/greeting")).unwrap(), "hello");
        let ended = files.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("answered 0 requests and left 0 unanswered"), "{}", ended.stderr);
    }
}

#[test]
fn a_node_with_files_over_quic_alone_obeys_ctl() {
    let mut files = Files::new(&["quic://127.0.0.1:0"], &[]);
    let stopped = files.ctl(&["stop"]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert_eq!(files.process.take().unwrap().wait().unwrap().code(), Some(0));
}

#[test]
fn a_data_directory_of_files_over_quic_alone_is_of_one_node() {
    let data = tempfile::tempdir().unwrap();
    let arguments = ["serve", "files", "--on", "quic://127.0.0.1:0", "--data", data.path().to_str().unwrap()];
    let home = tempfile::tempdir().unwrap();
    let mut first = at_home(&home, &arguments).stdin(Stdio::null()).spawn().unwrap();
    let row = BufReader::new(first.stdout.take().unwrap()).lines().nth(1).unwrap().unwrap();
    let second: Ended = at_home(&home, &arguments).stdin(Stdio::null()).output().unwrap().into();
    let _ = (first.kill(), first.wait());
    assert!(row.contains("quic://"), "{row}");
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let says = format!("{} is in use by process {}", data.path().display(), first.id());
    assert!(second.stderr.contains(&says), "{}", second.stderr);
}

#[test]
fn what_came_over_quic_and_who_was_turned_away_is_told_by_ctl_and_at_the_end() {
    let files = Files::new(&["quic://127.0.0.1:0"], &[]);
    Token::load_or_make(&files.home.path().join("other")).unwrap();
    for (content, token, code) in
        [("hello", TOKEN, 0), ("hello", TOKEN, 0), ("hello again", TOKEN, 1), ("hello", "other", 1)]
    {
        let sent = files.send(content, "greeting", token);
        assert_eq!(sent.code, Some(code), "{}", sent.stderr);
    }
    // A sender may have ended before its session has.
    let is_over = |_| files.ctl(&["stats", "--json"]).json()[0]["files"]["secure_open"] == 0;
    assert!((0..1000).any(is_over), "a session stays open");
    let told = files.ctl(&["stats"]);
    let line = told.text().lines().find(|line| line.starts_with("files: ")).unwrap();
    assert_eq!(
        line,
        "files: secure away token wrong 1, secure bytes 5, secure refused 1, secure sessions 3, \
         secure stored 1, secure unchanged 1"
    );
    let counts = &files.ctl(&["stats", "--json"]).json()[0]["files"];
    assert_eq!(counts["secure_stored"], 1);
    assert_eq!(counts["secure_away_too_many"], 0);
    let ended = files.end();
    let says = "; files over QUIC: 3 sessions, 1 stored, 1 unchanged, 1 refused, 5 bytes, 1 turned away (1 token wrong)";
    assert!(ended.stderr.contains(says), "{}", ended.stderr);
}

#[test]
fn plain_uploads_are_requests_without_an_answer_at_the_end_too() {
    let files = Files::new(&["udp://127.0.0.1:0"], &[]);
    let from = files.home.path().join("greeting");
    std::fs::write(&from, "hello").unwrap();
    let sent = files.run(&["send", "--plain", from.to_str().unwrap(), files.address(0)]);
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let stats = files.ctl(&["stats"]);
    assert!(stats.text().contains("silent 2"), "{}", stats.text());
    let ended = files.end();
    let says = "answered 0 requests and left 0 unanswered";
    assert!(ended.stderr.contains(says), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("; silent to 2 requests that had no answer; files: 1 upload"),
        "{}",
        ended.stderr
    );
}

/// The node's token in its home.
const TOKEN: &str = ".config/squall/token";
