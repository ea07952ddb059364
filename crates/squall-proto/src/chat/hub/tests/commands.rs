use super::*;
use crate::chat::{Message, Query, Recall, RecallError, Recalled};

#[test]
fn a_name_is_unique_in_its_room_and_free_in_another() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob"), (2, "/name B0B"), (2, "/name"), (3, "/join den\n/name bob")]);
    assert_eq!(bench.got(1), ["* name bob"]);
    assert_eq!(bench.got(2), ["! name: B0B is taken in lobby", "* name ~2"]);
    assert_eq!(bench.got(3), ["* join den members=1 number=0", "* name bob"]);
    bench.say(&[(3, "/join lobby\n/me")]);
    let got = bench.got(3);
    assert_eq!(got[0], "! join: bob is taken in lobby");
    assert!(got[1].contains(" room=den "), "{got:?}");
    bench.say(&[(1, "quit"), (3, "/join lobby")]);
    assert_eq!(bench.got(3), ["* join lobby members=2 number=0"]);
}

#[test]
fn a_member_can_take_its_own_name_in_another_case() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob\n/name Bob\n/name Bob\nhi")]);
    assert_eq!(bench.got(1), ["* name bob", "* name Bob", "* name Bob", "ack Bob: hi"]);
}

#[test]
fn who_has_no_name_cannot_seem_to_be_another_or_the_operator() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/name bob"), (2, "")]).got(1);
    let blanks = alloc::format!("bob{}: hi", " ".repeat(200));
    let hidden = alloc::format!("bob{}: hi", "\u{200b}".repeat(40));
    let texts = [
        "bob: hi",
        "B0b : hi",
        "operator: down",
        &hidden,
        &blanks,
        "bob\u{2800}: hi",
        "~10: hi",
        "#5 ann: hi",
    ];
    for text in texts {
        bench.say(&[(2, text)]);
        assert!(bench.got(2)[0].starts_with("! that looks like"), "{text}");
    }
    bench.say(&[(2, "note: hi"), (2, "#5: hi"), (2, "~: hi")]).say(&[(1, "bob: hi"), (1, "#5 ann: hi")]);
    let expected = ["ack note: hi", "ack #5: hi", "ack ~: hi", "ack bob: bob: hi", "ack bob: #5 ann: hi"];
    assert_eq!(bench.got(1), expected);
    assert_eq!(bench.hub.stats().imitations, texts.len() as u64);
}

#[test]
fn rooms_hear_only_their_own_and_empty_ones_are_forgotten() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "/join den"), (3, "/join den")]);
    assert_eq!(bench.got(3), ["* join den members=2 number=0"]);
    bench.got(2);
    bench.say(&[(2, "secret"), (1, "public\n/rooms")]);
    assert_eq!(bench.got(3), ["ack secret"]);
    assert_eq!(
        bench.got(1),
        ["ack public", "* rooms 2", "* room den members=2 number=1", "* room lobby members=1 number=1"]
    );
    bench.say(&[(2, "quit"), (3, "/join lobby")]).got(3);
    bench.say(&[(1, "/rooms")]);
    assert_eq!(bench.got(1), ["* rooms 1", "* room lobby members=2 number=1"]);
}

#[test]
fn a_room_is_written_as_its_history_knows_it() {
    struct Known;
    impl History for Known {
        fn last_number(&mut self, room: &str) -> u64 {
            if room == "Den" { 30 } else { 0 }
        }
        fn spelling(&mut self, room: &RoomName) -> Option<RoomName> {
            let known = RoomName::new("Den").unwrap();
            (known.key() == room.key()).then_some(known)
        }
        fn keep(&mut self, message: &Message<'_>) {
            assert_eq!(message.room, "Den");
        }
        fn ask(&mut self, _: Recall, _: &Query<'_>) -> Result<Option<Vec<Recalled>>, RecallError> {
            Err(RecallError::NotKept)
        }
    }
    let mut bench = Bench::with_history(HubConfig::default(), Box::new(Known));
    bench.say(&[(1, "/join den\nhello")]);
    assert_eq!(bench.got(1), ["* join Den members=1 number=30", "ack hello"]);
}

