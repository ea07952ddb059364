//! What clients of stream services can do to a server, and what it costs them.

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::{LONG, until};
use squall::framing::Framing;
use squall::{Conversation, Counter, Model, Reply, Request, Running, Server, Service, StreamLimits};

fn lines() -> Service {
    let shout =
        |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(&request.payload.to_ascii_uppercase());
    Service::new("shout", shout).framing(Framing::Lines { max: 1000 })
}

fn start(service: Service, limits: StreamLimits) -> (Running, SocketAddr) {
    let service = service.at("tcp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).stream_limits(limits).start().unwrap();
    let address = server.local_addrs()[0];
    (server, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

/// Waits until the server ends the connection.
fn wait_for_end(mut stream: &TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        // What was not read when the server closed makes a reset of the end.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}

/// Lets `offend` do its worst to a server with small limits, checks that another client is served all the
/// while, and returns the server once it has ended the offender.
fn offend(service: Service, limits: StreamLimits, offend: impl FnOnce(&mut TcpStream)) -> Running {
    let (server, address) = start(service, limits);
    let mut good = connect(address);
    let mut bad = connect(address);
    assert_eq!(ask(&mut good, "before\n"), "BEFORE\n");
    offend(&mut bad);
    bad.set_nonblocking(true).unwrap();
    let begun = Instant::now();
    // The good client keeps its own connection alive by asking.
    while matches!(bad.peek(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
        assert!(begun.elapsed() < LONG, "it is not ended");
        assert_eq!(ask(&mut good, "meanwhile\n"), "MEANWHILE\n");
    }
    bad.set_nonblocking(false).unwrap();
    wait_for_end(&bad);
    assert_eq!(ask(&mut good, "after\n"), "AFTER\n");
    server
}

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_client_that_never_sends_is_closed_as_idle() {
    let server = offend(lines(), StreamLimits::default().idle(SHORT), |_| {});
    until("the counter", || server.stats().total(Counter::Idle) == 1);
}

#[test]
fn a_client_that_stalls_within_a_line_is_closed_as_slow() {
    let server = offend(lines(), StreamLimits::default().frame(SHORT), |stream| {
        stream.write_all(b"x").unwrap();
    });
    until("the counter", || server.stats().total(Counter::SlowFrame) == 1);
}

#[test]
fn a_client_that_never_reads_is_closed_and_holds_up_nobody() {
    let long = |request: &Request<'_>, reply: &mut Reply<'_>| match request.payload {
        b"much" => reply.write(&vec![b'x'; 900_000]),
        other => reply.write(&other.to_ascii_uppercase()),
    };
    let service = Service::new("long", long).framing(Framing::Lines { max: 1000 });
    let server = offend(service, StreamLimits::default().write(SHORT), |stream| {
        // More than both ends buffer, whatever the kernel grants them.
        stream.write_all("much\n".repeat(64).as_bytes()).unwrap();
        // The answers lie unread until the server has given up.
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
        let begun = Instant::now();
        let mut probe = stream.try_clone().unwrap();
        while probe.write_all(b"\n").is_ok() {
            assert!(begun.elapsed() < LONG, "it is not ended");
            std::thread::yield_now();
        }
    });
    until("the counter", || server.stats().total(Counter::SlowReader) == 1);
}

#[test]
fn a_line_without_an_end_is_closed_at_its_limit() {
    let server = offend(lines(), StreamLimits::default(), |stream| {
        // A gigabyte is offered; the server leaves after little more than a kilobyte.
        let chunk = vec![b'x'; 1 << 20];
        let written = (0..1024).take_while(|_| stream.write_all(&chunk).is_ok()).count();
        assert!(written < 100, "{written} MiB were taken");
    });
    until("the counter", || server.stats().total(Counter::BadFrame) == 1);
}

#[test]
fn a_client_that_is_always_within_a_line_is_not_slow() {
    let (_server, address) = start(lines(), StreamLimits::default().frame(SHORT));
    let mut stream = connect(address);
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    stream.write_all(b"li").unwrap();
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 4 {
        // The end of one line and the beginning of the next, in one segment.
        stream.write_all(b"ne\nli").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "LINE");
    }
}

#[test]
fn a_connection_past_the_limit_is_closed_and_its_place_is_given_again() {
    let (server, address) = start(lines(), StreamLimits::default().connections(2));
    let mut held: Vec<TcpStream> = (0..2).map(|_| connect(address)).collect();
    for stream in &mut held {
        assert_eq!(ask(stream, "in\n"), "IN\n");
    }
    for _ in 0..10 {
        wait_for_end(&connect(address));
    }
    until("the counter", || server.stats().total(Counter::ConnectionsFull) == 10);
    drop(held.pop());
    until("the end", || server.stats().total(Counter::Closed) == 1);
    assert_eq!(ask(&mut connect(address), "next\n"), "NEXT\n");
    assert_eq!(ask(&mut held[0], "still\n"), "STILL\n");
}

#[test]
fn a_connection_that_lasts_too_long_is_closed() {
    let (server, address) = start(lines(), StreamLimits::default().lifetime(SHORT));
    wait_for_end(&connect(address));
    until("the counter", || server.stats().total(Counter::Lifetime) == 1);
}

fn greet(conversation: &mut Conversation) -> std::io::Result<()> {
    write!(conversation, "who are you? ")?;
    let mut name = String::new();
    conversation.read_line(&mut name)?;
    assert_ne!(name, "panic\n", "as it was asked");
    writeln!(conversation, "hello {}", name.trim())
}

#[test]
fn a_conversation_talks_over_tcp_and_unix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("greet");
    let service = Service::conversation("greet", greet)
        .at("tcp://127.0.0.1:0")
        .unwrap()
        .at(&format!("unix:{}", path.display()))
        .unwrap();
    let server = Server::new().service(service).start().unwrap();
    let talk = |mut stream: Box<dyn ReadWrite>, name: &str| {
        let mut question = [0; 13];
        stream.read_exact(&mut question).unwrap();
        assert_eq!(&question, b"who are you? ", "sent before it waits");
        stream.write_all(name.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer).unwrap_or_default()
    };
    let tcp = || Box::new(connect(server.local_addrs()[0]));
    assert_eq!(talk(tcp(), "tcp\n"), "hello tcp\n");
    assert_eq!(talk(Box::new(UnixStream::connect(&path).unwrap()), "unix\n"), "hello unix\n");
    assert_eq!(talk(tcp(), "panic\n"), "");
    assert_eq!(talk(tcp(), "again\n"), "hello again\n");
    until("the counters", || {
        let stats = server.stats();
        (stats.total(Counter::Answered), stats.total(Counter::Panicked)) == (3, 1)
    });
    // One that waits sees the end of its stream when the server stops.
    let waits = connect(server.local_addrs()[0]);
    until("the connection", || server.stats().total(Counter::Accepted) == 5);
    let report = server.shutdown(LONG);
    assert_eq!(report.unfinished, 0, "{report:?}");
    wait_for_end(&waits);
    assert!(!path.exists());
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

#[test]
fn the_rest_of_a_closed_stream_is_a_request_under_every_model() {
    for model in [Model::Inline, Model::threads(2)] {
        let service = lines().at("tcp://127.0.0.1:0").unwrap();
        let server = Server::new().service(service).model(model).start().unwrap();
        let mut stream = connect(server.local_addrs()[0]);
        stream.write_all(b"one\ntwo").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ONE\nTWO\n", "{model:?}");
    }
}

#[test]
fn a_conversation_with_a_silent_or_a_deaf_peer_ends_with_its_own_counter() {
    let chatter = |conversation: &mut Conversation| -> std::io::Result<()> {
        let mut word = String::new();
        conversation.read_line(&mut word)?;
        loop {
            conversation.write_all(&[b'x'; 65_536])?;
        }
    };
    let limits = StreamLimits::default().idle(SHORT).write(SHORT);
    let (server, address) = start(Service::conversation("chatter", chatter), limits);
    let silent = connect(address);
    until("the silent peer", || server.stats().total(Counter::Idle) == 1);
    let mut deaf = connect(address);
    deaf.write_all(b"talk\n").unwrap();
    until("the deaf peer", || server.stats().total(Counter::SlowReader) == 1);
    drop((silent, deaf));
}
