//! `squall ask` over datagrams: arguments, output, exit codes.

mod support;

use std::io::Read;
use std::net::UdpSocket;
use std::process::Stdio;
use std::time::{Duration, Instant};

use squall::{Refusal, Reply, Request};
use support::{At, command, shout, squall, squall_with};

fn udp() -> At {
    At::new("udp://127.0.0.1:0", shout)
}

#[test]
fn an_answer_is_printed_on_a_line_of_its_own() {
    squall(&["ask", &udp().address(), "hello"]).is(0, "HELLO\n", "");
}

#[test]
fn an_answer_that_ends_its_line_gets_no_second_newline() {
    squall(&["ask", &udp().address(), "hello\n"]).is(0, "HELLO\n", "");
}

#[test]
fn an_empty_text_is_an_empty_datagram() {
    let server = At::new("udp://127.0.0.1:0", |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(format!("{} bytes", request.payload.len()).as_bytes())
    });
    squall(&["ask", &server.address(), ""]).is(0, "0 bytes\n", "");
}

#[test]
fn a_host_without_a_port_is_asked_at_the_port_given() {
    let address = udp();
    let address = address.address();
    let (host, port) = address.split_once(':').unwrap();
    squall(&["ask", host, "-p", port, "a"]).is(0, "A\n", "");
    squall(&["ask", &format!("udp://{host}"), "--port", port, "-4", "a"]).is(0, "A\n", "");
}

#[test]
fn each_line_of_standard_input_is_a_request() {
    let ended = squall_with(&["ask", &udp().address()], b"one\ntwo\r\n\nlast");
    ended.is(0, "ONE\nTWO\n\nLAST\n", "");
}

#[test]
fn an_empty_standard_input_asks_nothing_and_says_so() {
    let ended = squall(&["ask", &udp().address()]);
    assert_eq!((ended.code, ended.text()), (Some(0), ""));
    assert!(ended.stderr.contains("nothing was asked"), "{}", ended.stderr);
}

#[test]
fn all_of_standard_input_is_one_request_and_its_answer_comes_as_it_is() {
    let server = At::new("udp://127.0.0.1:0", |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(request.payload)
    });
    let bytes = b"one\ntwo\r\n\0\xff\x1b[31m";
    let ended = squall_with(&["ask", &server.address(), "--stdin"], bytes);
    assert_eq!((ended.code, ended.stdout.as_slice()), (Some(0), bytes.as_slice()));
}

#[test]
fn hex_prints_digits() {
    squall(&["ask", &udp().address(), "--hex", "aä"]).is(0, "41c3a4\n", "");
}

#[test]
fn json_has_the_documented_fields() {
    let server = udp();
    let ended = squall_with(&["ask", &server.address(), "--json"], b"a\n\xff\n");
    let [text, bytes] = &ended.json()[..] else { panic!("{ended:?}") };
    assert_eq!(text["server"], format!("udp://{}", server.address()));
    assert_eq!((&text["tries"], &text["text"], text.get("hex")), (&1.into(), &"A".into(), None));
    assert!(text["seconds"].as_f64().unwrap() < 3.0);
    assert_eq!((&bytes["hex"], bytes.get("text"), bytes.get("error")), (&"ff".into(), None, None));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_silent_server_is_asked_five_times_in_3_1_seconds() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let started = Instant::now();
    let ended = squall(&["ask", &address.to_string(), "x"]);
    let elapsed = started.elapsed();
    silent.set_nonblocking(true).unwrap();
    let received = std::iter::from_fn(|| silent.recv(&mut [0; 16]).ok()).count();
    assert_eq!(received, 5);
    assert!(elapsed >= Duration::from_millis(3100), "{elapsed:?}");
    // A busy machine adds to each of the five waits; the printed figure must be the measured one.
    let seconds = ended.stderr.split(" in ").nth(1).and_then(|rest| rest.split(" s;").next()).unwrap();
    assert!(seconds.parse::<f64>().unwrap() <= elapsed.as_secs_f64() + 0.05);
    let expected = format!(
        "squall: no answer from udp://{address} after 5 tries in {seconds} s; the server may be down\n"
    );
    ended.is(69, "", &expected);
}

