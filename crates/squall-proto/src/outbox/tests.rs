use core::fmt::Write as _;
use core::net::SocketAddr;

use super::*;
use crate::{Peer, Time, Transport};

fn origin(peer: &str, validated: bool) -> Origin {
    let peer: SocketAddr = peer.parse().unwrap();
    Origin { peer: Peer::Ip(peer), local: None, transport: Transport::Udp, validated }
}

fn payloads(outbox: &Outbox) -> Vec<&[u8]> {
    outbox.frames().map(|frame| frame.payload).collect()
}

#[test]
fn a_reply_without_a_write_sends_nothing_and_an_empty_write_an_empty_datagram() {
    let mut outbox = Outbox::new();
    let origin = origin("192.0.2.1:5000", true);
    drop(outbox.to(&origin));
    assert!(outbox.is_empty());
    outbox.to(&origin).write(b"").unwrap();
    assert_eq!(payloads(&outbox), [b""]);
}

#[test]
fn next_cuts_replies_that_lie_one_behind_the_other() {
    let mut outbox = Outbox::new();
    let mut reply = outbox.to(&origin("192.0.2.1:5000", true));
    reply.write(b"a").unwrap();
    reply.write(b"b").unwrap();
    reply.next().unwrap();
    write!(reply, "{}", 12).unwrap();
    assert_eq!(reply.finish(Ok(())), Ok(2));
    assert_eq!(payloads(&outbox), [b"ab", b"12"]);
    assert_eq!(outbox.bytes(), b"ab12");
}

#[test]
fn what_was_written_of_a_reply_is_told_without_those_before_it() {
    let mut outbox = Outbox::new();
    let origin = origin("192.0.2.1:5000", true);
    outbox.to(&origin).write(b"before").unwrap();
    let mut reply = outbox.to(&origin);
    assert_eq!(reply.written(), None);
    reply.write(b"").unwrap();
    assert_eq!(reply.written(), Some(&b""[..]), "an empty datagram is one");
    reply.next().unwrap();
    reply.write(b"b").unwrap();
    assert_eq!(reply.written(), Some(&b"b"[..]));
}

#[test]
fn an_address_that_is_not_validated_gets_three_times_its_request_with_headers() {
    let mut outbox = Outbox::new();
    let request = Request::new(Time::ZERO, b"", origin("192.0.2.1:5000", false));
    let mut reply = outbox.answer(&request);
    assert_eq!(reply.room(), 56, "three times 28 bytes of headers, less those of the reply");
    reply.write(&[0; 56]).unwrap();
    assert_eq!(reply.next().and_then(|()| reply.write(b"")), Err(Refusal::Amplification));
    assert_eq!(reply.finish(Ok(())), Err(Refusal::Amplification), "the handler cannot pass over it");
    assert!(outbox.is_empty(), "nothing of a refused answer is sent");
}

#[test]
fn a_refused_request_leaves_its_neighbours_alone() {
    let mut outbox = Outbox::new();
    let one = origin("192.0.2.1:5000", true);
    outbox.to(&one).write(b"first").unwrap();
    let mut reply = outbox.to(&one);
    reply.write(b"half an ans").unwrap();
    reply.next().unwrap();
    assert!(reply.finish(Err(Refusal::Failed("no"))).is_err());
    outbox.to(&one).write(b"second").unwrap();
    assert_eq!(payloads(&outbox), [b"first".as_slice(), b"second"]);
}

#[test]
fn a_datagram_over_the_limit_is_refused_whole() {
    let mut outbox = Outbox::new();
    let mut reply = outbox.to(&origin("192.0.2.1:5000", true));
    reply.write(&[0; MAX_DATAGRAM]).unwrap();
    assert_eq!(reply.write(b"x"), Err(Refusal::TooLong { limit: MAX_DATAGRAM }));
    drop(reply);
    assert!(outbox.is_empty());
}

