//! Answers of many large datagrams, limits, and hooks that fail.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use common::{LONG, ask, client, hear, until};
use squall::framing::Framing;
use squall::{
    Counter, Input, Model, Origin, Outbox, OwnedRequest, Protocol, Refusal, Reply, Request, Server,
};
use squall::{Service, Time};

static LARGE: [u8; 60_000] = [b'x'; 60_000];

fn three(reply: &mut Reply<'_>) -> Result<(), Refusal> {
    for _ in 0..3 {
        reply.write(&LARGE)?;
        reply.next()?;
    }
    Ok(())
}

#[test]
fn large_answers_of_a_pool_that_return_together_all_arrive() {
    let together = Barrier::new(2);
    let handler = move |_: &Request<'_>, reply: &mut Reply<'_>| {
        together.wait();
        three(reply)
    };
    let service = Service::new("three", handler).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().shards(1).model(Model::threads(2)).service(service).start().unwrap();
    let peers = [0; 2].map(|_| client(server.local_addrs()[0]));
    for _ in 0..2 {
        for peer in &peers {
            peer.send(b"x").unwrap();
        }
        for peer in &peers {
            for _ in 0..3 {
                assert_eq!(hear(peer).len(), LARGE.len());
            }
        }
    }
}

#[test]
fn an_asynchronous_answer_can_be_more_than_is_sent_at_once() {
    let handler = |_: OwnedRequest| async { Ok(vec![LARGE.to_vec(); 5]) };
    let service = Service::asynchronous("five", handler).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().shards(1).service(service).start().unwrap();
    let peer = client(server.local_addrs()[0]);
    assert_eq!(ask(&peer, b"x").len(), LARGE.len());
    // The peer's receive buffer may not hold all of them; they have left.
    until("the count", || server.stats().total(Counter::Replies) == 5);
}

#[test]
fn a_large_answer_leaves_room_for_the_next_in_its_batch() {
    let gate = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&gate);
    let handler = move |request: &Request<'_>, reply: &mut Reply<'_>| match request.payload {
        b"wait" => {
            inside.wait();
            inside.wait();
            Ok(())
        }
        _ => three(reply),
    };
    let service = Service::new("three", handler).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().shards(1).service(service).start().unwrap();
    let peers = [0; 2].map(|_| client(server.local_addrs()[0]));
    peers[0].send(b"wait").unwrap();
    gate.wait();
    // Both wait at the socket while the shard is busy, and come in one batch.
    for peer in &peers {
        peer.send(b"x").unwrap();
    }
    gate.wait();
    for peer in &peers {
        for _ in 0..3 {
            assert_eq!(hear(peer).len(), LARGE.len());
        }
    }
    assert_eq!(server.stats().total(Counter::Full), 0);
}

#[test]
fn hooks_that_panic_cost_their_request_and_nothing_else() {
    let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
    let service =
        Service::new("echo", echo).at("udp://127.0.0.1:0").unwrap().at("tcp://127.0.0.1:0").unwrap();
    let server = Server::new()
        .service(service)
        .on_admission(|request| request.payload[0] != b'n')
        .on_request(|_, request, _| assert_ne!(request.payload, b"told"))
        .on_error(|_| panic!("nobody is told"))
        .start()
        .unwrap();
    let peer = client(server.local_addrs()[0]);
    peer.send(b"").unwrap();
    peer.send(b"no").unwrap();
    assert_eq!(ask(&peer, b"told"), "told");
    assert_eq!(ask(&peer, b"after"), "after");
    until("the counts", || {
        let stats = server.stats();
        (stats.total(Counter::Panicked), stats.total(Counter::NotAdmitted)) == (1, 1)
    });
    let mut stream = TcpStream::connect(server.local_addrs()[1]).unwrap();
    stream.write_all(b"stream").unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"stream");
}

#[test]
fn a_limit_of_one_request_answers_one_line_of_many() {
    let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
    let service =
        Service::new("echo", echo).framing(Framing::Lines { max: 100 }).at("tcp://127.0.0.1:0").unwrap();
    let server = Server::new().request_limit(1).service(service).start().unwrap();
    let mut stream = TcpStream::connect(server.local_addrs()[0]).unwrap();
    stream.write_all(b"one\ntwo\nthree\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.wait().handled, 1);
}

#[test]
fn a_handler_that_does_not_return_holds_up_the_end_no_longer_than_the_grace() {
    let (entered, inside) = std::sync::mpsc::channel();
    let entered = std::sync::Mutex::new(entered);
    let handler = move |_: &Request<'_>, _: &mut Reply<'_>| -> Result<(), Refusal> {
        entered.lock().unwrap().send(()).unwrap();
        loop {
            std::thread::park();
        }
    };
    let service = Service::new("hangs", handler).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().shards(1).service(service).start().unwrap();
    client(server.local_addrs()[0]).send(b"x").unwrap();
    inside.recv_timeout(LONG).unwrap();
    let begun = Instant::now();
    let report = server.shutdown(Duration::from_millis(50));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(report.unfinished, 1);
}

/// Greets, and says goodbye to all when it stops.
#[derive(Default)]
struct Goodbye(Vec<Origin>);

impl Protocol for Goodbye {
    fn handle_input(&mut self, _: Time, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Message(request) => {
                out.to(&request.origin).write(b"hello").unwrap();
                self.0.push(request.origin);
            }
            Input::Stopping => out.to_all(&mut self.0.drain(..), b"bye").unwrap(),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _: Time, _: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

#[test]
fn what_a_protocol_says_at_the_end_leaves_once_by_its_own_socket_and_is_counted() {
    let service = Service::protocol("goodbye", Goodbye::default());
    let service = service.at("udp://[::]:0").unwrap().at("udp://0.0.0.0:0").unwrap();
    let server = Server::new().service(service).start().unwrap();
    let [v6, v4] = [0, 1].map(|index| server.local_addrs()[index].port());
    let peers = [client(([127, 0, 0, 1], v4).into()), client((std::net::Ipv6Addr::LOCALHOST, v6).into())];
    for peer in &peers {
        assert_eq!(ask(peer, b"hi"), "hello");
    }
    let report = server.shutdown(LONG);
    for peer in &peers {
        assert_eq!(hear(peer), "bye");
    }
    let stats = &report.stats;
    assert_eq!((stats.total(Counter::Replies), stats.total(Counter::SendFailed)), (4, 0));
}
