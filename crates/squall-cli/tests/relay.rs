//! `squall relay`: arguments, orders, what it prints, how it ends.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::{At, Ended, command, shout, squall, typed};

/// A running relay.
struct Relay {
    /// None once it was waited for.
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Where it listens.
    at: String,
}

impl Relay {
    fn start(to: &str, more: &[&str]) -> Self {
        let to = format!("udp://{to}");
        let mut arguments = vec!["relay", "--on", "udp://127.0.0.1:0", "--to", &to];
        arguments.extend(more);
        let mut child = command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let at = if more.contains(&"--json") {
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            object["listening"][0].as_str().unwrap().to_owned()
        } else {
            let (at, server) = line.trim_end().split_once(" → ").unwrap();
            assert_eq!(server, to);
            at.to_owned()
        };
        Self { child: Some(child), stdin, stdout, at }
    }

    fn order(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next object that `wanted` is looked for in, of those that --json prints.
    fn object(&mut self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "it ended");
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            if wanted(&object) {
                return object;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.as_ref().unwrap().id() as i32).unwrap(), signal).unwrap();
    }

    fn wait(mut self) -> Ended {
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).unwrap();
        let mut ended: Ended = self.child.take().unwrap().wait_with_output().unwrap().into();
        ended.stdout = stdout;
        ended
    }
}

