//! What a client does when the server is slow, silent, refuses, or is not one.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use squall::client::{AskError, Silence};
use squall::retry::RetryPolicy;
use squall::socket::UnixAddress;
use squall::{Client, IpFamily, Uri};

#[test]
fn a_refusal_keeps_the_schedule_and_is_named_at_the_end() {
    let gone = udp(&UdpSocket::bind("127.0.0.1:0").unwrap());
    let error = Client::new([gone.clone()]).retry(quick()).ask(b"x").unwrap_err();
    assert!(matches!(&error, AskError::NoAnswer { tries: 2, silence: Silence::Refused, .. }), "{error}");
    assert!(error.is_no_answer());
    let expected =
        format!("no answer from {gone} after 2 tries in 0.0 s; its host says that nobody listens there");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_request_that_did_not_leave_this_machine_is_told_from_a_silent_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full");
    let _server = UnixDatagram::bind(&path).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"x", &path).is_ok() {}
    let uri = format!("unixgram:{}", path.display()).parse::<Uri>().unwrap();
    let error = Client::new([uri]).retry(quick()).ask(b"x").unwrap_err();
    assert!(matches!(&error, AskError::NoAnswer { silence: Silence::Unsent(_), .. }), "{error}");
}

#[test]
fn several_servers_are_asked_in_turn_from_one_port() {
    let servers = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let uris = servers.each_ref().map(udp);
    let last = servers[2].try_clone().unwrap();
    let answering = thread::spawn(move || {
        let (len, from) = last.recv_from(&mut [0; 16]).unwrap();
        last.send_to(&[b'y'; 16][..len], from).unwrap();
        from
    });
    let mut client = Client::new(uris.clone()).from(free);
    let answer = client.ask(b"x").unwrap();
    assert_eq!((answer.payload.as_slice(), answer.tries, &answer.server), (b"y".as_slice(), 3, &uris[2]));
    assert_eq!(answering.join().unwrap(), free);
    for server in &servers[..2] {
        assert_eq!(server.recv_from(&mut [0; 16]).unwrap(), (1, free));
    }
}

#[test]
fn who_cannot_be_asked_is_told_at_once() {
    let at = |uri: &str| Client::new([uri.parse::<Uri>().unwrap()]);
    let v4: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    for (mut client, says) in [
        (at("udp://127.0.0.1:0"), "cannot ask udp://127.0.0.1:0: no server has port 0"),
        (at("udp://127.0.0.1:9").family(IpFamily::V6), "has no IPv6 address"),
        (at("unixgram:/nowhere").from(v4), "an IP address is no path"),
    ] {
        let error = client.ask(b"").unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(says), "{error}");
    }
}

#[test]
fn an_address_to_ask_from_that_cannot_be_had_is_named() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let foreign: std::net::SocketAddr = "203.0.113.1:0".parse().unwrap();
    for uri in [udp(&server), "tcp://127.0.0.1:9".parse().unwrap()] {
        let error = Client::new([uri]).from(foreign).ask(b"").unwrap_err();
        assert!(matches!(error, AskError::From { .. }), "{error}");
        assert!(error.to_string().starts_with("cannot ask from 203.0.113.1:0: "), "{error}");
    }
}

#[test]
fn a_return_path_replaces_a_dead_one_and_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (server, path) = (directory.path().join("server"), directory.path().join("client"));
    drop(UnixDatagram::bind(&path).unwrap());
    let socket = UnixDatagram::bind(&server).unwrap();
    let answering = thread::spawn(move || {
        let (_, from) = socket.recv_from(&mut [0; 16]).unwrap();
        socket.send_to(b"y", from.as_pathname().unwrap()).unwrap();
    });
    let uri = format!("unixgram:{}", server.display()).parse::<Uri>().unwrap();
    let mut client = Client::new([uri]).from(UnixAddress::from_path(&path).unwrap());
    assert_eq!(client.ask(b"x").unwrap().payload, b"y");
    drop(client);
    assert!(!path.exists());
    answering.join().unwrap();
}

#[test]
fn a_stream_server_that_echoes_more_than_the_buffers_hold_is_read_meanwhile() {
    let (listener, uri) = listen();
    let echoing = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut copy = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut copy).unwrap();
    });
    let request = vec![7; 24 * 1024 * 1024];
    let answer = Client::new([uri]).ask(&request).unwrap();
    assert!(answer.payload == request, "{} bytes", answer.payload.len());
    echoing.join().unwrap();
}

#[test]
fn a_stream_server_that_closes_without_a_word_has_not_answered() {
    let (listener, uri) = listen();
    let closing = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let error = Client::new([uri]).ask(b"x").unwrap_err();
    assert!(matches!(&error, AskError::NoAnswer { silence: Silence::Closed, .. }), "{error}");
    closing.join().unwrap();
}

#[test]
fn a_stream_server_that_never_ends_its_answer_is_cut_off_at_the_total() {
    let (listener, uri) = listen();
    // The result of the thread, and with it the connection, lives until it is joined.
    let holding = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"one").unwrap();
        stream
    });
    let policy = RetryPolicy::default().total(Some(Duration::from_millis(100)));
    let answer = Client::new([uri]).retry(policy).ask(b"x").unwrap();
    assert_eq!(answer.payload, b"one");
    assert!(answer.elapsed >= Duration::from_millis(100));
    holding.join().unwrap();
}

fn udp(socket: &UdpSocket) -> Uri {
    format!("udp://{}", socket.local_addr().unwrap()).parse().unwrap()
}

fn listen() -> (TcpListener, Uri) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, uri)
}

fn quick() -> RetryPolicy {
    RetryPolicy::default().first(Duration::from_millis(1)).max_tries(Some(2))
}
