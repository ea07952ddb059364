//! Places, message IDs, time, memory.

use super::*;

#[test]
fn requests_beyond_nstart_wait_in_their_order() {
    let mut world = World::with(Settings::default().transmission(Transmission::default().with_nstart(2)), 1);
    for payload in 0..5u8 {
        world.request(ClientRequest::new(Method::Put).payload([payload]));
    }
    let payload = |out: &Out| out.message().payload()[0];
    let sent = world.sent();
    assert_eq!(sent.iter().map(payload).collect::<Vec<_>>(), [0, 1]);
    // An answer makes room, an acknowledgement too, and so does giving up.
    world.hear(&sent[1].answer(Status::CHANGED, &[], b""));
    assert_eq!(payload(&world.one()), 2);
    world.hear(&Empty::Acknowledgement(sent[0].id()).datagram());
    let third = world.one();
    assert_eq!(payload(&third), 3);
    world.client.cancel(world.now, RequestId(3), &mut world.out);
    assert_eq!(payload(&world.one()), 4);
    while world.next_timer().is_some() {}
    assert!(world.client.is_empty());
    world.is_at_rest();
}

#[test]
fn a_waiting_request_can_be_given_up() {
    let mut world = World::new();
    world.request(get());
    let waiting = world.request(post());
    world.client.cancel(world.now, waiting, &mut world.out);
    assert_eq!(world.failure(), (Why::Cancelled, Executed::No));
    let sent = world.one();
    world.hear(&sent.answer(Status::CONTENT, &[], b""));
    world.response();
    world.is_at_rest();
}

#[test]
fn who_has_used_all_message_ids_waits_until_they_are_free() {
    let transmission = Transmission::default().with_nstart(65_535);
    let mut world = World::with(Settings::default().transmission(transmission), 1);
    let start = world.now;
    for _ in 0..65_536 {
        world.request(get());
        let sent = world.one();
        world.hear(&sent.answer(Status::CONTENT, &[], b""));
        world.response();
    }
    world.request(get());
    assert_eq!(world.sent(), []);
    let next = world.next_timer().unwrap();
    assert!(next - start >= 247 * SECOND && next - start <= 248 * SECOND);
    world.one();
    world.request(get());
    world.one();
}

#[test]
fn the_limit_of_the_policy_bounds_the_whole_request() {
    let policy = RetryPolicy::default().max_wait(3600 * SECOND).total(Some(5 * SECOND));
    let mut world = World::with(Settings::default().retry(policy), 1);
    let start = world.now;
    world.request(post());
    world.request(post());
    while world.next_timer().is_some() {}
    assert_eq!(world.now - start, 5 * SECOND);
    assert_eq!(world.failure(), (Why::TimedOut, Executed::Unknown));
    assert_eq!(world.failure(), (Why::TimedOut, Executed::No), "it never left its queue");
    world.is_at_rest();

    let start = world.now;
    world.sent();
    world.request(post());
    let sent = world.one();
    world.hear(&Empty::Acknowledgement(sent.id()).datagram());
    world.next_timer();
    assert_eq!((world.now - start, world.failure().0), (5 * SECOND, Why::Unanswered));
}

#[test]
fn no_copy_leaves_after_the_span_for_which_servers_remember() {
    let policy = RetryPolicy::default()
        .first(10 * SECOND)
        .factor(1.0)
        .max_wait(10 * SECOND)
        .jitter(0.0)
        .max_tries(Some(9));
    let mut world = World::with(Settings::default().retry(policy), 1);
    let start = world.now;
    world.request(post());
    let mut last = start;
    let mut copies = world.sent().len();
    while world.next_timer().is_some() {
        if !world.sent().is_empty() {
            (last, copies) = (world.now, copies + 1);
        }
    }
    assert_eq!((copies, last - start, world.now - start), (5, 40 * SECOND, 90 * SECOND));
    assert_eq!((world.client.counts().withheld, world.failure().0), (4, Why::TimedOut));
}

#[test]
fn a_server_that_does_not_answer_is_probed_at_a_byte_a_second() {
    let mut world = World::new();
    let start = world.now;
    world.request(post().payload([0; 200]).non_confirmable());
    let length = world.one().bytes.len() as u32;
    assert!(length > 200);
    world.next_timer();
    world.failure();
    world.request(post().non_confirmable());
    assert_eq!(world.sent(), []);
    assert_eq!(world.next_timer(), Some(start + length * SECOND));
    world.one();
    world.next_timer();
    // Any sign of life ends it.
    world.hear(&[0x70, 0, 0, 0]);
    world.request(post().non_confirmable());
    world.one();
}

#[test]
fn what_is_over_a_limit_is_refused_and_nothing_is_left_of_it() {
    let mut world = World::with(Settings::default().max_requests(2).max_endpoints(2), 1);
    world.request(get());
    world.request(get());
    let ask = |world: &mut World, servers: &[SocketAddr]| {
        world.client.request(world.now, servers, get(), &mut world.out)
    };
    assert_eq!(ask(&mut world, &[server(1)]), Err(RequestError::TooMany(2)));
    assert_eq!(ask(&mut world, &[]), Err(RequestError::NoServer));
    while world.next_timer().is_some() {}
    // Events that nobody takes count.
    assert_eq!(ask(&mut world, &[server(1)]), Err(RequestError::TooMany(2)));
    while world.client.poll_event().is_some() {}
    assert_eq!(ask(&mut world, &[server(2), server(3)]), Err(RequestError::TooManyServers(2)));
    assert!(ask(&mut world, &[server(1), server(2)]).is_ok());
    // Servers are forgotten once their message IDs are free.
    while world.next_timer().is_some() {}
    while world.client.poll_event().is_some() {}
    assert_eq!(ask(&mut world, &[server(3)]), Err(RequestError::TooManyServers(2)));
    world.now += 248 * SECOND;
    assert!(ask(&mut world, &[server(3), server(4)]).is_ok());
    assert_eq!(world.client.endpoints.len(), 2);
}

#[test]
fn nobody_is_woken_for_a_request_that_was_given_up() {
    let mut world = World::new();
    world.request(post().payload([0; 200]).non_confirmable());
    world.next_timer();
    let waiting = world.request(post().non_confirmable());
    assert!(world.client.poll_timeout().is_some());
    world.client.cancel(world.now, waiting, &mut world.out);
    world.is_at_rest();
}
