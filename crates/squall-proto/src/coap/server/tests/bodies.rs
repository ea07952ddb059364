//! Bodies in blocks, both ways.

use proptest::prelude::*;

use super::*;
use crate::coap::block::Block;

/// Fetches a body as a client does: block after block, with the Echo that it is given.
fn fetch(bench: &mut Bench, peer: &str, ask: &Ask, size: usize) -> Result<Vec<u8>, Status> {
    let mut body = Vec::new();
    let (mut size, mut id, mut etag) = (size, ask.id, None);
    let mut next = ask.clone();
    loop {
        id = id.wrapping_add(1);
        let answer = bench.one(peer, &next.clone().id(id));
        if !answer.status().is_success() {
            return Err(answer.status());
        }
        let block = Block::of(answer.message().options(), number::BLOCK2).unwrap();
        assert_eq!(block.map_or(0, |block| block.offset()), body.len());
        body.extend(answer.payload());
        let Some(block) = block.filter(Block::more) else { return Ok(body) };
        assert_eq!(answer.payload().len(), block.size().bytes());
        assert!(etag.is_none() || etag == answer.option(number::ETAG), "all of one answer");
        etag = answer.option(number::ETAG);
        assert!(etag.is_some());
        size = size.min(block.size().bytes());
        next = ask.clone();
        next.options.remove(number::BLOCK2).remove(number::BLOCK1);
        next.payload.clear();
        next = next.block(number::BLOCK2, (body.len() / size) as u32, false, size);
        if let Some(echo) = answer.option(number::ECHO) {
            next = next.option(number::ECHO, &echo);
        }
    }
}

fn upload(bench: &mut Bench, peer: &str, ask: &Ask, body: &[u8], size: usize) -> Answer {
    let blocks = body.chunks(size).count();
    for (number, chunk) in body.chunks(size).enumerate() {
        let last = number + 1 == blocks;
        let part = ask.clone().block(number::BLOCK1, number as u32, !last, size).payload(chunk);
        let part = part.id(ask.id.wrapping_add(number as u16));
        let answer = bench.one(peer, &part);
        let block = Block::of(answer.message().options(), number::BLOCK1).unwrap();
        if last {
            return answer;
        }
        assert_eq!(answer.status(), Status::CONTINUE);
        assert_eq!(block.map(|block| (block.number(), block.more())), Some((number as u32, true)));
        // The network repeats it.
        assert_eq!(bench.one(peer, &part).status(), Status::CONTINUE);
    }
    unreachable!("a body has a last block")
}

#[test]
fn a_large_answer_comes_in_blocks_of_the_size_that_was_asked_for() {
    for size in [16, 64, 1024] {
        let mut bench = bench();
        let ask =
            if size == 1024 { get("large") } else { get("large").block(number::BLOCK2, 0, false, size) };
        assert_eq!(fetch(&mut bench, TRUSTED, &ask, size), Ok(long(100_000)), "{size}");
    }
    let mut bench = bench();
    let first = bench.one(TRUSTED, &get("large"));
    assert_eq!(first.uint(number::SIZE2), Some(100_000));
    assert_eq!(first.uint(number::CONTENT_FORMAT), Some(42));
}

#[test]
fn any_block_can_be_asked_for_alone() {
    let mut bench = bench();
    let answer = bench.one(TRUSTED, &get("large").block(number::BLOCK2, 97, false, 1024));
    assert_eq!(answer.payload(), long(100_000)[97 * 1024..]);
    assert!(!Block::of(answer.message().options(), number::BLOCK2).unwrap().unwrap().more());
    assert_eq!(
        bench.one(TRUSTED, &get("time").block(number::BLOCK2, 0, false, 64)).status(),
        Status::CONTENT
    );
}

#[test]
fn blocks_are_of_the_answer_that_the_first_was_of() {
    let tally = Tally::default();
    let counted = tally.clone();
    let changes = Safe(move |_: &Request<'_>, reply: &mut Reply<'_>| {
        let run = counted.0.fetch_add(1, Ordering::Relaxed) as u8;
        reply.write(&[run; 3000])
    });
    let resource = alloc::vec![Resource::new("a", changes)];
    let mut bench = Bench::new(ServerConfig::default(), resource.clone());
    assert_eq!(fetch(&mut bench, TRUSTED, &get("a"), 1024), Ok(alloc::vec![0; 3000]));
    assert_eq!(tally.runs(), 1);
    // Where nothing can be kept, the ETag shows that it is another answer.
    let mut bench = Bench::new(ServerConfig::default().snapshot_bytes(0), resource);
    let first = bench.one(TRUSTED, &get("a"));
    let second = bench.one(TRUSTED, &get("a").block(number::BLOCK2, 1, false, 1024));
    assert_ne!(first.option(number::ETAG), second.option(number::ETAG));
}