#[test]
fn rooms_are_told_in_pages() {
    let mut bench = Bench::with(HubConfig::default().rooms(65_535));
    for room in 0..250 {
        bench.say(&[(room, &alloc::format!("/join room{room:03}"))]);
    }
    bench.say(&[(1, "/join den")]).got.clear();
    let (mut rooms, mut ask) = (Vec::new(), "/rooms".to_string());
    for page in 0..3 {
        bench.say(&[(7, &ask)]);
        let mut got = bench.got(7);
        assert_eq!(got.remove(0), "* rooms 251");
        if page < 2 {
            let more = got.pop().unwrap();
            ask = alloc::format!("/rooms {}", more.strip_prefix("* more-rooms ").unwrap());
        }
        rooms.extend(got.iter().map(|line| line.split(' ').nth(2).unwrap().to_string()));
    }
    assert_eq!(rooms.len(), 251);
    assert!(rooms.contains(&"lobby".to_string()) && rooms.contains(&"room249".to_string()));
    assert!(rooms.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_plain_member_gets_no_more_than_a_datagram_of_an_old_message_and_one_with_numbers_all() {
    let said = |number| Recalled { number, at: 0, name: "ann".to_string(), text: "ü".repeat(507) };
    for (numbers, bytes) in [("/numbers off", 1023), ("/numbers on", 1014 + 36)] {
        let mut bench = Bench::with_history(HubConfig::default(), Box::new(Kept::default()));
        bench.say(&[(1, numbers), (1, "/find x")]).raw(1);
        bench.hub.recall(bench.now, Recall(1), Ok(alloc::vec![said(1)]), &mut bench.out);
        let sizes: Vec<usize> = bench.out.frames().map(|frame| frame.payload.len()).collect();
        let last = bench.out.frames().last().unwrap().payload.to_vec();
        assert_eq!(sizes.len(), 2, "{numbers}");
        assert_eq!(sizes[1], bytes, "{numbers}");
        assert_eq!(String::from_utf8(last).unwrap().ends_with('…'), numbers == "/numbers off");
    }
}

#[test]
fn there_are_only_so_many_rooms() {
    let mut bench = Bench::with(HubConfig::default().rooms(2));
    bench.say(&[(1, "/join one"), (2, "/join two"), (2, "/join one")]);
    assert_eq!(
        bench.got(2),
        ["! join: there are 2 rooms, which is as many as there may be", "* join one members=2 number=0"]
    );
}

#[test]
fn who_tells_names_first_and_pages_through_all() {
    let mut bench = Bench::new();
    for member in 0..250 {
        bench.say(&[(member, "")]);
        if member % 2 == 0 {
            bench.say(&[(member, &alloc::format!("/name x{member:03}"))]);
        }
    }
    bench.got.clear();
    let mut names = Vec::new();
    let mut after = String::new();
    for page in 0.. {
        bench.say(&[(7, &alloc::format!("/who lobby {after}"))]);
        let got = bench.got(7);
        assert_eq!(got[0], "* who lobby members=250");
        let word = |line: &String| line.split(' ').nth(2).unwrap().to_string();
        names.extend(got[1..].iter().filter(|line| line.starts_with("* member ")).map(word));
        match got.last().unwrap().strip_prefix("* more ") {
            Some(name) => after = name.to_string(),
            None => {
                assert_eq!(page, 2);
                break;
            }
        }
    }
    assert_eq!(names.len(), 250);
    assert!(names[..125].iter().all(|name| name.starts_with('x')), "names come first");
    assert_eq!((names[125].as_str(), names[249].as_str()), ("~2", "~250"));
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 250);
}

#[test]
fn who_in_a_large_room_leaves_others_their_turn() {
    let mut bench = Bench::with(HubConfig::default());
    const CROWD: u32 = 60_000;
    for member in 0..CROWD {
        bench.give(&origin(PORTS + member), b"^hb^ 1");
    }
    bench.say(&[(1, "/join den"), (2, "/join den")]);
    bench.got.clear();
    // Two of these are what may be done in one call.
    for sender in 0..20 {
        for _ in 0..5 {
            bench.give(&origin(PORTS + sender), b"/who");
        }
    }
    bench.give(&origin(1), b"hello");
    let mut calls = 0;
    while bench.got(2).is_empty() {
        bench.hub.handle_timeout(bench.now, &mut bench.out);
        bench.flush();
        calls += 1;
        assert!(calls < 4, "the other room waits for all of them");
    }
    let answers = bench.hub.stats().commands - 2;
    assert!((1..=8).contains(&answers), "{answers} in {calls} calls");
    bench.settle();
    assert_eq!(bench.hub.stats().commands - 2, 100);
    for sender in 0..20 {
        assert_eq!(bench.got(PORTS + sender).len(), 5 * 102);
    }
}

#[test]
fn me_tells_what_is_known_and_echoes_a_token() {
    let mut bench = Bench::new();
    bench.say(&[(1, "^hb^ 1\n/me abc")]);
    let run = bench.hub.run();
    assert_eq!(
        bench.got(1),
        [alloc::format!(
            "* me ~1 room=lobby number=0 member=1 via=udp peer=127.0.0.2:4000 idle=0.0 limit=30 \
             hub={run:016x} token=abc"
        )]
    );
}

#[test]
fn numbers_come_to_who_asked_for_them_and_change_in_the_middle_of_a_batch() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "/name bob\n/numbers on")]);
    assert_eq!(bench.got(2), ["* name bob", "* numbers on"]);
    bench.say(&[(2, "one"), (1, "two\n/numbers on\nthree")]);
    assert_eq!(bench.got(2), ["ack #1 bob: one", "ack #2 ~1: two", "ack #3 ~1: three"]);
    assert_eq!(bench.got(1), ["ack bob: one", "ack two", "* numbers on", "ack #3 ~1: three"]);
    bench.say(&[(2, "/numbers off\nx")]);
    assert_eq!(bench.got(2), ["* numbers off", "ack bob: x"]);
}

