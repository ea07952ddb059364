//! What only root can try: `cargo test -p squall --features privileged-tests --test privileged`.
#![cfg(feature = "privileged-tests")]

mod common;

use std::net::UdpSocket;

use common::{LONG, ask, client, until};
use squall::sessions::SessionListener;
use squall::socket::{Family, Kind, Socket};
use squall::{Counter, Reply, Request, Server, Service};

/// A socket on the port of an old service that answers anything, as an attacker would name it.
fn old_service(port: u16) -> UdpSocket {
    // An address of its own, so that a real one is not in the way.
    UdpSocket::bind(("127.77.0.1", port)).unwrap_or_else(|error| panic!("port {port}: {error}"))
}

#[test]
fn a_datagram_from_the_port_of_an_old_service_is_refused_and_counted() {
    let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
    let service = Service::new("echo", echo).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).start().unwrap();
    let sessions = SessionListener::bind("udp://127.0.0.1:0").unwrap();
    for (count, port) in (1..).zip([7, 13, 19, 37, 53]) {
        let socket = old_service(port);
        socket.send_to(b"hello", server.local_addrs()[0]).unwrap();
        socket.send_to(b"hello", sessions.local_addrs()[0]).unwrap();
        until("the server refuses", || server.stats().total(Counter::Loop) == count);
        until("no session is opened", || sessions.stats().refused_loop == count);
    }
    assert_eq!(ask(&client(server.local_addrs()[0]), b"hello"), "hello");
    let report = server.shutdown(LONG);
    assert_eq!((report.handled, report.stats.total(Counter::Replies)), (1, 1));
    assert_eq!(sessions.stats().opened, 0);
}

#[test]
fn a_service_that_checks_its_requests_may_answer_any_port() {
    let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
    let service = Service::new("careful", echo).answers_anything(false).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).start().unwrap();
    let socket = old_service(69);
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.connect(server.local_addrs()[0]).unwrap();
    assert_eq!(ask(&socket, b"hello"), "hello");
}

#[test]
fn a_datagram_from_port_0_is_refused_whatever_the_service() {
    let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
    let service = Service::new("careful", echo).answers_anything(false).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).start().unwrap();
    let address = server.local_addrs()[0];
    let raw = Socket::open_protocol(Family::V4, Kind::Raw, 17).unwrap();
    // A UDP header: from port 0, to the server, 13 bytes, without a checksum.
    let [high, low] = address.port().to_be_bytes();
    let datagram = [&[0, 0, high, low, 0, 13, 0, 0], b"hello".as_slice()].concat();
    raw.send_to(&datagram, address).unwrap();
    until("it is refused", || server.stats().total(Counter::Loop) == 1);
    assert_eq!(ask(&client(address), b"hello"), "hello");
    assert_eq!(server.shutdown(LONG).stats.total(Counter::Replies), 1);
}
