//! `squall shout` and `squall listen`, on the loopback interface: arguments, output, exit codes.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use squall::{Reply, Request};
use support::{At, Ended, command, shout, squall, squall_with};

/// A group that nothing else on this machine uses.
const GROUP: &str = "239.255.80.82";
const V6_GROUP: &str = "ff11::8052";

fn lo() -> &'static str {
    if squall::socket::interface_index("lo").is_ok() { "lo" } else { "lo0" }
}

/// `squall listen`, once it listens.
struct Listening {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    said: String,
    port: String,
}

impl Listening {
    fn new(arguments: &[&str]) -> Self {
        let mut child = command(&[&["listen"], arguments].concat()).stdin(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        let port = said.split([' ', ';', ',']).find_map(|word| word.trim().rsplit_once(':')).expect(&said).1;
        let port = port.to_owned();
        Self { child, stdout, stderr, said, port }
    }

    /// A listener to groups of the loopback interface, on a port of its own or that of another.
    fn to_group(port: &str, more: &[&str]) -> Self {
        Self::new(&[&["-p", port, "--group", GROUP, "--interface", lo()], more].concat())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn end(mut self) -> Ended {
        let (mut stdout, mut stderr) = (Vec::new(), String::new());
        self.stdout.read_to_end(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        Ended { code: self.child.wait().unwrap().code(), stdout, stderr }
    }

    fn to(&self, host: &str) -> String {
        format!("{host}:{}", self.port)
    }
}

#[test]
fn what_is_shouted_to_a_group_is_a_line_at_every_listener() {
    let mut listeners = vec![Listening::to_group("0", &["--count", "2"])];
    let port = listeners[0].port.clone();
    for _ in 0..2 {
        listeners.push(Listening::to_group(&port, &["--count", "2"]));
    }
    let to = listeners[0].to(GROUP);
    squall(&["shout", "hello", "--to", &to, "--interface", lo()]).is(0, "", "");
    for listener in &mut listeners {
        let line = listener.line();
        let (peer, rest) = line.split_once(' ').unwrap();
        assert!(peer.starts_with("127.0.0.1:"), "{line}");
        assert_eq!(rest, format!("multicast {} hello\n", lo()), "each line comes at once");
        assert!(listener.said.contains(&format!("in group {GROUP} on {}", lo())), "{}", listener.said);
    }
    squall(&["shout", "", "--to", &to, "--interface", lo()]).is(0, "", "");
    for listener in listeners {
        let ended = listener.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        assert!(ended.text().ends_with(&format!(" multicast {}\n", lo())), "{}", ended.text());
    }
}

#[test]
fn json_tells_all_of_a_datagram() {
    let listener = Listening::to_group("0", &["--json", "--count", "3"]);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for payload in [b"text \x1b[2J".as_slice(), b"\xff\xfe", b""] {
        udp.send_to(payload, listener.to("127.0.0.1")).unwrap();
    }
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let ended = listener.end();
    assert!(!ended.text().contains('\x1b'));
    let [text, bytes, empty] = ended.json().try_into().unwrap();
    assert_eq!(text["peer"], udp.local_addr().unwrap().to_string());
    assert_eq!(text["destination"], "127.0.0.1");
    assert_eq!(text["interface"], lo());
    assert_eq!(text["kind"], "unicast");
    assert_eq!(text["bytes"], 9);
    assert_eq!(text["text"], "text \x1b[2J");
    assert!((text["time"].as_f64().unwrap() - before).abs() < 60.0);
    assert_eq!((&bytes["hex"], &bytes["text"]), (&"fffe".into(), &serde_json::Value::Null));
    assert_eq!((&empty["text"], &empty["bytes"]), (&"".into(), &0.into()));
}

#[test]
fn what_a_peer_sends_stays_on_its_line_and_cannot_act_on_a_terminal() {
    let mut listener = Listening::new(&["-p", "0", "--count", "1"]);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to("a\x1b[31m\nb\u{202e}\r\n".as_bytes(), listener.to("127.0.0.1")).unwrap();
    assert!(listener.line().ends_with(" a\\x1b[31m\\x0ab\\u{202e}\n"));
    assert_eq!(listener.end().code, Some(0));
}

#[test]
fn a_dump_stands_below_the_line_of_its_datagram() {
    let listener = Listening::new(&["-p", "0", "--count", "1", "--hex", "127.0.0.1"]);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"hello\n", listener.to("127.0.0.1")).unwrap();
    let ended = listener.end();
    let mut lines = ended.text().lines();
    assert_eq!(
        lines.next(),
        Some(format!("{} unicast {} 6 bytes", udp.local_addr().unwrap(), lo()).as_str())
    );
    assert_eq!(lines.next().unwrap().trim_end(), format!("  0000  {:<50}|hello.|", "68 65 6c 6c 6f 0a"));
    assert_eq!(lines.next(), None);
}

#[test]
fn a_listener_that_is_asked_to_end_has_done_its_work() {
    for signal in ["-INT", "-TERM"] {
        let mut listener = Listening::new(&["-p", "0"]);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.send_to(b"one", listener.to("127.0.0.1")).unwrap();
        listener.line();
        listener.signal(signal);
        let ended = listener.end();
        assert_eq!((ended.code, ended.text()), (Some(0), ""));
        assert!(ended.stderr.starts_with("heard 1 datagram (1 unicast) in "), "{}", ended.stderr);
    }
}

#[test]
fn a_listener_that_waits_for_something_tells_whether_it_came() {
    let listener = Listening::new(&["-p", "0", "--count", "2"]);
    listener.signal("-INT");
    assert_eq!(listener.end().code, Some(130), "interrupted before it had heard two");
    let listener = Listening::new(&["-p", "0", "--count", "1", "--for", "50ms"]);
    assert_eq!(listener.end().code, Some(69), "fewer than asked for");
    let ended = Listening::new(&["-p", "0", "--for", "50ms"]).end();
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.starts_with("heard 0 datagrams in 0."), "{}", ended.stderr);
}

#[test]
fn a_port_that_another_program_has_is_named_with_that_program() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let ended = squall(&["listen", "-p", &port]);
    assert_eq!(ended.code, Some(1));
    let says = format!("another program has port {port} and does not share it");
    assert!(ended.stderr.contains(&says), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1);
    if cfg!(target_os = "linux") {
        let holder = format!("process {}, on 127.0.0.1:{port}", std::process::id());
        assert!(ended.stderr.contains(&holder), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("squall listen '<broadcast>' -p {port}")), "{}", ended.stderr);
    }
}

