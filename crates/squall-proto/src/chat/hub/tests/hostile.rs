use alloc::vec;

use super::*;
use crate::chat::{Query, RecallError, Recalled};

fn stranger(port: u16) -> Origin {
    udp(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), port)))
}

#[test]
fn lines_that_quit_are_bounded_as_all_others() {
    let mut bench = Bench::new();
    bench.say(&[(2, "")]);
    // A line waits, so that whoever leaves does so behind it.
    bench.give(&origin(1), b"x");
    let quits = "quit\n".repeat(10_000);
    for _ in 0..10 {
        bench.give(&origin(1), quits.as_bytes());
    }
    assert_eq!(bench.hub.senders.get(0).waiting().0, 2, "it leaves once");
    bench.settle();
    assert_eq!(bench.hub.stats().quit, 1);
    // Neither can it come and go more often than lines may wait.
    let both = "x\nquit\n".repeat(4000);
    bench.give(&origin(1), both.as_bytes());
    bench.give(&origin(1), both.as_bytes());
    assert!(bench.hub.senders.get(0).waiting().0 <= 1025, "{}", bench.hub.senders.get(0).waiting().0);
    bench.wait(Duration::from_secs(100));
    assert_eq!(bench.hub.stats().members, 1);
}

#[test]
fn who_is_turned_away_is_so_once_for_a_datagram() {
    let mut bench = Bench::new();
    bench.hub.ban(bench.now, "192.0.2.0/24".parse().unwrap(), None, &mut bench.out);
    bench.give(&stranger(1), "x\n".repeat(10_000).as_bytes());
    bench.give(&stranger(1), b"x");
    assert_eq!((bench.hub.stats().banned, bench.hub.stats().members), (2, 0));
}

#[test]
fn texts_that_are_refused_have_their_share_of_a_call_and_no_more() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob")]);
    for member in 10..110 {
        bench.give(&origin(member), "bob: hi\n".repeat(100).as_bytes());
    }
    bench.hub.handle_timeout(bench.now, &mut bench.out);
    let refused = bench.hub.stats().imitations;
    assert!((32..=1024).contains(&refused), "{refused} in one call");
    bench.flush();
    bench.settle();
    assert_eq!(bench.hub.stats().imitations, 10_000);
}

/// A history that says it has two hundred messages.
struct Full;

impl History for Full {
    fn last_number(&mut self, _room: &str) -> u64 {
        0
    }

    fn keep(&mut self, _message: &crate::chat::Message<'_>) {}

    fn ask(
        &mut self,
        _recall: crate::chat::Recall,
        _query: &Query<'_>,
    ) -> Result<Option<Vec<Recalled>>, RecallError> {
        let message = |number| Recalled { number, at: 0, name: "bob".into(), text: "x".repeat(100) };
        Ok(Some((1..=200).map(message).collect()))
    }
}

#[test]
fn readers_that_catch_up_and_who_asked_have_their_turn_in_a_busy_hub() {
    let mut bench = Bench::with_history(HubConfig::default(), Box::new(Full));
    bench.open(1000);
    // So many that one call does not write a batch to all of them.
    for member in 10..5000 {
        bench.give(&origin(PORTS + member), b"");
    }
    bench.settle();
    bench.input(Input::Full(origin(1000)));
    bench.say(&[(PORTS + 10, "one")]);
    bench.input(Input::Writable(origin(1000)));
    bench.give(&origin(PORTS + 10), b"/last 200");
    for round in 0..120 {
        for member in 0..10 {
            bench.give(&origin(PORTS + 11 + 10 * round + member), b"text");
        }
        // The answer comes in bursts.
        bench.now += Duration::from_millis(2);
        bench.hub.handle_timeout(bench.now, &mut bench.out);
        bench.flush();
        assert!(bench.hub.is_busy(), "there is more to relay all the time");
    }
    assert_eq!(bench.got(1000).first().map(String::as_str), Some("ack one"));
    let told = bench.got(PORTS + 10).iter().filter(|line| line.starts_with("* said")).count();
    assert_eq!(told, 200);
}

#[test]
fn many_that_fall_silent_at_once_go_over_several_calls() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1000, "/watch on")]);
    for member in 10..5000 {
        bench.give(&origin(PORTS + member), b"");
    }
    bench.settle();
    // Nobody is heard until just before all are due.
    bench.now += Duration::from_millis(299_900);
    while bench.hub.stats().silent == 0 {
        bench.now += Duration::from_millis(50);
        bench.hub.handle_timeout(bench.now, &mut bench.out);
    }
    assert_eq!(bench.hub.stats().silent, 1024);
    bench.flush();
    bench.settle();
    assert_eq!((bench.hub.stats().silent, bench.hub.stats().members), (4990, 1));
}

