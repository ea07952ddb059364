use core::time::Duration;

use super::*;
use crate::{Peer, Transport};

fn hub() -> Origin {
    let peer = Peer::Ip("192.0.2.1:9999".parse().unwrap());
    Origin { peer, local: None, transport: Transport::Udp, validated: true }
}

#[test]
fn a_hub_that_is_silent_is_asked_again_with_growing_waits() {
    let config = ClientConfig::default().attempts(Some(8));
    let mut client = Client::new(config, Some(hub()));
    let mut out = Outbox::new();
    let mut times = Vec::new();
    while let Some(due) = client.poll_timeout() {
        times.push(due);
        client.handle_timeout(due, &mut out);
    }
    assert_eq!(out.len(), 8);
    assert_eq!(client.state(), &State::Gone(Why::Silent));
    let waits: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    for (wait, least) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        assert!((least..=least + least / 2).contains(wait), "{waits:?}");
    }
    assert!(times.iter().all(|time| *time < Time::ZERO + Duration::from_secs(300)));
}

#[test]
fn the_highest_number_can_be_asked_for() {
    let mut client = Client::new(ClientConfig::default(), Some(hub()));
    let mut out = Outbox::new();
    client.handle_timeout(Time::ZERO, &mut out);
    let line = format!("/last #{}", u64::MAX);
    assert_eq!(client.type_line(Time::ZERO, &line, &mut out), Ok(None));
}

fn at(second: u64) -> Time {
    Time::ZERO + Duration::from_secs(second)
}

fn live(number: u64, second: u64) -> Entry {
    let (name, text) = ("ann".into(), format!("{number} at {second}"));
    Entry {
        id: second,
        number: Some(number),
        at: 0,
        name,
        text,
        how: How::Live,
        counts: true,
        heard: at(second),
    }
}

fn counted(log: &Log) -> Vec<u64> {
    log.entries.iter().filter(|entry| entry.counts).filter_map(|entry| entry.number).collect()
}

#[test]
fn what_a_new_hub_said_before_its_count_was_known_is_there_once() {
    let mut log = Log::new("lobby", 10, 0, 1000);
    for (second, number) in (1..).zip([11, 12, 15]) {
        log.put(live(number, second));
    }
    // It is started anew, counts anew, and says something before that is known.
    log.put(live(14, 21));
    log.doubtful = Some(at(20));
    log.restart(14);
    assert_eq!(counted(&log), [14]);
    log.want_older(1000);
    assert!(!log.is_missing(14) && log.is_missing(13) && log.is_missing(11));
    for number in 11..=13 {
        log.put(live(number, 30 + number));
    }
    assert_eq!(counted(&log), [11, 12, 13, 14]);
    assert_eq!(log.entries.len(), 7, "what the old hub said stays");
}

#[test]
fn the_list_is_bounded_and_what_left_it_is_not_asked_for() {
    let mut log = Log::new("lobby", 0, 0, 100);
    for number in (1..=400).step_by(2) {
        log.put(live(number, number));
    }
    assert_eq!(log.entries.len(), 100);
    assert_eq!(log.first_gap().map(|gap| gap.from), Some(200));
    assert_eq!(log.give_up(1, 300), 51);
    assert_eq!(log.first_gap().map(|gap| gap.from), Some(302));
}

#[test]
fn what_was_overtaken_by_a_change_of_rooms_does_not_stay_in_the_other_room() {
    let mut log = Log::new("garden", 20, 0, 100);
    log.put(live(21, 1));
    // Of another room: nothing else can have such a number.
    log.put(live(5000, 2));
    assert!(log.is_missing(4999));
    log.last_was(21, at(3));
    assert_eq!(counted(&log), [21]);
    assert!(log.first_gap().is_none() && log.is_missing(22));
    // What came after the question may be newer than its answer.
    log.put(live(22, 5));
    log.last_was(21, at(4));
    assert_eq!(counted(&log), [21, 22]);
}

/// A client that is known to its hub as `tom`, in the room `lobby`.
fn online() -> Client {
    let name = Name::new("tom").unwrap();
    let mut client = Client::new(ClientConfig::default().name(Some(name)), Some(hub()));
    let mut out = Outbox::new();
    client.handle_timeout(Time::ZERO, &mut out);
    let sent = core::str::from_utf8(out.frames().next().unwrap().payload).unwrap().to_string();
    let token = sent.rsplit(' ').next().unwrap();
    hear(
        &mut client,
        0,
        &format!(
            "* numbers on\n* watch on\n* name tom\n* renamed ~2 tom\n* me tom room=lobby number=0 member=2 via=udp \
             peer=127.0.0.1:4000 idle=0.0 limit=300 hub=1 token={token}"
        ),
    );
    assert_eq!(client.state(), &State::Online);
    client
}

