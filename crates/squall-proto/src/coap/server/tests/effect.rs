//! At most once.

use super::*;

fn tally(config: ServerConfig) -> (Bench, Tally) {
    let tally = Tally::default();
    (Bench::new(config, alloc::vec![Resource::new("count", tally.clone())]), tally)
}

fn post(payload: &[u8]) -> Ask {
    ask(Method::Post, "count").payload(payload)
}

#[test]
fn a_repeated_request_gets_its_answer_again_and_is_run_once() {
    let (mut bench, tally) = tally(ServerConfig::default());
    for ask in [post(b"x"), post(b"x").non()] {
        let before = tally.runs();
        let first = bench.send(TRUSTED, &ask);
        for _ in 0..5 {
            assert_eq!(bench.send(TRUSTED, &ask), first, "the very same bytes, message ID too");
        }
        assert_eq!(tally.runs(), before + 1);
    }
    assert_eq!((bench.count(Event::Replayed), bench.count(Event::Executed)), (10, 2));
}

#[test]
fn another_token_content_peer_or_id_is_another_request() {
    let (mut bench, tally) = tally(ServerConfig::default());
    bench.send(TRUSTED, &post(b"x"));
    for (index, (peer, ask)) in [
        (TRUSTED, post(b"x").token(b"U")),
        (TRUSTED, post(b"y")),
        (TRUSTED, post(b"x").id(2)),
        (TRUSTED, post(b"x").uint(number::ACCEPT, 0)),
        ("127.0.0.1:40001", post(b"x")),
        ("127.0.0.2:40000", post(b"x")),
        (STRANGER, post(b"x")),
    ]
    .into_iter()
    .enumerate()
    {
        bench.send(peer, &ask);
        assert_eq!(tally.runs(), index + 2);
    }
}

#[test]
fn a_request_is_remembered_for_its_lifetime_and_not_for_ever() {
    for (ask, lifetime) in [(post(b"x"), 247), (post(b"x").non(), 145)] {
        let (mut bench, tally) = tally(ServerConfig::default());
        bench.send(TRUSTED, &ask);
        bench.wait(seconds(lifetime));
        bench.send(TRUSTED, &ask);
        assert_eq!(tally.runs(), 1, "{lifetime}");
        bench.wait(seconds(2));
        bench.send(TRUSTED, &ask);
        assert_eq!(tally.runs(), 2, "after its lifetime the ID is free again");
    }
}

#[test]
fn a_repeated_request_whose_answer_is_gone_gets_silence() {
    let (mut bench, tally) = tally(ServerConfig::default().answer_bytes(4096));
    let first = post(&[b'x'; 100]);
    bench.send(TRUSTED, &first);
    for id in 2..40 {
        bench.send(TRUSTED, &post(&[b'x'; 100]).id(id));
    }
    assert_eq!(tally.runs(), 39);
    assert_eq!(bench.send(TRUSTED, &first), [], "not 5.03, which would read as not run");
    assert_eq!((tally.runs(), bench.count(Event::ReplaysGone)), (39, 1));
    let last = bench.send(TRUSTED, &post(&[b'x'; 100]).id(39));
    assert_eq!(last[0].payload()[..3], *b"39:", "the newest are there");
}

#[test]
fn what_cannot_be_remembered_is_not_run() {
    let (mut bench, tally) = tally(ServerConfig::default().marks(16));
    for id in 0..16 {
        assert_eq!(bench.status(&post(b"x").id(id)), Status::CHANGED, "{id}");
    }
    let refused = bench.one(TRUSTED, &post(b"x").id(16));
    assert_eq!((refused.status(), refused.uint(number::MAX_AGE)), (Status::SERVICE_UNAVAILABLE, Some(10)));
    assert_eq!((tally.runs(), bench.count(Event::RefusedFull)), (16, 1));
    assert_eq!(bench.status(&post(b"x").id(3)), Status::CHANGED, "what is known is answered still");
    bench.wait(seconds(249));
    assert_eq!(bench.status(&post(b"x").id(16)), Status::CHANGED, "there is room again");
    assert_eq!(tally.runs(), 17);
}

