//! Whatever servers send a CoAP client, and whenever: it ends each request once, in time, and keeps its bounds.
#![no_main]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::coap::client::{Client, ClientRequest, Event, Settings};
use squall_proto::coap::message::Message;
use squall_proto::{Input, Method, Origin, Outbox, Peer, Protocol, Request, Time, Transport};

#[derive(Arbitrary, Debug)]
enum Act<'a> {
    Ask {
        method: u8,
        length: u16,
        servers: u8,
        how: u8,
    },
    /// Bytes as they are.
    Raw {
        server: u8,
        bytes: &'a [u8],
    },
    /// An answer to a message that was sent: its ID, its token, and the rest as it is.
    Answer {
        server: u8,
        which: u8,
        kind: u8,
        code: u8,
        rest: &'a [u8],
    },
    Unreachable {
        server: u8,
    },
    Cancel {
        which: u8,
    },
    Wait {
        millis: u16,
    },
    Listen,
}

const REQUESTS: usize = 8;

fuzz_target!(|acts: Vec<Act<'_>>| {
    let settings = Settings::default().max_requests(REQUESTS).max_endpoints(4).max_body(4096);
    let mut client = Client::new(settings, 7).expect("the settings are valid");
    let mut out = Outbox::new();
    let mut now = Time::ZERO;
    let mut sent: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut open = BTreeSet::new();
    let mut asked = Vec::new();
    for act in acts {
        match act {
            Act::Ask { method, length, servers, how } => {
                let method = Method::ALL[usize::from(method) % Method::ALL.len()];
                let mut request = ClientRequest::new(method).payload(vec![1; usize::from(length) % 4000]);
                if how & 1 != 0 {
                    request = request.non_confirmable();
                }
                if how & 2 != 0 {
                    request = request.observe();
                }
                if how & 4 != 0 {
                    request = request.gather(Duration::from_secs(5));
                }
                let servers: Vec<_> = (0..servers % 4).map(server).collect();
                let asked_now = if how & 8 != 0 && !servers.is_empty() {
                    client.ping(now, servers[0], &mut out)
                } else {
                    client.request(now, &servers, request, &mut out)
                };
                if let Ok(id) = asked_now {
                    assert!(open.insert(id));
                    asked.push(id);
                }
            }
            Act::Raw { server: from, bytes } => hear(&mut client, now, from, bytes, &mut out),
            Act::Answer { server: from, which, kind, code, rest } => {
                let Some((id, token)) = sent.get(usize::from(which) % sent.len().max(1)) else { continue };
                let mut bytes = vec![0x40 | (kind & 3) << 4 | token.len() as u8, code];
                bytes.extend_from_slice(&id.to_be_bytes());
                bytes.extend_from_slice(token);
                bytes.extend_from_slice(rest);
                hear(&mut client, now, from, &bytes, &mut out);
            }
            Act::Unreachable { server: to } => client.unreachable(now, server(to), &mut out),
            Act::Cancel { which } => {
                if let Some(id) = asked.get(usize::from(which) % asked.len().max(1)) {
                    client.cancel(now, *id, &mut out);
                }
            }
            Act::Wait { millis } => {
                now += Duration::from_millis(millis.into());
                client.handle_timeout(now, &mut out);
            }
            Act::Listen => listen(&mut client, &mut open),
        }
        take(&mut out, &mut sent);
        assert!(client.len() <= REQUESTS);
    }
    // Left alone, everything ends, but for groups and observations by themselves: those are given up.
    for id in &asked {
        client.cancel(now, *id, &mut out);
        listen(&mut client, &mut open);
        take(&mut out, &mut sent);
    }
    let limit = now + Duration::from_secs(94 * 4);
    while let Some(due) = client.poll_timeout() {
        assert!(due <= limit, "a timer at {due} after {limit}");
        now = now.max(due);
        client.handle_timeout(now, &mut out);
        take(&mut out, &mut sent);
        listen(&mut client, &mut open);
    }
    assert!(client.is_empty() && open.is_empty());
});

fn server(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number % 4], 5683))
}

fn hear(client: &mut Client, now: Time, from: u8, bytes: &[u8], out: &mut Outbox) {
    let peer = Peer::Ip(server(from));
    let origin = Origin { peer, local: None, transport: Transport::Udp, validated: false };
    let before = out.len();
    client.handle_input(now, Input::Message(Request::new(now, bytes, origin)), out);
    // At most an acknowledgement or reset, and what each of the requests sends next.
    assert!(out.len() - before <= 1 + REQUESTS);
}

/// Reads what was sent: it is well-formed.
fn take(out: &mut Outbox, sent: &mut Vec<(u16, Vec<u8>)>) {
    for frame in out.frames() {
        let message = Message::parse(frame.payload).expect("what is sent is a message");
        assert!(frame.payload.len() < 1200);
        sent.push((message.id(), message.token().to_vec()));
    }
    if sent.len() > 64 {
        sent.drain(..sent.len() - 64);
    }
    out.clear();
}

/// Each request ends once.
fn listen(client: &mut Client, open: &mut BTreeSet<squall_proto::coap::client::RequestId>) {
    while let Some(event) = client.poll_event() {
        match event {
            Event::Notification { id, .. } | Event::Member { id, .. } => assert!(open.contains(&id)),
            event => assert!(open.remove(&event.id())),
        }
    }
}
