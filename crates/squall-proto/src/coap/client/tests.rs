use alloc::vec;
use core::time::Duration;

use super::*;
use crate::coap::block::{Block, BlockSize};
use crate::coap::message::{Code, Message, Type};
use crate::coap::options::number;
use crate::coap::transmission::Transmission;
use crate::coap::writer::{Empty, Header, Reliability, Writer};
use crate::retry::RetryPolicy;
use crate::{Origin, Peer, Request, Status, Transport};

mod blocks;
mod limits;
mod observe;
mod servers;

const SECOND: Duration = Duration::from_secs(1);

fn server(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 5683))
}

/// A client, and all that it sends.
struct World {
    client: Client,
    out: Outbox,
    now: Time,
    servers: Vec<SocketAddr>,
}

/// A datagram of the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Out {
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Out {
    fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap()
    }

    fn id(&self) -> u16 {
        self.message().id()
    }

    fn uint(&self, number: u16) -> Option<u32> {
        self.message().options().uint(number)
    }

    fn block(&self, number: u16) -> Option<alloc::string::String> {
        use alloc::string::ToString;
        Block::of(self.message().options(), number).unwrap().map(|block| block.to_string())
    }

    /// A response on its acknowledgement.
    fn answer(&self, status: Status, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
        let message = self.message();
        write(Header::piggybacked(message.id(), message.token(), status), options, payload)
    }

    /// A response in a confirmable message of its own.
    fn separate(&self, id: u16, status: Status, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
        write(
            Header::separate(Reliability::Confirmable, id, self.message().token(), status),
            options,
            payload,
        )
    }
}

fn write(header: Header, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![];
    let mut writer = Writer::new(&mut datagram, header).unwrap();
    for (number, value) in options {
        writer.option(*number, value).unwrap();
    }
    writer.payload(payload).unwrap();
    datagram
}

fn block(number: u32, more: bool, size: usize) -> Vec<u8> {
    Block::new(number, more, BlockSize::at_most(size)).unwrap().value().to_vec()
}

impl World {
    fn new() -> Self {
        Self::with(Settings::default(), 1)
    }

    fn with(settings: Settings, servers: u8) -> Self {
        let client = Client::new(settings, 42).unwrap();
        Self {
            client,
            out: Outbox::new(),
            now: Time::ZERO + 1000 * SECOND,
            servers: (1..=servers).map(server).collect(),
        }
    }

    fn request(&mut self, request: ClientRequest) -> RequestId {
        self.client.request(self.now, &self.servers, request, &mut self.out).unwrap()
    }

    /// What was sent since the last time.
    fn sent(&mut self) -> Vec<Out> {
        let frames = self
            .out
            .frames()
            .map(|frame| Out { to: frame.destination.peer.ip().unwrap(), bytes: frame.payload.to_vec() });
        let sent = frames.collect();
        self.out.clear();
        sent
    }

