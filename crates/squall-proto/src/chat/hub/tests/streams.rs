use super::*;

#[test]
fn a_slow_reader_goes_on_where_it_was_and_holds_nobody_up() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1, "/name bob"), (2, "")]).say(&[(1, "one")]);
    bench.input(Input::Full(origin(1000)));
    bench.say(&[(1, "two")]).say(&[(2, "three: 3")]).say(&[(1, "four")]);
    assert_eq!(bench.got(1000), ["ack bob: one"]);
    assert_eq!(bench.got(2).len(), 4);
    bench.input(Input::Writable(origin(1000)));
    bench.settle();
    assert_eq!(bench.got(1000), ["ack bob: two", "ack three: 3", "ack bob: four"]);
    bench.say(&[(1, "five")]);
    assert_eq!(bench.got(1000), ["ack bob: five"]);
}

#[test]
fn a_reader_that_is_behind_too_far_is_told_how_much_it_missed() {
    let mut bench = Bench::with(HubConfig::default().ring(4096));
    bench.open(1000).say(&[(1, "/numbers on"), (1000, "/numbers on")]);
    bench.got.clear();
    bench.input(Input::Full(origin(1000)));
    let text = "x".repeat(100);
    for _ in 0..100 {
        bench.say(&[(1, &text)]);
    }
    bench.input(Input::Writable(origin(1000)));
    bench.settle();
    let (all, got) = (bench.got(1), bench.got(1000));
    let kept = got.len() - 1;
    assert!((30..40).contains(&kept), "{kept}");
    assert_eq!(got[0], alloc::format!("* missed {}", 100 - kept));
    assert_eq!(got[1..], all[100 - kept..]);
    assert_eq!(bench.hub.stats().missed, 100 - kept as u64);
}

#[test]
fn a_reader_catches_up_while_all_calls_are_busy() {
    let mut bench = Bench::new();
    bench.hub.relay.per_call = 1;
    bench.open(1000).say(&[(1, ""), (1000, "hi")]).got(1000);
    bench.input(Input::Full(origin(1000)));
    bench.say(&[(1, "one")]).got(1000);
    bench.input(Input::Writable(origin(1000)));
    for _ in 0..5 {
        (0..10).for_each(|member| bench.give(&origin(member), b"more"));
        bench.hub.handle_timeout(bench.now, &mut bench.out);
        bench.flush();
    }
    assert_eq!(bench.got(1000)[0], "ack one");
    assert!(bench.hub.is_busy());
}

#[test]
fn a_reader_that_fills_up_again_while_it_catches_up_loses_nothing() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1, "/numbers on")]).got(1);
    bench.input(Input::Full(origin(1000)));
    let text = "x".repeat(900);
    for round in 0..6 {
        for _ in 0..40 {
            bench.say(&[(1, &text)]);
        }
        bench.input(Input::Writable(origin(1000)));
        // One turn of those that catch up, and then it is full again.
        bench.hub.handle_timeout(bench.now, &mut bench.out);
        bench.flush();
        if round < 5 {
            bench.input(Input::Full(origin(1000)));
        }
        bench.check();
    }
    bench.settle();
    assert_eq!(bench.got(1000).len(), 240);
}

#[test]
fn a_reader_that_fills_up_within_a_batch_gets_all_of_it_once() {
    let mut bench = Bench::new();
    // More streams than one call writes to: some have the batch and some do not when they fill up.
    for stream in 0..3000 {
        bench.open(1000 + stream);
    }
    bench.say(&[(1, "")]);
    bench.give(&origin(1), b"one\ntwo");
    bench.hub.handle_timeout(bench.now, &mut bench.out);
    bench.flush();
    let done = bench.got.len();
    assert!((500..2500).contains(&done), "{done}");
    for stream in 0..3000 {
        bench.input(Input::Full(origin(1000 + stream)));
    }
    bench.check();
    bench.say(&[(1, "three")]);
    for stream in 0..3000 {
        bench.input(Input::Writable(origin(1000 + stream)));
    }
    bench.settle();
    bench.say(&[(1, "four")]);
    for stream in 0..3000 {
        assert_eq!(bench.got(1000 + stream), ["ack one", "ack two", "ack three", "ack four"], "{stream}");
    }
}

#[test]
fn a_reader_that_is_behind_can_still_ask_and_leave() {
    let mut bench = Bench::new();
    bench.open(1000).open(1001).say(&[(1, "")]);
    bench.input(Input::Full(origin(1000)));
    bench.say(&[(1, "one\ntwo")]).say(&[(1000, "/join den")]);
    assert_eq!(bench.got(1000), ["* missed 2", "* join den members=1 number=0"]);
    bench.say(&[(1000, "hi")]);
    assert!(bench.got(1000).is_empty(), "it is still full");
    bench.input(Input::Writable(origin(1000)));
    bench.settle();
    assert_eq!(bench.got(1000), ["ack hi"]);
    bench.input(Input::Full(origin(1001)));
    bench.input(Input::Closed(origin(1001)));
    bench.settle();
    assert_eq!(bench.hub.stats().members, 2);
}

#[test]
fn a_connection_that_takes_the_name_of_one_that_ended_is_another() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1000, "/name bob")]);
    bench.give(&origin(1000), b"last words");
    bench.input(Input::Closed(origin(1000)));
    bench.open(1000).say(&[(1000, "hi")]);
    assert_eq!(bench.got(1000), ["* name bob", "ack hi"]);
    assert_eq!(bench.hub.stats().members, 1);
}
