//! A protocol, its deadlines and its addresses.

mod common;

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
    for peer in 0..32 {
        let client = client(server.local_addrs()[peer % 2]);
        let answers = [1, 2, 3].map(|_| {
            client.send(b"?").unwrap();
            hear(&client)
        });
        let (protocol, _) = answers[0].split_once(' ').unwrap();
        assert_eq!(answers, [1, 2, 3].map(|seen| format!("{protocol} {seen}")), "one protocol has seen all");
        protocols.insert(protocol.to_owned());
    }
    assert_eq!(Vec::from_iter(protocols), ["0", "1"], "one for each shard, whatever the address");
}
