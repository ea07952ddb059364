//! Long payloads, long answers, and proofs of address.

use super::*;

fn put(length: usize) -> ClientRequest {
    ClientRequest::new(Method::Put).path("scratch/a").unwrap().payload(body(length))
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 7) as u8).collect()
}

#[test]
fn a_long_payload_goes_in_blocks() {
    let mut world = World::new();
    world.request(put(2500).content_format(42));
    let mut got = vec![];
    for number in 0..3 {
        let sent = world.one();
        assert_eq!(
            sent.block(number::BLOCK1).unwrap(),
            alloc::format!("{number}/{}/1024", u8::from(number < 2))
        );
        assert_eq!(sent.uint(number::SIZE1), (number == 0).then_some(2500));
        assert!(sent.message().options().contains(number::REQUEST_TAG));
        assert_eq!(sent.uint(number::CONTENT_FORMAT), Some(42));
        got.extend_from_slice(sent.message().payload());
        let status = if number < 2 { Status::CONTINUE } else { Status::CHANGED };
        world.hear(&sent.answer(status, &[(number::BLOCK1, &block(number, number < 2, 1024))], b""));
    }
    assert_eq!((got, world.response().0), (body(2500), Status::CHANGED));
    world.is_at_rest();
}

#[test]
fn a_payload_that_fits_one_block_is_not_cut() {
    let mut world = World::new();
    world.request(put(1024));
    let sent = world.one();
    assert_eq!((sent.block(number::BLOCK1), sent.uint(number::REQUEST_TAG)), (None, None));
}

#[test]
fn an_incomplete_body_is_sent_again_under_another_tag() {
    let mut world = World::new();
    world.request(put(1500));
    let first = world.one();
    world.hear(&first.answer(Status::CONTINUE, &[(number::BLOCK1, &block(0, true, 1024))], b""));
    let second = world.one();
    world.hear(&second.answer(Status::REQUEST_ENTITY_INCOMPLETE, &[], b""));
    let again = world.one();
    assert_eq!(again.block(number::BLOCK1).unwrap(), "0/1/1024");
    assert_eq!(first.uint(number::REQUEST_TAG), second.uint(number::REQUEST_TAG));
    assert_ne!(first.uint(number::REQUEST_TAG), again.uint(number::REQUEST_TAG));
}

#[test]
fn a_body_that_was_not_sent_to_its_end_was_not_executed() {
    let mut world = World::new();
    world.request(ClientRequest::new(Method::Post).payload(body(3000)));
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTINUE, &[(number::BLOCK1, &block(0, true, 1024))], b""));
    while world.next_timer().is_some() {}
    assert_eq!(world.failure(), (Why::TimedOut, Executed::No));
}

#[test]
fn a_long_answer_is_put_together() {
    let mut world = World::new();
    world.request(get());
    let all = body(2100);
    for number in 0..3u32 {
        let sent = world.one();
        let asked = sent.block(number::BLOCK2);
        assert_eq!(asked, (number > 0).then(|| alloc::format!("{number}/0/1024")));
        let part = &all[number as usize * 1024..all.len().min((number as usize + 1) * 1024)];
        let options = [(number::ETAG, &b"e"[..]), (number::BLOCK2, &block(number, number < 2, 1024))];
        world.hear(&sent.answer(Status::CONTENT, &options, part));
    }
    assert_eq!(world.response(), (Status::CONTENT, all));
    world.is_at_rest();
}

#[test]
fn a_size_can_be_asked_for_from_the_beginning() {
    let mut world = World::new();
    world.request(get().block_size(BlockSize::at_most(64)));
    assert_eq!(world.one().block(number::BLOCK2).unwrap(), "0/0/64");
}

#[test]
fn an_answer_that_has_changed_is_fetched_again() {
    let mut world = World::new();
    world.request(get());
    let part = |world: &mut World, etag: &[u8], number, more| {
        let sent = world.one();
        let options = [(number::ETAG, etag), (number::BLOCK2, &block(number, more, 16))];
        world.hear(&sent.answer(Status::CONTENT, &options, &[etag[0]; 16]));
    };
    part(&mut world, b"a", 0, true);
    part(&mut world, b"b", 1, false);
    part(&mut world, b"b", 0, true);
    part(&mut world, b"b", 1, false);
    assert_eq!(world.response().1, [b'b'; 32]);
}

#[test]
fn a_changed_answer_to_a_request_with_effect_does_not_run_it_again() {
    let mut world = World::new();
    world.request(post());
    let sent = world.one();
    world.hear(&sent.answer(
        Status::CHANGED,
        &[(number::ETAG, b"a"), (number::BLOCK2, &block(0, true, 16))],
        &[0; 16],
    ));
    let sent = world.one();
    assert_eq!(sent.message().payload(), b"", "the payload is not sent again");
    world.hear(&sent.answer(
        Status::CHANGED,
        &[(number::ETAG, b"b"), (number::BLOCK2, &block(1, false, 16))],
        b"",
    ));
    assert!(matches!(world.failure(), (Why::Protocol(_), Executed::Yes)));
    assert_eq!(world.sent(), []);
}