#[test]
fn the_large_answer_to_a_request_with_effect_is_fetched_without_running_it_again() {
    let runs = Tally::default();
    let counted = runs.clone();
    let effect = move |_: &Request<'_>, reply: &mut Reply<'_>| {
        counted.0.fetch_add(1, Ordering::Relaxed);
        reply.write(&long(5000))
    };
    let mut bench = Bench::new(ServerConfig::default(), alloc::vec![Resource::new("a", effect)]);
    for peer in [TRUSTED, STRANGER] {
        let before = runs.runs();
        assert_eq!(fetch(&mut bench, peer, &ask(Method::Post, "a"), 1024), Ok(long(5000)), "{peer}");
        assert_eq!(runs.runs(), before + 1);
    }
    let lost = ask(Method::Post, "a")
        .token(b"other")
        .block(number::BLOCK2, 3, false, 512)
        .option(number::URI_QUERY, b"q");
    assert_eq!(bench.status(&lost), Status::REQUEST_ENTITY_INCOMPLETE, "nothing of it was given");
    assert_eq!(runs.runs(), 2);
}

#[test]
fn a_body_in_blocks_is_put_together_and_run_once() {
    for size in [16, 512, 1024] {
        let mut bench = bench();
        let body = long(size * 5 + 3);
        let put = ask(Method::Put, "store/a").id(100);
        let answer = upload(&mut bench, TRUSTED, &put, &body, size);
        assert_eq!(answer.status(), Status::CHANGED);
        assert!(answer.option(number::BLOCK1).is_some());
        // "1:" and the body, in blocks of its own when it is long.
        assert_eq!(answer.payload()[..2], *b"1:");
        assert_eq!(bench.server.uploads.bytes(), 0);
        let last = put.clone().block(number::BLOCK1, 5, false, size).payload(&body[size * 5..]).id(105);
        assert_eq!(bench.one(TRUSTED, &last), answer, "the last block, repeated, gets the same answer");
        assert_eq!(bench.count(Event::Executed), 1);
    }
}

#[test]
fn what_echo_takes_in_blocks_it_gives_in_blocks() {
    let mut bench = bench();
    let body = long(100_000);
    let post = ask(Method::Post, "echo").id(1000);
    let first = upload(&mut bench, TRUSTED, &post, &body, 1024);
    assert_eq!(first.payload(), body[..1024]);
    let mut got = first.payload();
    let mut id = 5000;
    while got.len() < body.len() {
        id += 1;
        let next = post.clone().block(number::BLOCK2, (got.len() / 1024) as u32, false, 1024).id(id);
        got.extend(bench.one(TRUSTED, &next).payload());
    }
    assert_eq!(got, body);
}

#[test]
fn a_sequence_with_a_hole_is_incomplete() {
    let put = ask(Method::Put, "store/a");
    let block =
        |number, more, id| put.clone().block(number::BLOCK1, number, more, 16).payload(&[b'x'; 16]).id(id);
    let mut bench = bench();
    assert_eq!(bench.status(&block(1, true, 1)), Status::REQUEST_ENTITY_INCOMPLETE, "no beginning");
    assert_eq!(
        bench.status(&block(3, false, 2)),
        Status::REQUEST_ENTITY_INCOMPLETE,
        "no beginning, the last"
    );
    assert_eq!(bench.status(&block(0, true, 3)), Status::CONTINUE);
    assert_eq!(bench.status(&block(2, true, 4)), Status::REQUEST_ENTITY_INCOMPLETE, "a hole");
    assert_eq!(
        bench.status(&block(2, false, 5)),
        Status::REQUEST_ENTITY_INCOMPLETE,
        "a hole before the last"
    );
    assert_eq!(bench.status(&block(1, true, 6)), Status::CONTINUE, "what came before the hole is kept");
    assert_eq!(bench.status(&block(2, false, 7)), Status::CHANGED);
    let executed = bench.count(Event::Executed);
    assert_eq!(executed, 1);
    let other = put.clone().block(number::BLOCK1, 1, true, 16).payload(&[b'x'; 15]).id(8);
    assert_eq!(bench.status(&other), Status::BAD_REQUEST, "not as long as it says");
    assert_eq!(bench.status(&block(0, true, 9)), Status::CONTINUE);
    bench.wait(seconds(94));
    assert_eq!(bench.status(&block(1, false, 10)), Status::REQUEST_ENTITY_INCOMPLETE, "too late");
    assert_eq!(bench.count(Event::UploadsDropped), 1);
}