#[test]
fn an_address_comes_no_more_often_than_it_may_speak() {
    let mut bench = Bench::new();
    bench.say(&[(2, "/watch on")]);
    // One datagram or many, from loopback too: each coming is told to all that watch.
    bench.give(&stranger(1), "^hb^\nquit\n".repeat(1000).as_bytes());
    for _ in 0..1000 {
        bench.say(&[(3, "^hb^"), (3, "quit")]);
    }
    assert_eq!(bench.hub.stats().came, 1 + 2 * 60);
    assert_eq!(bench.got(2).len(), 1 + 2 * 2 * 60);
    bench.wait(Duration::from_secs(1)).say(&[(3, "hi")]);
    assert_eq!(bench.got(3), ["ack hi"]);
}

#[test]
fn who_leaves_and_comes_back_owes_what_it_owed() {
    let mut bench = Bench::new();
    let member = stranger(1);
    for _ in 0..8 {
        (0..60).for_each(|_| bench.give(&member, b"x"));
        bench.settle();
        bench.give(&member, b"quit");
    }
    assert_eq!(bench.hub.stats().messages, 60);
    let answers = bench.got.values().flatten().filter(|line| line.starts_with('!')).count();
    assert!(answers <= 1, "{answers}");
}

#[test]
fn a_flood_of_what_is_no_text_is_heard_apart_too() {
    for line in ["^hb^", "ack ack hi"] {
        let mut bench = Bench::new();
        bench.say(&[(1, ""), (2, "hello")]);
        let mut isolated = 0;
        for _ in 0..20_000 {
            let request = Request::new(bench.now, line.as_bytes(), origin(1));
            bench.hub.handle_input(bench.now, Input::Message(request), &mut bench.out);
            isolated += bench.out.isolated().len();
            bench.out.clear();
        }
        assert_eq!((isolated, bench.hub.stats().flooded), (20, 19_000), "{line}");
        let floods =
            core::iter::from_fn(|| bench.hub.poll_event()).filter(|e| matches!(e, Event::Flooding(_)));
        assert_eq!((floods.count(), bench.hub.stats().floods), (1, 1));
        // It is a member as before, and as soon as it is calm it is heard as any.
        bench.wait(Duration::from_secs(3));
        bench.say(&[(1, "^hb^"), (1, "sorry")]);
        assert_eq!(bench.got(2), ["ack hello", "ack sorry"]);
        assert_eq!(bench.hub.stats().flooded, 19_000);
    }
}

#[test]
fn who_says_more_lines_at_once_than_can_wait_is_told() {
    let mut bench = Bench::new();
    bench.say(&[(1, &"k\n".repeat(32_753))]);
    let got = bench.got(1);
    assert_eq!(got.iter().filter(|line| *line == "ack k").count(), 1024);
    assert_eq!(got.iter().filter(|line| line.starts_with("! slow down")).count(), 1);
}

#[test]
fn an_overlong_text_is_answered_in_turn_and_at_its_senders_rate() {
    let mut bench = Bench::new();
    let long = ("x".repeat(1021) + "\n").repeat(60);
    (0..100).for_each(|_| bench.give(&stranger(1), long.as_bytes()));
    bench.settle();
    let answers: usize = bench.got.values().flatten().filter(|line| line.starts_with("! too long")).count();
    assert_eq!((answers, bench.hub.stats().too_long), (60, 6000));
}

