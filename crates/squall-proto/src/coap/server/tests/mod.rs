//! A server driven by hand: datagrams in, datagrams out, virtual time.

mod bodies;
mod effect;
mod later;
mod limits;
mod rules;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use super::*;
use crate::coap::message::Token;
use crate::coap::options::{OptionsBuf, number};
use crate::coap::writer::{Header, Reliability, Writer};
use crate::{Effect, Handler, Method, Peer, Refusal, Reply, Status, Transport};

const TRUSTED: &str = "127.0.0.1:40000";
const STRANGER: &str = "192.0.2.1:40000";

/// A request as it is put together.
#[derive(Clone)]
struct Ask {
    method: Method,
    reliability: Reliability,
    id: u16,
    token: Token,
    options: OptionsBuf,
    payload: Vec<u8>,
}

fn ask(method: Method, path: &str) -> Ask {
    let mut options = OptionsBuf::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        options.push(number::URI_PATH, segment.as_bytes()).unwrap();
    }
    Ask {
        method,
        reliability: Reliability::Confirmable,
        id: 1,
        token: Token::new(b"T").unwrap(),
        options,
        payload: Vec::new(),
    }
}

fn get(path: &str) -> Ask {
    ask(Method::Get, path)
}

impl Ask {
    fn non(self) -> Self {
        Self { reliability: Reliability::NonConfirmable, ..self }
    }

    fn id(self, id: u16) -> Self {
        Self { id, ..self }
    }

    fn token(self, token: &[u8]) -> Self {
        Self { token: Token::new(token).unwrap(), ..self }
    }

    fn payload(self, payload: &[u8]) -> Self {
        Self { payload: payload.to_vec(), ..self }
    }

    fn option(mut self, number: u16, value: &[u8]) -> Self {
        self.options.push(number, value).unwrap();
        self
    }

    fn uint(mut self, number: u16, value: u32) -> Self {
        self.options.push_uint(number, value).unwrap();
        self
    }

    fn block(self, number: u16, block: u32, more: bool, size: usize) -> Self {
        let block =
            super::super::block::Block::new(block, more, super::super::block::BlockSize::at_most(size));
        self.option(number, &block.unwrap().value())
    }

    fn datagram(&self) -> Vec<u8> {
        let mut datagram = Vec::new();
        let header = Header::request(self.reliability, self.id, self.token, self.method);
        let mut writer = Writer::new(&mut datagram, header).unwrap();
        writer.options(self.options.as_options()).unwrap();
        writer.payload(&self.payload).unwrap();
        datagram
    }
}

/// An answer, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    datagram: Vec<u8>,
    to: Origin,
}

impl Answer {
    fn message(&self) -> Message<'_> {
        Message::parse(&self.datagram).expect("a server writes well-formed messages")
    }

    fn status(&self) -> Status {
        match self.message().code() {
            Code::Response(status) => status,
            other => panic!("no response but {other}"),
        }
    }

    fn payload(&self) -> Vec<u8> {
        self.message().payload().to_vec()
    }

    fn option(&self, number: u16) -> Option<Vec<u8>> {
        self.message().options().get(number).map(<[u8]>::to_vec)
    }

    fn uint(&self, number: u16) -> Option<u32> {
        self.message().options().uint(number)
    }
}

struct Bench {
    server: Server,
    out: Outbox,
    now: Time,
}

impl Bench {
    fn new(config: ServerConfig, resources: Vec<Resource>) -> Self {
        Self { server: Server::new(&config, resources, 7), out: Outbox::new(), now: Time::ZERO }
    }

    fn raw(&mut self, peer: &str, datagram: &[u8], group: bool) -> Vec<Answer> {
        let peer: core::net::SocketAddr = peer.parse().unwrap();
        let validated = peer.ip().is_loopback();
        let origin = Origin { peer: Peer::Ip(peer), local: None, transport: Transport::Udp, validated };
        let request = Request::new(self.now, datagram, origin);
        let request = if group { request.to_group() } else { request };
        self.server.handle_input(self.now, Input::Message(request), &mut self.out);
        self.take()
    }

    fn send(&mut self, peer: &str, ask: &Ask) -> Vec<Answer> {
        self.raw(peer, &ask.datagram(), false)
    }

    /// The one answer to a request.
    fn one(&mut self, peer: &str, ask: &Ask) -> Answer {
        let mut answers = self.send(peer, ask);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    fn status(&mut self, ask: &Ask) -> Status {
        self.one(TRUSTED, ask).status()
    }

    fn take(&mut self) -> Vec<Answer> {
        let answers = self
            .out
            .frames()
            .map(|frame| Answer { datagram: frame.payload.to_vec(), to: *frame.destination })
            .collect();
        self.out.clear();
        answers
    }

    /// Lets time pass, and gives what the server sends by itself meanwhile.
    fn wait(&mut self, span: Duration) -> Vec<Answer> {
        let until = self.now + span;
        let mut sent = Vec::new();
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now, &mut self.out);
            sent.extend(self.take());
        }
        self.now = until;
        sent
    }

    fn count(&self, event: Event) -> u64 {
        self.server.counts.get(event)
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Counts how often it is run, and answers with that and its request.
#[derive(Clone, Default)]
struct Tally(Arc<AtomicUsize>);

impl Tally {
    fn runs(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Handler for Tally {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        use core::fmt::Write as _;
        let runs = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let _ = write!(reply, "{runs}:");
        reply.write(request.payload)
    }
}

/// A closure whose every request is safe.
struct Safe<F>(F);

impl<F> Handler for Safe<F>
where
    F: Fn(&Request<'_>, &mut Reply<'_>) -> Result<(), Refusal> + Send + Sync,
{
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        (self.0)(request, reply)
    }

    fn effect(&self, _method: Method) -> Effect {
        Effect::Safe
    }
}

/// A body that no shift of blocks leaves the same.
fn long(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

/// A server with one of each kind.
fn bench() -> Bench {
    bench_with(ServerConfig::default())
}

fn bench_with(config: ServerConfig) -> Bench {
    let echo = Safe(|request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload));
    let clock = Safe(|request: &Request<'_>, reply: &mut Reply<'_>| {
        use core::fmt::Write as _;
        let _ = write!(reply, "{}", request.now);
        Ok(())
    });
    let large = Safe(|_: &Request<'_>, reply: &mut Reply<'_>| reply.write(&long(100_000)));
    let frames = Safe(|_: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(b"one")?;
        reply.next()?;
        reply.write(b"two")
    });
    let empty = Safe(|_: &Request<'_>, _: &mut Reply<'_>| Ok(()));
    let put = [Method::Get, Method::Put, Method::Delete];
    Bench::new(
        config,
        alloc::vec![
            Resource::new("echo", echo),
            Resource::new("time", clock)
                .text()
                .title("The time")
                .resource_type("clock")
                .observable(seconds(1)),
            Resource::new("large", large).format(42).size(100_000),
            Resource::new("frames", frames),
            Resource::new("empty", empty).text(),
            Resource::new("count", Tally::default()),
            Resource::new("secret", Tally::default()).access(Access::Trusted),
            Resource::new("known", Tally::default()).access(Access::Validated),
            Resource::under("store", Tally::default()).methods(&put).takes(&[0, 42]),
        ],
    )
}
