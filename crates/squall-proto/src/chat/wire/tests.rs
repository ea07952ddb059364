use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Transport;

fn said(datagram: &[u8]) -> Vec<Said<'_>> {
    lines(datagram).collect()
}

fn text(text: &str) -> Said<'_> {
    Said::Text { text: text.into(), shape: Shape::Text }
}

#[test]
fn a_datagram_says_what_each_of_its_lines_says() {
    for empty in ["", "\n", " \r\n\n", "\0\u{202e}"] {
        assert_eq!(said(empty.as_bytes()), [], "{empty:?}");
    }
    assert_eq!(said(b"  quit \n"), [Said::Quit]);
    assert_eq!(
        said(b"one\r\n\n two\n^hb^\nquit now"),
        [text("one"), text("two"), Said::Heartbeat(None), text("quit now")]
    );
    assert_eq!(said(b"a\x1b[2Jb\xff"), [text("a[2Jb\u{fffd}")]);
}

#[test]
fn a_heartbeat_has_a_number_or_none_and_of_a_long_one_the_low_bits() {
    for (line, number) in [
        ("^hb^", None),
        ("^hb^ 0", Some(0)),
        ("^hb^ 4294967295", Some(u32::MAX)),
        ("^hb^  7", Some(7)),
        ("^hb^ 4294967296", Some(0)),
        ("^hb^ 1795195000123", Some(4_193_637_691)),
        ("^hb^ 99999999999999999999999", None),
    ] {
        assert_eq!(said(line.as_bytes()), [Said::Heartbeat(number)], "{line}");
    }
    for line in ["^hb^ -1", "^hb^ +1", "^hb^ x", "^hb^ 1 2", "^hb^1", "^hb", "^HB^"] {
        assert_eq!(said(line.as_bytes()), [text(line)], "{line}");
    }
}

#[test]
fn two_slashes_say_one() {
    assert_eq!(said(b"//help"), [text("/help")]);
    assert_eq!(said(b"///"), [text("//")]);
    assert_eq!(said(b"//\xff"), [text("/\u{fffd}")]);
}

#[test]
fn what_a_hub_sends_makes_no_member_and_what_hubs_relay_to_each_other_is_known() {
    for (line, shape) in [
        ("ack", Shape::Hub),
        ("ack hi", Shape::Hub),
        ("ack bob: hi", Shape::Hub),
        ("ack ack", Shape::Hub),
        ("ack that, and then: ack this", Shape::Hub),
        ("ack ack hi", Shape::Loop),
        ("ack bob: ack hi", Shape::Loop),
        ("ack #4 ~17: ack hi", Shape::Loop),
        ("bye bye", Shape::Hub),
        ("* name ~1", Shape::Hub),
        ("* went bob quit", Shape::Hub),
        ("! slow down: 20 messages/s", Shape::Hub),
        ("* waves", Shape::Text),
        ("!", Shape::Text),
        ("bye", Shape::Text),
        ("acknowledged: ack ack", Shape::Text),
        ("Ack hi", Shape::Text),
    ] {
        let Some(said) = lines(line.as_bytes()).next() else { panic!("{line}") };
        assert_eq!(said, Said::Text { text: line.into(), shape }, "{line}");
        assert_eq!(said.joins(), shape == Shape::Text, "{line}");
    }
    assert!(!Said::Quit.joins() && Said::Heartbeat(None).joins() && Said::Command(Command::Help).joins());
}

#[test]
fn commands_are_read_with_their_arguments() {
    let name = |name: &str| Name::new(name).unwrap();
    let room = |name: &str| RoomName::new(name).unwrap();
    for (line, command) in [
        ("/help", Command::Help),
        ("/name", Command::Name(None)),
        ("/name  bob", Command::Name(Some(name("bob")))),
        ("/join café", Command::Join(room("café"))),
        ("/rooms", Command::Rooms(None)),
        ("/rooms den", Command::Rooms(Some(room("den")))),
        ("/who", Command::Who { room: None, after: None }),
        ("/who lobby", Command::Who { room: Some(room("lobby")), after: None }),
        ("/who lobby ~17", Command::Who { room: Some(room("lobby")), after: Some("~17".into()) }),
        ("/me", Command::Me(None)),
        ("/me Ab9", Command::Me(Token::new("Ab9"))),
        ("/last", Command::Last(Last::Count(20))),
        ("/last 200", Command::Last(Last::Count(200))),
        ("/last #0", Command::Last(Last::After(0))),
        ("/find  a  b ", Command::Find("a  b".into())),
        ("/find a\u{7}b", Command::Find("ab".into())),
        ("/numbers on", Command::Numbers(true)),
        ("/lines on", Command::Lines(true)),
        ("/watch off", Command::Watch(false)),
    ] {
        assert_eq!(said(line.as_bytes()), [Said::Command(command.clone())], "{line}");
        let sent = command.to_string();
        assert_eq!(said(sent.as_bytes()), [Said::Command(command)], "{sent}");
    }
}

