//! `squall chat` without a terminal: lines in, lines out.

mod support;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use squall::chat::{Hub, HubConfig, NoHistory};
use squall::framing::Framing;
use squall::{Input, Origin, Outbox, Protocol, Running, Server, Service, Time};
use support::{command, squall, squall_with};

/// A hub that keeps nothing.
fn hub(uris: &[&str]) -> Running {
    let hub = Hub::new(HubConfig::default(), Box::new(NoHistory));
    serve(hub, uris)
}

fn serve(protocol: impl Protocol + 'static, uris: &[&str]) -> Running {
    let service = Service::protocol("chat", protocol).framing(Framing::Lines { max: 65_536 });
    let service = uris.iter().fold(service, |service, uri| service.at(uri).unwrap());
    Server::new().service(service).shards(1).start().unwrap()
}

fn at(hub: &Running) -> String {
    hub.local_addrs()[0].to_string()
}

#[test]
fn what_comes_in_is_said_and_its_copy_is_the_receipt() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    let ended =
        squall_with(&["chat", &at(&hub), "--name", "ci", "--echo"], b"the build is done\n\n//slash\n");
    ended.is(0, "ci: the build is done\nci: /slash\n", "");
    squall_with(&["chat", &at(&hub), "--name", "ci"], b"quiet\n").is(0, "", "");
    squall_with(&["chat", &at(&hub), "--name", "ci"], b"").is(0, "", "");
}

#[test]
fn a_hub_is_reached_over_tcp_and_unix_sockets_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = format!("unix:{}/hub", directory.path().display());
    let hub = hub(&["tcp://127.0.0.1:0", &path]);
    for uri in [format!("tcp://{}", at(&hub)), path] {
        squall_with(&["chat", &uri, "--name", "ci", "--echo"], "grüße 你好".as_bytes()).is(
            0,
            "ci: grüße 你好\n",
            "",
        );
    }
}

#[test]
fn more_lines_than_are_under_way_at_once_all_have_their_receipts_in_order() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    let lines: String = (0..500).map(|number| format!("line {number}\n")).collect();
    let ended = squall_with(&["chat", &at(&hub), "--name", "ci", "--echo"], lines.as_bytes());
    let expected: String = (0..500).map(|number| format!("ci: line {number}\n")).collect();
    ended.is(0, &expected, "");
}

#[test]
fn quit_waits_for_receipts_as_the_end_of_the_input_does() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    let ended = squall_with(&["chat", &at(&hub), "--name", "t", "--echo", "--stay"], b"hi\n/quit\nunsaid\n");
    ended.is(0, "t: hi\n", "");
}

#[test]
fn a_terminal_that_is_closed_has_it_leave_in_good_order() {
    if squall::socket::process::ignores(1).unwrap() {
        // Under nohup it goes on.
        return;
    }
    let hub = hub(&["udp://127.0.0.1:0"]);
    let mut reader =
        command(&["chat", &at(&hub), "--name", "reader", "--stay"]).stdin(Stdio::null()).spawn().unwrap();
    let members = || squall_with(&["chat", &at(&hub), "--name", "ci"], b"/who\n").text().to_owned();
    while !members().contains("reader") {}
    kill_process(Pid::from_child(&reader), Signal::HUP).unwrap();
    assert_eq!(reader.wait().unwrap().code(), Some(0));
    assert!(!members().contains("reader"), "{}", members());
}

#[test]
fn a_name_that_is_taken_is_told_whatever_is_said_under_a_number() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    let mut bob =
        command(&["chat", &at(&hub), "--name", "bob", "--stay"]).stdin(Stdio::null()).spawn().unwrap();
    while !squall_with(&["chat", &at(&hub), "--name", "ci"], b"/who\n").text().contains("bob") {}
    let ended = squall_with(&["chat", &at(&hub), "--name", "bob", "--echo"], b"hi\n");
    assert!(ended.code == Some(0) && ended.text().starts_with('~'), "{ended:?}");
    assert_eq!(ended.stderr, "squall: name: bob is taken in lobby\n");
    // Asked for by the input itself, it is something that was refused.
    let ended = squall_with(&["chat", &at(&hub), "--name", "ci"], b"/name bob\n/join dev\n");
    ended.is(1, "", "squall: name: bob is taken in lobby\n");
    let ended = squall_with(&["chat", &at(&hub), "--name", "bob", "--room", "dev"], b"/join lobby\n");
    ended.is(1, "", "squall: join: bob is taken in lobby\n");
    // What it is called for its user can be another.
    let mut usual = command(&["chat", &at(&hub), "--echo"]);
    usual.env("LOGNAME", "bob").env_remove("SQUALL_CHAT_NAME").stdin(Stdio::piped());
    let mut usual = usual.spawn().unwrap();
    usual.stdin.take().unwrap().write_all(b"hi\n").unwrap();
    assert_eq!(usual.wait_with_output().unwrap().stdout, b"bob-2: hi\n");
    bob.kill().unwrap();
    bob.wait().unwrap();
}