#[test]
fn strangers_get_their_share_and_no_more() {
    // Shares of 1024: an endpoint 64, an address 128, a network 256, all strangers 512; half of each at once.
    let (mut bench, _) = tally(ServerConfig::default().marks(1024));
    let admitted = |bench: &mut Bench, peer: &str, requests: u16| {
        let asks = (0..requests).map(|id| post(b"x").id(id));
        asks.filter(|ask| bench.one(peer, ask).status().is_success()).count()
    };
    assert_eq!(admitted(&mut bench, "192.0.2.1:1", 100), 32, "an endpoint");
    assert_eq!(admitted(&mut bench, "192.0.2.1:2", 100), 32);
    assert_eq!(admitted(&mut bench, "192.0.2.1:3", 100), 0, "an address");
    assert_eq!(admitted(&mut bench, "192.0.2.2:1", 100), 32);
    assert_eq!(admitted(&mut bench, "192.0.2.2:2", 100), 32);
    assert_eq!(admitted(&mut bench, "192.0.2.3:1", 100), 0, "a network");
    for network in 1..9 {
        let peer = alloc::format!("198.51.{network}.1:1");
        assert_eq!(admitted(&mut bench, &peer, 100), if network <= 4 { 32 } else { 0 }, "{network}");
    }
    assert!(bench.count(Event::RefusedQuota) > 500);
    assert_eq!(bench.count(Event::RefusedFull), 0);
    assert_eq!(admitted(&mut bench, TRUSTED, 700), 700, "those on this machine have all that is left");
}

#[test]
fn strangers_cannot_take_a_message_id_from_others() {
    let (mut bench, _) = tally(ServerConfig::default());
    for port in 1..=1024 {
        bench.one(&alloc::format!("192.0.2.1:{port}"), &post(b"x"));
    }
    assert_eq!(bench.count(Event::RefusedQuota), 512);
    assert_eq!(bench.status(&post(b"x")), Status::CHANGED);
}

#[test]
fn the_memory_is_what_is_said() {
    let (mut bench, _) = tally(ServerConfig::default().marks(1 << 16).answer_bytes(1 << 20));
    assert!(bench.server.remembered().0 < 1024, "nothing before the first request");
    for id in 0..u16::MAX {
        bench.send(TRUSTED, &post(b"x").id(id));
    }
    let (bytes, requests) = bench.server.remembered();
    assert_eq!(requests, 65_535);
    // 8,192 pages of 24 bytes, 12 bytes a mark in vectors that may be half empty, and the ring.
    assert!(bytes <= 8192 * 24 + 65_536 * 12 * 2 + (1 << 20), "{bytes}");
}

#[test]
fn memory_does_not_grow_with_time() {
    // Message IDs of another page in each lifetime, as many as there is room for.
    let (mut bench, _) = tally(ServerConfig::default().marks(4096).answer_bytes(4096));
    let mut most = 0;
    for round in 0..16 {
        for port in 1..=1024 {
            for page in 0..4 {
                bench.send(&alloc::format!("127.0.0.1:{port}"), &post(b"x").id(round * 4 + page));
            }
        }
        let (bytes, requests) = bench.server.remembered();
        assert!(requests > 4000, "{requests} in round {round}");
        most = most.max(bytes);
        bench.wait(seconds(250));
    }
    // 512 pages of 24 bytes and 4 marks at least, 4,096 marks, as much room for more, and the ring.
    assert!(most <= 512 * (24 + 4 * 12) + 4096 * 12 * 2 + 4096, "{most}");
}

#[test]
fn safe_and_idempotent_requests_are_run_again_and_take_no_memory() {
    struct Idempotent(Tally);
    impl Handler for Idempotent {
        fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
            self.0.handle(request, reply)
        }
        fn effect(&self, _method: Method) -> Effect {
            Effect::Idempotent
        }
    }
    let tally = Tally::default();
    let resource = Resource::new("count", Idempotent(tally.clone()));
    let mut bench = Bench::new(ServerConfig::default(), alloc::vec![resource]);
    for _ in 0..3 {
        bench.send(TRUSTED, &post(b"x"));
    }
    assert_eq!((tally.runs(), bench.server.remembered().1), (3, 0));
}