#[test]
fn white_space_behind_a_command_is_passed_over() {
    let after = Command::Who { room: Some(RoomName::new("lobby").unwrap()), after: Some("é".into()) };
    assert_eq!(Command::parse("/who lobby é ".into()), Ok(after));
    assert_eq!(Command::parse("/find a b \u{2003}".into()), Ok(Command::Find("a b".into())));
}

#[test]
fn a_wrong_command_is_told_what_is_wrong() {
    for (line, told) in [
        ("/", "/: no such command; /help"),
        ("/Help", "/Help: no such command; /help"),
        ("/foo bar", "/foo: no such command; /help"),
        ("/help me", "help: the use is /help"),
        ("/name a b", "name: the use is /name NAME, one word"),
        ("/name ~7", "name: a name has no '~'"),
        ("/name a:", "name: a name has no ':'"),
        ("/join", "join: the use is /join ROOM, one word"),
        ("/join a/b", "join: a name has no '/'"),
        ("/who a b c", "who: the use is /who, /who ROOM or /who ROOM AFTER"),
        ("/me abcdefghijklmnopq", "me: the use is /me or /me TOKEN, 1 to 16 letters and digits"),
        ("/last 0", "last: the use is /last N, from 1 to 200, or /last #NUMBER"),
        ("/last 201", "last: the use is /last N, from 1 to 200, or /last #NUMBER"),
        ("/last #", "last: the use is /last N, from 1 to 200, or /last #NUMBER"),
        ("/last #18446744073709551616", "last: the use is /last N, from 1 to 200, or /last #NUMBER"),
        ("/find", "find: the use is /find WORDS"),
        ("/numbers", "numbers: the use is /numbers on or /numbers off"),
        ("/lines ON", "lines: the use is /lines on or /lines off"),
        ("/watch maybe", "watch: the use is /watch on or /watch off"),
    ] {
        let [Said::Wrong(error)] = &said(line.as_bytes())[..] else { panic!("{line}") };
        assert_eq!(error.to_string(), told, "{line}");
    }
    let long = String::from("/") + &"x".repeat(60_000);
    let [Said::Wrong(error)] = &said(long.as_bytes())[..] else { panic!() };
    assert_eq!(error.to_string().len(), 1 + 32 + ": no such command; /help".len());
}

#[test]
fn names_are_words_of_one_script() {
    for name in
        ["b", "Bob", "a-b_c.9", "Jürgen", "Вася", "小明", "小明Tom", "ひろし", "שלום", &"x".repeat(32)]
    {
        assert_eq!(Name::new(name).map(|name| name.to_string()).as_deref(), Ok(name));
    }
    for (name, error) in [
        ("", NameError::Empty),
        (&*"ü".repeat(33), NameError::TooLong(33)),
        ("~17", NameError::Character('~')),
        ("a b", NameError::Character(' ')),
        ("#a", NameError::Character('#')),
        ("a\u{200d}b", NameError::Character('\u{200d}')),
        ("a\u{202e}b", NameError::Character('\u{202e}')),
        ("bo\u{ff42}", NameError::Character('\u{ff42}')),
        ("b🌩", NameError::Character('🌩')),
        ("bоb", NameError::MixedScript),
        ("Нans", NameError::MixedScript),
        ("Operator", NameError::Reserved),
        ("0perat0r", NameError::Reserved),
        ("ACK", NameError::Reserved),
        ("bye", NameError::Reserved),
    ] {
        assert_eq!(Name::new(name), Err(error), "{name}");
    }
    assert!(RoomName::new("operator").is_ok());
}

