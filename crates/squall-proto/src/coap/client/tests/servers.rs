//! Several servers for one request.

use super::*;

fn two() -> World {
    World::with(Settings::default(), 2)
}

#[test]
fn a_request_that_may_run_twice_goes_to_the_next_server_before_the_same_again() {
    let mut world = World::with(Settings::default(), 3);
    world.request(get());
    let mut order: Vec<_> = world.sent().iter().map(|sent| sent.to).collect();
    while world.next_timer().is_some() {
        order.extend(world.sent().iter().map(|sent| sent.to));
    }
    assert_eq!(order, [1, 2, 3, 1, 2].map(server));
    assert_eq!(world.failure().0, Why::TimedOut);
    world.is_at_rest();
}

#[test]
fn the_first_answer_counts_whoever_gives_it() {
    for late in [1, 2] {
        let mut world = two();
        world.request(get());
        let first = world.one();
        world.next_timer();
        let second = world.one();
        let answer = if late == 1 { &first } else { &second };
        world.hear_from(server(late), &answer.answer(Status::CONTENT, &[], &[late]));
        assert_eq!(world.response().1, [late]);
        world.is_at_rest();
    }
}

#[test]
fn a_transfer_stays_with_the_server_that_began_it() {
    let mut world = two();
    world.request(get());
    world.one();
    world.next_timer();
    let second = world.one();
    world.hear_from(
        server(2),
        &second.answer(Status::CONTENT, &[(number::BLOCK2, &block(0, true, 16))], &[0; 16]),
    );
    for _ in 0..5 {
        assert_eq!(world.one().to, server(2));
        world.next_timer();
    }
    assert_eq!(world.failure().0, Why::TimedOut);
}

#[test]
fn a_request_with_effect_stays_with_a_silent_server() {
    let mut world = two();
    world.request(post());
    for _ in 0..5 {
        assert_eq!(world.one().to, server(1));
        world.next_timer();
    }
    assert_eq!(world.failure(), (Why::TimedOut, Executed::Unknown));
    world.is_at_rest();
}

#[test]
fn a_request_with_effect_goes_on_from_a_server_that_has_not_executed_it() {
    type Refuse = fn(&mut World, &Out);
    let refusals: [Refuse; 3] = [
        |world, sent| world.hear(&sent.answer(Status::SERVICE_UNAVAILABLE, &[], b"")),
        |world, sent| world.hear(&Empty::Reset(sent.id()).datagram()),
        |world, _| world.client.unreachable(world.now, server(1), &mut world.out),
    ];
    for refuse in refusals {
        let mut world = two();
        world.request(post());
        let sent = world.one();
        refuse(&mut world, &sent);
        let next = world.one();
        assert_eq!((next.to, next.message().payload()), (server(2), &b"1"[..]));
        assert_ne!(next.message().token(), sent.message().token());
        world.hear_from(server(2), &next.answer(Status::CHANGED, &[], b""));
        assert_eq!(world.response().0, Status::CHANGED);
        world.is_at_rest();
    }
}

#[test]
fn a_request_with_effect_does_not_go_on_where_a_copy_may_have_been_executed() {
    type Refuse = fn(&mut World, &Out);
    let refusals: [Refuse; 2] = [
        |world, sent| world.hear(&Empty::Reset(sent.id()).datagram()),
        |world, _| world.client.unreachable(world.now, server(1), &mut world.out),
    ];
    for refuse in refusals {
        let mut world = two();
        world.request(post());
        let sent = world.one();
        world.next_timer();
        world.one();
        refuse(&mut world, &sent);
        assert_eq!((world.failure().1, world.sent()), (Executed::Unknown, vec![]));
        world.is_at_rest();
    }
}

#[test]
fn when_all_servers_are_unavailable_the_last_answer_is_told() {
    let mut world = two();
    world.request(post());
    for number in [1, 2] {
        let sent = world.one();
        world.hear_from(
            server(number),
            &sent.answer(Status::SERVICE_UNAVAILABLE, &[(number::MAX_AGE, &[number])], b""),
        );
    }
    assert_eq!(world.response().0, Status::SERVICE_UNAVAILABLE);
    world.is_at_rest();
}

#[test]
fn an_accepted_request_that_is_not_answered_goes_on_if_it_may_run_twice() {
    let mut world = two();
    world.request(get());
    let sent = world.one();
    world.hear(&Empty::Acknowledgement(sent.id()).datagram());
    world.next_timer();
    assert_eq!(world.one().to, server(2));
    let mut world = two();
    world.request(post());
    let sent = world.one();
    world.hear(&Empty::Acknowledgement(sent.id()).datagram());
    world.next_timer();
    assert_eq!((world.sent(), world.failure()), (vec![], (Why::Unanswered, Executed::Unknown)));
}

#[test]
fn a_next_server_without_a_place_is_passed_over() {
    let mut world = two();
    let busy = world.client.request(world.now, &[server(2)], post(), &mut world.out).unwrap();
    world.sent();
    world.request(get());
    world.one();
    // Both are due at some time; only the busy server's own request goes to it.
    while world.client.counts().withheld == 0 {
        world.next_timer();
    }
    assert!(world.sent().iter().all(|sent| sent.to == server(1) || sent.message().payload() == b"1"));
    world.client.cancel(world.now, busy, &mut world.out);
    world.failure();
    while world.next_timer().is_some() {}
    world.is_at_rest();
}

#[test]
fn a_proof_of_address_goes_only_to_the_server_that_gave_it() {
    let mut world = two();
    let first = world.servers.remove(1);
    world.request(get());
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[(number::ECHO, b"one's")], b""));
    world.response();
    world.servers.push(first);
    world.request(get());
    let sent = world.one();
    assert_eq!(sent.message().options().get(number::ECHO), Some(&b"one's"[..]));
    world.next_timer();
    let second = world.one();
    assert_eq!((second.to, second.message().options().get(number::ECHO)), (server(2), None));
    let small = [(number::BLOCK2, &block(0, true, 16)[..])];
    world.hear_from(server(2), &second.answer(Status::CONTENT, &small, &[0; 16]));
    let next = world.one();
    assert_eq!((next.to, next.message().options().get(number::ECHO)), (server(2), None));
}

#[test]
fn a_refusal_of_one_copy_says_nothing_of_the_others() {
    let mut world = two();
    world.request(post());
    let sent = world.one();
    world.next_timer();
    world.one();
    world.hear(&sent.answer(Status::SERVICE_UNAVAILABLE, &[], b""));
    assert_eq!((world.response().0, world.sent()), (Status::SERVICE_UNAVAILABLE, vec![]));
    world.is_at_rest();
}
