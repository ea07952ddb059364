//! Every example runs and does what it says.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Example, LONG, ask, hear, path, state, until};
use squall::coap::server::{self, Resource, ServerConfig};
use squall::{Reply, Request, Server, Service};

#[test]
fn the_time_server_tells_the_time() {
    let server = Example::start("time_server", &[]);
    let answer = ask(&server.udp(), b"");
    let seconds: u64 = answer.strip_suffix(" seconds since 1970").unwrap().parse().unwrap();
    assert!(seconds > 1_700_000_000, "{answer}");
}

#[test]
fn a_slow_request_holds_up_no_other_in_the_threaded_server() {
    let server = Example::start("threaded_server", &[]);
    let (slow, quick) = (server.udp(), server.udp());
    slow.send(b"slow").unwrap();
    assert_eq!(ask(&quick, b"quick"), "done: quick");
    slow.set_nonblocking(true).unwrap();
    assert!(slow.recv(&mut [0; 16]).is_err(), "it is still at it");
    slow.set_nonblocking(false).unwrap();
    assert_eq!(hear(&slow), "done: slow");
}

#[test]
fn the_process_server_answers_with_one_worker_for_each_peer_and_survives_a_crash() {
    let server = Example::start("process_server", &[]);
    let peers: Vec<_> = (0..16).map(|_| server.udp()).collect();
    let worker = |answer: String| answer.split(' ').nth(1).unwrap().to_owned();
    let workers: Vec<_> = peers.iter().map(|peer| worker(ask(peer, b"hello"))).collect();
    let other = workers.iter().position(|worker| *worker != workers[0]).expect("two workers");
    peers[0].send(b"crash").unwrap();
    assert_eq!(worker(ask(&peers[other], b"hello")), workers[other], "it noticed nothing");
    until("the worker has ended", || state(&workers[0]).is_none());
    assert_ne!(worker(ask(&peers[0], b"hello")), workers[0], "another took its place");
}

#[test]
fn the_tcp_stamp_server_stamps_lines() {
    let server = Example::start("tcp_stamp", &[]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"one\r\ntwo\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "[1] one");
    assert_eq!(lines.next().unwrap().unwrap(), "[2] two");
}

#[test]
fn members_of_the_chat_hear_each_other_by_datagrams_and_streams() {
    let mut server = Example::start("chat", &[]);
    let (ann, bob) = (server.udp(), server.udp());
    assert_eq!(ask(&ann, b"hello"), "ack hello");
    assert_eq!(ask(&bob, b"/name bob"), "* name bob");
    let line = server.lines.next().unwrap().unwrap();
    let mut stream = TcpStream::connect(line.split("://").nth(1).unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"/name cid\nhere\n").unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    assert_eq!([lines.next().unwrap(), lines.next().unwrap()], ["* name cid", "ack cid: here"]);
    assert_eq!([hear(&ann), hear(&bob)], ["ack cid: here", "ack cid: here"]);
    assert_eq!(ask(&bob, b"hi"), "ack bob: hi");
    assert_eq!([hear(&ann), lines.next().unwrap()], ["ack bob: hi", "ack bob: hi"]);
}

#[test]
fn each_peer_has_its_own_sum_in_the_session_server() {
    let server = Example::start("sessions", &[]);
    let (one, two) = (server.udp(), server.udp());
    assert_eq!(ask(&one, b"5"), "sum 5");
    assert_eq!(ask(&two, b"7"), "sum 7");
    assert_eq!(ask(&one, b"-2"), "sum 3");
    assert_eq!(ask(&two, b"seven"), "not a number");
}

#[test]
fn members_of_the_ticker_hear_ticks_until_they_leave() {
    let server = Example::start("ticker", &[]);
    let (stays, leaves) = (server.udp(), server.udp());
    assert_eq!(ask(&leaves, b"join"), "welcome");
    assert_eq!(hear(&leaves), "tick, 19 left");
    leaves.send(b"leave").unwrap();
    assert_eq!(ask(&stays, b"join"), "welcome");
    assert_eq!([hear(&stays), hear(&stays)], ["tick, 19 left", "tick, 18 left"]);
    leaves.set_nonblocking(true).unwrap();
    let mut late = 0;
    while leaves.recv(&mut [0; 32]).is_ok() {
        late += 1;
    }
    assert!(late <= 1, "a tick may have been on its way: {late}");
}

#[test]
fn the_unix_datagram_server_repeats_what_it_hears() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server");
    let server = Example::start("unix_datagram", &[path.to_str().unwrap()]);
    assert_eq!(server.uri, format!("unixgram:{}", path.display()));
    let client = UnixDatagram::bind(folder.path().join("client")).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.send_to(b"echo", &path).unwrap();
    for _ in 0..3 {
        let mut buffer = [0; 16];
        let count = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"echo");
    }
}

#[test]
fn the_coap_client_shows_a_resource_and_its_states() {
    let count = AtomicU32::new(0);
    let counter = move |_: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(count.fetch_add(1, Ordering::Relaxed).to_string().as_bytes())
    };
    let resource = Resource::new("count", counter).observable(Duration::from_millis(20));
    let machine = server::Server::new(&ServerConfig::default(), vec![resource], 7);
    let service = Service::protocol("coap", machine).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).shards(1).start().unwrap();
    let uri = format!("coap://{}", server.local_addrs()[0]);
    let run = |arguments: &[&str]| {
        let output = Command::new(path("coap_get")).arg(&uri).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["/count"]), "2.05 Content: 0\n");
    assert_eq!(run(&["/nothing"]).lines().next(), Some("4.04 Not Found: "));
    let states = run(&["/count", "3"]);
    assert_eq!(states.lines().count(), 3, "{states}");
    assert!(states.lines().all(|line| line.starts_with("2.05 Content: ")), "{states}");
}