#[test]
fn names_that_look_alike_have_one_key() {
    for (one, other) in [
        ("bob", "BOB"),
        ("lisa", "Iisa"),
        ("lisa", "LISA"),
        ("lisa", "1isa"),
        ("bob0", "bobO"),
        ("rnark", "mark"),
        ("rnark", "MARK"),
        ("coco", "сосо"),
        ("coco", "СОСО"),
        ("HAT", "НАТ"),
        ("нина", "НИНА"),
        ("Νίκος", "νίκος"),
        ("ΣΟΦΟΣ", "σοφος"),
        ("Weiß", "WEISS"),
        ("é", "e\u{301}"),
        ("É", "e\u{301}"),
    ] {
        assert_eq!(Key::of(one), Key::of(other), "{one} {other}");
    }
    for (one, other) in [("bob", "rob"), ("anna", "hanna"), ("e", "é"), ("小明", "小朋")] {
        assert_ne!(Key::of(one), Key::of(other), "{one} {other}");
    }
}

#[test]
fn who_a_text_seems_to_be_said_by_is_seen() {
    for text in ["bob: hi", "BOB : hi", "bob：hi", "bob:", "b0b\u{a789} hi"] {
        assert_eq!(speaker_key(text), Some(Key::of("bob")), "{text}");
    }
    for text in ["hi", ": hi", "", &*("x".repeat(40) + ": hi")] {
        assert_eq!(speaker_key(text), None, "{text}");
    }
}

/// What every line of a hub looks like.
#[test]
fn the_lines_of_a_hub_are_these() {
    let member = Member {
        name: "bob",
        via: Transport::Udp,
        idle: Duration::from_millis(3299),
        every: Some(Duration::from_secs(10)),
        loss: Some(0.0214),
        limit: Some(Duration::from_secs(45)),
    };
    let me = Me {
        member,
        room: "lobby",
        number: 1234,
        id: 17,
        peer: "127.0.0.1:4000",
        hub: 0x9f3a,
        token: Token::new("t1"),
    };
    let tcp = Member { via: Transport::Tcp, every: None, loss: None, limit: None, ..member };
    for (line, written) in [
        (Line::Ack("hi"), "ack hi"),
        (Line::Numbered { number: 7, name: "~17", text: "a:  b" }, "ack #7 ~17: a:  b"),
        (Line::Bye, "bye bye"),
        (Line::Help("/me: who you are"), "* help /me: who you are"),
        (Line::Name("bob"), "* name bob"),
        (Line::Joined { room: "r", members: 5, number: 0 }, "* join r members=5 number=0"),
        (Line::Rooms(2), "* rooms 2"),
        (Line::Room { room: "r", members: 5, number: 9 }, "* room r members=5 number=9"),
        (Line::Who { room: "r", members: 5 }, "* who r members=5"),
        (Line::Member(member), "* member bob via=udp idle=3.2 every=10.0 loss=0.021 limit=45"),
        (Line::Member(tcp), "* member bob via=tcp idle=3.2"),
        (Line::More("bob"), "* more bob"),
        (
            Line::Me(me),
            "* me bob room=lobby number=1234 member=17 via=udp peer=127.0.0.1:4000 idle=3.2 every=10.0 loss=0.021 limit=45 hub=0000000000009f3a token=t1",
        ),
        (Line::Last { room: "r", messages: 2, after: 3, to: 9 }, "* last r messages=2 after=3 to=9"),
        (Line::Found { room: "r", messages: 1 }, "* found r messages=1"),
        (
            Line::Said { number: 3, at: 1_795_197_602_000, name: "bob", text: "hi  you" },
            "* said #3 2026-11-20T18:00:02Z bob: hi  you",
        ),
        (Line::Numbers(true), "* numbers on"),
        (Line::Lines(false), "* lines off"),
        (Line::Watch(false), "* watch off"),
        (Line::Came("~9"), "* came ~9"),
        (Line::Went { name: "bob", reason: Reason::Silent }, "* went bob silent"),
        (Line::Went { name: "bob", reason: Reason::Joined("r") }, "* went bob joined r"),
        (Line::Renamed { old: "~9", new: "bob" }, "* renamed ~9 bob"),
        (Line::Missed(12), "* missed 12"),
        (Line::Refused("too long: 2000 bytes, 1004 fit"), "! too long: 2000 bytes, 1004 fit"),
    ] {
        assert_eq!(line.to_string(), written);
        assert_eq!(Line::parse(written).to_string(), written);
    }
}

