use super::*;
use crate::chat::wire::Reason;

#[test]
fn a_kicked_member_disappears_and_a_connection_is_ended() {
    let mut bench = Bench::new();
    bench.open(1000).say(&[(1, "/name bob"), (2, ""), (1000, "/name cid")]);
    (0..3).for_each(|member| drop(bench.got(member)));
    bench.got(1000);
    for (who, count) in [("bob", 1), ("cid", 1), ("dan", 0), ("127.0.0.3", 1), ("127.0.0.0/8", 0)] {
        let who: Selector = who.parse().unwrap();
        assert_eq!(bench.hub.kick(bench.now, &who, &mut bench.out), count, "{who}");
        bench.flush();
    }
    bench.settle();
    assert!(bench.got.is_empty());
    assert_eq!(bench.closed, [origin(1000)]);
    assert_eq!((bench.hub.stats().members, bench.hub.stats().kicked), (0, 3));
}

#[test]
fn who_lists_members_some_at_a_time_misses_nobody_who_stays() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, ""), (3, ""), (4, ""), (5, "")]);
    let mut seen = alloc::vec::Vec::new();
    let mut next = 0;
    loop {
        let page: alloc::vec::Vec<_> = bench.hub.members_from(bench.now, next).take(2).collect();
        let Some((last, _)) = page.last() else { break };
        next = last + 1;
        seen.extend(page.iter().map(|(_, member)| member.number));
        // One that is listed already goes.
        bench.hub.kick(bench.now, &Selector::Number(1), &mut bench.out);
        bench.flush();
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    assert_eq!(bench.hub.members_from(bench.now, u32::MAX).count(), 0);
}

#[test]
fn a_banned_network_stays_out_for_its_time() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "")]);
    let network = "127.0.0.2".parse().unwrap();
    assert_eq!(bench.hub.ban(bench.now, network, Some(Duration::from_secs(10)), &mut bench.out), Some(1));
    bench.say(&[(1, "hello")]);
    assert_eq!((bench.hub.stats().members, bench.hub.stats().banned), (1, 1));
    assert_eq!(bench.hub.bans(bench.now).count(), 1);
    bench.wait(Duration::from_secs(11)).say(&[(1, "hello")]);
    assert_eq!(bench.got(1), ["ack hello"]);
    assert_eq!(bench.hub.bans(bench.now).count(), 0);
    assert_eq!(bench.hub.ban(bench.now, network, None, &mut bench.out), Some(1));
    assert!(bench.hub.unban(network) && !bench.hub.unban(network));
    bench.say(&[(1, "hello")]);
    assert_eq!(bench.got(1), ["ack hello"]);
}

#[test]
fn the_operator_speaks_in_one_room_or_in_all() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "/join den\n/numbers on")]).got(2);
    assert_eq!(bench.hub.say(bench.now, None, "hello\n\x1b[31mall"), Ok(2));
    bench.settle();
    assert_eq!(bench.got(1), ["ack operator: hello", "ack operator: [31mall"]);
    assert_eq!(bench.got(2), ["ack #1 operator: hello", "ack #2 operator: [31mall"]);
    assert_eq!(bench.hub.say(bench.now, Some("Den"), "you"), Ok(1));
    bench.settle();
    assert!(bench.got(1).is_empty());
    assert_eq!(bench.got(2), ["ack #3 operator: you"]);
}

#[test]
fn the_operator_is_told_why_nobody_hears_it() {
    let mut bench = Bench::new();
    let mut say = |room, text: &str| bench.hub.say(bench.now, room, text);
    assert_eq!(say(Some("attic"), "you"), Err(Unheard::NoRoom));
    assert_eq!(say(None, " \n\x07"), Err(Unheard::Empty));
    assert_eq!(say(None, &"x".repeat(1010)), Ok(1));
    assert_eq!(say(None, &"x".repeat(1011)), Err(Unheard::TooLong { bytes: 1011, fit: 1010 }));
    assert_eq!(say(Some("lobby"), &"x\n".repeat(64)), Err(Unheard::TooMany));
}

