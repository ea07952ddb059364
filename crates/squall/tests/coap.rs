//! The CoAP client over real sockets, and the server that it asks.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use squall::coap::server::{self, Resource, ServerConfig};
use squall::coap::{ClientRequest, CoapClient, CoapError, Direction, Executed, Settings, Why, client};
use squall::retry::RetryPolicy;
use squall::{Handler, Method, Refusal, Reply, Request, Running, Server, Service, Status};

/// A server with a clock that can be observed, an echo, and a counter.
fn start() -> (Running, SocketAddr) {
    let count = AtomicU32::new(0);
    let count = move |_: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write((count.fetch_add(1, Ordering::Relaxed) + 1).to_string().as_bytes())
    };
    let clock = |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(request.now.as_nanos().to_string().as_bytes())
    };
    let resources = vec![
        Resource::new("count", count),
        Resource::new("echo", |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload)),
        Resource::new("clock", Safe(clock)).observable(Duration::from_millis(50)),
    ];
    let machine = server::Server::new(&ServerConfig::default(), resources, 7);
    let service = Service::protocol("coap", machine).at("udp://127.0.0.1:0").unwrap();
    let running = Server::new().service(service).shards(1).start().unwrap();
    let address = running.local_addrs()[0];
    (running, address)
}

struct Safe<H>(H);

impl<H: Handler> Handler for Safe<H> {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        self.0.handle(request, reply)
    }

    fn effect(&self, _method: Method) -> squall::Effect {
        squall::Effect::Safe
    }
}

/// A client that gives up after `tries` and short waits.
fn impatient(server: SocketAddr, tries: u32) -> CoapClient {
    let policy = RetryPolicy::default().first(Duration::from_millis(20)).jitter(0.0).max_tries(Some(tries));
    CoapClient::connect(server).settings(Settings::default().retry(policy))
}

#[test]
fn requests_are_answered_one_after_the_other_over_one_socket() {
    let (_running, address) = start();
    let mut client = CoapClient::connect(address);
    for number in 1..=50 {
        let answer = client.post("/count", b"").unwrap();
        assert_eq!((answer.status().class(), answer.payload()), (2, number.to_string().as_bytes()));
        assert_eq!((answer.server, answer.messages), (address, 1));
    }
    let local = client.local();
    assert_eq!(client.get("/nothing").unwrap().status(), Status::NOT_FOUND);
    assert_eq!(client.local(), local);
    let pong = client.ping().unwrap();
    assert!(pong.server == address && pong.elapsed < common::LONG, "{pong:?}");
}

#[test]
fn a_long_body_goes_both_ways() {
    let (_running, address) = start();
    let body: Vec<u8> = (0..100_000u32).map(|index| (index / 3) as u8).collect();
    let answer = CoapClient::connect(address).post("/echo", &body).unwrap();
    assert!(answer.payload() == body);
    assert!(answer.messages >= 2 * 97, "{}", answer.messages);
}

#[test]
fn states_follow_one_another_until_the_iterator_is_dropped() {
    let (_running, address) = start();
    let mut client = CoapClient::connect(address);
    let request = || ClientRequest::get().path("clock").unwrap();
    let states: Vec<u64> = client
        .observe(request())
        .unwrap()
        .take(4)
        .map(|state| str::from_utf8(state.unwrap().payload()).unwrap().parse().unwrap())
        .collect();
    assert!(states.is_sorted() && states.len() == 4, "{states:?}");
    // The same socket serves what follows, whatever is under way still.
    assert_eq!(client.post("/count", b"").unwrap().payload(), b"1");
    let mut states = client.observe(request()).unwrap();
    assert!(states.next_within(common::LONG).is_some());
    states.end(common::LONG);
}

#[test]
fn a_resource_that_cannot_be_observed_is_told_once() {
    let (_running, address) = start();
    let mut client = CoapClient::connect(address);
    let mut states = client.observe(ClientRequest::get().path("count").unwrap()).unwrap();
    assert_eq!(states.next().unwrap().unwrap().payload(), b"1");
    assert!(states.is_over() && states.next().is_none());
}

#[test]
fn a_silent_server_is_a_failure_that_says_what_is_known() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let started = Instant::now();
    let error = impatient(address, 3).post("/x", b"").unwrap_err();
    // 20, 40 and 80 ms.
    assert!(started.elapsed() >= Duration::from_millis(140));
    let CoapError::Failed { failure, servers, .. } = &error else { panic!("{error}") };
    assert_eq!((failure.why, failure.executed, failure.messages), (Why::TimedOut, Executed::Unknown, 3));
    assert_eq!((servers.as_slice(), error.is_no_answer(), error.is_usage()), (&[address][..], true, false));
    let text = error.to_string();
    assert!(text.starts_with(&format!("no answer from coap://{address} after 3 messages in 0.")), "{text}");
    assert!(text.ends_with("; nothing came back; whether it was executed is not known"), "{text}");
    let mut copies = Vec::new();
    silent.set_nonblocking(true).unwrap();
    let mut buffer = [0; 64];
    while let Ok(length) = silent.recv(&mut buffer) {
        copies.push(buffer[..length].to_vec());
    }
    assert_eq!(copies.len(), 3);
    assert!(copies.iter().all(|copy| *copy == copies[0]));
}

#[test]
fn a_port_that_nobody_listens_on_is_told_at_once() {
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Instant::now();
    let error = CoapClient::connect(gone).get("/x").unwrap_err();
    assert!(matches!(error, CoapError::Failed { failure, .. } if failure.why == Why::Unreachable), "{error}");
    assert_eq!(error.executed(), Executed::No);
    assert!(started.elapsed() < Duration::from_secs(2), "no wait for an acknowledgement");
}

#[test]
fn another_server_answers_for_one_that_is_silent_or_gone() {
    let (_running, address) = start();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (first, path) in [(silent.local_addr().unwrap(), "/clock"), (gone, "/clock"), (gone, "/count")] {
        let mut client = impatient(first, 5).also(&format!("coap://{address}")).unwrap();
        let method = if path == "/count" { Method::Post } else { Method::Get };
        let answer = client.ask(ClientRequest::new(method).path(path).unwrap()).unwrap();
        assert_eq!((answer.server, answer.status().class()), (address, 2), "{path} after {first}");
    }
    // What must run once is not asked of another one while the first is only silent.
    let mut client = impatient(silent.local_addr().unwrap(), 2).also(&format!("coap://{address}")).unwrap();
    assert_eq!(client.post("/count", b"").unwrap_err().executed(), Executed::Unknown);
}

#[test]
fn every_datagram_can_be_watched() {
    let (_running, address) = start();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut client = CoapClient::connect(address).on_datagram({
        let seen = seen.clone();
        move |direction, peer, datagram| seen.lock().unwrap().push((direction, peer, datagram.len()))
    });
    client.get("/clock").unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(
        seen.iter().map(|(direction, ..)| *direction).collect::<Vec<_>>(),
        [Direction::Sent, Direction::Received]
    );
    assert!(seen.iter().all(|(_, peer, length)| *peer == address && *length > 4));
}

#[test]
fn what_is_written_wrong_is_named() {
    assert!(CoapClient::new("http://localhost/").unwrap_err().is_usage());
    let error = CoapClient::new("coap://no..name").unwrap().get("/").unwrap_err();
    assert!(matches!(error, CoapError::Address(_)), "{error}");
    let long = "x".repeat(256);
    let error = CoapClient::new("coap://127.0.0.1").unwrap().get(&long).unwrap_err();
    assert!(matches!(error, CoapError::Option(client::BadOption::Malformed(_))), "{error}");
}