    /// The one datagram that was sent.
    #[track_caller]
    fn one(&mut self) -> Out {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    fn hear_from(&mut self, from: SocketAddr, datagram: &[u8]) {
        let origin =
            Origin { peer: Peer::Ip(from), local: None, transport: Transport::Udp, validated: false };
        let request = Request::new(self.now, datagram, origin);
        self.client.handle_input(self.now, Input::Message(request), &mut self.out);
    }

    fn hear(&mut self, datagram: &[u8]) {
        self.hear_from(server(1), datagram);
    }

    /// Goes on to the next timer; tells when that was.
    fn next_timer(&mut self) -> Option<Time> {
        self.now = self.client.poll_timeout()?;
        self.client.handle_timeout(self.now, &mut self.out);
        Some(self.now)
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.client.poll_timeout().is_some_and(|due| due <= end) {
            self.next_timer();
        }
        self.now = end;
    }

    #[track_caller]
    fn failure(&mut self) -> (Why, Executed) {
        match self.client.poll_event() {
            Some(Event::Failed { failure, .. }) => (failure.why, failure.executed),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn response(&mut self) -> (Status, Vec<u8>) {
        match self.client.poll_event() {
            Some(Event::Answered { response, .. }) => (response.status(), response.into_payload()),
            other => panic!("{other:?}"),
        }
    }

    /// Nothing is left of what is over.
    #[track_caller]
    fn is_at_rest(&self) {
        assert!(self.client.is_empty() && self.client.by_token.is_empty() && self.client.timers.is_empty());
        for endpoint in self.client.endpoints.values() {
            assert_eq!(
                (endpoint.open, endpoint.calls, endpoint.queue.len(), endpoint.by_id.len()),
                (0, 0, 0, 0)
            );
        }
    }
}

fn get() -> ClientRequest {
    ClientRequest::get().path("time").unwrap()
}

fn post() -> ClientRequest {
    ClientRequest::new(Method::Post).path("count").unwrap().payload(*b"1")
}

#[test]
fn a_request_is_a_confirmable_message_with_its_options_and_payload() {
    let mut world = World::new();
    world.request(post().content_format(0).accept(50));
    let sent = world.one();
    let message = sent.message();
    assert_eq!((sent.to, message.message_type()), (server(1), Type::Confirmable));
    assert_eq!((message.code(), message.payload()), (Code::Request(Method::Post), &b"1"[..]));
    assert!(message.token().len() >= 4);
    let numbers: Vec<_> = message.options().iter().map(|field| field.number).collect();
    assert_eq!(numbers, [number::URI_PATH, number::CONTENT_FORMAT, number::ACCEPT]);
}

#[test]
fn a_silent_server_gets_five_equal_copies_and_the_caller_a_failure_in_time() {
    for seed in 0..100 {
        let mut world = World::new();
        world.client = Client::new(Settings::default(), seed).unwrap();
        world.request(post());
        let start = world.now;
        let first = world.one();
        let mut times = vec![start];
        while let Some(at) = world.next_timer() {
            for copy in world.sent() {
                assert_eq!(copy, first);
                times.push(at);
            }
        }
        assert_eq!(times.len(), 5);
        let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits[0] >= 2 * SECOND && waits[0] <= 3 * SECOND, "{waits:?}");
        assert!(waits.windows(2).all(|pair| pair[1] == 2 * pair[0]), "{waits:?}");
        let took = world.now - start;
        assert!(took >= 62 * SECOND && took <= 93 * SECOND, "{took:?}");
        assert_eq!(world.failure(), (Why::TimedOut, Executed::Unknown));
        world.is_at_rest();
    }
}

#[test]
fn an_answer_ends_it() {
    let mut world = World::new();
    let id = world.request(get());
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[(number::MAX_AGE, &[1])], b"noon"));
    let Some(Event::Answered { id: answered, from, response, messages }) = world.client.poll_event() else {
        panic!()
    };
    assert_eq!((answered, from, messages), (id, server(1), 1));
    assert_eq!(
        (response.status(), response.payload(), response.max_age()),
        (Status::CONTENT, &b"noon"[..], SECOND)
    );
    assert_eq!(world.sent(), []);
    world.is_at_rest();
}

#[test]
fn what_belongs_to_another_request_is_no_answer() {
    let mut world = World::new();
    world.request(get());
    let sent = world.one();
    let right = sent.answer(Status::CONTENT, &[], b"");
    let mut wrong_id = right.clone();
    wrong_id[3] ^= 1;
    let mut wrong_token = right.clone();
    wrong_token[5] ^= 1;
    world.hear(&wrong_id);
    world.hear(&wrong_token);
    world.hear_from(server(2), &right);
    assert_eq!((world.client.poll_event(), world.sent()), (None, vec![]));
    assert_eq!(world.client.counts().strays, 3);
    world.hear(&right);
    world.response();
}

#[test]
fn an_acknowledged_request_is_not_repeated_and_its_answer_awaited_for_93_seconds() {
    let mut world = World::new();
    world.request(post());
    let sent = world.one();
    world.pass(SECOND);
    world.hear(&Empty::Acknowledgement(sent.id()).datagram());
    let acknowledged = world.now;
    assert_eq!(world.next_timer(), Some(acknowledged + 93 * SECOND));
    assert_eq!((world.sent(), world.failure()), (vec![], (Why::Unanswered, Executed::Unknown)));
    world.is_at_rest();
}

#[test]
fn a_separate_answer_is_acknowledged_and_its_copies_again() {
    let mut world = World::new();
    world.request(post());
    let sent = world.one();
    world.hear(&Empty::Acknowledgement(sent.id()).datagram());
    let answer = sent.separate(77, Status::CHANGED, &[], b"2");
    for copy in 0..3 {
        world.hear(&answer);
        assert_eq!(world.one().bytes, Empty::Acknowledgement(77).datagram(), "copy {copy}");
    }
    assert_eq!(world.response(), (Status::CHANGED, b"2".to_vec()));
    assert_eq!((world.client.poll_event(), world.client.counts().duplicates), (None, 2));
    world.is_at_rest();
}