#[test]
fn after_a_refused_write_next_fails_too_and_room_can_be_asked() {
    let mut outbox = Outbox::new();
    let mut reply = outbox.to(&origin("192.0.2.1:5000", true));
    reply.write(b"first").unwrap();
    reply.next().unwrap();
    reply.write(b"second").unwrap();
    let too_long = Err(Refusal::TooLong { limit: MAX_DATAGRAM });
    assert_eq!(reply.write(&[0; MAX_DATAGRAM]), too_long);
    assert_eq!(reply.next(), too_long);
    let _: usize = reply.room();
    assert_eq!(reply.finish(Ok(())).map(|_| ()), too_long);
    assert!(outbox.is_empty());
}

#[test]
fn one_body_for_many_peers_is_stored_once() {
    let mut outbox = Outbox::with_limits(1000, 3);
    let peers = ["192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3"].map(|peer| origin(peer, true));
    outbox.to_all(&mut peers.into_iter(), b"hello").unwrap();
    assert_eq!(payloads(&outbox), [b"hello"; 3]);
    assert_eq!(outbox.bytes().len(), 5);
    outbox.clear();
    let four = peers.into_iter().chain([peers[0]]);
    assert_eq!(outbox.to_all(&mut { four }, b"hello"), Err(Refusal::Full));
    assert!(outbox.is_empty(), "all or nobody");
}

#[test]
fn a_row_for_many_peers_is_stored_once_and_each_peer_s_frames_lie_one_behind_the_other() {
    let mut outbox = Outbox::with_limits(1000, 6);
    let peers = ["192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3"].map(|peer| origin(peer, true));
    outbox.to(&peers[0]).write(b"before").unwrap();
    outbox.to_all_rows(&mut peers[..2].iter().copied(), b"one, two!rest", &[4, 9]).unwrap();
    assert_eq!(outbox.bytes(), b"beforeone, two!", "stored once, without the rest");
    let rows: Vec<_> =
        outbox.frames().skip(1).map(|frame| (frame.payload, *frame.destination, frame.start)).collect();
    assert_eq!(
        rows,
        [
            (&b"one,"[..], peers[0], 6),
            (b" two!", peers[0], 10),
            (b"one,", peers[1], 6),
            (b" two!", peers[1], 10)
        ]
    );
    assert_eq!(outbox.frames_left(), 1);
    let third = outbox.to_all_rows(&mut peers[2..].iter().copied(), b"one, two!", &[4, 9]);
    assert_eq!(third, Err(Refusal::Full));
    assert_eq!((outbox.len(), outbox.bytes().len()), (5, 15), "a peer gets its whole row or nobody gets any");
    outbox.clear();
    outbox.to_all_rows(&mut peers.into_iter(), b"", &[0]).unwrap();
    assert_eq!(payloads(&outbox), [b""; 3], "an empty datagram is one");
    let long = [0; MAX_DATAGRAM + 2];
    let whole = outbox.to_all_rows(&mut peers.into_iter(), &long, &[1, long.len()]);
    assert_eq!(whole, Err(Refusal::TooLong { limit: MAX_DATAGRAM }));
}

#[test]
fn peers_to_be_taken_apart_are_told_once_each_up_to_a_bound_until_the_outbox_is_cleared() {
    let mut outbox = Outbox::new();
    let one = origin("192.0.2.1:1", true);
    outbox.isolate(&one);
    outbox.isolate(&one);
    assert_eq!(outbox.isolated(), [one]);
    assert!(!outbox.is_empty(), "its driver has something to do");
    let mark = outbox.mark();
    for port in 2..200 {
        outbox.isolate(&origin(&alloc::format!("192.0.2.1:{port}"), true));
    }
    assert_eq!(outbox.isolated().len(), 64);
    outbox.rewind(mark);
    assert_eq!(outbox.isolated(), [one], "what a failed handler asked is forgotten");
    outbox.clear();
    assert!(outbox.isolated().is_empty() && outbox.is_empty());
}

#[test]
fn who_writes_while_there_is_room_leaves_a_turn_s_work_to_the_driver() {
    let mut outbox = Outbox::new();
    let peer = origin("192.0.2.1:1", true);
    while outbox.has_room() {
        outbox.to_all_rows(&mut [peer; 100].into_iter(), b"one, two", &[4, 8]).unwrap();
    }
    assert_eq!(outbox.len(), 1200, "not the 65,536 that an answer may have");
    assert!(outbox.frames_left() > 60_000);
}