#[test]
fn a_hub_that_was_forged_into_another_never_becomes_its_member() {
    let [a, b] = ["127.0.0.1:9999", "127.0.0.1:9998"].map(|address| udp(address.parse().unwrap()));
    for datagram in ["/name", "/foo\n", "/rooms", "/lines on\n", "/who", "/me x", "hello", "/help", "/last"] {
        let mut one = Hub::new(HubConfig::default().seed(1), Box::new(NoHistory));
        let mut other = Hub::new(HubConfig::default().seed(2), Box::new(NoHistory));
        let (mut out, now) = (Outbox::new(), Time::from_epoch(Duration::from_secs(1)));
        one.handle_input(now, Input::Message(Request::new(now, datagram.as_bytes(), b)), &mut out);
        // A text that fills a datagram of its own, for the line feed behind it.
        let text = "x".repeat(1020);
        one.handle_input(now, Input::Message(Request::new(now, text.as_bytes(), stranger(7))), &mut out);
        one.handle_timeout(now, &mut out);
        one.handle_input(now, Input::Stopping, &mut out);
        let to_b: Vec<Vec<u8>> = out
            .frames()
            .filter(|frame| *frame.destination == b)
            .map(|frame| frame.payload.to_vec())
            .collect();
        out.clear();
        assert!(to_b.len() > 1, "{datagram}");
        for payload in to_b {
            other.handle_input(now, Input::Message(Request::new(now, &payload, a)), &mut out);
        }
        assert_eq!(other.stats().members, 0, "{datagram}");
    }
}

#[test]
fn what_is_said_in_one_of_two_hubs_that_are_forged_into_each_other_goes_over_once() {
    let addresses = ["127.0.0.1:9999", "127.0.0.1:9998"].map(|address| udp(address.parse().unwrap()));
    let mut hubs = [1, 2].map(|seed| Hub::new(HubConfig::default().seed(seed), Box::new(NoHistory)));
    let (mut out, now) = (Outbox::new(), Time::from_epoch(Duration::from_secs(1)));
    // By a forger who knows all that a member can ask for, with names and without.
    for commands in ["x", "/name bob\n/watch on", "/numbers on", "/numbers off\n/lines on\n/last"] {
        let mut waiting: [Vec<Vec<u8>>; 2] = [vec![commands.into()], vec![commands.into()]];
        let mut rounds = 0;
        while waiting.iter().any(|datagrams| !datagrams.is_empty()) {
            for (at, other) in [(0, 1), (1, 0)] {
                let datagrams = core::mem::take(&mut waiting[at]);
                for datagram in datagrams {
                    let from = Request::new(now, &datagram, addresses[other]);
                    hubs[at].handle_input(now, Input::Message(from), &mut out);
                }
                while hubs[at].poll_timeout().is_some_and(|deadline| deadline <= now) {
                    hubs[at].handle_timeout(now, &mut out);
                }
                let to_other = out.frames().filter(|frame| *frame.destination == addresses[other]);
                waiting[other].extend(to_other.map(|frame| frame.payload.to_vec()));
                out.clear();
            }
            rounds += 1;
            assert!(rounds < 8, "{commands}: {waiting:?}");
        }
    }
}

#[test]
fn one_that_watches_a_crowd_is_told_and_so_is_a_crowd_that_watches() {
    let bench = Bench::new();
    let crowd = |member: u32| {
        let [_, high, middle, low] = member.to_be_bytes();
        udp(SocketAddr::from((Ipv4Addr::new(127, high + 2, middle, low), 4000)))
    };
    let write = |hub: &mut Hub, now: Time, out: &mut Outbox| {
        let (mut told, mut most) = (0, 0);
        while hub.poll_timeout().is_some_and(|deadline| deadline <= now) {
            hub.handle_timeout(now, out);
            (told, most) = (told + out.len(), most.max(out.len()));
            out.clear();
        }
        (told, most)
    };
    // More than an outbox holds datagrams.
    let Bench { mut hub, mut out, now, .. } = bench;
    for member in 0..66_000 {
        hub.handle_input(now, Input::Message(Request::new(now, b"/watch on", crowd(member))), &mut out);
        if member % 500 == 0 {
            write(&mut hub, now, &mut out);
        }
    }
    write(&mut hub, now, &mut out);
    let dropped = hub.stats().presence_dropped;
    hub.handle_input(now, Input::Message(Request::new(now, b"^hb^", stranger(1))), &mut out);
    let (told, most) = write(&mut hub, now, &mut out);
    assert_eq!((told, hub.stats().presence_dropped), (66_000, dropped));
    assert!(most <= 1024, "{most} in one call");
    // Many that leave cost no more than each its own.
    for member in 0..200 {
        hub.handle_input(now, Input::Message(Request::new(now, b"quit", crowd(member))), &mut out);
    }
    let (told, most) = write(&mut hub, now, &mut out);
    assert!(told >= 65_000 && most <= 1024, "{told}, {most} in one call");
}