#[test]
fn watchers_are_told_who_comes_goes_and_changes_its_name() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/watch on")]).got(1);
    bench.say(&[(2, "hi")]).say(&[(2, "/name bob")]).say(&[(2, "/join den")]);
    assert_eq!(bench.got(1), ["* came ~2", "ack hi", "* renamed ~2 bob", "* went bob joined den"]);
    bench.say(&[(2, "/join lobby")]).say(&[(2, "quit")]);
    bench.open(1000).settle();
    bench.input(Input::Closed(origin(1000)));
    bench.settle();
    assert_eq!(bench.got(1), ["* came bob", "* went bob quit", "* came ~3", "* went ~3 closed"]);
    bench.say(&[(1, "/watch off")]).say(&[(3, "")]);
    assert_eq!(bench.got(1), ["* watch off"]);
}

#[test]
fn what_is_no_command_is_refused_and_two_slashes_say_one() {
    let mut bench = Bench::new();
    bench.say(&[(1, "/foo bar\n//foo")]);
    assert_eq!(bench.got(1), ["! /foo: no such command; /help", "ack /foo"]);
    bench.say(&[(1, "/last\n/find x")]);
    assert_eq!(bench.got(1), ["! last: nothing is kept here", "! find: nothing is kept here"]);
    bench.say(&[(1, "/help")]);
    assert!(bench.got(1).iter().all(|line| line.starts_with("* help ")));
}

/// Keeps the numbers of messages in memory, and answers `find` later.
#[derive(Default)]
struct Kept(Vec<Recalled>);

impl History for Kept {
    fn last_number(&mut self, room: &str) -> u64 {
        if room == "lobby" { 41 } else { 0 }
    }

    fn keep(&mut self, message: &Message<'_>) {
        let (name, text) = (message.name.to_string(), message.text.to_string());
        self.0.push(Recalled { number: message.number, at: message.at, name, text });
    }

    fn ask(&mut self, _: Recall, query: &Query<'_>) -> Result<Option<Vec<Recalled>>, RecallError> {
        match query {
            Query::Find { .. } => Ok(None),
            Query::Last { count, .. } => {
                Ok(Some(self.0.iter().rev().take(*count as usize).rev().cloned().collect()))
            }
            Query::Since { number, .. } => {
                Ok(Some(self.0.iter().filter(|message| message.number > *number).cloned().collect()))
            }
        }
    }
}