#[test]
fn an_answer_counts_though_the_acknowledgement_was_lost() {
    let mut world = World::new();
    world.request(post());
    let sent = world.one();
    world.hear(&sent.separate(77, Status::CHANGED, &[], b""));
    assert_eq!(world.one().bytes, Empty::Acknowledgement(77).datagram());
    world.response();
    world.hear(&Empty::Acknowledgement(sent.id()).datagram());
    world.is_at_rest();
}

#[test]
fn answers_that_nobody_waits_for_are_reset() {
    let mut world = World::new();
    world.request(get());
    let sent = world.one();
    world.client.poll_event();
    while world.next_timer().is_some() {}
    world.sent();
    world.hear(&sent.separate(5, Status::CONTENT, &[], b"late"));
    assert_eq!(world.one().bytes, Empty::Reset(5).datagram());
    world.hear(&sent.answer(Status::CONTENT, &[], b"late"));
    assert_eq!(world.sent(), []);
}

#[test]
fn what_is_no_answer_is_reset_or_ignored() {
    for (datagram, answer) in [
        (Empty::Ping(9).datagram().to_vec(), Some(Empty::Reset(9))),
        // A request.
        (vec![0x40, 0x01, 0, 9], Some(Empty::Reset(9))),
        (vec![0x50, 0x01, 0, 9], None),
        // A confirmable message that is malformed, and others.
        (vec![0x49, 0x45, 0, 9], Some(Empty::Reset(9))),
        (vec![0x59, 0x45, 0, 9], None),
        (vec![0x69, 0x45, 0, 9], None),
        (vec![0x80, 0x45, 0, 9], None),
        (vec![0x40], None),
    ] {
        let mut world = World::new();
        world.hear(&datagram);
        let sent: Vec<_> = world.sent().into_iter().map(|out| out.bytes).collect();
        let expected: Vec<_> = answer.iter().map(|empty| empty.datagram().to_vec()).collect();
        assert_eq!(sent, expected, "{datagram:02x?}");
    }
}

#[test]
fn a_reset_is_a_definite_failure() {
    let mut world = World::new();
    world.request(post());
    let sent = world.one();
    world.hear(&Empty::Reset(sent.id()).datagram());
    assert_eq!(world.failure(), (Why::Refused, Executed::No));
    // The first copy may have been executed by a process that has ended since.
    world.request(post());
    let sent = world.one();
    world.next_timer();
    world.hear(&Empty::Reset(sent.id()).datagram());
    assert_eq!(world.failure(), (Why::Refused, Executed::Unknown));
    world.is_at_rest();
}

#[test]
fn an_unreachable_server_is_a_definite_failure() {
    let mut world = World::new();
    world.request(post());
    world.client.unreachable(world.now, server(2), &mut world.out);
    assert_eq!(world.client.poll_event(), None);
    world.client.unreachable(world.now, server(1), &mut world.out);
    assert_eq!(world.failure(), (Why::Unreachable, Executed::No));
    // Which of two datagrams met nobody?
    world.request(post());
    world.client.unreachable(world.now, server(1), &mut world.out);
    assert_eq!(world.failure(), (Why::Unreachable, Executed::Unknown));
    // An accepted request is no longer refused.
    world.request(post());
    let sent = world.sent().pop().unwrap();
    world.hear(&Empty::Acknowledgement(sent.id()).datagram());
    world.client.unreachable(world.now, server(1), &mut world.out);
    assert_eq!(world.failure(), (Why::Unreachable, Executed::Unknown));
    world.is_at_rest();
}

#[test]
fn a_non_confirmable_request_is_sent_once() {
    let mut world = World::new();
    world.request(post().non_confirmable());
    let sent = world.one();
    assert_eq!(sent.message().message_type(), Type::NonConfirmable);
    let message = sent.message();
    let header = Header::separate(Reliability::NonConfirmable, 3, message.token(), Status::CHANGED);
    world.hear(&write(header, &[], b"1"));
    assert_eq!((world.response().1, world.sent()), (b"1".to_vec(), vec![]));

    let start = world.now;
    world.request(post().non_confirmable());
    world.one();
    world.next_timer();
    assert_eq!((world.now - start, world.failure()), (93 * SECOND, (Why::TimedOut, Executed::Unknown)));
    world.is_at_rest();
}