#[test]
fn answers_are_printed_behind_their_senders() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let address = server.address();
    let ended = squall(&["shout", "hello", "--to", &address, "--wait", "500ms"]);
    ended.is(0, &format!("{address} HELLO\n"), "");
    let ended = squall(&["shout", "hello", "--to", &address, "--wait", "500ms", "--json"]);
    let [sent, answer] = ended.json().try_into().unwrap();
    assert_eq!(
        (&sent["event"], &sent["to"], &sent["bytes"]),
        (&"sent".into(), &address.clone().into(), &5.into())
    );
    assert_eq!((&answer["event"], &answer["peer"]), (&"answer".into(), &address.into()));
    assert_eq!((&answer["text"], &answer["kind"]), (&"HELLO".into(), &"unicast".into()));
}

#[test]
fn nobody_who_answers_is_its_own_end() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let ended = squall(&["shout", "hello", "--to", &address, "--wait", "50ms"]);
    ended.is(69, "", "squall: nobody answered within 50ms\n");
}

#[test]
fn each_line_of_standard_input_is_a_datagram_and_a_dash_is_all_of_it() {
    let server = At::new("udp://127.0.0.1:0", |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(format!("{:?}", str::from_utf8(request.payload).unwrap()).as_bytes())
    });
    let address = server.address();
    let ended = squall_with(&["shout", "--to", &address, "--wait", "400ms"], b"one\r\n\ntwo");
    ended.is(0, &format!("{address} \"one\"\n{address} \"\"\n{address} \"two\"\n"), "");
    let ended = squall_with(&["shout", "-", "--to", &address, "--wait", "400ms"], b"one\ntwo\n");
    ended.is(0, &format!("{address} \"one\\ntwo\\n\"\n"), "");
    let ended = squall(&["shout", "--to", &address]);
    assert_eq!((ended.code, ended.text()), (Some(0), ""));
    assert!(ended.stderr.contains("nothing was sent"), "{}", ended.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn without_permission_the_error_says_what_is_missing() {
    let ended = squall(&["shout", "hello", "--to", "127.255.255.255:9", "--no-broadcast"]);
    ended.is(
        1,
        "",
        "squall: cannot send to 127.255.255.255:9: it is a broadcast address, and the socket has no permission \
         to broadcast (SO_BROADCAST): leave out --no-broadcast to ask for it\n",
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_broadcast_of_one_network_is_heard_as_one() {
    let mut listener = Listening::new(&["-p", "0", "--count", "1"]);
    let to = listener.to("127.255.255.255");
    let sent = squall(&["shout", "hello", "--to", &to, "-v"]);
    sent.is(0, "", &format!("sent 5 bytes to {to}\n"));
    assert!(listener.line().ends_with(&format!(" broadcast {} hello\n", lo())));
}

#[test]
fn what_is_typed_wrong_is_one_line() {
    for (arguments, says) in [
        (vec!["shout", "x", "--to", "0.0.0.0"], "all hosts are <broadcast>"),
        (vec!["shout", "x", "--to", "tcp://127.0.0.1"], "broadcast and multicast go by udp alone"),
        (vec!["shout", "x", "--to", "127.0.0.1:0"], "nobody listens on port 0"),
        (vec!["shout", "x", "--to", "ff02::1%no-such0"], "there is no interface \"no-such0\""),
        (vec!["shout", "x", "--interface", "no-such0"], "there is no interface \"no-such0\""),
        (vec!["shout", "x", "--ttl", "256"], "not in 0..=255"),
        (vec!["shout", "x", "--wait", "soon"], "write 250ms, 2s or 1m30s"),
        (vec!["listen", "--interface", "no-such0"], "there is no interface \"no-such0\""),
        (vec!["listen", "-p", "0", "--group", "192.0.2.1"], "192.0.2.1 is no multicast group"),
        (vec!["listen", "--group", "239.1.2.3:9"], "the port of a group goes behind -p"),
        (vec!["listen", "127.0.0.1", "-p", "0", "--group", V6_GROUP], "cannot join ff11::8052"),
        (vec!["listen", "--count", "0"], "0 is not in 1.."),
        (vec!["listen", "--for", "0"], "a time limit of zero"),
    ] {
        let ended = squall(&arguments);
        assert_eq!((ended.code, ended.text()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
    }
    let huge = squall_with(&["shout", "-", "--to", "127.0.0.1:9"], &vec![b'x'; 65_508]);
    assert_eq!(huge.code, Some(2));
    assert!(huge.stderr.contains("cannot send 65508 bytes"), "{}", huge.stderr);
    let ended = squall(&["listen", "203.0.113.1", "-p", "0"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("this machine has no such address"), "{}", ended.stderr);
}