#[test]
fn what_was_said_is_kept_with_its_number_and_found_again() {
    let config = HubConfig::default().epoch_millis(1_795_197_601_000);
    let mut bench = Bench::with_history(config, Box::new(Kept::default()));
    bench.say(&[(1, "one\n/name bob\ntwo\n/last")]);
    assert_eq!(
        bench.got(1),
        [
            "ack one",
            "* name bob",
            "ack bob: two",
            "* last lobby messages=2 after=41 to=43",
            "* said #42 2026-11-20T18:00:02Z ~1: one",
            "* said #43 2026-11-20T18:00:02Z bob: two",
        ]
    );
    bench.say(&[(1, "/last #42")]);
    assert_eq!(
        bench.got(1),
        ["* last lobby messages=1 after=42 to=43", "* said #43 2026-11-20T18:00:02Z bob: two"]
    );
}

#[test]
fn a_late_answer_goes_to_who_asked_and_to_nobody_else() {
    let mut bench = Bench::with_history(HubConfig::default(), Box::new(Kept::default()));
    bench.say(&[(1, "/find x"), (2, "/find x\nquit"), (3, "/find x")]);
    assert!(bench.got(1).is_empty());
    let said = |number| Recalled { number, at: 0, name: "bob".to_string(), text: "x".repeat(500) };
    for (recall, found) in
        [(1, Ok((1..=200).map(said).collect())), (2, Ok(Vec::new())), (3, Err(RecallError::Failed))]
    {
        bench.hub.recall(bench.now, Recall(recall), found, &mut bench.out);
        bench.flush();
        bench.settle();
    }
    // A hundred datagrams come in bursts that a receive buffer has room for.
    assert!((2..=16).contains(&bench.datagrams[&1]), "{}", bench.datagrams[&1]);
    bench.wait(Duration::from_millis(200));
    let got = bench.got(1);
    assert_eq!((got.len(), got[0].as_str()), (201, "* found lobby messages=200"));
    assert!(got[200].starts_with("* said #200 1970-01-01T00:00:00Z bob: xxx"));
    assert!(bench.got(2).is_empty());
    assert_eq!(bench.got(3), ["! find: the history cannot be read"]);
    bench.hub.recall(bench.now, Recall(1), Ok(Vec::new()), &mut bench.out);
    assert!(bench.out.is_empty(), "it was answered");
}

#[test]
fn a_member_may_ask_several_things_at_once_and_is_answered_one_after_the_other() {
    let mut bench = Bench::with_history(HubConfig::default(), Box::new(Kept::default()));
    bench.say(&[(1, "/find a\n/find b\n/find c\n/find d\n/find e")]);
    assert_eq!(bench.got(1), ["! find: too many questions wait; ask again"]);
    let found = |text: &str| {
        let said = |number| Recalled { number, at: 0, name: text.to_string(), text: "x".repeat(800) };
        Ok((1..=3).map(said).collect())
    };
    // With room for one datagram at a time, the answers are long on their way.
    let mut narrow = Outbox::with_limits(1 << 17, 1);
    for (recall, text) in (1..).zip(["a", "b", "c", "d"]) {
        bench.hub.recall(bench.now, Recall(recall), found(text), &mut narrow);
    }
    let mut got = Vec::new();
    for _ in 0..20 {
        for frame in narrow.frames() {
            got.extend(core::str::from_utf8(frame.payload).unwrap().lines().map(str::to_string));
        }
        narrow.clear();
        bench.hub.handle_timeout(bench.now, &mut narrow);
    }
    let names: Vec<&str> = got.iter().map(|line| line.split(' ').nth(4).unwrap_or("found")).collect();
    assert_eq!(names.join(" "), "found a: a: a: found b: b: b: found c: c: c: found d: d: d:", "{got:?}");
}

#[test]
fn what_is_found_comes_with_line_feeds_to_who_asked_for_them() {
    let mut bench = Bench::with_history(HubConfig::default(), Box::new(Kept::default()));
    bench.say(&[(1, "/find x\n"), (2, "hi\n/last\n")]).raw(1);
    let said = |number| Recalled { number, at: 0, name: "bob".to_string(), text: "x".repeat(475) };
    bench.hub.recall(bench.now, Recall(1), Ok((1..=3).map(said).collect()), &mut bench.out);
    bench.flush();
    let raw = bench.raw(1);
    assert_eq!(raw.iter().map(|datagram| datagram.lines().count()).collect::<Vec<_>>(), [2, 2]);
    assert!(raw.iter().all(|datagram| datagram.ends_with('\n')));
    let raw = bench.raw(2);
    assert!(raw.last().is_some_and(|last| last.starts_with("* last") && last.ends_with(": hi\n")), "{raw:?}");
}