#[test]
fn a_ping_is_a_reset_that_comes_back() {
    let mut world = World::new();
    let id = world.client.ping(world.now, server(1), &mut world.out).unwrap();
    let sent = world.one();
    assert_eq!(sent.bytes, Empty::Ping(sent.id()).datagram());
    world.next_timer();
    assert_eq!(world.one(), sent, "it is repeated");
    world.hear(&Empty::Reset(sent.id()).datagram());
    assert_eq!(world.client.poll_event(), Some(Event::Pong { id, from: server(1) }));
    world.client.ping(world.now, server(1), &mut world.out).unwrap();
    while world.next_timer().is_some() {}
    assert_eq!(world.failure(), (Why::TimedOut, Executed::No));
    world.is_at_rest();
}

#[test]
fn a_group_answers_until_the_time_is_over() {
    let mut world = World::new();
    let group: SocketAddr = "224.0.1.187:5683".parse().unwrap();
    let id = world.client.request(world.now, &[group], get().gather(5 * SECOND), &mut world.out).unwrap();
    let sent = world.one();
    assert_eq!((sent.to, sent.message().message_type()), (group, Type::NonConfirmable));
    let header = Header::separate(Reliability::NonConfirmable, 3, sent.message().token(), Status::CONTENT);
    for member in [1, 2, 1] {
        world.hear_from(server(member), &write(header, &[], &[member]));
    }
    let heard: Vec<_> = core::iter::from_fn(|| world.client.poll_event()).collect();
    assert_eq!(heard.len(), 2);
    assert!(
        matches!(&heard[1], Event::Member { from, response, .. } if *from == server(2) && response.payload() == [2])
    );
    world.next_timer();
    assert_eq!(world.client.poll_event(), Some(Event::Gathered { id, members: 2 }));
    world.is_at_rest();
}

#[test]
fn a_request_for_the_rest_of_a_members_answer_has_its_echo() {
    let mut world = World::new();
    let group: SocketAddr = "224.0.1.187:5683".parse().unwrap();
    world.client.request(world.now, &[group], get().gather(5 * SECOND), &mut world.out).unwrap();
    let sent = world.one();
    let header = Header::separate(Reliability::NonConfirmable, 3, sent.message().token(), Status::CONTENT);
    world.hear_from(server(1), &write(header, &[(number::BLOCK2, &[8]), (number::ECHO, b"fresh")], &[0; 16]));
    let Some(Event::Member { from, response, .. }) = world.client.poll_event() else { panic!("no answer") };
    world.client.request(world.now, &[from], get().echo_of(&response), &mut world.out).unwrap();
    let sent = world.one();
    assert_eq!(sent.to, server(1));
    assert_eq!(sent.message().options().get(number::ECHO), Some(b"fresh".as_slice()));
}

#[test]
fn an_answer_with_a_critical_option_that_is_not_known_is_refused() {
    let mut world = World::new();
    world.request(get());
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[(65_001, b"")], b""));
    assert!(matches!(world.failure(), (Why::Protocol(_), Executed::Yes)));
    world.request(get());
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[(65_000, b"")], b"x"));
    assert_eq!(world.response().1, b"x");
}

#[test]
fn a_confirmable_answer_with_an_unknown_critical_option_is_reset() {
    // RFC 7252 §5.4.1: it is rejected, which to a confirmable message is a reset.
    let mut world = World::new();
    world.request(get());
    let sent = world.one();
    let answer = sent.separate(9, Status::CONTENT, &[(65_001, b"")], b"");
    for _ in 0..2 {
        world.hear(&answer);
        assert_eq!(world.one().bytes, Empty::Reset(9).datagram());
    }
    assert!(matches!(world.failure(), (Why::Protocol(_), _)));
    world.is_at_rest();
}

#[test]
fn a_tag_on_the_wire_does_not_give_the_tokens_away() {
    // A generator whose state a server can work out from the tags that it gets must not be the tokens'.
    let client = Client::new(Settings::default(), 42).unwrap();
    assert_ne!(client.random, SplitMix64::new(42));
}