#[test]
fn tries_and_timeout_bound_the_asking() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let ended = squall(&["ask", &address, "--tries", "1", "--json", "x"]);
    assert_eq!(ended.code, Some(69));
    let [failure] = &ended.json()[..] else { panic!("{ended:?}") };
    assert_eq!((&failure["tries"], &failure["servers"][0]), (&1.into(), &format!("udp://{address}").into()));
    assert!(failure["error"].as_str().unwrap().contains("the server may be down"));
    assert_eq!(ended.stderr, "");

    let ended = squall(&["ask", &address, "--timeout", "250ms", "x"]);
    assert_eq!(ended.code, Some(69));
    assert!(ended.stderr.contains("after 2 tries in 0."), "{}", ended.stderr);
}

#[test]
fn a_refusal_is_told_at_once_with_v_and_named_at_the_end() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = squall(&["ask", &gone.to_string(), "-v", "--tries", "2", "x"]);
    assert_eq!(ended.code, Some(69));
    for line in [
        "try 1: asked udp://127.0.0.1:",
        "waiting 0.",
        "refused: nobody listens there",
        "try 2: ",
        "after 2 tries in 0.",
        "its host says that nobody listens there",
    ] {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
}

#[test]
fn verbose_tells_the_local_address_and_who_answered_beside_the_result() {
    let server = At::new("udp://127.0.0.1:0", |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(request.origin.peer.to_string().as_bytes())
    });
    let ended = squall(&["ask", &server.address(), "-v", "x"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains(&format!(" from {}", ended.text().trim())), "{ended:?}");
    assert!(ended.stderr.contains("answered try 1 with"), "{}", ended.stderr);
}

#[test]
fn it_asks_from_the_address_given() {
    let server = At::new("udp://127.0.0.1:0", |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(request.origin.peer.to_string().as_bytes())
    });
    let ended = squall(&["ask", &server.address(), "--from", "127.0.0.9", "x"]);
    assert!(ended.text().starts_with("127.0.0.9:"), "{ended:?}");
    let free = UdpSocket::bind("127.0.0.8:0").unwrap().local_addr().unwrap().to_string();
    squall(&["ask", &server.address(), "--from", &free, "x"]).is(0, &format!("{free}\n"), "");
}

#[test]
fn another_server_answers_for_one_that_is_silent() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let server = udp();
    let ended = squall(&["ask", &silent, "--also", &server.address(), "--json", "a"]);
    let [answer] = &ended.json()[..] else { panic!("{ended:?}") };
    assert_eq!((&answer["tries"], &answer["text"]), (&2.into(), &"A".into()));
    assert_eq!(answer["server"], format!("udp://{}", server.address()));
}

#[test]
fn a_line_without_an_answer_is_named_and_the_others_are_asked() {
    let server =
        At::new("udp://127.0.0.1:0", |request: &Request<'_>, reply: &mut Reply<'_>| match request.payload {
            b"two" => Ok(()),
            payload => reply.write(payload),
        });
    let ended = squall_with(&["ask", &server.address(), "--tries", "2"], b"one\ntwo\nthree\n");
    assert_eq!((ended.code, ended.text()), (Some(69), "one\nthree\n"));
    assert!(ended.stderr.starts_with("squall: line 2: no answer from udp://"), "{}", ended.stderr);
}

#[test]
fn a_request_that_no_datagram_carries_is_refused_and_the_next_one_is_asked() {
    let mut lines = vec![b'x'; 65_508];
    lines.extend(b"\nshort\n");
    let ended = squall_with(&["ask", &udp().address()], &lines);
    assert_eq!((ended.code, ended.text()), (Some(2), "SHORT\n"));
    assert!(ended.stderr.contains("65508 bytes does not fit"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let server =
        At::new("udp://127.0.0.1:0", |_: &Request<'_>, reply: &mut Reply<'_>| -> Result<(), Refusal> {
            reply.write(b"answer")
        });
    let mut child = command(&["ask", &server.address(), "x"]).stdin(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn an_interrupt_ends_with_130() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let mut child = command(&["ask", &address, "x"]).stdin(Stdio::null()).spawn().unwrap();
    // It listens for Ctrl-C before it asks.
    silent.recv(&mut [0; 16]).unwrap();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