#[test]
fn what_others_say_is_a_line_each_and_a_signal_ends_it() {
    let hub = hub(&["tcp://127.0.0.1:0"]);
    let uri = format!("tcp://{}", at(&hub));
    let mut reader =
        command(&["chat", &uri, "--name", "reader", "--stay"]).stdin(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(reader.stdout.take().unwrap());
    // It is there once the hub lists it.
    while !squall_with(&["chat", &uri], b"/who\n").text().contains("reader") {}
    squall_with(&["chat", &uri, "--name", "bob"], b"hello\n").is(0, "", "");
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "bob: hello\n");
    kill_process(Pid::from_child(&reader), Signal::INT).unwrap();
    assert_eq!(reader.wait().unwrap().code(), Some(130));
}

#[test]
fn commands_are_answered_on_standard_output_and_wrong_ones_refused() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    let ended = squall_with(&["chat", &at(&hub), "--name", "ci"], b"/join dev\n/who\n/rooms\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let row = ended.text().lines().find(|line| line.starts_with("ci  udp  heard ")).unwrap();
    assert!(row.ends_with(" s ago  may be silent for 5 min"), "{row}");
    assert!(ended.text().contains("#dev  1 there"), "{}", ended.text());
    let ended = squall_with(&["chat", &at(&hub), "--name", "ci", "--echo"], b"/foo\n/join\nhello\n");
    let why = "squall: /foo: no such command; /help tells which there are, // sends a slash\n\
        squall: /join ROOM: which?\n";
    ended.is(1, "ci: hello\n", why);
}

#[test]
fn what_a_hub_that_keeps_nothing_is_asked_for_is_refused() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    squall_with(&["chat", &at(&hub), "--name", "ci"], b"said").is(0, "", "");
    let ended = squall_with(&["chat", &at(&hub), "--name", "ci"], b"/last 3");
    ended.is(1, "", "squall: /last: this hub keeps no messages\n");
}

#[test]
fn a_text_that_is_too_long_is_refused_and_the_rest_is_said() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    let input = format!("{}\nshort\n", "x".repeat(2000));
    let ended = squall_with(&["chat", &at(&hub), "--name", "ci", "--echo"], input.as_bytes());
    assert_eq!((ended.code, ended.text()), (Some(1), "ci: short\n"));
    assert!(ended.stderr.starts_with("squall: too long: 2000 bytes, "), "{}", ended.stderr);
}

#[test]
fn json_tells_of_messages_receipts_and_answers() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    let ended = squall_with(&["chat", &at(&hub), "--name", "ci", "--echo", "--json"], b"one\n/me\n");
    assert_eq!(ended.code, Some(0));
    let objects = ended.json();
    let of = |event: &str| objects.iter().filter(|object| object["event"] == event).collect::<Vec<_>>();
    let message = of("message")[0];
    assert_eq!((&message["name"], &message["text"]), (&"ci".into(), &"one".into()));
    assert_eq!((&message["own"], &message["number"]), (&true.into(), &1.into()));
    assert_eq!(of("receipt").len(), 1);
    assert_eq!(of("receipt")[0]["state"], "delivered");
    assert!(of("answer")[0]["line"].as_str().unwrap().starts_with("ci in #lobby on udp://127.0.0.1:"));
    assert!(of("state").iter().any(|object| object["state"] == "online"));
}

#[test]
fn a_hub_that_was_never_there_is_given_up() {
    // An address that no other test has, so that none gets the port.
    let gone = hub(&["udp://127.0.0.77:0", "tcp://127.0.0.77:0"]);
    let address = at(&gone);
    drop(gone);
    for transport in ["udp", "tcp"] {
        let uri = format!("{transport}://{address}");
        squall(&["chat", &uri]).is(69, "", &format!("squall: {uri}: no hub listens there\n"));
    }
}