#[test]
fn a_name_means_all_that_look_like_it() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob"), (2, "/name сосо"), (3, "/join den\n/name Bob"), (4, "/name robert")]);
    for (who, count) in [("BOB", 2), ("b0b", 0), ("COCO", 1), ("rob", 0), ("", 0)] {
        let who: Selector = who.parse().unwrap();
        assert_eq!(bench.hub.kick(bench.now, &who, &mut bench.out), count, "{who}");
        bench.flush();
    }
}

#[test]
fn events_tell_who_came_and_why_it_went() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob")]);
    for beat in 0..10 {
        bench.say(&[(1, &alloc::format!("^hb^ {beat}"))]).wait(Duration::from_secs(10));
    }
    bench.wait(Duration::from_secs(110));
    let events: Vec<Event> = core::iter::from_fn(|| bench.hub.poll_event()).collect();
    let [
        Event::Came(_),
        Event::Renamed { old, .. },
        Event::Went { who, reason, silence, limit, interval, loss },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((old.as_str(), who.name.as_str(), *reason), ("~1", "bob", Reason::Silent));
    assert_eq!((*interval, *loss), (Some(Duration::from_secs(10)), Some(0.0)));
    let late = *silence - limit.unwrap();
    assert!(late <= Duration::from_millis(200), "{late:?}");
}

#[test]
fn events_that_nobody_takes_are_counted() {
    let mut bench = Bench::new();
    for member in 0..1000 {
        bench.say(&[(member, "")]).say(&[(member, "quit")]);
    }
    assert_eq!(bench.hub.stats().events_dropped, 2000 - 1024);
}

#[test]
fn a_member_that_was_silent_for_too_long_finds_its_name_and_room_again() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob\n/join den\n/numbers on\n/watch on"), (2, "/join den")]);
    bench.got(1);
    bench.wait(Duration::from_secs(310)).say(&[(2, "/join den")]);
    assert_eq!(bench.hub.stats().silent, 2);
    bench.wait(Duration::from_secs(200)).say(&[(1, "back")]).say(&[(3, "/join den")]);
    assert_eq!(bench.got(1), ["ack #1 bob: back", "* came ~5"]);
    bench.wait(Duration::from_secs(310 + 601)).got(1);
    bench.say(&[(1, "too late")]);
    assert_eq!(bench.got(1), ["ack too late"]);
}

#[test]
fn a_name_that_was_taken_meanwhile_is_not_given_back() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob")]).wait(Duration::from_secs(310)).say(&[(2, "/name bob")]).got(2);
    bench.got(1);
    bench.say(&[(1, "hi")]);
    assert_eq!(bench.got(1), ["ack hi"]);
}

#[test]
fn only_so_many_are_remembered_the_last_that_left() {
    let mut bench = Bench::new();
    for member in 0..17_000 {
        bench.give(&origin(PORTS + member), alloc::format!("/name x{member}").as_bytes());
        if member % 50 == 49 {
            bench.wait(Duration::from_secs(1));
        }
    }
    bench.got.clear();
    bench.wait(Duration::from_secs(310));
    // Who leaves by itself makes nobody be forgotten.
    for member in 0..17_000 {
        bench.give(&origin(PORTS + 20_000 + member), b"");
        bench.give(&origin(PORTS + 20_000 + member), b"quit");
    }
    assert_eq!(bench.hub.stats().silent, 17_000);
    bench.say(&[(PORTS, "/name"), (PORTS + 16_999, "/name"), (PORTS + 700, "/name"), (PORTS + 500, "/name")]);
    let names = [0, 16_999, 700, 500].map(|member| bench.got(PORTS + member).remove(0));
    assert_eq!(names, ["* name ~34001", "* name x16999", "* name x700", "* name ~34004"]);
}
