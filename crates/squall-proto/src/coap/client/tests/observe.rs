//! States that follow one another.

use super::*;

/// Registers, and gives the registration.
fn observed() -> (World, RequestId, Out) {
    let mut world = World::new();
    let id = world.request(get().observe());
    let sent = world.one();
    assert_eq!(sent.uint(number::OBSERVE), Some(0));
    world.hear(&sent.answer(Status::CONTENT, &[(number::OBSERVE, &[1])], b"one"));
    assert_eq!(state(&mut world), b"one");
    (world, id, sent)
}

#[track_caller]
fn state(world: &mut World) -> Vec<u8> {
    match world.client.poll_event() {
        Some(Event::Notification { response, .. }) => response.into_payload(),
        other => panic!("{other:?}"),
    }
}

fn notification(sent: &Out, sequence: u8, body: &[u8]) -> Vec<u8> {
    let header = Header::separate(
        Reliability::NonConfirmable,
        sequence.into(),
        sent.message().token(),
        Status::CONTENT,
    );
    write(header, &[(number::OBSERVE, &[sequence])], body)
}

#[test]
fn newer_states_are_told_and_older_ones_are_not() {
    let (mut world, _, sent) = observed();
    world.hear(&notification(&sent, 3, b"three"));
    assert_eq!(state(&mut world), b"three");
    world.hear(&notification(&sent, 2, b"two"));
    assert_eq!((world.client.poll_event(), world.client.counts().outdated), (None, 1));
    world.hear(&sent.separate(900, Status::CONTENT, &[(number::OBSERVE, &[4])], b"four"));
    assert_eq!(world.one().bytes, Empty::Acknowledgement(900).datagram());
    assert_eq!(state(&mut world), b"four");
}

#[test]
fn a_state_that_nobody_took_is_replaced_by_the_next() {
    let (mut world, _, sent) = observed();
    for sequence in 2..100 {
        world.hear(&notification(&sent, sequence, &[sequence]));
    }
    assert_eq!((state(&mut world), world.client.poll_event()), (vec![99], None));
    assert_eq!(world.client.counts().replaced, 97);
}

#[test]
fn a_state_that_is_no_longer_fresh_is_asked_for_again() {
    let (mut world, _, sent) = observed();
    let start = world.now;
    let at = world.next_timer().unwrap();
    assert!(at - start >= 65 * SECOND && at - start <= 75 * SECOND, "{:?}", at - start);
    let again = world.one();
    assert_eq!((again.uint(number::OBSERVE), again.message().token()), (Some(0), sent.message().token()));
    assert_ne!(again.id(), sent.id());
    // A server that was started anew counts anew.
    world.hear(&again.answer(Status::CONTENT, &[(number::OBSERVE, &[0]), (number::MAX_AGE, &[1])], b"new"));
    assert_eq!(state(&mut world), b"new");
    let (start, at) = (world.now, world.next_timer().unwrap());
    assert!(at - start >= 6 * SECOND && at - start <= 16 * SECOND);
    // Nobody answers: that is the end.
    while world.next_timer().is_some() {}
    assert_eq!(world.failure().0, Why::TimedOut);
    world.is_at_rest();
}

#[test]
fn its_end_is_told_to_the_server() {
    let (mut world, id, sent) = observed();
    world.client.cancel(world.now, id, &mut world.out);
    let end = world.one();
    assert_eq!((end.uint(number::OBSERVE), end.message().token()), (Some(1), sent.message().token()));
    assert_eq!(world.client.poll_event(), None);
    // A notification that was under way is not the answer.
    world.hear(&notification(&sent, 9, b"nine"));
    assert_eq!(world.client.poll_event(), None);
    world.hear(&end.answer(Status::CONTENT, &[], b"now"));
    assert_eq!(world.failure().0, Why::Cancelled);
    world.is_at_rest();
    world.hear(&notification(&sent, 10, b"ten"));
    assert_eq!(world.one().bytes, Empty::Reset(10).datagram());
}

#[test]
fn a_resource_that_cannot_be_observed_is_answered_once() {
    let mut world = World::new();
    world.request(get().observe());
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[], b"still"));
    assert_eq!(world.response().1, b"still");
    world.is_at_rest();
}

#[test]
fn an_error_ends_it() {
    let (mut world, _, sent) = observed();
    let header = Header::separate(Reliability::NonConfirmable, 3, sent.message().token(), Status::NOT_FOUND);
    world.hear(&write(header, &[], b"gone"));
    assert_eq!(world.response(), (Status::NOT_FOUND, b"gone".to_vec()));
    world.is_at_rest();
}

#[test]
fn the_rest_of_a_long_state_is_fetched_and_a_newer_one_comes_first() {
    let (mut world, _, sent) = observed();
    let long = |sequence: u8| {
        let header = Header::separate(
            Reliability::NonConfirmable,
            sequence.into(),
            sent.message().token(),
            Status::CONTENT,
        );
        write(
            header,
            &[(number::OBSERVE, &[sequence]), (number::BLOCK2, &block(0, true, 16))],
            &[sequence; 16],
        )
    };
    world.hear(&long(2));
    let rest = world.one();
    assert_eq!((rest.uint(number::OBSERVE), rest.block(number::BLOCK2).unwrap()), (None, "1/0/16".into()));
    assert_ne!(rest.message().token(), sent.message().token());
    world.hear(&long(3));
    let newer = world.one();
    world.hear(&rest.answer(Status::CONTENT, &[(number::BLOCK2, &block(1, false, 16))], &[2]));
    assert_eq!(world.client.poll_event(), None);
    world.hear(&newer.answer(Status::CONTENT, &[(number::BLOCK2, &block(1, false, 16))], &[3]));
    assert_eq!(state(&mut world), [3; 17]);
    world.hear(&notification(&sent, 4, b"short"));
    assert_eq!(state(&mut world), b"short");
}