#[test]
fn the_hub_of_this_machine_is_found_by_the_family_that_was_asked_for() {
    let hub = hub(&["udp://[::]:0"]);
    let port = hub.local_addrs()[0].port().to_string();
    for (family, at) in [("-4", "127.0.0.1"), ("-6", "[::1]")] {
        let ended = squall_with(&["chat", family, "--port", &port, "--name", "ci"], b"/me\n");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{family}");
        let place = format!("ci in #lobby on udp://{at}:{port}");
        assert!(ended.text().starts_with(&place), "{family}: {}", ended.text());
    }
}

/// A hub far away, which takes its time to answer questions.
#[derive(Default)]
struct Far {
    answers: VecDeque<(Time, Origin, String)>,
}

impl Protocol for Far {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        let Input::Message(message) = input else { return };
        for line in str::from_utf8(message.payload).unwrap().lines() {
            let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
            let answer = match (command, argument) {
                ("/me", token) => {
                    let me =
                        "me ci room=lobby number=5 member=1 via=udp peer=x idle=0.0 hub=00000000000000ff";
                    let answer = format!("* numbers on\n* watch on\n* name ci\n* {me} token={token}");
                    let _ = out.to(&message.origin).write(answer.as_bytes());
                    continue;
                }
                ("/who", "den") => "* who den members=1\n* member bob via=udp idle=0.0",
                ("/last", _) => "! last: nothing is kept here",
                _ => continue,
            };
            self.answers.push_back((now + Duration::from_millis(900), message.origin, answer.to_owned()));
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        while self.answers.front().is_some_and(|(due, _, _)| *due <= now) {
            let Some((_, to, answer)) = self.answers.pop_front() else { return };
            let _ = out.to(&to).write(answer.as_bytes());
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.answers.front().map(|(due, _, _)| *due)
    }
}

#[test]
fn answers_that_take_long_are_waited_for() {
    let hub = serve(Far::default(), &["udp://127.0.0.1:0"]);
    let ask = |line: &[u8]| squall_with(&["chat", &at(&hub), "--name", "ci"], line);
    ask(b"/who den\n").is(0, "1 in den\nbob  udp  heard 0 s ago\n", "");
    ask(b"/last 3\n").is(1, "", "squall: /last: this hub keeps no messages\n");
    ask(b"/who void\n").is(1, "", "squall: /who: the hub did not answer\n");
}

#[test]
fn who_is_in_a_room_that_is_none_is_refused() {
    let hub = hub(&["udp://127.0.0.1:0"]);
    let ended = squall_with(&["chat", &at(&hub), "--name", "ci"], b"/who nowhere\n");
    ended.is(1, "", "squall: who: there is no room nowhere\n");
}

/// A hub that gives answers as somebody evil would.
struct Hostile;

impl Protocol for Hostile {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        let Input::Message(message) = input else { return };
        for line in message.payload.split(|byte| *byte == b'\n') {
            let token = line.strip_prefix(b"/me ").map(|token| String::from_utf8_lossy(token).into_owned());
            let Some(token) = token else { continue };
            let answer = format!(
                "* numbers on\n* watch on\n* name ci\n* me ci room=lobby number=0 member=1 via=udp peer=x idle=0.0 \
                 hub=00000000000000ff token={token}\nack #1 eve: \x1b[2J\u{202e}\x07evil\u{9b}31m\x1b]0;title\x07"
            );
            let _ = out.to(&message.origin).write(answer.as_bytes());
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

#[test]
fn nothing_that_a_hub_says_acts_on_whoever_reads_it() {
    let hub = serve(Hostile, &["udp://127.0.0.1:0"]);
    let mut child = command(&["chat", &at(&hub), "--name", "ci", "--json", "--stay"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("evil") {
        said = lines.next().expect("the hub said something evil").unwrap();
        assert!(!said.contains(['\x1b', '\x07', '\u{202e}', '\u{9b}']), "{said:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn wrong_arguments_are_told_in_a_line() {
    squall(&["chat", "unixgram:/x"]).is(
        2,
        "",
        "squall: unixgram:/x: a hub is reached by udp://, tcp:// or unix:\n",
    );
    let ended = squall(&["chat", "localhost", "--name", "two words"]);
    assert_eq!((ended.code, ended.text()), (Some(2), ""));
    assert!(ended.stderr.starts_with("squall: --name \"two words\": "), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1);
    let ended = squall(&["chat", "localhost", "--room", "#lobby"]);
    assert!(
        ended.code == Some(2) && ended.stderr.starts_with("squall: --room \"#lobby\": "),
        "{}",
        ended.stderr
    );
}
