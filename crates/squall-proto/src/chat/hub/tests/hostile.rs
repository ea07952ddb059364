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
    for round in 0..60 {
        for member in 0..20 {
            bench.give(&origin(PORTS + 11 + 20 * round + member), b"text");
        }
        bench.hub.handle_timeout(bench.now, &mut bench.out);
        bench.flush();
        assert!(bench.hub.is_busy(), "there is more to relay all the time");
    }
    assert_eq!(bench.got(1000).first().map(String::as_str), Some("ack one"));
    let told = bench.got(PORTS + 10).iter().filter(|line| line.starts_with("* said")).count();
    assert_eq!(told, 200);
}

#[test]
fn a_list_of_many_members_costs_what_looking_at_them_does() {
    let mut bench = Bench::new();
    for member in 10..5000 {
        bench.give(&origin(PORTS + member), b"");
    }
    for member in 10..110 {
        bench.give(&origin(PORTS + member), "/who\n".repeat(5).as_bytes());
    }
    bench.hub.handle_timeout(bench.now, &mut bench.out);
    let lists = bench.hub.stats().commands;
    assert!((2..=16).contains(&lists), "{lists} in one call");
    bench.settle();
    assert_eq!(bench.hub.stats().commands, 500);
}

#[test]
fn many_that_fall_silent_at_once_go_over_several_calls() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1000, "/watch on")]);
    for member in 10..5000 {
        bench.give(&origin(PORTS + member), b"");
    }
    bench.settle();
    bench.now += Duration::from_secs(7200);
    bench.hub.handle_timeout(bench.now, &mut bench.out);
    assert_eq!(bench.hub.stats().silent, 1024);
    bench.flush();
    bench.settle();
    assert_eq!((bench.hub.stats().silent, bench.hub.stats().members), (4990, 1));
}

#[test]
fn who_comes_and_goes_in_one_datagram_does_so_a_few_times() {
    let mut bench = Bench::new();
    bench.say(&[(2, "/watch on")]);
    bench.give(&stranger(1), "^hb^\nquit\n".repeat(1000).as_bytes());
    bench.settle();
    let stats = bench.hub.stats();
    assert_eq!((stats.came, stats.strangers), (1 + 8, 2 * (1000 - 8)));
    assert_eq!(bench.got(2).len(), 1 + 2 * 8);
}