#[test]
fn a_late_duplicate_of_the_first_block_does_not_begin_the_body_anew() {
    let mut bench = bench();
    let put = ask(Method::Put, "store/a");
    let block = |number, more, id, fill| {
        put.clone().block(number::BLOCK1, number, more, 16).payload(&[fill; 16]).id(id)
    };
    bench.one(TRUSTED, &block(0, true, 1, b'a'));
    bench.one(TRUSTED, &block(1, true, 2, b'b'));
    assert_eq!(bench.status(&block(0, true, 1, b'a')), Status::CONTINUE);
    assert_eq!(
        bench.one(TRUSTED, &block(2, false, 3, b'c')).payload(),
        b"1:aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbcccccccccccccccc"
    );
    bench.one(TRUSTED, &block(0, true, 4, b'a'));
    bench.one(TRUSTED, &block(0, true, 5, b'd'));
    assert_eq!(
        bench.one(TRUSTED, &block(1, false, 6, b'e')).payload(),
        b"2:ddddddddddddddddeeeeeeeeeeeeeeee",
        "a new one does"
    );
}

#[test]
fn a_late_duplicate_of_an_earlier_bodys_first_block_does_not_get_into_the_next_body() {
    let mut bench = bench();
    let block = |number, more, id, fill| {
        let put = ask(Method::Put, "store/a").block(number::BLOCK1, number, more, 16);
        put.payload(&[fill; 16]).id(id)
    };
    let first = bench.one(TRUSTED, &block(0, true, 1, b'a'));
    bench.one(TRUSTED, &block(1, false, 2, b'b'));
    bench.one(TRUSTED, &block(0, true, 3, b'c'));
    assert_eq!(bench.one(TRUSTED, &block(0, true, 1, b'a')), first, "it gets its answer again");
    let body = bench.one(TRUSTED, &block(1, false, 4, b'd')).payload();
    assert_eq!(body, b"2:ccccccccccccccccdddddddddddddddd");
}

#[test]
fn a_body_in_blocks_is_not_run_before_it_is_whole_though_it_asks_to_observe() {
    let mut bench = bench();
    let fetch = ask(Method::Fetch, "time").uint(number::OBSERVE, 0);
    let first = fetch.clone().block(number::BLOCK1, 0, true, 16).payload(&[0; 16]);
    assert_eq!(bench.status(&first), Status::CONTINUE);
    assert_eq!(bench.server.observations(), 0);
    let last = fetch.block(number::BLOCK1, 1, false, 16).payload(&[0; 4]).id(2);
    assert_eq!(bench.status(&last), Status::CONTENT);
}

#[test]
fn strangers_leave_room_for_the_bodies_of_others() {
    let mut bench = bench();
    let first = |peer: &str| {
        let port: u16 = peer.split_once(':').unwrap().1.parse().unwrap();
        ask(Method::Post, "echo").block(number::BLOCK1, 0, true, 16).payload(&[0; 16]).id(port)
    };
    for port in 1..1000 {
        let peer = alloc::format!("192.0.2.1:{port}");
        bench.one(&peer, &first(&peer));
    }
    assert_eq!(bench.one(TRUSTED, &first(TRUSTED)).status(), Status::CONTINUE);
    let admitted = (1..1000).filter(|port| {
        let peer = alloc::format!("127.0.0.1:{port}");
        bench.one(&peer, &first(&peer)).status() == Status::CONTINUE
    });
    assert_eq!(admitted.count(), 255);
}