fn hear(client: &mut Client, second: u64, lines: &str) {
    let request = crate::Request::new(at(second), lines.as_bytes(), hub());
    client.handle_input(at(second), Input::Message(request), &mut Outbox::new());
}

#[test]
fn what_a_hub_that_was_down_did_not_answer_is_no_loss() {
    let mut client = online();
    let mut out = Outbox::new();
    while at(400) > client.poll_timeout().unwrap() {
        out.clear();
        client.handle_timeout(client.poll_timeout().unwrap(), &mut out);
    }
    assert!(client.loss().unwrap() > 0.5);
    let sent = core::str::from_utf8(out.frames().last().unwrap().payload).unwrap().to_string();
    let token = sent.rsplit(' ').next().unwrap();
    let me = "* me ~1 room=lobby number=0 member=1 via=udp peer=127.0.0.1:4000 idle=0.0 limit=300";
    hear(&mut client, 400, &format!("{me} hub=2 token={token}"));
    assert_eq!(client.loss(), Some(0.0));
}

#[test]
fn what_was_said_before_stands_above_what_a_newcomer_is_told() {
    let mut log = Log::new("lobby", 2, 2, 100);
    let note = |id| Entry { number: None, how: How::Note, counts: false, ..live(0, id) };
    log.put(note(90));
    log.put(live(3, 91));
    log.put(note(92));
    for number in [2, 1] {
        log.put(Entry { how: How::History, ..live(number, number) });
    }
    let ids: Vec<u64> = log.entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [1, 2, 90, 91, 92]);
}

#[test]
fn lists_that_are_asked_for_are_known_to_have_come_when_all_of_both_has() {
    let mut client = online();
    let mut out = Outbox::new();
    client.list(at(1));
    client.handle_timeout(at(1), &mut out);
    assert!(out.frames().any(|frame| frame.payload.starts_with(b"/who\n/rooms")), "nothing was asked");
    hear(&mut client, 1, "* who lobby members=2\n* member tom via=udp idle=0.0 limit=300");
    hear(&mut client, 1, "* rooms 1\n* room lobby members=2 number=0");
    assert!(!client.is_listed());
    hear(&mut client, 1, "* member ann via=udp idle=0.0 limit=300");
    assert!(client.is_listed());
    assert_eq!(client.members().len(), 2);
}

#[test]
fn what_comes_after_the_machine_slept_is_dated_by_the_new_calendar() {
    let mut client = Client::new(ClientConfig::default().epoch_millis(1000), Some(hub()));
    client.note(at(1), "before");
    client.set_calendar(at(2), 9_000_000);
    client.note(at(3), "after");
    let dates: Vec<u64> = client.messages().iter().map(|entry| entry.at).collect();
    assert_eq!(dates, [2000, 9_001_000]);
}

#[test]
fn who_asks_about_another_room_is_told_of_that_alone() {
    let mut client = online();
    client.type_line(at(1), "/who den", &mut Outbox::new()).unwrap();
    // Of the own room the client itself had asked.
    hear(&mut client, 1, "* who lobby members=1\n* member tom via=udp idle=0.0 limit=300");
    hear(&mut client, 1, "* who Den members=1\n* member ann via=udp idle=0.0 limit=300");
    let shown: Vec<&str> = client.messages().iter().map(|entry| &*entry.text).collect();
    assert_eq!(shown, ["1 in Den", "ann  udp  heard 0 s ago  may be silent for 300 s"]);
}

/// What a client sends when it is next due.
fn sent(client: &mut Client) -> Vec<String> {
    let mut out = Outbox::new();
    client.handle_timeout(client.poll_timeout().unwrap(), &mut out);
    out.frames().map(|frame| core::str::from_utf8(frame.payload).unwrap().to_string()).collect()
}

#[test]
fn what_is_unread_elsewhere_is_asked_for_with_each_probe_unless_the_list_is_long() {
    let probe = |client: &mut Client| {
        // Not one with the list of members, which comes with that of rooms.
        let mut all = core::iter::repeat_with(|| sent(client)).take(100).flatten();
        all.find(|lines| lines.contains("/me ") && !lines.contains("/who")).unwrap()
    };
    let mut client = online();
    assert!(!probe(&mut client).contains("/rooms"), "it has been in no other room");
    hear(&mut client, 100, "* join garden members=1 number=0");
    for (rooms, is_asked) in [(2, true), (21, false)] {
        let list: String = (0..rooms).map(|room| format!("\n* room room{room} members=1 number=0")).collect();
        hear(&mut client, 100, &format!("* rooms {rooms}{list}"));
        let lines = probe(&mut client);
        assert_eq!(lines.contains("/rooms"), is_asked, "{rooms}: {lines}");
    }
}

