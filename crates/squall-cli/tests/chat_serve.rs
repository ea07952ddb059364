//! `squall serve chat` and `squall ctl`: arguments, exit codes, and the terminal of a node.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use support::{Ended, Terminal, command, squall, typed};

/// A node with a chat, a socket of its own for orders, and nothing kept.
struct Chat {
    process: Option<Child>,
    directory: tempfile::TempDir,
    at: SocketAddr,
}

impl Chat {
    fn new(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let control = directory.path().join("ctl.sock");
        let arguments =
            ["serve", "chat", "--on", "udp://127.0.0.1:0", "--control", control.to_str().unwrap()];
        let arguments = [&arguments[..], more].concat();
        let mut process = command(&arguments).stdin(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let row = lines.nth(1).unwrap().unwrap();
        let at = row.split_whitespace().nth(1).unwrap().strip_prefix("udp://").unwrap().parse().unwrap();
        Self { process: Some(process), directory, at }
    }

    fn ctl(&self, arguments: &[&str]) -> Ended {
        let control = self.directory.path().join("ctl.sock");
        squall(&[&["ctl", "--socket", control.to_str().unwrap()], arguments].concat())
    }

    /// A member that has heard itself.
    fn member(&self) -> UdpSocket {
        let udp = member_of(self.at);
        udp.send(b"hello").unwrap();
        assert_eq!(heard(&udp), "ack hello");
        udp
    }

    fn end(mut self) -> Ended {
        self.process.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn member_of(hub: SocketAddr) -> UdpSocket {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    udp.connect(hub).unwrap();
    udp
}

fn heard(udp: &UdpSocket) -> String {
    let mut buffer = [0; 2048];
    let len = udp.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, says: &str) {
    let ended = squall(arguments);
    assert_eq!((ended.code, ended.text()), (Some(code), ""), "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
}

#[test]
fn what_a_chat_cannot_be_is_wrong_usage() {
    for (arguments, says) in [
        (&["--on", "udp://:0"][..], "chat does not listen on udp://:0"),
        (&["--on", "tcp://0.0.0.0:0"], "--trust-network 192.168.1.0/24"),
        (&["--on", "coap://127.0.0.1"], "not to be had by CoAP"),
        (&["--framing", "as-read"], "speaks lines"),
        (&["--text", "x"], "has no text to set"),
        (&["--command", "cat"], "runs no command"),
        (&["--history", ""], "none, memory or a file"),
        (&["--control", "tcp://127.0.0.1:1"], "unix:/path"),
    ] {
        refused(&[&["serve", "chat"], arguments].concat(), 2, says);
    }
    refused(&["serve", "time", "--history", "none"], 2, "--history is where the chat keeps what is said");
    refused(
        &["serve", "exec", "--command", "cat", "--on", "coap://127.0.0.1"],
        2,
        "exec is not to be had by CoAP",
    );
}

#[test]
fn a_control_socket_that_cannot_be_had_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "data").unwrap();
    let serve = |control: &Path| {
        [
            "serve",
            "chat",
            "--on",
            "udp://127.0.0.1:0",
            "--history",
            "none",
            "--control",
            control.to_str().unwrap(),
        ]
        .map(str::to_owned)
    };
    for (control, says) in
        [(file.clone(), "not a socket"), (directory.path().join("no/ctl.sock"), "no/ctl.sock")]
    {
        let arguments = serve(&control);
        refused(&arguments.each_ref().map(String::as_str), 1, says);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");
}

#[test]
fn ctl_without_a_node_names_the_socket_and_ends_with_69() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("ctl.sock");
    let socket = socket.to_str().unwrap();
    for what in [&["members"][..], &["stop"], &["stats", "--watch"], &["ban", "--list"]] {
        refused(&[&["ctl", "--socket", socket], what].concat(), 69, socket);
    }
    let mut found = command(&["ctl", "members"]);
    let ended: Ended = found.env("XDG_RUNTIME_DIR", directory.path()).output().unwrap().into();
    assert_eq!(ended.code, Some(69));
    let usual = directory.path().join("squall/ctl.sock");
    let says = format!(
        "squall: no node takes orders at {}: there is no such socket; squall serve chat starts one, ",
        usual.display()
    );
    assert!(ended.stderr.starts_with(&says), "{}", ended.stderr);
}

#[test]
fn ctl_that_is_typed_wrong_is_told_before_any_node_is_asked() {
    for (arguments, says) in [
        (&["ban"][..], "NETWORK"),
        (&["ban", "10.0.0.1/8"], "the network is 10.0.0.0/8"),
        (&["ban", "bob"], "`bob` is not an IP address"),
        (&["ban", "10.0.0.0/8", "--for", "0"], "lets nothing happen"),
        (&["ban", "10.0.0.0/8", "--list"], "cannot be used with"),
        (&["say"], "TEXT"),
        (&["kick"], "NAME|ADDRESS|~NUMBER"),
        (&["stop", "--socket", "/x", "--node", "1"], "cannot be used with"),
    ] {
        refused(&[&["ctl"], arguments].concat(), 2, says);
    }
}

#[test]
fn a_node_that_is_named_is_meant_whatever_the_environment_says() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [["ctl", "--node", "1", "members"], ["ctl", "members", "--node", "1"]] {
        let mut ctl = command(&arguments);
        let ctl = ctl.env("XDG_RUNTIME_DIR", directory.path()).env("SQUALL_CONTROL", "/nowhere/ctl.sock");
        let ended: Ended = ctl.output().unwrap().into();
        assert_eq!(ended.code, Some(69), "{}", ended.stderr);
        assert!(
            ended.stderr.starts_with("squall: no node with process 1 takes orders in "),
            "{}",
            ended.stderr
        );
    }
    // Without one, it is the environment's.
    let ended: Ended =
        command(&["ctl", "members"]).env("SQUALL_CONTROL", "/nowhere/ctl.sock").output().unwrap().into();
    assert!(ended.stderr.contains("/nowhere/ctl.sock"), "{}", ended.stderr);
}

#[test]
fn who_watches_a_node_that_ends_is_told_so_whatever_it_said_last() {
    let chat = Chat::new(&["--history", "none"]);
    let mut node = UnixStream::connect(chat.directory.path().join("ctl.sock")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("ctl.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let watch = command(&["ctl", "--socket", socket.to_str().unwrap(), "stats", "--watch"]).spawn().unwrap();
    let (mut watcher, _) = listener.accept().unwrap();
    let mut orders = BufReader::new(watcher.try_clone().unwrap()).lines();
    // The first answer is a node's, and the next that of one that is about to end.
    writeln!(node, "{}", orders.next().unwrap().unwrap()).unwrap();
    for answer in BufReader::new(node).lines().map(Result::unwrap) {
        writeln!(watcher, "{answer}").unwrap();
        if answer.starts_with("{\"done\"") {
            break;
        }
    }
    orders.next().unwrap().unwrap();
    writeln!(watcher, "{{\"error\":\"the chat has ended\"}}").unwrap();
    drop((watcher, orders));
    let ended: Ended = watch.wait_with_output().unwrap().into();
    ended.is(69, "", "squall: the node has ended\n");
}

#[test]
fn orders_go_to_the_node_and_its_answers_come_back() {
    let chat = Chat::new(&["--history", "none"]);
    let udp = chat.member();
    let members = chat.ctl(&["members", "--json"]).json();
    assert_eq!((members.len(), &members[0]["room"], &members[0]["via"]), (1, &"lobby".into(), &"udp".into()));
    assert_eq!(members[0]["address"], udp.local_addr().unwrap().to_string());
    chat.ctl(&["say", "two", "words"]).is(0, "said\n", "");
    assert_eq!(heard(&udp), "ack operator: two words");
    chat.ctl(&["say", "--room", "attic", "x"]).is(
        1,
        "",
        "squall: nobody hears it: there is no room \"attic\"\n",
    );
    chat.ctl(&["say", &"x".repeat(2000)]).is(
        1,
        "",
        "squall: nobody hears it: a line of it has 2000 bytes, and 1010 fit\n",
    );
    chat.ctl(&["kick", "~7"]).is(
        1,
        "",
        "squall: nobody here is \"~7\"; a name, an address or ~NUMBER is meant\n",
    );
    chat.ctl(&["kick", "~1"]).is(0, "took out 1 member\n", "");
    chat.ctl(&["ban", "127.0.0.1"]).is(0, "127.0.0.1/32 is banned; took out 0 members\n", "");
    chat.ctl(&["ban", "--list"]).is(0, "NETWORK       FOR\n127.0.0.1/32  ever\n", "");
    chat.ctl(&["unban", "127.0.0.1/32"]).is(0, "127.0.0.1/32 is not banned any more\n", "");
    chat.ctl(&["unban", "127.0.0.1/32"]).is(1, "", "squall: 127.0.0.1/32 is not banned\n");
    let stats = &chat.ctl(&["stats", "--json"]).json()[0];
    assert_eq!((&stats["chat"]["messages"], &stats["chat"]["kicked"]), (&2.into(), &1.into()));
    chat.ctl(&["stop"]).is(0, "", "");
    let ended = chat.end();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.stderr.contains("; chat: 1 join, 2 messages delivered 2 times, 1 kicked\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_log_says_of_members_only_what_is_so() {
    let chat = Chat::new(&["--history", "none", "-v"]);
    let udp = chat.member();
    udp.send(b"/me").unwrap();
    assert!(heard(&udp).starts_with("* me ~1"));
    chat.ctl(&["kick", "~1"]).is(0, "took out 1 member\n", "");
    chat.ctl(&["stop"]).is(0, "", "");
    let ended = chat.end();
    for says in [
        " INFO chat udp://127.0.0.1:",
        " 3 bytes \"/me\": taken\n",
        " INFO ~1 went: kicked by the operator\n",
    ] {
        assert!(ended.stderr.contains(says), "{says:?} is missing: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("no answer wanted"), "{}", ended.stderr);
}

#[test]
fn a_second_node_is_refused_the_data_directory_with_the_first_ones_process() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let first = Chat::new(&["--data", data]);
    let pid = first.process.as_ref().unwrap().id();
    refused(
        &["serve", "chat", "--on", "udp://127.0.0.1:0", "--data", data, "--control", "none"],
        1,
        &format!("{data} is in use by process {pid}"),
    );
}

#[test]
fn on_a_terminal_orders_are_typed_and_quit_or_the_end_of_input_ends_the_node() {
    for end in [&b"quit\n"[..], b"\x04"] {
        let keys = [b"members\nsay x\nban 10.0.0.0/8 --for 1h\nbans\ndance\nstats\nhelp\n", end].concat();
        let (code, shown) = typed(&ON_A_TERMINAL, &keys);
        assert_eq!(code, Some(0), "{shown}");
        for says in [
            "0 members in 1 room",
            "0 members\r\n",
            "said\r\n",
            "10.0.0.0/8 is banned; took out 0 members\r\n",
            "10.0.0.0/8  1 h 0 min\r\n",
            "\"dance\" is no order; help tells what there is\r\n",
            "running for ",
            "kick NAME|ADDRESS|~NUMBER",
            "chat: 0 joins",
        ] {
            assert!(shown.contains(says), "{says:?} is missing: {shown}");
        }
    }
}

const ON_A_TERMINAL: [&str; 8] =
    ["serve", "chat", "--on", "udp://127.0.0.1:0", "--history", "none", "--control", "none"];

#[test]
fn on_a_terminal_a_line_can_be_edited_and_comes_back() {
    let mut terminal = Terminal::new(&ON_A_TERMINAL, true);
    terminal.shows("help tells");
    // Ctrl-Space ends nothing.
    terminal.press(b"\0");
    // One letter is forgotten, and put in behind the cursor's way back.
    terminal.press(b"membrs\x1b[D\x1b[De\n");
    terminal.shows("> members\r\n");
    terminal.shows("0 members\r\n");
    terminal.press(b"say hi\n");
    terminal.shows("said\r\n");
    terminal.press(b"\x1b[A\x1b[A\n");
    terminal.shows("> members\r\n");
    terminal.press(b"sta\t\n");
    terminal.shows("running for ");
    terminal.press(b"qu\t\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0));
    // What is redrawn is gone, the cursor is back, and the log ends the lines.
    assert!(shown.contains("\r\x1b[J\x1b[?25h"), "{shown:?}");
    assert!(shown.ends_with("chat: 0 joins, 1 message delivered 0 times\r\n"), "{shown:?}");
}

#[test]
fn what_is_redrawn_is_never_wider_than_the_terminal() {
    for is_typed in [true, false] {
        let mut terminal = Terminal::new(&ON_A_TERMINAL, is_typed);
        terminal.resize(200, 24);
        terminal.shows("shed 0  evicted 0");
        if is_typed {
            terminal.press("say 你好".repeat(30).as_bytes());
        }
        for columns in [60, 20, 7] {
            terminal.resize(columns, 24);
            let whole = "0 members in 1 room  0 messages/s  0 deliveries/s  shed 0  evicted 0";
            let seen = format!("{}…", &whole[..usize::from(columns) - 2]);
            terminal.shows(&format!("\x1b[?7l{seen}"));
            let typed = terminal.shows("\x1b[?7h");
            assert!(columns_of(&typed) < columns.into(), "{columns}: {typed:?}");
        }
        if is_typed {
            terminal.resize(40, 2);
            terminal.shows("\x1b[J\x1b[?7l> ");
        }
    }
}

/// Columns of a row, without what only tells the terminal something.
fn columns_of(row: &str) -> usize {
    let mut pieces = row.split("\x1b[");
    let first = pieces.next().unwrap_or("");
    let rest = pieces.filter_map(|piece| piece.split_once(|end: char| end.is_ascii_alphabetic()));
    std::iter::once(first)
        .chain(rest.map(|(_, text)| text))
        .map(|text| text.trim_matches(['\r', '\n']).width())
        .sum()
}