#[test]
fn request_tags_keep_bodies_apart() {
    let mut bench = bench();
    let block = |tag: &[u8], number, more, id: u16| {
        let put = ask(Method::Put, "store/a").option(number::REQUEST_TAG, tag);
        put.block(number::BLOCK1, number, more, 16).payload(&[tag[0]; 16]).id(id)
    };
    for (tag, id) in [(b"a", 1), (b"b", 2)] {
        assert_eq!(bench.status(&block(tag, 0, true, id)), Status::CONTINUE);
    }
    for (tag, id) in [(b"a", 3), (b"b", 4)] {
        let body = bench.one(TRUSTED, &block(tag, 1, false, id)).payload();
        assert_eq!(body[2..], [tag[0]; 32]);
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_with_the_limit() {
    let mut bench = bench_with(ServerConfig::default().max_body(100));
    let put = ask(Method::Put, "store/a");
    let block = |number, id| put.clone().block(number::BLOCK1, number, true, 64).payload(&[0; 64]).id(id);
    assert_eq!(bench.status(&block(0, 1)), Status::CONTINUE);
    let refused = bench.one(TRUSTED, &block(1, 2));
    assert_eq!(
        (refused.status(), refused.uint(number::SIZE1)),
        (Status::REQUEST_ENTITY_TOO_LARGE, Some(100))
    );
    assert_eq!(bench.server.uploads.bytes(), 0);
    let announced = block(0, 3).uint(number::SIZE1, 101);
    assert_eq!(bench.status(&announced), Status::REQUEST_ENTITY_TOO_LARGE);
}

#[test]
fn a_smaller_block_size_is_asked_for_at_the_first_block() {
    let size = super::super::super::block::BlockSize::at_most(256);
    let mut bench = bench_with(ServerConfig::default().block_size(size));
    let put = ask(Method::Put, "store/a");
    let first = bench.one(TRUSTED, &put.clone().block(number::BLOCK1, 0, true, 1024).payload(&long(1024)));
    let block = Block::of(first.message().options(), number::BLOCK1).unwrap().unwrap();
    assert_eq!((block.number(), block.size().bytes()), (0, 256));
    // The client goes on where it is, in the smaller size: RFC 7959, figure 8.
    let last = put.block(number::BLOCK1, 4, false, 256).payload(b"end").id(2);
    assert_eq!(bench.status(&last), Status::CHANGED);
    assert_eq!(bench.one(TRUSTED, &get("large")).payload().len(), 256);
}

#[test]
fn memory_for_bodies_has_its_bound() {
    let mut bench = bench_with(ServerConfig::default().upload_bytes(64 << 10).snapshot_bytes(900_000));
    let mut refused = 0;
    for port in 1..200 {
        for peer in ["127.0.0.1", "192.0.2.1"] {
            let put = ask(Method::Put, "store/a").block(number::BLOCK1, 0, true, 1024).payload(&[0; 1024]);
            let status = bench.one(&alloc::format!("{peer}:{port}"), &put).status();
            refused += usize::from(status == Status::SERVICE_UNAVAILABLE);
            bench.one(&alloc::format!("127.0.0.1:{port}"), &get("large").id(port));
            assert!(bench.server.uploads.bytes() <= 64 << 10);
            assert!(bench.server.body_bytes() <= (64 << 10) + 900_000);
        }
    }
    assert!(refused > 100);
    assert_eq!(bench.count(Event::UploadsRefused), refused as u64);
}

#[test]
fn one_peer_has_a_quarter_of_the_memory_for_bodies() {
    let mut bench = bench_with(ServerConfig::default().upload_bytes(64 << 10));
    let block = |tag: u16| {
        let put = ask(Method::Put, "store/a").option(number::REQUEST_TAG, &tag.to_be_bytes()).id(tag);
        put.block(number::BLOCK1, 0, true, 1024).payload(&[0; 1024])
    };
    let taken = (0..20).filter(|tag| bench.status(&block(*tag)) == Status::CONTINUE).count();
    assert_eq!(taken, 8, "2 KiB each");
    assert_eq!(bench.one("127.0.0.1:40001", &block(1)).status(), Status::CONTINUE);
}

proptest! {
    #[test]
    fn whatever_the_sizes_what_goes_in_comes_out(
        length in 1_usize..5000,
        size in prop::sample::select([16, 32, 64, 128, 256, 512, 1024].as_slice()),
        stranger: bool,
    ) {
        let mut bench = bench();
        let peer = if stranger { STRANGER } else { TRUSTED };
        let post = ask(Method::Post, "echo").id(1);
        let body = long(length);
        let first = upload(&mut bench, peer, &post, &body, size);
        let block = Block::of(first.message().options(), number::BLOCK2).unwrap();
        let mut got = first.payload();
        let size = block.map_or(1024, |block| block.size().bytes());
        let echo = first.option(number::ECHO);
        prop_assert_eq!(echo.is_some(), stranger && length > got.len());
        let post = echo.iter().fold(post, |post, echo| post.option(number::ECHO, echo));
        let mut id = 1000;
        while got.len() < body.len() {
            id += 1;
            let next = post.clone().block(number::BLOCK2, (got.len() / size) as u32, false, size).id(id);
            let answer = bench.one(peer, &next);
            prop_assert!(answer.status().is_success());
            got.extend(answer.payload());
        }
        prop_assert_eq!(got, body);
    }
}