impl Drop for Relay {
    /// A test that fails leaves nothing behind.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[track_caller]
fn one_line(arguments: &[&str], code: i32, says: &str) {
    let ended = squall(&[&["relay"], arguments].concat());
    assert_eq!((ended.code, ended.text()), (Some(code), ""), "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
}

#[test]
fn what_cannot_be_is_told_in_one_line() {
    let on = ["--on", "udp://127.0.0.1:0", "--to", "udp://127.0.0.1:9"];
    one_line(&["--on", "udp://127.0.0.1:0"], 2, "--to <URI>");
    one_line(
        &["--on", "udp://127.0.0.1:0", "--to", "tcp://127.0.0.1:9"],
        2,
        "both are udp://, or both are tcp://",
    );
    one_line(&["--on", "unix:/tmp/x", "--to", "unix:/tmp/y"], 2, "both are udp://, or both are tcp://");
    one_line(&["--on", "udp://127.0.0.1:0", "--to", "udp://:9"], 2, "name one server");
    one_line(&["--on", "udp://127.0.0.1:0", "--to", "udp://127.0.0.1:0"], 2, "no server has port 0");
    one_line(&["--on", "udp://127.0.0.1:0", "--to", "udp://239.1.2.3:9"], 2, "the address of a group");
    one_line(&["--on", "udp://127.0.0.1:0", "--to", "udp://127.0.0.1:9", "-6"], 2, "no IPv6 address");
    one_line(
        &["--on", "udp://203.0.113.1:0", "--to", "udp://127.0.0.1:9"],
        1,
        "this machine has no such address",
    );
    for (weather, says) in [
        ("loss=101%", "loss=101%: it must be a probability"),
        ("lss=1%", "there is no key \"lss\"; loss is near"),
        ("strom", "\"strom\" is no preset"),
        ("/nonexistent.toml", "cannot read the weather /nonexistent.toml"),
    ] {
        one_line(&[&on[..], &["--weather", weather]].concat(), 2, says);
    }
    one_line(
        &[&on[..], &["--replay", "/nonexistent"]].concat(),
        2,
        "cannot replay /nonexistent: No such file",
    );
    one_line(&[&on[..], &["--replay", "/dev/null", "--weather", "half"]].concat(), 2, "cannot be used with");
    one_line(&[&on[..], &["--record", "/nonexistent/x"]].concat(), 1, "cannot record to /nonexistent/x");
    one_line(&[&on[..], &["--record", "/"]].concat(), 1, "cannot record to /: Is a directory");
    let same = ["--record", "/nonexistent", "--replay", "/nonexistent"];
    one_line(&[&on[..], &same].concat(), 2, "--record and --replay name the same file");
    one_line(&[&on[..], &["--control", "tcp://127.0.0.1:1"]].concat(), 2, "orders are taken on unix:/path");
    one_line(&[&on[..], &["--flows", "0"]].concat(), 2, "0 is not in 1..");
    one_line(&[&on[..], &["--idle", "0"]].concat(), 2, "time limit of zero");
    let tcp = ["--on", "tcp://127.0.0.1:0", "--to", "tcp://127.0.0.1:9"];
    one_line(&[&tcp[..], &["--weather", "half"]].concat(), 2, "weather with loss");
    one_line(&[&tcp[..], &["--record", "/tmp/x"]].concat(), 2, "cannot record or replay tcp://");
}

#[test]
fn a_relay_to_itself_is_refused_however_it_is_written() {
    // A port that is free, as nothing is sent to it.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (on, to) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("", "127.0.0.1"),
        ("", "[::1]"),
        ("", "localhost"),
        ("0.0.0.0", "127.0.0.9"),
        ("[::]", "127.0.0.1"),
        ("[::]", "[::ffff:127.0.0.1]"),
    ] {
        let (on, to) = (format!("udp://{on}:{port}"), format!("udp://{to}:{port}"));
        one_line(&["--on", &on, "--to", &to], 2, "that is the relay itself");
    }
}

#[test]
fn it_relays_until_it_is_asked_to_end_and_tells_what_it_did() {
    let server = At::new("udp://127.0.0.1:0", shout);
    for signal in [Signal::INT, Signal::TERM] {
        let mut relay = Relay::start(&server.address(), &["--weather", "delay=1ms", "--seed", "7"]);
        // Standard input that ends is no reason to end.
        drop(relay.stdin.take());
        squall(&["ask", &relay.at, "hello"]).is(0, "HELLO\n", "");
        relay.signal(signal);
        let ended = relay.wait();
        assert_eq!((ended.code, ended.text()), (Some(0), ""));
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(lines[0], "weather: delay=1ms; seed 7");
        assert_eq!(lines[1], "up: 1 received (5 bytes), 1 sent on (5 bytes), 0 dropped");
        assert_eq!(lines[2], "down: 1 received (5 bytes), 1 sent on (5 bytes), 0 dropped");
        assert!(lines[3].starts_with("1 flow in ") && lines[3].ends_with(" 1 open"), "{}", lines[3]);
    }
}

#[test]
fn orders_on_standard_input_change_the_weather() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let mut relay = Relay::start(&server.address(), &["--json", "--seed", "7"]);
    let answered = |object: &serde_json::Value| object["order"].is_string();
    for (order, key, says) in [
        ("up.loss=100%", "weather", "up.loss=100%"),
        ("  delay=1ms \r", "weather", "delay=1ms,up.loss=100%"),
        ("loss=101%", "error", "it must be a probability"),
        ("weather", "weather", "delay=1ms,up.loss=100%"),
        ("lte@10s:storm", "weather", "@10s:delay=100ms"),
        ("delay=1ms,up.loss=100%@1h:clear", "weather", "delay=1ms,up.loss=100%@3600s:clear"),
        ("weather delay=1ms", "weather", "delay=1ms"),
        ("clear,up.loss=100%", "weather", "up.loss=100%"),
        ("nonsense", "error", "no order"),
        (&"x".repeat(10_000), "error", "too long"),
        ("help", "help", "blackout TIME"),
    ] {
        relay.order(order);
        let object = relay.object(answered);
        assert!(object[key].as_str().unwrap().contains(says), "{order}: {object}");
    }
    let ended = squall(&["ask", &relay.at, "hello", "--timeout", "150ms"]);
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    relay.order("blackout 1h");
    let left = relay.object(answered)["blackout"].as_f64().unwrap();
    for order in ["weather", "counts"] {
        relay.order(order);
        let object = relay.object(answered);
        let told = if order == "counts" { &object["counts"]["blackout"] } else { &object["blackout"] };
        assert!((3500.0..=left).contains(&told.as_f64().unwrap()), "{object}");
    }
    relay.order("blackout 1ns");
    relay.object(answered);
    relay.order("clear");
    assert!(relay.object(answered)["blackout"].is_null());
    squall(&["ask", &relay.at, "hello"]).is(0, "HELLO\n", "");
    relay.order("counts");
    let counts = relay.object(answered)["counts"].clone();
    assert_eq!((&counts["up"]["dropped"]["loss"], &counts["flows"]), (&2.into(), &2.into()), "{counts}");
    // One a second comes by itself.
    relay.object(|object| object["elapsed"].is_number() && object["final"].is_null());
    relay.order("quit");
    let last = relay.object(|object| object["final"] == true);
    assert_eq!(last["down"]["sent"], 1, "{last}");
    let ended = relay.wait();
    assert_eq!((ended.code, ended.text(), ended.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn orders_are_taken_on_a_unix_socket_too() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let uri = format!("unix:{}", path.display());
    let relay = Relay::start(&server.address(), &["--control", &uri]);
    let say = |lines: &str| {
        let mut connection = UnixStream::connect(&path).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        connection.write_all(lines.as_bytes()).unwrap();
        // It closes the connection by itself when no more comes.
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    };
    assert_eq!(say("weather half\n"), "ok up.loss=50%\n");
    assert_eq!(
        say("loss=0%\nstrom\n\nweather\n"),
        "ok clear\nerror: \"strom\" is no order; help tells what there is\nok clear\n"
    );
    let blackout = say("blackout 1h\n");
    assert!(
        blackout.starts_with("ok clear; blackout for 3") && blackout.ends_with(" s more\n"),
        "{blackout}"
    );
    let counts = say("counts\n");
    let counts: serde_json::Value = serde_json::from_str(counts.strip_prefix("ok ").unwrap()).unwrap();
    assert_eq!(counts["flows"], 0);
    one_line(
        &["--on", "udp://127.0.0.1:0", "--to", "udp://127.0.0.1:9", "--control", &uri],
        1,
        "in use by a running server",
    );
    assert_eq!(say("quit\n"), "ok\n");
    assert_eq!(relay.wait().code, Some(0));
    assert!(!path.exists());
}

#[test]
fn a_record_is_written_when_it_ends_and_can_be_played() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let path = path.to_str().unwrap();
    let relay =
        Relay::start(&server.address(), &["--weather", "up.loss=50%", "--seed", "3", "--record", path]);
    squall(&["ask", &relay.at, "hello", "--tries", "20", "--json"]);
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code, Some(0));
    let record = std::fs::read_to_string(path).unwrap();
    assert!(record.starts_with("# seed 3\n# weather up.loss=50%\nup 0 33 "), "{record}");
    assert!(record.ends_with("down 0 33 pass +0ms\n"), "{record}");
    let relay = Relay::start(&server.address(), &["--replay", path]);
    squall(&["ask", &relay.at, "hello", "--tries", "20"]).is(0, "HELLO\n", "");
    relay.signal(Signal::TERM);
    let ended = relay.wait();
    assert!(ended.stderr.starts_with(&format!("weather: as {path} recorded it\n")), "{}", ended.stderr);
    let lost = record.matches("drop loss").count();
    let says = format!("up: {} received ({} bytes), 1 sent on", lost + 1, 5 * (lost + 1));
    assert!(ended.stderr.contains(&says), "{}", ended.stderr);
}

#[test]
fn on_a_terminal_orders_are_typed_below_the_state_and_the_end_of_file_ends_it() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let to = format!("udp://{}", server.address());
    let (code, shown) = typed(&["relay", "--on", "udp://127.0.0.1:0", "--to", &to], b"loss=5%\n\x04");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("weather: clear; seed "), "{shown}");
    assert!(shown.contains("weather: loss=5%\r\nflows 0  up 0 (0/s)"), "{shown}");
    assert!(shown.contains("down: 0 received"), "{shown}");
}
