use super::*;

#[test]
fn who_asks_for_line_feeds_has_one_at_the_end_of_each_datagram() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "/lines on")]);
    assert_eq!(bench.raw(2), ["* lines on\n"]);
    bench.say(&[(1, "one\ntwo"), (3, "three")]);
    assert_eq!(bench.raw(2), ["ack one\nack three\nack two\n"]);
    assert_eq!(bench.raw(1), ["ack one\nack three\nack two"]);
    bench.say(&[(2, "/watch on\n/foo\n/lines")]);
    assert_eq!(
        bench.raw(2),
        ["* watch on\n", "! /foo: no such command; /help\n", "! lines: the use is /lines on or /lines off\n"]
    );
    bench.say(&[(1, "/watch on")]).say(&[(4, "")]);
    assert_eq!(bench.raw(2), ["* came ~4\n"]);
    assert_eq!(bench.raw(1), ["* watch on", "* came ~4"]);
    bench.say(&[(2, "/lines off\nhi")]);
    assert_eq!(bench.raw(2), ["* lines off", "ack hi"]);
}

#[test]
fn a_command_that_ends_with_a_line_feed_sets_line_feeds_on_its_answer_included() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob\n"), (2, ""), (3, "/nmae bob\r\n"), (4, "hi\n/me\n")]);
    assert_eq!(bench.raw(1), ["* name bob\n", "ack hi\n"]);
    assert_eq!(bench.raw(3)[0], "! /nmae: no such command; /help\n");
    let raw = bench.raw(4);
    assert_eq!(raw[0], "ack hi", "it was said before");
    assert!(raw[1].starts_with("* me ~4 ") && raw[1].ends_with('\n'), "{raw:?}");
    assert_eq!(bench.raw(2), ["ack hi"]);
    bench.say(&[(1, "/lines off\n"), (1, "/me\n")]);
    let raw = bench.raw(1);
    assert_eq!(raw[0], "* lines off");
    assert!(!raw[1].ends_with('\n'), "what it said counts for more: {raw:?}");
}

#[test]
fn line_feeds_behind_anything_but_commands_change_nothing() {
    let mut bench = Bench::new();
    bench.say(&[(1, " hi \n"), (1, "^hb^ 1\n"), (1, "\n"), (1, "//me\n"), (1, "/name bob"), (1, "bye\n")]);
    assert_eq!(bench.raw(1), ["ack hi\nack /me", "* name bob", "ack bob: bye"]);
    bench.say(&[(2, "quit\n")]).say(&[(2, "x")]);
    assert_eq!(bench.raw(2), ["ack x"]);
    assert_eq!(bench.raw(1), ["ack x"]);
}

#[test]
fn a_line_feed_ends_every_datagram_but_one_that_a_text_fills() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/lines on")]).raw(1);
    let (fills, fits, half) = ("x".repeat(1020), "y".repeat(1019), "z".repeat(508));
    bench.say(&[(2, &fits)]);
    assert_eq!(bench.raw(1), [alloc::format!("ack {fits}\n")]);
    bench.say(&[(2, &fills), (2, "next")]);
    assert_eq!(bench.raw(1), [alloc::format!("ack {fills}"), "ack next\n".to_string()]);
    bench.say(&[(2, &fills)]);
    assert_eq!(bench.raw(1), [alloc::format!("ack {fills}")]);
    // Two of these fill a datagram without a feed at the end.
    bench.raw(2);
    bench.say(&[(2, &half), (2, &half[1..]), (2, &half), (2, &half[2..])]);
    assert_eq!(bench.raw(2).iter().map(String::len).collect::<Vec<_>>(), [1024, 1023]);
    let raw = bench.raw(1);
    assert_eq!(raw.iter().map(String::len).collect::<Vec<_>>(), [513, 512, 1024]);
    assert!(raw.iter().all(|datagram| datagram.ends_with('\n')));
}

#[test]
fn line_feeds_and_numbers_go_together() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/numbers on\n/me x\n")]).raw(1);
    bench.say(&[(2, "one"), (1, "two\n/lines off\nthree\n/lines on\nfour\n/numbers off\nfive")]);
    assert_eq!(
        bench.raw(1),
        [
            "ack #1 ~2: one\nack #2 ~1: two\n",
            "* lines off",
            "ack #3 ~1: three",
            "* lines on\n",
            "ack #4 ~1: four\n",
            "* numbers off\n",
            "ack five\n"
        ]
    );
    assert_eq!(bench.raw(2), ["ack one\nack two", "ack three", "ack four", "ack five"]);
}

#[test]
fn who_comes_back_finds_line_feeds_as_they_were() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/me\n"), (2, "/lines off"), (3, "/lines on")]).wait(Duration::from_secs(400));
    assert_eq!(bench.hub.stats().members, 0);
    (1..4).for_each(|member| drop(bench.raw(member)));
    bench.say(&[(1, "hi"), (2, "/me\n"), (3, "")]);
    assert_eq!(bench.raw(1), ["ack hi\n"]);
    assert!(bench.raw(2).iter().all(|datagram| !datagram.ends_with('\n')));
    assert_eq!(bench.raw(3), ["ack hi\n"]);
    bench.say(&[(1, "quit"), (3, "ho"), (1, "back")]);
    assert_eq!(bench.raw(3), ["ack ho\nack back\n"]);
    assert_eq!(bench.raw(1), ["ack ho\nack back"], "who leaves by itself is new");
}

#[test]
fn a_room_and_the_end_are_told_with_line_feeds() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/join den\n")]);
    assert_eq!(bench.raw(1), ["* join den members=1 number=0\n"]);
    bench.hub.say(bench.now, None, "the end").unwrap();
    bench.settle();
    bench.input(Input::Stopping);
    bench.settle();
    assert_eq!(bench.raw(1), ["ack operator: the end\n", "bye bye\n"]);
}

#[test]
fn the_lines_of_a_connection_are_what_they_are() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1000, "/lines on"), (1000, "/lines off"), (1000, "/me x\n"), (1000, "hi")]);
    let raw = bench.raw(1000);
    assert_eq!(raw[..2], ["* lines on", "! lines: each line of a connection has its end"]);
    assert!(raw[2].ends_with("token=x"), "the driver ends the lines");
    assert_eq!(raw[3], "ack hi");
}