#[test]
fn blocks_go_both_ways_in_one_request() {
    // RFC 7959 §3.3, figure 11, in short.
    let mut world = World::with(Settings::default().block_size(BlockSize::at_most(128)), 1);
    world.request(ClientRequest::new(Method::Post).path("soap").unwrap().payload(body(200)));
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTINUE, &[(number::BLOCK1, &block(0, true, 128))], b""));
    let sent = world.one();
    let options = [(number::BLOCK2, &block(0, true, 128)[..]), (number::BLOCK1, &block(1, false, 128))];
    world.hear(&sent.answer(Status::CHANGED, &options, &body(128)));
    let tag = sent.uint(number::REQUEST_TAG);
    let sent = world.one();
    assert_eq!((sent.block(number::BLOCK1), sent.block(number::BLOCK2).unwrap()), (None, "1/0/128".into()));
    assert_eq!(sent.uint(number::REQUEST_TAG), tag);
    world.hear(&sent.answer(Status::CHANGED, &[(number::BLOCK2, &block(1, false, 128))], b"end"));
    assert_eq!(world.response().1, [&body(128)[..], b"end"].concat());
}

#[test]
fn a_fetch_brings_its_payload_with_every_block() {
    let mut world = World::new();
    world.request(ClientRequest::new(Method::Fetch).payload(*b"which"));
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[(number::BLOCK2, &block(0, true, 16))], &[0; 16]));
    assert_eq!(world.one().message().payload(), b"which");
}

#[test]
fn a_body_over_the_limit_is_a_failure() {
    let mut world = World::with(Settings::default().max_body(20), 1);
    world.request(get());
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[(number::BLOCK2, &block(0, true, 16))], &[0; 16]));
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[(number::BLOCK2, &block(1, true, 16))], &[0; 16]));
    assert_eq!(world.failure().0, Why::TooLarge);
    world.request(get());
    let sent = world.one();
    let options = [(number::BLOCK2, &block(0, true, 16)[..]), (number::SIZE2, &[21])];
    world.hear(&sent.answer(Status::CONTENT, &options, &[0; 16]));
    assert_eq!(world.failure().0, Why::TooLarge);
    world.is_at_rest();
}

#[test]
fn a_proof_of_address_is_given_when_it_is_asked_for() {
    let mut world = World::new();
    world.request(put(10));
    let first = world.one();
    world.hear(&first.answer(Status::UNAUTHORIZED, &[(number::ECHO, b"proof")], b""));
    let again = world.one();
    assert_eq!(again.message().options().get(number::ECHO), Some(&b"proof"[..]));
    assert_eq!(again.message().payload(), first.message().payload());
    assert_ne!(
        (again.id(), again.message().token()),
        (first.id(), first.message().token()),
        "it is a new message"
    );
    world.hear(&again.answer(Status::CHANGED, &[(number::ECHO, b"next")], b""));
    world.response();
    // What it said last is told to it with the next request.
    world.request(get());
    assert_eq!(world.one().message().options().get(number::ECHO), Some(&b"next"[..]));
}

#[test]
fn a_server_that_always_asks_for_a_proof_is_given_two() {
    let mut world = World::new();
    world.request(get());
    for _ in 0..3 {
        let sent = world.one();
        world.hear(&sent.answer(Status::UNAUTHORIZED, &[(number::ECHO, b"proof")], b""));
    }
    assert_eq!((world.response().0, world.sent()), (Status::UNAUTHORIZED, vec![]));
    world.request(get());
    let sent = world.one();
    world.hear(&sent.answer(Status::UNAUTHORIZED, &[], b""));
    assert_eq!(world.response().0, Status::UNAUTHORIZED);
}

#[test]
fn an_answer_that_begins_small_for_want_of_proof_is_asked_for_again_in_large_blocks() {
    let mut world = World::new();
    world.request(get());
    let sent = world.one();
    let small = [(number::BLOCK2, &block(0, true, 64)[..]), (number::ECHO, b"proof")];
    world.hear(&sent.answer(Status::CONTENT, &small, &[0; 64]));
    let sent = world.one();
    assert_eq!(sent.block(number::BLOCK2).unwrap(), "0/0/1024");
    assert_eq!(sent.message().options().get(number::ECHO), Some(&b"proof"[..]));
    world.hear(&sent.answer(Status::CONTENT, &[(number::BLOCK2, &block(0, true, 1024))], &[1; 1024]));
    let sent = world.one();
    assert_eq!(sent.message().options().get(number::ECHO), Some(&b"proof"[..]), "each block has it");
    world.hear(&sent.answer(Status::CONTENT, &[(number::BLOCK2, &block(1, false, 1024))], b"."));
    assert_eq!(world.response().1.len(), 1025);

    // A request with effect is not run again for it.
    world.request(post());
    let sent = world.one();
    world.hear(&sent.answer(Status::CHANGED, &small, &[0; 64]));
    assert_eq!(world.one().block(number::BLOCK2).unwrap(), "1/0/64");
}