#[test]
fn what_is_in_no_known_form_is_told_whole() {
    for line in [
        "",
        "ack",
        "hello",
        "*",
        "* ",
        "* me bob",
        "* rooms x",
        "* rooms -1",
        "* said #1 now bob: x",
        "!",
        "* numbers",
    ] {
        assert_eq!(Line::parse(line), Line::Unknown(line));
    }
    for body in ["#x bob: hi", "#1 two words: hi", "#1 bob hi", "#0 bob: hi", "#01 bob: hi", "#1  bob: hi"] {
        assert_eq!(Line::parse(&(String::from("ack ") + body)), Line::Ack(body));
    }
    // More spaces than one, before a character of several bytes.
    assert_eq!(Line::parse("* went  bé silent"), Line::Went { name: "bé", reason: Reason::Silent });
    let more = "* join lobby colour=red members=5 number=7 members=9";
    assert_eq!(Line::parse(more), Line::Joined { room: "lobby", members: 5, number: 7 });
}

/// A line of every kind, of the parts given.
fn any_line<'a>(
    kind: u8,
    [name, room]: [&'a str; 2],
    text: &'a str,
    [one, two, three]: [u64; 3],
    some: bool,
) -> Line<'a> {
    let member = Member {
        name,
        via: [Transport::Udp, Transport::Tcp, Transport::Unix, Transport::Unixgram][(one % 4) as usize],
        idle: Duration::from_millis(two % (1 << 50) * 100),
        every: some.then(|| Duration::from_millis(three % (1 << 50) * 100)),
        loss: some.then(|| (one % 1001) as f32 / 1000.0),
        limit: (!some).then(|| Duration::from_secs(three)),
    };
    match kind {
        0 => Line::Ack(text),
        1 => Line::Numbered { number: one.max(1), name, text },
        2 => Line::Help(text),
        3 => Line::Name(name),
        4 => Line::Joined { room, members: one, number: two },
        5 => Line::Rooms(one),
        6 => Line::Room { room, members: two, number: one },
        7 => Line::Who { room, members: two },
        8 => Line::Member(member),
        9 => Line::More(name),
        10 => {
            let token = some.then(|| Token::new("T0ken")).flatten();
            Line::Me(Me { member, room, number: one, id: two, peer: "[::1]:9", hub: three, token })
        }
        11 => Line::Last { room, messages: one, after: two, to: three },
        12 => Line::Found { room, messages: one },
        13 => Line::Said { number: one.max(1), at: two % 253_402_300_800 * 1000, name, text },
        14 => Line::Numbers(some),
        15 => Line::Watch(some),
        16 => Line::Came(name),
        17 => {
            let reasons =
                [Reason::Quit, Reason::Silent, Reason::Closed, Reason::Kicked, Reason::Joined(room)];
            Line::Went { name, reason: reasons[(one % 5) as usize] }
        }
        18 => Line::Renamed { old: name, new: room },
        19 => Line::Missed(one),
        20 => Line::Refused(text),
        21 => Line::Lines(some),
        _ => Line::Bye,
    }
}

proptest! {
    #[test]
    fn every_line_reads_as_it_was_written(
        kind in 0u8..23,
        names in ["[a-zA-Z0-9_.é-]{1,32}", "~[0-9]{1,19}", "[a-zA-Z0-9_.-]{1,32}"],
        tilde: bool,
        text in "[^#\\s\\p{C}]([^\\p{C}]{0,60}[^\\s\\p{C}])?",
        numbers: [u64; 3],
        some: bool,
    ) {
        let name = if tilde { &names[1] } else { &names[0] };
        let line = any_line(kind, [name, &names[2]], &text, numbers, some);
        let written = line.to_string();
        prop_assert_eq!(Line::parse(&written), line);
    }

    #[test]
    fn any_line_can_be_read_and_what_was_read_is_written_so_that_it_reads_the_same(line in "[*!a] ?(me|ack|said|went|member|who)? ?[ -~é]{0,60}") {
        let once = Line::parse(&line);
        let written = once.to_string();
        prop_assert_eq!(Line::parse(&written).to_string(), written);
    }

    #[test]
    fn what_is_relayed_is_clean_and_means_the_same_when_it_is_sent_again(datagram in prop::collection::vec(any::<u8>(), 0..80)) {
        for said in lines(&datagram) {
            if let Said::Text { text, .. } = said {
                prop_assert_eq!(crate::text::clean(text.as_bytes()), &*text);
                prop_assert!(!text.is_empty());
            }
        }
    }

    #[test]
    fn a_key_of_ascii_is_the_skeleton(name in "[a-zA-Z0-9_.-]{1,20}") {
        // With a letter that is not ASCII the long way is taken.
        let (short, long) = (Key::of(&name), Key::of(&(name + "é")));
        prop_assert_eq!(long.as_str().strip_suffix("e\u{301}"), Some(short.as_str()));
    }
}
