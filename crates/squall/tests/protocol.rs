//! A protocol, its deadlines and its addresses.

mod common;

use std::io::Write;
use std::time::Duration;

use common::{client, hear, until};
use squall::{Counter, Input, Origin, Outbox, Protocol, Server, Service, Time};

/// Tells each peer that said something what it said, a moment later, and counts its deadlines.
#[derive(Default)]
struct Later {
    waiting: Vec<(Time, Origin, Vec<u8>)>,
    panics: bool,
}

impl Protocol for Later {
    fn handle_input(&mut self, now: Time, input: Input<'_>, _out: &mut Outbox) {
        if let Input::Message(request) = input {
            self.waiting.push((now + Duration::from_millis(20), request.origin, request.payload.to_vec()));
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        assert!(!self.panics, "as it was asked");
        for (_, origin, payload) in self.waiting.extract_if(.., |(due, _, _)| *due <= now) {
            out.to(&origin).write(&payload).unwrap();
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.waiting.iter().map(|(due, _, _)| *due).min()
    }
}

fn service(protocol: Later) -> Service {
    let later = Service::protocol("later", protocol);
    later.at("udp://127.0.0.1:0").unwrap().at("udp://[::1]:0").unwrap()
}

#[test]
fn one_protocol_answers_each_peer_by_the_address_that_it_asked() {
    let server = Server::new().service(service(Later::default())).start().unwrap();
    let [first, second] = [0, 1].map(|index| client(server.local_addrs()[index]));
    first.send(b"to v4").unwrap();
    second.send(b"to v6").unwrap();
    assert_eq!((hear(&first).as_str(), hear(&second).as_str()), ("to v4", "to v6"));
    until("the counts", || server.stats().total(Counter::Replies) == 2);
}

#[test]
fn a_protocol_that_panics_at_its_deadline_is_left_alone_for_a_while() {
    let (told, panics) = std::sync::mpsc::channel();
    let server = Server::new()
        .service(service(Later { panics: true, ..Later::default() }))
        .on_error(move |error| told.send(error.to_string()).unwrap())
        .start()
        .unwrap();
    client(server.local_addrs()[0]).send(b"x").unwrap();
    let first = panics.recv_timeout(common::LONG).unwrap();
    assert!(first.contains("as it was asked"), "{first}");
    let pause = panics.recv_timeout(Duration::from_millis(500));
    assert!(pause.is_err(), "its deadline is still due, and it is called again and again");
}

/// Answers with its own number and how many of its peer's messages it has seen.
struct Counting {
    number: usize,
    seen: std::collections::HashMap<Origin, u32>,
}

impl Protocol for Counting {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        if let Input::Message(request) = input {
            let seen = self.seen.entry(request.origin).or_default();
            *seen += 1;
            out.answer(&request).write(format!("{} {seen}", self.number).as_bytes()).unwrap();
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

#[test]
fn each_shard_has_a_protocol_of_its_own_and_a_peer_keeps_to_one() {
    let made = std::sync::atomic::AtomicUsize::new(0);
    let make = move || Counting {
        number: made.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        seen: std::collections::HashMap::new(),
    };
    let service = Service::protocol_each("counting", make);
    let service = service.at("udp://127.0.0.1:0").unwrap().at("udp://[::1]:0").unwrap();
    let server = Server::new().service(service).shards(2).start().unwrap();
    let mut protocols = std::collections::BTreeSet::new();
    // All at once: the port of one that is gone could be another's.
    let clients: Vec<_> = (0..32).map(|peer| client(server.local_addrs()[peer % 2])).collect();
    for client in &clients {
        let answers = [1, 2, 3].map(|_| {
            client.send(b"?").unwrap();
            hear(client)
        });
        let (protocol, _) = answers[0].split_once(' ').unwrap();
        assert_eq!(answers, [1, 2, 3].map(|seen| format!("{protocol} {seen}")), "one protocol has seen all");
        protocols.insert(protocol.to_owned());
    }
    assert_eq!(Vec::from_iter(protocols), ["0", "1"], "one for each shard, whatever the address");
}

/// Tells every connection what any peer says, ends the one that says `end`, says goodbye when the server stops.
#[derive(Default)]
struct Hub {
    open: Vec<Origin>,
    full: std::collections::HashSet<Origin>,
    heard: Option<std::sync::mpsc::Sender<&'static str>>,
}

impl Protocol for Hub {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        let say = |what| {
            // Nobody listens when the test is over.
            let _ = self.heard.as_ref().map(|heard| heard.send(what));
        };
        match input {
            Input::Opened(origin) => {
                self.open.push(origin);
                say("opened");
            }
            Input::Closed(origin) => {
                self.open.retain(|open| *open != origin);
                say("closed");
            }
            Input::Full(origin) => {
                self.full.insert(origin);
                say("full");
            }
            Input::Writable(origin) => {
                self.full.remove(&origin);
                say("writable");
            }
            Input::Message(request) if request.payload == b"end" => out.close(&request.origin).unwrap(),
            Input::Message(request) => {
                let members = self.open.iter().filter(|open| !self.full.contains(*open)).copied();
                let others = (!request.origin.transport.is_stream()).then_some(request.origin);
                out.to_all(&mut members.chain(others), request.payload).unwrap();
            }
            Input::Stopping => {
                out.to_all(&mut self.open.iter().copied(), b"bye").unwrap();
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

/// A hub on UDP, TCP and a Unix socket, and what it hears.
fn hub() -> (squall::Running, std::sync::mpsc::Receiver<&'static str>, tempfile::TempDir) {
    let (told, heard) = std::sync::mpsc::channel();
    let folder = tempfile::tempdir().unwrap();
    let path = format!("unix:{}/hub", folder.path().display());
    let hub = Service::protocol("hub", Hub { heard: Some(told), ..Hub::default() });
    let hub = hub.at("udp://127.0.0.1:0").unwrap().at("tcp://127.0.0.1:0").unwrap().at(&path).unwrap();
    let hub = hub.framing(squall::framing::Framing::Lines { max: 100_000 });
    (Server::new().service(hub).start().unwrap(), heard, folder)
}

fn line(stream: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_protocol_talks_with_connections_and_datagrams_alike() {
    let (server, heard, folder) = hub();
    let addresses = server.local_addrs();
    let tcp = std::net::TcpStream::connect(addresses[1]).unwrap();
    tcp.set_read_timeout(Some(common::LONG)).unwrap();
    let unix = std::os::unix::net::UnixStream::connect(folder.path().join("hub")).unwrap();
    unix.set_read_timeout(Some(common::LONG)).unwrap();
    for _ in 0..2 {
        assert_eq!(heard.recv_timeout(common::LONG), Ok("opened"));
    }
    let (mut from_tcp, mut from_unix) = (std::io::BufReader::new(&tcp), std::io::BufReader::new(&unix));
    let udp = client(addresses[0]);
    udp.send(b"from udp").unwrap();
    assert_eq!(
        (hear(&udp), line(&mut from_tcp), line(&mut from_unix)),
        ("from udp".into(), "from udp\n".into(), "from udp\n".into())
    );
    std::io::Write::write_all(&mut &tcp, b"from t").unwrap();
    std::io::Write::write_all(&mut &tcp, b"cp\nand more\n").unwrap();
    assert_eq!((line(&mut from_tcp), line(&mut from_tcp)), ("from tcp\n".into(), "and more\n".into()));
    assert_eq!((line(&mut from_unix), line(&mut from_unix)), ("from tcp\n".into(), "and more\n".into()));

    std::io::Write::write_all(&mut &unix, b"end\n").unwrap();
    assert_eq!(line(&mut from_unix), "", "the protocol ended it");
    assert_eq!(heard.recv_timeout(common::LONG), Ok("closed"));
    let report = server.shutdown(common::LONG);
    assert_eq!((line(&mut from_tcp), line(&mut from_tcp)), ("bye\n".into(), String::new()));
    assert_eq!((report.handled, report.unfinished), (4, 0));
}

#[test]
fn a_peer_that_says_its_last_word_hears_the_answer() {
    let (server, _heard, _folder) = hub();
    for round in 0..50 {
        let mut tcp = std::net::TcpStream::connect(server.local_addrs()[1]).unwrap();
        tcp.set_read_timeout(Some(common::LONG)).unwrap();
        std::io::Write::write_all(&mut tcp, b"hello").unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = String::new();
        std::io::Read::read_to_string(&mut tcp, &mut all).unwrap();
        assert_eq!(all, "hello\n", "round {round}");
    }
}

#[test]
fn a_peer_that_breaks_the_framing_is_told_so_and_then_ended() {
    let (told, heard) = std::sync::mpsc::channel();
    let hub = Service::protocol("hub", Hub { heard: Some(told), ..Hub::default() }).last_word("too long");
    let hub = hub.at("tcp://127.0.0.1:0").unwrap().framing(squall::framing::Framing::Lines { max: 1000 });
    let server = Server::new().service(hub).start().unwrap();
    let mut peer = std::net::TcpStream::connect(server.local_addrs()[0]).unwrap();
    peer.set_read_timeout(Some(common::LONG)).unwrap();
    peer.write_all(b"one\n").unwrap();
    let mut reader = std::io::BufReader::new(peer.try_clone().unwrap());
    assert_eq!(line(&mut reader), "one\n");
    // More than the server reads before it knows, and than the socket's buffers hold.
    peer.write_all(&vec![b'x'; 16 << 20]).unwrap();
    assert_eq!((line(&mut reader), line(&mut reader)), ("too long\n".into(), String::new()));
    // To the protocol it is over, however long the peer takes to close.
    assert_eq!(
        [heard.recv_timeout(common::LONG), heard.recv_timeout(common::LONG)],
        [Ok("opened"), Ok("closed")]
    );
    assert_eq!(server.stats().total(Counter::Closed), 0);
    drop((peer, reader));
    until("the end", || server.stats().total(Counter::BadFrame) == 1);
    until("its place is free", || server.stats().total(Counter::Closed) == 1);
}

#[test]
fn a_connection_that_leaves_is_told_once() {
    let (server, heard, _folder) = hub();
    let tcp = std::net::TcpStream::connect(server.local_addrs()[1]).unwrap();
    assert_eq!(heard.recv_timeout(common::LONG), Ok("opened"));
    drop(tcp);
    assert_eq!(heard.recv_timeout(common::LONG), Ok("closed"));
    drop(server);
    assert!(heard.recv().is_err(), "and nothing else");
}

#[test]
fn a_peer_that_does_not_read_is_told_to_the_protocol_and_costs_the_others_nothing() {
    let (server, heard, _folder) = hub();
    let addresses = server.local_addrs();
    let slow = std::net::TcpStream::connect(addresses[1]).unwrap();
    slow.set_read_timeout(Some(common::LONG)).unwrap();
    assert_eq!(heard.recv_timeout(common::LONG), Ok("opened"));
    let udp = client(addresses[0]);
    let body = vec![b'x'; 50_000];
    let mut rounds = 0;
    let word = loop {
        udp.send(&body).unwrap();
        assert_eq!(hear(&udp).len(), body.len(), "the other hears on");
        rounds += 1;
        match heard.try_recv() {
            Ok(word) => break word,
            Err(_) => assert!(rounds < 2_000, "the kernel's buffers end somewhere"),
        }
    };
    assert_eq!(word, "full");
    udp.send(&body).unwrap();
    assert_eq!(hear(&udp).len(), body.len());
    assert_eq!(server.stats().total(Counter::SendBufferFull), 0, "it was told before anything was lost");
    let mut reader = std::io::BufReader::new(&slow);
    // The last rounds may have come when it was full already, or just before.
    for _ in 1..rounds {
        assert_eq!(line(&mut reader).len(), body.len() + 1, "all that was written before arrives");
    }
    assert_eq!(heard.recv_timeout(common::LONG), Ok("writable"));
    udp.send(b"again").unwrap();
    let next = std::iter::repeat_with(|| line(&mut reader)).find(|line| line.len() <= body.len());
    assert_eq!(next.as_deref(), Some("again\n"));
}

/// Tells everybody what it hears, whether they are full or not; ends who says `end`, and notes where on the stack
/// it is told that somebody is full.
struct Careless {
    open: Vec<Origin>,
    told: std::sync::mpsc::Sender<Word>,
}

#[derive(Debug, PartialEq)]
enum Word {
    Full(usize),
    Closed,
}

impl Protocol for Careless {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        // Nobody listens when the test is over.
        match input {
            Input::Opened(origin) => self.open.push(origin),
            Input::Full(_) => drop(self.told.send(Word::Full((&raw const input).addr()))),
            Input::Closed(_) => drop(self.told.send(Word::Closed)),
            Input::Message(request) if request.payload == b"end" => out.close(&request.origin).unwrap(),
            Input::Message(_) => out.to_all(&mut self.open.iter().copied(), &[b'x'; 60_000]).unwrap(),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

/// A server of it on a Unix socket, whose buffers in the kernel hold a few answers.
fn careless() -> (squall::Running, std::sync::mpsc::Receiver<Word>, tempfile::TempDir) {
    let (told, words) = std::sync::mpsc::channel();
    let folder = tempfile::tempdir().unwrap();
    let path = format!("unix:{}/careless", folder.path().display());
    let service = Service::protocol("careless", Careless { open: Vec::new(), told }).at(&path).unwrap();
    let service = service.framing(squall::framing::Framing::Lines { max: 100_000 });
    let limits = squall::StreamLimits::default().write(Duration::from_millis(50));
    (Server::new().service(service).stream_limits(limits).start().unwrap(), words, folder)
}

#[test]
fn many_that_fill_at_once_are_told_one_after_the_other_and_not_within_each_other() {
    const PEERS: usize = 100;
    let (server, words, folder) = careless();
    let connect = || std::os::unix::net::UnixStream::connect(folder.path().join("careless")).unwrap();
    let mut peers: Vec<_> = (0..PEERS).map(|_| connect()).collect();
    until("all are there", || server.stats().total(Counter::Accepted) == PEERS as u64);
    std::io::Write::write_all(&mut peers[PEERS - 1], &b"fill\n".repeat(10)).unwrap();
    let places = (0..PEERS).map(|_| match words.recv_timeout(common::LONG) {
        Ok(Word::Full(place)) => place,
        other => panic!("{other:?}"),
    });
    let places: Vec<usize> = places.collect();
    let depth = places.iter().max().unwrap() - places.iter().min().unwrap();
    assert!(depth < 8192, "a piece of the stack for each would end in an overflow: {depth} bytes");
}

#[test]
fn what_comes_behind_the_frame_that_ended_a_connection_is_late() {
    let (server, heard, folder) = hub();
    let connect = || std::os::unix::net::UnixStream::connect(folder.path().join("hub")).unwrap();
    let (member, other) = (connect(), connect());
    other.set_read_timeout(Some(common::LONG)).unwrap();
    for _ in 0..2 {
        assert_eq!(heard.recv_timeout(common::LONG), Ok("opened"));
    }
    std::io::Write::write_all(&mut &member, b"end\nlate\n").unwrap();
    assert_eq!(heard.recv_timeout(common::LONG), Ok("closed"));
    let udp = client(server.local_addrs()[0]);
    udp.send(b"after").unwrap();
    assert_eq!(line(&mut std::io::BufReader::new(&other)), "after\n");
}

#[test]
fn a_limit_on_requests_holds_within_one_read() {
    let hub = Service::protocol("hub", Hub::default()).at("tcp://127.0.0.1:0").unwrap();
    let hub = hub.framing(squall::framing::Framing::Lines { max: 100 });
    let server = Server::new().service(hub).request_limit(2).start().unwrap();
    let mut tcp = std::net::TcpStream::connect(server.local_addrs()[0]).unwrap();
    std::io::Write::write_all(&mut tcp, b"1\n2\n3\n4\n").unwrap();
    assert_eq!(server.wait().handled, 2);
}

#[test]
fn a_connection_that_only_waits_for_a_peer_that_does_not_read_ends() {
    for by_protocol in [true, false] {
        let (server, words, folder) = careless();
        let mut peer = std::os::unix::net::UnixStream::connect(folder.path().join("careless")).unwrap();
        std::io::Write::write_all(&mut peer, &b"fill\n".repeat(10)).unwrap();
        match by_protocol {
            true => std::io::Write::write_all(&mut peer, b"end\n").unwrap(),
            false => peer.shutdown(std::net::Shutdown::Write).unwrap(),
        }
        let mut words = std::iter::repeat_with(|| words.recv_timeout(common::LONG).unwrap());
        assert_eq!(words.find(|word| *word == Word::Closed), Some(Word::Closed));
        assert_eq!(server.stats().total(Counter::SlowReader), 1, "by protocol: {by_protocol}");
    }
}

/// Waits until it is let go on when it is spoken to.
struct Waits(std::sync::mpsc::Receiver<()>);

impl Protocol for Waits {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, _out: &mut Outbox) {
        if let Input::Message(_) = input {
            self.0.recv_timeout(common::LONG).unwrap();
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

#[test]
fn connections_that_come_and_go_while_a_protocol_is_busy_are_bounded() {
    let (go, wait) = std::sync::mpsc::channel();
    let service = Service::protocol("waits", Waits(wait)).at("tcp://127.0.0.1:0").unwrap();
    let limits = squall::StreamLimits::default().connections(2);
    let server = Server::new().service(service).stream_limits(limits).start().unwrap();
    let connect = || std::net::TcpStream::connect(server.local_addrs()[0]).unwrap();
    let mut first = connect();
    std::io::Write::write_all(&mut first, b"?").unwrap();
    until("the protocol is busy", || server.busy().iter().any(|busy| !busy.is_zero()));
    drop(connect());
    let mut third = connect();
    third.set_read_timeout(Some(common::LONG)).unwrap();
    assert_eq!(std::io::Read::read(&mut third, &mut [0]).unwrap(), 0, "the second has its place still");
    assert_eq!(server.stats().total(Counter::ConnectionsFull), 1);
    go.send(()).unwrap();
    until("the second has left", || server.stats().total(Counter::Closed) == 1);
}

/// Says a last word to each of many peers, as many as the outbox takes at a time.
struct Farewell {
    origin: Option<Origin>,
    left: u32,
    stopping: bool,
}

impl Protocol for Farewell {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Message(request) => self.origin = Some(request.origin),
            Input::Stopping => {
                self.stopping = true;
                self.handle_timeout(now, out);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Time, out: &mut Outbox) {
        let Some(origin) = self.origin else { return };
        for _ in 0..self.left.min(100) {
            self.left -= 1;
            out.to(&origin).write(format!("{} left", self.left).as_bytes()).unwrap();
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        (self.stopping && self.left > 0).then_some(Time::ZERO)
    }
}

#[test]
fn a_protocol_that_stops_says_more_than_one_outbox_holds() {
    let farewell = Farewell { origin: None, left: 150, stopping: false };
    let service = Service::protocol("farewell", farewell).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).start().unwrap();
    let peer = client(server.local_addrs()[0]);
    peer.send(b"hello").unwrap();
    until("it has come", || server.stats().total(Counter::Received) == 1);
    server.shutdown(common::LONG);
    for left in (0..150).rev() {
        assert_eq!(hear(&peer), format!("{left} left"));
    }
}
