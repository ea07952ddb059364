//! Whatever several peers send, and however time jumps, a CoAP server keeps its bounds: a peer that has not
//! shown where it is gets at most three times what it sent, a request with effect is run once for each
//! message, and no memory grows past its limit.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::coap::message::{Code, Message};
use squall_proto::coap::options::number;
use squall_proto::coap::server::{Resource, Server, ServerConfig};
use squall_proto::{
    Effect, Handler, Input, Method, Origin, Outbox, Peer, Protocol, Refusal, Reply, Request, Ticket, Time,
    Transport,
};

#[derive(Arbitrary, Debug)]
struct Step<'a> {
    peer: u8,
    group: bool,
    /// Sends the Echo that the peer was given last instead of the options that `bytes` has.
    echoes: bool,
    template: u8,
    bytes: &'a [u8],
    wait_milliseconds: u32,
}

const TEMPLATES: [&[u8]; 8] = [
    b"",
    b"\x40\x01\x00\x01\xb5large",
    b"\x44\x02\x00\x01abcd\xb5count",
    b"\x50\x01\x00\x02\xb4echo",
    b"\x40\x01\x00\x03\x60\x54time",
    b"\x40\x03\x00\x04\xb5store\x01a",
    b"\x40\x02\x00\x05\xb5later",
    b"\x50\x01\x00\x06\xbb.well-known\x04core",
];

/// Runs each message once, or says so.
#[derive(Clone, Default)]
struct Once {
    runs: Arc<AtomicUsize>,
}

impl Handler for Once {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        reply.write(&request.payload[..request.payload.len().min(100)])
    }

    fn effect(&self, _method: Method) -> Effect {
        Effect::Once
    }
}

struct Safe<F>(F);

impl<F: Fn(&Request<'_>, &mut Reply<'_>) -> Result<(), Refusal> + Send + Sync> Handler for Safe<F> {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        (self.0)(request, reply)
    }

    fn effect(&self, _method: Method) -> Effect {
        Effect::Safe
    }
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let once = Once::default();
    let tickets: Arc<Mutex<Vec<Ticket>>> = Arc::default();
    let given = tickets.clone();
    let later = move |_: &Request<'_>, reply: &mut Reply<'_>| match reply.defer() {
        Some(ticket) => {
            given.lock().unwrap().push(ticket);
            Ok(())
        }
        None => reply.write(b"now"),
    };
    let put = [Method::Get, Method::Put];
    let second = Duration::from_secs(1);
    let resources = vec![
        Resource::new("large", Safe(|_: &Request<'_>, reply: &mut Reply<'_>| reply.write(&[7; 5000]))),
        Resource::new("count", once.clone()),
        Resource::new(
            "echo",
            Safe(|request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload)),
        ),
        Resource::new(
            "time",
            Safe(|request: &Request<'_>, reply: &mut Reply<'_>| {
                reply.write(&request.now.as_nanos().to_be_bytes())
            }),
        )
        .observable(second),
        Resource::under("store", once.clone()).methods(&put),
        Resource::new("later", later),
    ];
    let config = ServerConfig::default()
        .marks(64)
        .answer_bytes(4096)
        .upload_bytes(8192)
        .snapshot_bytes(16_384)
        .observers(4, 2)
        .separate(4)
        .group_answers(4);
    let mut server = Server::new(&config, resources, 7);
    let mut out = Outbox::with_limits(1 << 18, 64);
    let mut now = Time::ZERO;
    let mut received: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    let mut sent: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    let mut validated = BTreeSet::new();
    let mut echoes: BTreeMap<SocketAddr, Vec<u8>> = BTreeMap::new();
    // When each message was run, as far as its handler must know.
    let mut ran: BTreeMap<(SocketAddr, Vec<u8>), Time> = BTreeMap::new();

    for step in steps.iter().take(64) {
        let trusted = step.peer.is_multiple_of(4);
        let ip = if trusted { [127, 0, 0, 1] } else { [192, 0, 2, step.peer % 4] };
        let peer = SocketAddr::new(ip.into(), 5000 + u16::from(step.peer / 128));
        let mut datagram = TEMPLATES[usize::from(step.template) % TEMPLATES.len()].to_vec();
        if let Some(echo) = echoes.get(&peer).filter(|_| step.echoes && !datagram.is_empty()) {
            // Behind Uri-Path (11) stands Echo (252): a delta of 241, or 13 and one byte of 228.
            datagram.extend_from_slice(&[0xd0 | echo.len() as u8, 228]);
            datagram.extend_from_slice(echo);
            validated.insert(peer);
        } else {
            datagram.extend_from_slice(&step.bytes[..step.bytes.len().min(1200)]);
        }
        *received.entry(peer).or_default() += datagram.len() + 28;
        let origin =
            Origin { peer: Peer::Ip(peer), local: None, transport: Transport::Udp, validated: trusted };
        let request = Request::new(now, &datagram, origin);
        let request = if step.group { request.to_group() } else { request };
        let before = once.runs.load(Ordering::Relaxed);
        server.handle_input(now, Input::Message(request), &mut out);
        take(&mut out, &mut sent, &mut echoes);
        let runs = once.runs.load(Ordering::Relaxed) - before;
        assert!(runs <= 1, "one message, {runs} runs");
        if runs == 1 {
            // EXCHANGE_LIFETIME and NON_LIFETIME.
            let lifetime = Duration::from_secs(if datagram[0] >> 4 & 3 == 0 { 247 } else { 145 });
            let earlier = ran.insert((peer, datagram.clone()), now);
            assert!(earlier.is_none_or(|at| now.since(at) >= lifetime), "run at {earlier:?} and at {now}");
        }

        let until = now + Duration::from_millis(step.wait_milliseconds.into());
        for _ in 0..200 {
            let Some(due) = server.poll_timeout().filter(|due| *due <= until) else { break };
            now = now.max(due);
            server.handle_timeout(now, &mut out);
            take(&mut out, &mut sent, &mut echoes);
        }
        now = now.max(until);
        server.handle_timeout(now, &mut out);
        for ticket in tickets.lock().unwrap().drain(..) {
            server.complete(now, ticket, None, None, &[1; 200], &mut out);
        }
        take(&mut out, &mut sent, &mut echoes);

        for (peer, sent) in &sent {
            if !peer.ip().is_loopback() && !validated.contains(peer) {
                // A later answer to a confirmable request is sent up to five times.
                let limit = 3 * received[peer];
                assert!(*sent <= limit, "{peer} got {sent} for {}", received[peer]);
            }
        }
        assert!(server.remembered().1 <= 64 && server.observations() <= 4);
        assert!(server.body_bytes() <= 8192 + 16_384);
    }
});

fn take(
    out: &mut Outbox,
    sent: &mut BTreeMap<SocketAddr, usize>,
    echoes: &mut BTreeMap<SocketAddr, Vec<u8>>,
) {
    for frame in out.frames() {
        let peer = frame.destination.peer.ip().expect("all peers have addresses");
        *sent.entry(peer).or_default() += frame.payload.len() + 28;
        let message = Message::parse(frame.payload).expect("a server writes well-formed messages");
        if let (Code::Response(_), Some(echo)) = (message.code(), message.options().get(number::ECHO)) {
            echoes.insert(peer, echo.to_vec());
        }
    }
    out.clear();
}
