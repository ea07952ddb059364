//! Whatever a handler writes, the outbox holds what it wrote or nothing of it, within all limits.
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::{MAX_DATAGRAM, Origin, Outbox, Peer, Refusal, Request, Time, Transport};

#[derive(Arbitrary, Debug)]
struct Input {
    max_bytes: u32,
    max_frames: u8,
    requests: Vec<Exchange>,
}

#[derive(Arbitrary, Debug)]
struct Exchange {
    peer: SocketAddr,
    transport: u8,
    validated: bool,
    request_len: u16,
    actions: Vec<Action>,
    /// Whether the handler says so when it ends, and whether with success.
    finish: Option<bool>,
}

#[derive(Arbitrary, Debug)]
enum Action {
    /// So many bytes of this value.
    Write(u16, u8),
    /// As many as there is room for, and so many more.
    Fill(u8),
    Next,
}

fuzz_target!(|input: Input| {
    let (max_bytes, max_frames) = ((input.max_bytes % 200_000) as usize, usize::from(input.max_frames));
    let mut outbox = Outbox::with_limits(max_bytes, max_frames);
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for exchange in &input.requests {
        expected.extend(answer(&mut outbox, exchange, max_frames));
        assert!(outbox.bytes().len() <= max_bytes && outbox.len() <= max_frames);
        assert!(outbox.frames().map(|frame| frame.payload).eq(&expected));
    }
    assert!(
        outbox
            .frames()
            .all(|frame| { frame.destination.transport.is_stream() || frame.payload.len() <= MAX_DATAGRAM })
    );
});

/// Lets a handler act as `exchange` says; gives the datagrams that must have been added.
fn answer(outbox: &mut Outbox, exchange: &Exchange, max_frames: usize) -> Vec<Vec<u8>> {
    let transports = [Transport::Udp, Transport::Tcp, Transport::Unix, Transport::Unixgram];
    let transport = transports[usize::from(exchange.transport % 4)];
    let peer = Peer::Ip(exchange.peer);
    let origin = Origin { peer, local: None, transport, validated: exchange.validated };
    let payload = vec![0; usize::from(exchange.request_len)];
    let request = Request::new(Time::ZERO, &payload, origin);

    let before = outbox.len();
    let mut frames = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    let mut refusal: Option<Refusal> = None;
    let mut reply = outbox.answer(&request);
    for action in &exchange.actions {
        let room = reply.room();
        let (result, bytes) = match action {
            Action::Write(len, byte) => write(&mut reply, usize::from(*len), *byte),
            Action::Fill(more) => write(&mut reply, room.min(100_000) + usize::from(*more), b'f'),
            Action::Next => (reply.next(), Vec::new()),
        };
        if refusal.is_some() {
            assert_eq!(result.err(), refusal, "a refusal stays");
            continue;
        }
        match result {
            Ok(()) => {
                assert!(bytes.len() <= room, "{} bytes were written into {room}", bytes.len());
                open.get_or_insert_default().extend(bytes);
                if matches!(action, Action::Next) {
                    frames.extend(open.take());
                }
            }
            Err(error) => {
                let full = open.is_none() && before + frames.len() == max_frames;
                assert!(bytes.len() > room || room == 0 || full, "{error} with room for {room}");
                refusal = Some(error);
            }
        }
    }
    frames.extend(open);
    match exchange.finish {
        None => drop(reply),
        Some(success) => {
            if !success {
                refusal = Some(Refusal::Failed("as the input wants it"));
            }
            let outcome = if success { Ok(()) } else { Err(Refusal::Failed("as the input wants it")) };
            assert_eq!(reply.finish(outcome), refusal.map_or(Ok(frames.len()), Err));
        }
    }
    if refusal.is_some() {
        return Vec::new();
    }
    let cost: usize = frames.iter().map(|frame| frame.len() + origin.header_size()).sum();
    assert!(exchange.validated || cost <= 3 * (payload.len() + origin.header_size()));
    frames
}

fn write(reply: &mut squall_proto::Reply<'_>, len: usize, byte: u8) -> (Result<(), Refusal>, Vec<u8>) {
    let bytes = vec![byte; len];
    (reply.write(&bytes), bytes)
}