#[test]
fn who_says_something_while_the_hub_is_gone_has_it_tried_at_once_and_no_more_than_once_a_second() {
    let mut client = Client::new(ClientConfig::default(), Some(hub()));
    let mut out = Outbox::new();
    while client.poll_timeout().unwrap() < at(200) {
        client.handle_timeout(client.poll_timeout().unwrap(), &mut out);
    }
    assert!(client.poll_timeout().unwrap() > at(205), "it would wait for long");
    client.hurry();
    let State::Connecting { next, .. } = *client.state() else { panic!("{:?}", client.state()) };
    assert!(next <= at(200) && client.poll_timeout() == Some(next));
    let made = out.len();
    // Whatever is typed, and however fast.
    for millis in 0..3500 {
        let now = at(200) + Duration::from_millis(millis);
        client.hurry();
        client.handle_timeout(now, &mut out);
    }
    assert_eq!(out.len() - made, 4);
    // Then the waits grow as they did.
    for least in [1, 2, 4] {
        let now = client.poll_timeout().unwrap();
        client.handle_timeout(now, &mut out);
        let wait = (client.poll_timeout().unwrap() - now).as_secs();
        assert!((least..=least + least / 2).contains(&wait), "{wait} s");
    }
}

#[test]
fn a_stream_that_is_being_opened_is_not_given_up_for_another() {
    let mut client = Client::new(ClientConfig::default(), None);
    let mut out = Outbox::new();
    while client.poll_timeout().unwrap() < at(200) {
        client.handle_timeout(client.poll_timeout().unwrap(), &mut out);
    }
    let next = client.poll_timeout();
    client.hurry();
    assert_eq!(client.poll_timeout(), next);
    client.unreachable("no way there");
    client.hurry();
    assert!(client.poll_timeout() < next);
}

#[test]
fn a_line_that_no_hub_may_send_is_kept_no_further_than_one_that_it_may() {
    let mut client = online();
    hear(&mut client, 1, &format!("ack #1 ann: {}", "x".repeat(65_000)));
    assert!(client.messages()[0].text.len() < 1300, "{}", client.messages()[0].text.len());
    // The longest that one may.
    let (number, name, text) = (u64::MAX >> 3, "小".repeat(32), "y".repeat(1016));
    client.find(at(2), "y");
    client.handle_timeout(at(2), &mut Outbox::new());
    hear(&mut client, 2, "* found lobby messages=1");
    hear(&mut client, 2, &format!("* said #{number} 2026-11-20T18:00:02Z {name}: {text}"));
    let found = core::iter::from_fn(|| client.poll_event()).find_map(|event| match event {
        Event::Found { messages, .. } => messages,
        _ => None,
    });
    assert_eq!(found.unwrap()[0].text, text);
}

#[test]
fn a_search_that_is_too_long_is_what_is_refused_and_not_what_is_said_beside_it() {
    let mut client = online();
    let mut out = Outbox::new();
    let id = client.say(at(1), "hello", &mut out).unwrap();
    client.find(at(1), &"x".repeat(1100));
    client.handle_timeout(at(1), &mut out);
    hear(&mut client, 1, "! too long: 1106 bytes, 1015 fit");
    let own = client.messages().iter().find(|entry| entry.id == id).unwrap();
    assert_eq!(own.how, How::Pending { sent: true });
    let refusal = Event::Refused("find: too long: 1106 bytes, 1015 fit".into());
    assert!(core::iter::from_fn(|| client.poll_event()).any(|event| event == refusal));
    // A text that is too long in the hub's eyes is refused as ever.
    hear(&mut client, 1, "! too long: 5 bytes, 4 fit");
    let own = client.messages().iter().find(|entry| entry.id == id).unwrap();
    assert_eq!(own.how, How::Refused("too long: 5 bytes, 4 fit".into()));
}

fn sent_at(client: &mut Client, second: u64) -> String {
    let mut out = Outbox::new();
    client.handle_timeout(at(second), &mut out);
    out.frames().map(|frame| core::str::from_utf8(frame.payload).unwrap()).collect()
}

/// The tokens of the questions that a client asks until some second.
fn asked_until(client: &mut Client, second: u64) -> Vec<String> {
    let mut tokens = Vec::new();
    while client.poll_timeout().unwrap() < at(second) {
        let lines = sent(client).join("\n");
        tokens.extend(lines.lines().filter_map(|line| Some(line.strip_prefix("/me ")?.to_string())));
    }
    tokens
}

