//! What comes in bad weather, and what it gets.

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{LONG, ask, client, hear, until};
use squall::{
    BindError, Counter, Model, OwnedRequest, Refusal, Reply, Request, Running, Server, ServerError, Service,
    Verdict,
};

/// A gate that a handler waits at: the first word is that it is inside, then it waits to be let go.
struct Gate {
    inside: Receiver<()>,
    go: Sender<()>,
}

/// A handler that answers in capitals, waits at the gate when it is told `wait`, and panics when it is told
/// `panic`.
fn troubled() -> (Gate, impl Fn(&Request<'_>, &mut Reply<'_>) -> Result<(), Refusal> + Send + Sync) {
    let (entered, inside) = channel();
    let (go, released) = channel();
    let (entered, released) = (Mutex::new(entered), Mutex::new(released));
    let handler = move |request: &Request<'_>, reply: &mut Reply<'_>| {
        match request.payload {
            b"wait" => {
                entered.lock().unwrap().send(()).unwrap();
                // The end of the test lets it go, too.
                let _ = released.lock().unwrap_or_else(|error| error.into_inner()).recv();
            }
            b"panic" => panic!("as it was asked"),
            _ => {}
        }
        reply.write(&request.payload.to_ascii_uppercase())
    };
    (Gate { inside, go }, handler)
}

fn start(server: Server, service: Service) -> (Running, SocketAddr) {
    let server = server.service(service.at("udp://127.0.0.1:0").unwrap()).start().unwrap();
    let address = server.local_addrs()[0];
    (server, address)
}

#[test]
fn a_panic_loses_its_own_request_and_is_counted_and_reported_in_every_place() {
    let asynchronous = |request: OwnedRequest| async move {
        assert_ne!(request.payload, b"panic", "as it was asked");
        Ok(vec![request.payload.to_ascii_uppercase()])
    };
    for (model, waits) in [(Model::Inline, false), (Model::threads(2), false), (Model::Inline, true)] {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&reported);
        let server = Server::new().model(model).on_error(move |error| {
            if let ServerError::Panicked { service, message } = error {
                list.lock().unwrap().push(format!("{service}: {message}"));
            }
        });
        let (_gate, handler) = troubled();
        let service = match waits {
            true => Service::asynchronous("frail", asynchronous),
            false => Service::new("frail", handler),
        };
        let (server, address) = start(server, service.at("tcp://127.0.0.1:0").unwrap());
        let udp = server.local_addrs()[1];
        let (bad, good) = (client(udp), client(udp));
        for round in ["one", "two"] {
            bad.send(b"panic").unwrap();
            assert_eq!(ask(&good, round.as_bytes()), round.to_uppercase());
            until("the panic", || reported.lock().unwrap().len() >= if round == "one" { 1 } else { 2 });
        }
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut stream, b"panic").unwrap();
        until("the third panic", || reported.lock().unwrap().len() == 3);
        assert_eq!(ask(&bad, b"again"), "AGAIN", "the peer may ask again");
        let report = server.shutdown(LONG);
        assert_eq!(report.stats.total(Counter::Panicked), 3, "{model:?}");
        assert!(
            reported.lock().unwrap()[0].contains("frail: ")
                && reported.lock().unwrap()[0].contains("as it was asked")
        );
    }
}

#[test]
fn threads_that_hang_are_written_off_and_replaced_up_to_a_bound_and_then_requests_are_shed() {
    let (gate, handler) = troubled();
    let model = Model::Threads { threads: 2, queue: 4, deadline: Some(Duration::from_millis(50)) };
    let (server, address) = start(Server::new().model(model).shards(1), Service::new("hangs", handler));
    let (bad, good) = (client(address), client(address));
    for hanging in 1..=2 {
        bad.send(b"wait").unwrap();
        gate.inside.recv_timeout(LONG).unwrap();
        assert_eq!(ask(&good, b"meanwhile"), "MEANWHILE");
        until("the thread is written off", || server.written_off() == hanging);
        assert_eq!(ask(&good, b"after"), "AFTER");
    }
    assert_eq!(server.stats().total(Counter::Late), 2);
    // The two that took their places hang as well, and there are no more.
    for _ in 3..=4 {
        bad.send(b"wait").unwrap();
        gate.inside.recv_timeout(LONG).unwrap();
    }
    until("all are written off", || server.written_off() == 4);
    for _ in 0..20 {
        good.send(b"nobody is left").unwrap();
    }
    until("requests are shed", || server.stats().total(Counter::Shed) == 16);
    // Those that come back go on: one answers what is queued.
    for _ in 0..4 {
        gate.go.send(()).unwrap();
    }
    for _ in 0..4 {
        assert_eq!(hear(&good), "NOBODY IS LEFT");
    }
    until("none hangs", || server.written_off() == 0);
    assert_eq!(server.shutdown(LONG).unfinished, 0);
}

