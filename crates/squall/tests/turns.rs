//! When a protocol's deadlines come between what arrives: after a batch, and with a turn for the sockets each time.

mod common;

use std::sync::mpsc;

use common::{client, hear, until};
use squall::{Counter, Input, Origin, Outbox, Protocol, Remote, Running, Server, Service, Time};

/// Keeps what it is told until its next deadline, which is at once, and sends it to everybody then.
#[derive(Default)]
struct Hub {
    members: Vec<Origin>,
    waiting: Vec<Vec<u8>>,
    due: Option<Time>,
    /// Deadlines at which something waited.
    turns: u64,
    /// Rounds to say something to each member a thousand times over, for as long as nobody says `stop`.
    busy: bool,
    rounds: u64,
}

impl Protocol for Hub {
    fn handle_input(&mut self, now: Time, input: Input<'_>, _out: &mut Outbox) {
        let Input::Message(request) = input else { return };
        match request.payload {
            b"join" => self.members.push(request.origin),
            b"stop" => self.busy = false,
            text => self.waiting.push(text.to_vec()),
        }
        self.due = Some(now);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        if self.due.take_if(|due| *due <= now).is_none() {
            return;
        }
        if self.busy {
            self.rounds += 1;
            while out.has_room() {
                out.to_all(&mut self.members.iter().copied(), b"busy").unwrap();
            }
            self.due = Some(now);
        } else if !self.waiting.is_empty() {
            self.turns += 1;
            let (mut body, mut ends) = (Vec::new(), Vec::new());
            for text in self.waiting.drain(..) {
                body.extend(text);
                ends.push(body.len());
            }
            out.to_all_rows(&mut self.members.iter().copied(), &body, &ends).unwrap();
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
}

fn start() -> (Running, Remote<Hub>) {
    let (service, remote) = Service::protocol_with_remote("hub", Hub::default());
    let service = service.answers_anything(false).at("udp://127.0.0.1:0").unwrap();
    (Server::new().service(service).start().unwrap(), remote)
}

/// Runs `meanwhile` while the shard reads nothing.
fn held(remote: &Remote<Hub>, meanwhile: impl FnOnce()) {
    let (entered, inside) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let hold = move |_: &mut Hub, _, _: &mut Outbox| {
        entered.send(()).unwrap();
        left.recv().unwrap();
    };
    remote.call(hold).unwrap();
    inside.recv_timeout(common::LONG).unwrap();
    meanwhile();
    leave.send(()).unwrap();
}

#[test]
fn a_batch_of_datagrams_has_one_deadline_behind_it_and_each_member_s_row_leaves_at_once() {
    let (server, remote) = start();
    let members: Vec<_> = (0..100).map(|_| client(server.local_addrs()[0])).collect();
    for member in &members {
        member.send(b"join").unwrap();
    }
    until("all members", || remote.ask(|hub, _, _| hub.members.len()) == Ok(100));
    let before = server.stats();
    held(&remote, || {
        for number in 10..74 {
            members[0].send(format!("{number}").as_bytes()).unwrap();
        }
    });
    for member in &members {
        assert_eq!([(); 64].map(|()| hear(member)), std::array::from_fn(|number| (number + 10).to_string()));
    }
    assert_eq!(remote.ask(|hub, _, _| hub.turns), Ok(1), "64 datagrams, one batch, one deadline");
    let count = |counter| server.stats().total(counter) - before.total(counter);
    until("the counts", || count(Counter::Replies) == 6400);
    if squall::socket::SEGMENTED_SENDS {
        assert_eq!(count(Counter::Segmented), 100, "one send for each member");
    }
}

#[test]
fn a_protocol_that_is_due_gets_all_that_waits_first() {
    let (service, remote) = Service::protocol_with_remote("hub", Hub::default());
    let service = service.answers_anything(false).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).batch(8).start().unwrap();
    let member = client(server.local_addrs()[0]);
    held(&remote, || {
        for _ in 0..160 {
            member.send(b"x").unwrap();
        }
    });
    until("all of it", || server.stats().total(Counter::Received) == 160);
    // It is one turn; a machine that is busy with something else may take the millisecond for itself.
    let turns = remote.ask(|hub, _, _| hub.turns).unwrap();
    assert!(turns <= 10, "{turns} deadlines for 20 batches");
}

#[test]
fn a_row_whose_datagrams_differ_in_size_leaves_in_as_few_sends_as_may_be() {
    let (server, remote) = start();
    let member = client(server.local_addrs()[0]);
    member.send(b"join").unwrap();
    until("the member", || remote.ask(|hub, _, _| hub.members.len()) == Ok(1));
    // Three of one size and a shorter last one, two of one size, one alone that is longer, one that is shorter.
    let sizes = [4, 4, 4, 2, 3, 3, 9, 5];
    held(&remote, || {
        for size in sizes {
            member.send(&vec![b'x'; size]).unwrap();
        }
    });
    assert_eq!(sizes.map(|_| hear(&member).len()), sizes);
    if squall::socket::SEGMENTED_SENDS {
        until("the sends", || server.stats().total(Counter::Segmented) == 3);
    }
}

#[test]
fn sockets_have_their_turn_while_a_protocol_is_always_due() {
    let (server, remote) = start();
    let (member, other) = (client(server.local_addrs()[0]), client(server.local_addrs()[0]));
    member.send(b"join").unwrap();
    until("the member", || remote.ask(|hub, _, _| hub.members.len()) == Ok(1));
    remote
        .call(|hub, now, _| {
            hub.busy = true;
            hub.due = Some(now);
        })
        .unwrap();
    until("some rounds", || remote.ask(|hub, _, _| hub.rounds).unwrap() > 10);
    other.send(b"stop").unwrap();
    until("the end", || remote.ask(|hub, _, _| hub.busy) == Ok(false));
    let rounds = remote.ask(|hub, _, _| hub.rounds).unwrap();
    until("all that was said", || server.stats().total(Counter::Replies) > 0);
    let stats = server.stats();
    let sent = stats.total(Counter::Replies) + stats.unsent();
    assert!(sent <= rounds * 1025 && sent >= rounds * 1000, "{sent} datagrams in {rounds} rounds");
}

/// Answers each message at a deadline that is now, and forgets it when its connection ends before.
#[derive(Default)]
struct Later {
    waiting: Vec<(Origin, Vec<u8>)>,
    due: Option<Time>,
}

impl Protocol for Later {
    fn handle_input(&mut self, now: Time, input: Input<'_>, _out: &mut Outbox) {
        match input {
            Input::Message(request) => {
                self.waiting.push((request.origin, request.payload.to_vec()));
                self.due = Some(now);
            }
            Input::Closed(origin) => self.waiting.retain(|(waiting, _)| *waiting != origin),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        if self.due.take_if(|due| *due <= now).is_some() {
            for (origin, text) in self.waiting.drain(..) {
                out.to(&origin).write(&text).unwrap();
            }
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
}

#[test]
fn the_last_word_of_a_connection_is_answered_at_a_deadline_that_is_now() {
    let service = Service::protocol("later", Later::default()).at("tcp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).start().unwrap();
    for round in 0..100 {
        let mut tcp = std::net::TcpStream::connect(server.local_addrs()[0]).unwrap();
        tcp.set_read_timeout(Some(common::LONG)).unwrap();
        std::io::Write::write_all(&mut tcp, b"hello").unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = String::new();
        std::io::Read::read_to_string(&mut tcp, &mut all).unwrap();
        assert_eq!(all, "hello", "round {round}");
    }
}