#[test]
fn a_request_that_fails_is_not_run_again_either() {
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = runs.clone();
    let fails = move |_: &Request<'_>, _: &mut Reply<'_>| {
        seen.fetch_add(1, Ordering::Relaxed);
        Err(Refusal::Dropped)
    };
    let mut bench = Bench::new(ServerConfig::default(), alloc::vec![Resource::new("count", fails)]);
    for _ in 0..3 {
        assert_eq!(bench.send(TRUSTED, &post(b"x")), []);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[test]
fn a_handler_that_panics_is_not_run_again_and_takes_nothing_down() {
    extern crate std;
    let panics = |request: &Request<'_>, reply: &mut Reply<'_>| {
        assert!(request.payload != b"panic", "as it was asked to");
        reply.write(request.payload)
    };
    let resource = || Resource::new("count", panics);
    let safe = Resource::new("safe", Safe(panics)).observable(seconds(1));
    let mut bench = Bench::new(ServerConfig::default(), alloc::vec![resource(), safe]);
    for path in ["count", "safe"] {
        let request = ask(Method::Post, path).payload(b"panic").id(9);
        let asks = std::panic::AssertUnwindSafe(|| bench.send(TRUSTED, &request));
        std::panic::catch_unwind(asks).expect_err("it panics");
        // What the driver does.
        bench.out.clear();
        if path == "count" {
            assert_eq!(bench.send(TRUSTED, &request), [], "it was run, as far as it went");
        }
        let next = ask(Method::Post, path).payload(b"fine").block(number::BLOCK2, 0, false, 64).id(10);
        assert_eq!(bench.one(TRUSTED, &next).payload(), b"fine");
    }
}

#[test]
fn a_late_copy_of_a_request_that_was_asked_for_its_echo_is_not_run_beside_the_one_that_had_it() {
    let mut bench = bench();
    let first = ask(Method::Post, "known").id(1);
    let echo = bench.one(STRANGER, &first).option(number::ECHO).unwrap();
    let with = first.clone().option(number::ECHO, &echo).id(2);
    assert_eq!(bench.one(STRANGER, &with).payload(), b"1:");
    bench.wait(seconds(99));
    assert_eq!(bench.one(STRANGER, &first).status(), Status::UNAUTHORIZED, "it may be under way for 100 s");
    bench.wait(seconds(2));
    assert_eq!(bench.one(STRANGER, &first.id(3)).payload(), b"2:", "now no copy of it can be left");
}

#[test]
fn an_observation_is_no_way_round_the_memory() {
    struct Counted(Tally);
    impl Handler for Counted {
        fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
            self.0.handle(request, reply)
        }
        fn effect(&self, _method: Method) -> Effect {
            Effect::Once
        }
    }
    let tally = Tally::default();
    let resource = Resource::new("count", Counted(tally.clone())).observable(seconds(1));
    let mut bench = Bench::new(ServerConfig::default(), alloc::vec![resource]);
    for _ in 0..3 {
        bench.send(TRUSTED, &get("count").uint(number::OBSERVE, 0));
    }
    bench.wait(seconds(10));
    assert_eq!((tally.runs(), bench.server.observations()), (1, 0));
}

#[test]
fn two_requests_that_look_the_same_do_not_share_an_answer() {
    // A hash of 32 bits that two requests share, as one in 2³² pairs does.
    let (mut bench, tally) = tally(ServerConfig::default());
    let (one, other) = (post(b"x"), post(b"y").token(b"U"));
    let first = bench.one(TRUSTED, &one);
    let origin = first.to;
    let key = bench.server.once.key(&origin, 1, &other.datagram());
    let stolen = bench.server.once.insert(bench.now, key, &origin, true, seconds(247));
    assert_eq!(stolen, Ok(()));
    bench.server.once.answer(key, true, &first.datagram);
    assert_eq!(bench.send(TRUSTED, &other), [], "not the answer to another token");
    assert_eq!((tally.runs(), bench.count(Event::ReplaysGone)), (1, 1));
}