#[test]
fn a_handler_that_blocks_inline_shows_in_the_statistics() {
    let (gate, handler) = troubled();
    let (server, address) = start(Server::new().shards(1), Service::new("blocks", handler));
    client(address).send(b"wait").unwrap();
    gate.inside.recv_timeout(LONG).unwrap();
    until("it shows", || server.busy()[0] > Duration::from_millis(20));
    gate.go.send(()).unwrap();
    until("it is over", || server.busy()[0] == Duration::ZERO);
}

#[test]
fn a_server_with_a_limit_answers_no_more_than_that() {
    for model in [Model::Inline, Model::threads(2)] {
        let (gate, handler) = troubled();
        let service = Service::new("limited", handler).at("udp://127.0.0.2:0").unwrap();
        let (server, first) = start(Server::new().model(model).request_limit(2), service);
        let addresses = server.local_addrs();
        assert_ne!(addresses[0], addresses[1]);
        let (one, two) = (client(first), UdpSocket::bind("127.0.0.1:0").unwrap());
        one.send(b"wait").unwrap();
        gate.inside.recv_timeout(LONG).unwrap();
        // Both sockets have a request when the first is done, and one of them is the last.
        one.send(b"x").unwrap();
        two.send_to(b"y", addresses[1]).unwrap();
        two.send_to(b"z", addresses[0]).unwrap();
        gate.go.send(()).unwrap();
        assert_eq!(server.wait().handled, 2, "{model:?}");
    }
}

#[test]
fn the_last_request_is_answered_before_a_limited_server_ends() {
    let (_gate, handler) = troubled();
    let (server, address) = start(Server::new().request_limit(1), Service::new("once", handler));
    let socket = client(address);
    assert_eq!(ask(&socket, b"only"), "ONLY");
    let report = server.wait();
    assert_eq!((report.handled, report.unfinished), (1, 0));
    // The port is closed: a second request is refused by the host.
    let refused = socket.send(b"more").and_then(|_| socket.recv(&mut [0; 8]));
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn the_admission_hook_turns_requests_away() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let (_gate, handler) = troubled();
    let server = Server::new().on_admission(|request| request.payload != b"spam").on_request(
        move |service, request, verdict| {
            list.lock().unwrap().push((service.to_owned(), request.payload.to_vec(), verdict));
        },
    );
    let (server, address) = start(server.shards(1), Service::new("picky", handler));
    let socket = client(address);
    socket.send(b"spam").unwrap();
    assert_eq!(ask(&socket, b"ham"), "HAM");
    let report = server.shutdown(LONG);
    assert_eq!(report.stats.total(Counter::NotAdmitted), 1);
    let picky = || "picky".to_owned();
    let told =
        [(picky(), b"spam".to_vec(), Verdict::NotAdmitted), (picky(), b"ham".to_vec(), Verdict::Answered(1))];
    assert_eq!(*seen.lock().unwrap(), told);
}

#[test]
fn an_asynchronous_handler_waits_without_holding_up_others_and_sheds_past_its_limit() {
    struct Slow(Arc<tokio::sync::Semaphore>);
    impl squall::AsyncHandler for Slow {
        async fn handle(&self, request: OwnedRequest) -> Result<Vec<Vec<u8>>, Refusal> {
            if request.payload == b"wait" {
                self.0.acquire().await.map_err(|_| Refusal::Failed("closed"))?.forget();
            }
            Ok(vec![request.payload.to_ascii_uppercase(), b"and more".to_vec()])
        }
        fn limit(&self) -> usize {
            3
        }
    }
    let permits = Arc::new(tokio::sync::Semaphore::new(0));
    let service = Service::asynchronous("slow", Slow(Arc::clone(&permits)));
    let (server, address) = start(Server::new().shards(1), service);
    let (waits, quick) = (client(address), client(address));
    waits.send(b"wait").unwrap();
    waits.send(b"wait").unwrap();
    assert_eq!(ask(&quick, b"quick"), "QUICK");
    assert_eq!(hear(&quick), "and more");
    for _ in 0..3 {
        waits.send(b"wait").unwrap();
    }
    until("two are shed", || server.stats().total(Counter::Shed) == 2);
    permits.add_permits(3);
    for _ in 0..3 {
        assert_eq!([hear(&waits), hear(&waits)], ["WAIT", "and more"]);
    }
    let report = server.shutdown(LONG);
    assert_eq!((report.handled, report.unfinished), (4, 0));
}

#[test]
fn a_server_that_stops_finishes_what_it_took_and_tells_what_it_could_not() {
    let (gate, handler) = troubled();
    let server = Server::new().model(Model::threads(1)).shards(1);
    let (server, address) = start(server, Service::new("slow", handler));
    let socket = client(address);
    socket.send(b"wait").unwrap();
    gate.inside.recv_timeout(LONG).unwrap();
    let stopper = server.stopper();
    stopper.stop_within(LONG);
    gate.go.send(()).unwrap();
    let report = server.wait();
    assert_eq!((report.handled, report.unfinished), (1, 0));
    assert_eq!(hear(&socket), "WAIT");

    let (gate, handler) = troubled();
    let server = Server::new().model(Model::threads(1)).shards(1);
    let (server, address) = start(server, Service::new("slower", handler));
    let socket = client(address);
    socket.send(b"wait").unwrap();
    gate.inside.recv_timeout(LONG).unwrap();
    socket.send(b"queued").unwrap();
    until("both are taken", || server.stats().total(Counter::Received) == 2);
    let report = server.shutdown(Duration::from_millis(20));
    assert_eq!((report.handled, report.unfinished), (0, 2), "{report:?}");
}

