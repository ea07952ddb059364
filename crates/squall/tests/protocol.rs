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