fn me(token: &str) -> String {
    format!(
        "* me tom room=lobby number=0 member=2 via=udp peer=127.0.0.1:4000 idle=0.0 limit=300 hub=1 token={token}"
    )
}

#[test]
fn what_a_hub_that_stood_still_answers_late_is_no_loss_and_no_round_trip() {
    let mut client = online();
    let lost = asked_until(&mut client, 125);
    assert!(matches!(client.state(), State::Connecting { .. }) && client.loss().unwrap() > 0.5);
    for token in &lost {
        hear(&mut client, 125, &me(token));
    }
    assert_eq!(client.state(), &State::Online);
    assert_eq!(client.loss(), Some(0.0));
    assert_eq!(client.round_trip(), Some(Duration::ZERO));
}

#[test]
fn a_way_that_has_become_long_is_measured_and_one_that_is_long_no_more_too() {
    let (config, mut random) = (ClientConfig::default(), SplitMix64::new(1));
    let mut probes = Probes::new(at(0));
    // What a question takes, and the mean after it.
    for (second, takes, mean) in [(10, 30, 30), (50, 0, 0), (60, 3, 0), (70, 3, 3), (80, 0, 0)] {
        let token = probes.send(&config, at(second), &mut random);
        assert_eq!(probes.answered(&config, at(second + takes), &token, &mut random), Some(at(second)));
        assert_eq!(probes.round_trip(), Some(Duration::from_secs(mean)), "at {second} s");
    }
}

#[test]
fn receipts_and_messages_that_do_not_come_are_losses_and_those_that_are_late_are_none() {
    let mut client = online();
    assert_eq!(client.loss(), Some(0.0));
    let mut out = Outbox::new();
    client.say(at(1), "hello", &mut out).unwrap();
    client.expire_receipts(at(9));
    assert_eq!(client.loss(), Some(0.5), "one answer came, one receipt did not");
    hear(&mut client, 10, "ack #1 tom: hello");
    assert_eq!(client.loss(), Some(0.0));
    // Of two messages one came; the other had to be fetched.
    hear(&mut client, 10, "ack #3 ann: three");
    client.recall(at(11), &mut out);
    hear(&mut client, 11, "* last lobby messages=2 after=1 to=3\n* said #2 2026-11-20T18:00:02Z ann: two");
    assert_eq!(client.counts().recovered, 1);
    assert_eq!(client.loss(), Some(0.25));
    client.probes.losses.age(at(400));
    assert_eq!(client.loss(), None);
}

#[test]
fn what_was_said_while_the_client_was_away_is_no_loss() {
    let mut client = online();
    client.lose(at(1), Why::Bye, &mut Outbox::new());
    let token = asked_until(&mut client, 4).pop().unwrap();
    hear(&mut client, 4, &me(&token).replace("number=0", "number=5"));
    client.recall(at(5), &mut Outbox::new());
    hear(&mut client, 5, "* last lobby messages=1 after=0 to=5\n* said #5 2026-11-20T18:00:02Z ann: five");
    assert_eq!((client.counts().recovered, client.loss()), (1, Some(0.0)));
}

#[test]
fn a_refusal_of_a_name_that_is_not_asked_for_any_more_changes_nothing() {
    let mut client = online();
    client.rename(at(1), Name::new("bob").unwrap());
    client.rename(at(2), Name::new("cleo").unwrap());
    hear(&mut client, 3, "! name: bob is taken in lobby");
    assert!(sent_at(&mut client, 3).contains("/name cleo"));
    hear(&mut client, 4, "! name: cleo is taken in lobby\n! name: cleo is taken in lobby");
    let refused =
        core::iter::from_fn(|| client.poll_event()).filter(|event| matches!(event, Event::Refused(_)));
    assert_eq!(refused.count(), 1);
    assert_eq!(client.setup.name, Name::new("tom").ok());
}

#[test]
fn a_name_that_the_client_had_is_asked_for_again_within_seconds_and_one_that_it_never_had_is_not() {
    for (name, soon) in [("tom", true), ("bob", false)] {
        let mut client = online();
        if name == "bob" {
            client.rename(at(1), Name::new(name).unwrap());
            client.setup.before = None;
        }
        client.setup.forget(at(1));
        sent(&mut client);
        hear(&mut client, 1, &format!("! name: {name} is taken in lobby"));
        let mut asked = false;
        while client.poll_timeout().unwrap() <= at(7) {
            asked |= sent(&mut client).concat().contains("/name ");
        }
        assert_eq!(asked, soon, "{name}");
        // It is asked for at once when whoever has it goes.
        hear(&mut client, 8, &format!("* went {name} quit"));
        assert!(sent_at(&mut client, 8).contains(&format!("/name {name}")));
    }
}