#[test]
fn every_length_and_any_bytes_get_an_answer_or_a_counted_refusal() {
    let (_gate, handler) = troubled();
    let (server, address) = start(Server::new(), Service::new("any", handler));
    let socket = client(address);
    assert_eq!(ask(&socket, b""), "");
    assert_eq!(ask(&socket, &[b'x'; 65_507]), "X".repeat(65_507));
    let mut random = squall::random::SplitMix64::new(1);
    let mut payload = [0; 1200];
    for _ in 0..20_000 {
        payload.fill_with(|| random.next_u64() as u8);
        let length = random.next_u64() as usize % payload.len();
        // The kernel may drop what it has no room for; the rest is answered or refused.
        let _ = socket.send(&payload[..length]);
    }
    let last = client(address);
    assert_eq!(ask(&last, b"alive"), "ALIVE");
    let report = server.shutdown(LONG);
    let received = report.stats.total(Counter::Received);
    assert_eq!(report.handled + report.unanswered, received, "{report:?}");
    assert!(received >= 3);
}

#[test]
fn two_servers_that_are_set_on_each_other_fall_silent() {
    let stamp = |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(b"[Wed Aug 15 20:35:08 2012] ")?;
        reply.write(request.payload)
    };
    let (one, first) = start(Server::new(), Service::new("stamp", stamp));
    let (other, _) = start(Server::new(), Service::new("stamp", stamp));
    // An attacker asks one in the other's name: what it answers goes to the other.
    let answer = ask(&client(first), b"seed");
    assert_eq!(answer, "[Wed Aug 15 20:35:08 2012] seed");
    client(other.local_addrs()[0]).send(answer.as_bytes()).unwrap();
    until("it is refused", || other.stats().total(Counter::Loop) == 1);
    let (one, other) = (one.shutdown(LONG), other.shutdown(LONG));
    assert_eq!((one.stats.total(Counter::Replies), other.stats.total(Counter::Replies)), (1, 0));
}

#[test]
#[cfg_attr(squall_portable, ignore = "the portable back end has no error queue")]
fn a_reply_that_its_host_refuses_is_counted_and_the_next_request_is_answered() {
    let (gate, handler) = troubled();
    let (server, address) = start(Server::new().shards(1).icmp_errors(true), Service::new("icmp", handler));
    let gone = client(address);
    gone.send(b"wait").unwrap();
    gate.inside.recv_timeout(LONG).unwrap();
    // Nobody is there any more when the reply comes.
    drop(gone);
    gate.go.send(()).unwrap();
    until("it is counted", || server.stats().total(Counter::IcmpErrors) > 0);
    let socket = client(address);
    for text in ["one", "two", "three"] {
        assert_eq!(ask(&socket, text.as_bytes()), text.to_uppercase());
    }
    let stats = server.shutdown(LONG).stats;
    assert_eq!((stats.total(Counter::IcmpErrors), stats.total(Counter::SendFailed)), (1, 0));
}

#[test]
fn a_server_without_services_starts_only_where_that_is_meant() {
    assert!(Server::new().start().unwrap_err().is_usage());
    let server = Server::new().may_be_empty(true).start().unwrap();
    assert!(server.locals().is_empty() && !server.wait_for_stop_within(Duration::ZERO));
    server.stopper().stop();
    assert!(server.wait_for_stop_within(LONG));
    assert_eq!(server.wait().handled, 0);
}

#[test]
fn a_port_that_another_socket_has_is_an_error_even_if_it_shares_it() {
    let taken =
        squall::socket::Socket::open(squall::socket::Family::V4, squall::socket::Kind::Datagram).unwrap();
    taken.set_reuse_port(true).unwrap();
    taken.bind("127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    let port = taken.local_address().unwrap().ip().unwrap().port();
    let (_gate, handler) = troubled();
    let uri = format!("udp://127.0.0.1:{port}");
    let service = Service::new("late", handler).at(&uri).unwrap();
    let error = Server::new().service(service).shards(2).start().unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }) && !error.is_usage());
    assert!(error.to_string().contains(&uri) && error.to_string().contains("late"), "{error}");
}

#[test]
fn a_dead_server_s_socket_file_is_replaced_and_a_living_one_s_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixDatagram::bind(&path).unwrap());
    assert!(path.exists(), "nobody removed it");
    let uri = format!("unixgram:{}", path.display());
    let serve = || {
        let (_gate, handler) = troubled();
        Server::new().service(Service::new("unix", handler).at(&uri).unwrap()).start()
    };
    let living = serve().unwrap();
    let error = serve().unwrap_err();
    assert!(matches!(error, BindError::Path { .. }), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
    living.shutdown(Duration::ZERO);
    assert!(!path.exists());
}
