use super::*;

#[test]
fn the_first_datagram_makes_a_member_and_is_relayed_to_all_the_sender_too() {
    let mut bench = Bench::new();
    bench.say(&[(1, "hello")]);
    assert_eq!(bench.got(1), ["ack hello"]);
    bench.say(&[(2, " hi there \r\n")]);
    assert_eq!(bench.got(1), ["ack hi there"]);
    assert_eq!(bench.got(2), ["ack hi there"]);
}

#[test]
fn an_empty_datagram_and_a_heartbeat_make_members_and_get_no_answer() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "^hb^"), (3, "^hb^ 7"), (4, "  \n ")]);
    assert_eq!(bench.hub.stats().members, 4);
    assert!(bench.got.is_empty());
}

#[test]
fn quit_and_what_hubs_send_make_no_member() {
    let mut bench = Bench::new();
    bench.say(&[(1, "quit"), (2, "bye bye"), (3, "ack hello"), (4, "ack"), (5, "ack a\nack b")]);
    assert_eq!(bench.hub.stats().members, 0);
    assert_eq!(bench.hub.stats().strangers, 6);
}

#[test]
fn quit_takes_a_member_out_without_an_answer() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "")]).say(&[(1, "quit")]).say(&[(2, "alone")]);
    assert!(bench.got(1).is_empty());
    assert_eq!(bench.got(2), ["ack alone"]);
}

#[test]
fn what_is_said_before_quit_is_relayed_and_what_comes_behind_joins_anew() {
    let mut bench = Bench::new();
    bench.say(&[(2, "")]).say(&[(1, "/name bob\nlast words\nquit\nback\nagain")]);
    assert_eq!(bench.got(2), ["ack bob: last words", "ack back", "ack again"]);
    assert_eq!(bench.got(1), ["* name bob", "ack bob: last words", "ack back", "ack again"]);
    assert_eq!((bench.hub.stats().members, bench.hub.stats().quit), (2, 1));
}

#[test]
fn messages_of_a_batch_share_a_datagram_and_one_alone_has_its_own() {
    let mut bench = Bench::new();
    bench.say(&[(2, "")]).say(&[(1, "one\ntwo"), (3, "three")]);
    assert_eq!(bench.got(2), ["ack one", "ack three", "ack two"], "senders in turn");
    assert_eq!(bench.datagrams[&2], 1);
    let text = "x".repeat(400);
    bench.say(&[(1, &text), (1, &text), (1, &text)]);
    assert_eq!(bench.got(2).len(), 3);
    assert_eq!(bench.datagrams[&2], 3, "two fit a datagram");
}

#[test]
fn names_stand_before_texts_and_commands_do_not_overtake_texts() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "")]).say(&[(1, "before\n/name bob\nbehind")]);
    assert_eq!(bench.got(2), ["ack before", "ack bob: behind"]);
    assert_eq!(bench.got(1), ["ack before", "* name bob", "ack bob: behind"]);
}

#[test]
fn a_text_that_no_datagram_holds_is_refused_to_its_sender() {
    let mut bench = Bench::new();
    let (fits, long) = ("x".repeat(1020), "x".repeat(1021));
    bench.say(&[(1, ""), (2, "")]).say(&[(1, &fits)]);
    assert_eq!(bench.got(2), [alloc::format!("ack {fits}")]);
    bench.got(1);
    bench.say(&[(1, &long)]);
    assert_eq!(bench.got(1), ["! too long: 1021 bytes, 1020 fit"]);
    bench.say(&[(1, "/name bob")]).say(&[(1, &fits)]);
    assert_eq!(bench.got(1), ["* name bob", "! too long: 1020 bytes, 1015 fit"]);
    bench.say(&[(1, &"y".repeat(65_507))]);
    assert_eq!(bench.got(1), ["! too long: 65507 bytes, 1015 fit"]);
    assert!(bench.got(2).is_empty());
}

#[test]
fn a_silent_member_is_evicted_after_five_minutes_and_a_stream_is_not() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1, "hello")]).wait(Duration::from_secs(299));
    assert_eq!(bench.hub.stats().members, 2);
    bench.wait(Duration::from_secs(2));
    assert_eq!((bench.hub.stats().members, bench.hub.stats().silent), (1, 1));
}

#[test]
fn lines_of_a_stream_are_messages_and_its_end_is_a_members_end() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1, "")]).say(&[(1000, "hello")]);
    assert_eq!(bench.got(1), ["ack hello"]);
    assert_eq!(bench.got(1000), ["ack hello"]);
    bench.give(&origin(1000), b"last words");
    bench.input(Input::Closed(origin(1000)));
    bench.settle();
    assert_eq!(bench.got(1), ["ack last words"]);
    assert!(bench.got(1000).is_empty());
    assert_eq!(bench.hub.stats().members, 1);
}

#[test]
fn a_stream_that_quits_is_ended() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1000, "hello"), (1000, "quit")]);
    assert_eq!(bench.got(1000), ["ack hello"]);
    assert_eq!(bench.closed, [origin(1000)]);
    assert_eq!(bench.hub.stats().members, 0);
}

#[test]
fn at_the_end_what_waits_is_relayed_and_every_member_gets_bye_bye() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1, ""), (2, "/join den"), (3, "/numbers on")]);
    (0..4).for_each(|member| drop(bench.got(member)));
    bench.give(&origin(1), b"last words");
    bench.input(Input::Stopping);
    assert_eq!(bench.got(1), ["ack last words", "bye bye"]);
    assert_eq!(bench.got(2), ["bye bye"]);
    assert_eq!(bench.got(3), ["ack #1 ~2: last words", "bye bye"]);
    assert_eq!(bench.got(1000), ["ack last words", "bye bye"]);
    bench.settle();
    assert_eq!(bench.hub.poll_timeout(), None);
}
