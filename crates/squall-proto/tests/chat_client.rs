//! The chat client and the hub, one situation after the other.

mod chat;

use std::time::Duration;

use chat::Kept;
use squall_proto::chat::client::{Client, ClientConfig, Event, How, SayError, State, TypeError, Why};
use squall_proto::chat::wire::{Name, RoomName};
use squall_proto::chat::{History, Hub, HubConfig, NoHistory, Selector};
use squall_proto::{Origin, Peer, Transport};
use squall_sim::{Host, Sim, Weather};

const HUB: &str = "192.0.2.1:9999";

fn hub(seed: u64, history: impl History + 'static) -> Hub {
    Hub::new(HubConfig::default().seed(seed), Box::new(history))
}

fn hub_origin() -> Origin {
    let peer = Peer::Ip(HUB.parse().expect("it is an address"));
    Origin { peer, local: None, transport: Transport::Udp, validated: true }
}

fn config(name: &str) -> ClientConfig {
    ClientConfig::default().name(Name::new(name).ok()).seed(name.len() as u64 * 7919)
}

/// A client over datagrams, with its host's number.
fn client(sim: &mut Sim, number: u8, name: &str) -> Host<Client> {
    sim.host(&*format!("192.0.2.{number}:4000"), Client::new(config(name), Some(hub_origin())))
}

fn say(sim: &mut Sim, host: Host<Client>, text: &str) -> Result<u64, SayError> {
    sim.act(host, |machine, now, out| machine.say(now, text, out))
}

fn type_line(sim: &mut Sim, host: Host<Client>, text: &str) -> Result<Option<u64>, TypeError> {
    sim.act(host, |machine, now, out| machine.type_line(now, text, out))
}

fn events(sim: &mut Sim, host: Host<Client>) -> Vec<Event> {
    sim.act(host, |machine, _, _| std::iter::from_fn(|| machine.poll_event()).collect())
}

/// Texts of messages, without notes.
fn texts(sim: &Sim, host: Host<Client>) -> Vec<String> {
    let said = sim.machine(host).messages().iter().filter(|entry| entry.how != How::Note);
    said.map(|entry| format!("{}: {}", entry.name, entry.text)).collect()
}

fn notes(sim: &Sim, host: Host<Client>) -> Vec<String> {
    let notes = sim.machine(host).messages().iter().filter(|entry| entry.how == How::Note);
    notes.map(|entry| entry.text.clone()).collect()
}

fn weather(text: &str) -> Weather {
    text.parse().expect("it is weather")
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn two_talk_and_each_knows_that_it_was_heard() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1, Kept::default()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    // Said before there is a connection.
    assert!(say(&mut sim, ann, "first").is_ok());
    assert_eq!(sim.machine(ann).messages()[0].how, How::Pending { sent: false });
    sim.run_for(SECOND);
    assert!(say(&mut sim, bob, " /me waves \n").is_ok());
    sim.run_for(SECOND);
    for host in [ann, bob] {
        assert_eq!(texts(&sim, host), ["ann: first", "bob: /me waves"]);
        assert_eq!(sim.machine(host).state(), &State::Online);
        assert!(sim.machine(host).is_caught_up());
        assert_eq!(
            sim.machine(host).members().map(|member| &*member.name).collect::<Vec<_>>(),
            ["ann", "bob"]
        );
    }
    assert!(
        matches!(sim.machine(ann).messages().iter().find(|entry| entry.is_own()), Some(own) if matches!(own.how, How::Delivered(_)))
    );
    // For an hour the hub hears its heartbeats and it hears the hub.
    sim.run_for(3600 * SECOND);
    assert_eq!(sim.machine(ann).state(), &State::Online);
    assert_eq!(sim.machine(ann).counts().disconnects, 0);
    let member = sim.machine(ann).members().find(|member| member.name == "bob").cloned();
    let every = member.and_then(|member| member.every).expect("its heartbeats are measured");
    assert!((9..=11).contains(&every.as_secs()), "{every:?}");
}

#[test]
fn what_cannot_be_said_is_refused_before_it_is_sent() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1, NoHistory));
    let ann = client(&mut sim, 2, "ann");
    sim.run_for(SECOND);
    assert_eq!(say(&mut sim, ann, " \u{202e}\n"), Err(SayError::Empty));
    for reserved in ["quit", "^hb^", "^hb^ 7", "ack ack hi"] {
        assert_eq!(say(&mut sim, ann, reserved), Err(SayError::Reserved(reserved.to_string())));
    }
    let limit = 1024 - "ack ann: ".len();
    assert_eq!(say(&mut sim, ann, &"x".repeat(limit + 1)), Err(SayError::TooLong { len: limit + 1, limit }));
    let longest = "x".repeat(limit);
    assert!(say(&mut sim, ann, &longest).is_ok());
    assert!(say(&mut sim, ann, "ack hi").is_ok());
    sim.run_for(SECOND);
    assert_eq!(texts(&sim, ann), [format!("ann: {longest}"), "ann: ack hi".to_string()]);
    assert_eq!(sim.machine(ann).pending(), 0);
    assert!(events(&mut sim, ann).iter().all(|event| !matches!(event, Event::Refused(_))));
}

#[test]
fn many_lines_at_once_keep_to_the_hubs_limits_and_all_arrive() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1, Kept::default()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    sim.run_for(SECOND);
    for line in 0..256 {
        assert!(say(&mut sim, ann, &format!("line {line}")).is_ok());
    }
    sim.run_for(30 * SECOND);
    let all: Vec<String> = (0..256).map(|line| format!("ann: line {line}")).collect();
    assert_eq!(texts(&sim, ann), all);
    assert_eq!(texts(&sim, bob), all);
    assert!(events(&mut sim, ann).iter().all(|event| !matches!(event, Event::Refused(_))));
}

#[test]
fn without_a_connection_a_bounded_number_of_messages_waits() {
    let mut sim = Sim::new(1);
    let ann = client(&mut sim, 2, "ann");
    let accepted = (0..1000).filter(|_| say(&mut sim, ann, "hello").is_ok()).count();
    assert_eq!(accepted, 256);
    assert_eq!(say(&mut sim, ann, "hello"), Err(SayError::Full(256)));
}

#[test]
fn a_hub_that_keeps_nothing_is_told_as_such_and_what_is_missed_as_lost() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1, NoHistory));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    sim.run_for(SECOND);
    sim.link(bob, server, &weather("loss=100%"));
    for line in 0..5 {
        assert!(say(&mut sim, ann, &format!("unheard {line}")).is_ok());
    }
    sim.run_for(SECOND);
    sim.link(bob, server, &weather("clear"));
    assert!(say(&mut sim, ann, "heard").is_ok());
    sim.run_for(20 * SECOND);
    let told = events(&mut sim, bob);
    assert!(told.contains(&Event::NothingKept));
    assert!(told.contains(&Event::Lost(5)), "{told:?}");
    assert!(sim.machine(bob).keeps_nothing() && sim.machine(bob).is_caught_up());
    assert_eq!(texts(&sim, bob), ["ann: heard"]);
}

#[test]
fn a_hub_that_says_bye_is_come_back_to() {
    let mut sim = Sim::new(1);
    let kept = Kept::default();
    let server = sim.host(HUB, hub(1, kept.clone()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    sim.run_for(SECOND);
    assert!(say(&mut sim, ann, "before").is_ok());
    sim.run_for(SECOND);
    events(&mut sim, bob);
    sim.stop(server);
    sim.run_for(3 * SECOND);
    assert!(matches!(sim.machine(bob).state(), State::Connecting { why: Why::Bye, .. }));
    let id = say(&mut sim, bob, "said while it was away");
    sim.run_for(10 * SECOND);
    sim.restart(server, hub(2, kept.clone()));
    sim.run_for(60 * SECOND);
    for host in [ann, bob] {
        assert_eq!(sim.machine(host).state(), &State::Online);
        assert_eq!(texts(&sim, host), ["ann: before", "bob: said while it was away"]);
    }
    let own = sim.machine(bob).messages().iter().find(|entry| Ok(entry.id) == id);
    assert!(own.is_some_and(|own| matches!(own.how, How::Delivered(_))));
    assert!(events(&mut sim, bob).contains(&Event::HubRestarted));
}

#[test]
fn a_hub_that_counts_anew_does_not_hide_what_it_says() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1, Kept::default()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    sim.run_for(SECOND);
    for line in 0..5 {
        assert!(say(&mut sim, ann, &format!("old {line}")).is_ok());
    }
    sim.run_for(SECOND);
    sim.crash(server);
    sim.run_for(SECOND);
    sim.restart(server, hub(2, Kept::default()));
    sim.run_for(60 * SECOND);
    for line in 0..8 {
        assert!(say(&mut sim, ann, &format!("new {line}")).is_ok());
    }
    sim.run_for(SECOND);
    let old = (0..5).map(|line| format!("ann: old {line}"));
    let all: Vec<_> = old.chain((0..8).map(|line| format!("ann: new {line}"))).collect();
    assert_eq!(texts(&sim, bob), all);
    assert_eq!(sim.machine(bob).counts().lost, 0);
}

#[test]
fn who_was_evicted_comes_back_under_its_name_and_gets_what_it_missed() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1, Kept::default()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    sim.run_for(SECOND);
    assert!(type_line(&mut sim, bob, "/join garden").is_ok());
    assert!(type_line(&mut sim, ann, "/join garden").is_ok());
    sim.run_for(60 * SECOND);
    sim.link(bob, server, &weather("loss=100%"));
    for minute in 0..10 {
        assert!(say(&mut sim, ann, &format!("minute {minute}")).is_ok());
        sim.run_for(60 * SECOND);
    }
    assert_eq!(sim.machine(ann).member_count(), 1, "bob was evicted");
    assert!(matches!(sim.machine(bob).state(), State::Connecting { why: Why::Silent, .. }));
    sim.link(bob, server, &weather("clear"));
    sim.run_for(120 * SECOND);
    let machine = sim.machine(bob);
    assert_eq!((machine.name(), machine.room()), (Some("bob"), Some("garden")));
    assert_eq!(texts(&sim, bob), (0..10).map(|minute| format!("ann: minute {minute}")).collect::<Vec<_>>());
    assert!(machine.messages().iter().filter(|entry| entry.how == How::Missed).count() == 10);
    assert_eq!(sim.machine(ann).member_count(), 2);
}

#[test]
fn a_room_that_was_left_is_taken_up_again_where_it_was() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1, Kept::default()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    sim.run_for(SECOND);
    assert!(say(&mut sim, ann, "one").is_ok());
    sim.run_for(SECOND);
    sim.act(bob, |machine, now, _| machine.join(now, RoomName::new("garden").unwrap()));
    sim.run_for(SECOND);
    assert_eq!(sim.machine(bob).room(), Some("garden"));
    assert!(texts(&sim, bob).is_empty());
    assert!(say(&mut sim, bob, "nobody hears this").is_ok());
    for line in ["two", "three"] {
        assert!(say(&mut sim, ann, line).is_ok());
    }
    sim.run_for(60 * SECOND);
    assert_eq!(sim.machine(bob).unread("lobby"), Some(2));
    assert_eq!(sim.machine(bob).unread("garden"), Some(0));
    assert_eq!(sim.machine(bob).unread("elsewhere"), None);
    let rooms: Vec<_> = sim.machine(bob).rooms().map(|room| (&*room.name, room.members)).collect();
    assert_eq!(rooms, [("garden", 1), ("lobby", 1)]);
    assert!(type_line(&mut sim, bob, "/join lobby").is_ok());
    sim.run_for(2 * SECOND);
    assert_eq!(texts(&sim, bob), ["ann: one", "ann: two", "ann: three"]);
    assert_eq!(sim.machine(bob).unread("garden"), Some(0));
}

#[test]
fn a_name_that_is_taken_is_told_once_and_had_when_it_is_free() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1, Kept::default()));
    let first = client(&mut sim, 2, "bob");
    sim.run_for(SECOND);
    let second = client(&mut sim, 3, "bob");
    sim.run_for(100 * SECOND);
    let told = events(&mut sim, second);
    let refusals = told.iter().filter(|event| matches!(event, Event::Refused(_))).count();
    assert_eq!(refusals, 1, "{told:?}");
    assert!(sim.machine(second).name().is_some_and(|name| name.starts_with('~')));
    sim.act(first, |machine, now, out| machine.leave(now, out));
    sim.run_for(60 * SECOND);
    assert_eq!(sim.machine(second).name(), Some("bob"));
    assert_eq!(sim.machine(first).state(), &State::Gone(Why::Left));
    assert_eq!(say(&mut sim, first, "hello?"), Err(SayError::Gone));
    assert_eq!(sim.machine(second).member_count(), 1);
}

#[test]
fn a_name_that_is_refused_is_forgotten_and_the_old_one_kept() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1, Kept::default()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    sim.run_for(SECOND);
    assert!(type_line(&mut sim, ann, "/name bob").is_ok());
    sim.run_for(SECOND);
    assert!(notes(&sim, ann).contains(&"name: bob is taken in lobby".to_owned()));
    sim.act(bob, |machine, now, out| machine.leave(now, out));
    sim.run_for(60 * SECOND);
    assert_eq!(sim.machine(ann).name(), Some("ann"));
    sim.crash(server);
    sim.run_for(SECOND);
    sim.restart(server, hub(2, Kept::default()));
    sim.run_for(60 * SECOND);
    assert_eq!(sim.machine(ann).name(), Some("ann"));
}

#[test]
fn a_name_that_the_clients_former_self_has_is_had_again_within_seconds() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1, Kept::default()));
    let ann = client(&mut sim, 2, "ann");
    sim.run_for(SECOND);
    let old = sim.address(ann);
    sim.rebind(ann, "192.0.2.2:4001");
    sim.run_for(20 * SECOND);
    assert!(sim.machine(ann).name().is_some_and(|name| name.starts_with('~')));
    assert_eq!(sim.act(server, |hub, now, _| hub.members(now).count()), 2);
    sim.forge(old, HUB, "quit");
    sim.run_for(7 * SECOND);
    assert_eq!(sim.machine(ann).name(), Some("ann"));
    assert!(!events(&mut sim, ann).contains(&Event::Removed), "nobody took it out");
}

#[test]
fn who_is_taken_out_by_the_operator_is_told_and_who_was_away_is_not() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1, Kept::default()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    sim.run_for(40 * SECOND);
    let who = Selector::Name("bob".into());
    assert_eq!(sim.act(server, |hub, now, out| hub.kick(now, &who, out)), 1);
    sim.run_for(30 * SECOND);
    let removed = |events: &[Event]| events.iter().filter(|event| **event == Event::Removed).count();
    assert_eq!(removed(&events(&mut sim, bob)), 1);
    assert_eq!((sim.machine(bob).name(), sim.machine(bob).state()), (Some("bob"), &State::Online));
    // Evicted for its silence.
    sim.link(bob, server, &weather("loss=100%"));
    sim.run_for(600 * SECOND);
    sim.link(bob, server, &weather("clear"));
    sim.run_for(120 * SECOND);
    sim.crash(server);
    sim.restart(server, hub(2, Kept::default()));
    sim.run_for(60 * SECOND);
    assert_eq!(removed(&events(&mut sim, bob)) + removed(&events(&mut sim, ann)), 0);
}

#[test]
fn what_is_typed_is_done_and_its_answers_are_shown() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1, Kept::default()));
    let ann = client(&mut sim, 2, "ann");
    sim.run_for(SECOND);
    for line in ["hello", "//shrug", "/name anna", "/who", "/rooms", "/me", "/help", "/find hello"] {
        assert!(type_line(&mut sim, ann, line).is_ok(), "{line}");
        sim.run_for(SECOND);
    }
    assert_eq!(texts(&sim, ann), ["ann: hello", "ann: /shrug"]);
    let notes = notes(&sim, ann);
    for begin in [
        "you are anna",
        "1 in lobby",
        "anna  udp  heard 0 s ago",
        "rooms 1",
        "room lobby members=1 number=2",
        "me anna room=lobby",
        "/find WORDS",
    ] {
        assert!(notes.iter().any(|note| note.starts_with(begin)), "{begin}: {notes:?}");
    }
    let found = events(&mut sim, ann).into_iter().find_map(|event| match event {
        Event::Found { words, messages } if words == "hello" => messages,
        _ => None,
    });
    assert_eq!(found.map(|found| found.len()), Some(1));
    assert_eq!(
        type_line(&mut sim, ann, "/foo"),
        Err(TypeError::Command("/foo: no such command; /help".to_string()))
    );
    assert_eq!(type_line(&mut sim, ann, "quit"), Ok(None));
    assert_eq!(sim.machine(ann).state(), &State::Gone(Why::Left));
}

#[test]
fn older_messages_come_when_they_are_asked_for() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1, Kept::default()));
    let ann = client(&mut sim, 2, "ann");
    for line in 0..250 {
        assert!(say(&mut sim, ann, &format!("line {line}")).is_ok());
    }
    sim.run_for(60 * SECOND);
    let bob = client(&mut sim, 3, "bob");
    sim.run_for(2 * SECOND);
    let line = |number: usize| format!("ann: line {number}");
    assert_eq!(texts(&sim, bob), (200..250).map(line).collect::<Vec<_>>());
    assert!(type_line(&mut sim, bob, "/last 120").is_ok());
    sim.run_for(2 * SECOND);
    assert_eq!(texts(&sim, bob), (80..250).map(line).collect::<Vec<_>>());
    sim.act(bob, |machine, now, _| machine.want_older(now, 1000));
    sim.run_for(5 * SECOND);
    assert_eq!(texts(&sim, bob), (0..250).map(line).collect::<Vec<_>>());
    assert!(sim.machine(bob).messages().iter().all(|entry| matches!(entry.how, How::History | How::Note)));
}

#[test]
fn over_a_stream_it_connects_again_by_itself_and_gets_what_it_missed() {
    let mut sim = Sim::new(1);
    let kept = Kept::default();
    let server = sim.host(HUB, hub(1, kept.clone()));
    let ann = client(&mut sim, 2, "ann");
    let bob = sim.host("192.0.2.3:4000", Client::new(config("bob"), None));
    let run = |sim: &mut Sim, time: Duration| {
        let end = sim.now() + time;
        let mut connects = 0;
        while sim.now() < end {
            sim.run_for(SECOND / 10);
            if events(sim, bob).contains(&Event::Connect) {
                sim.connect(bob, HUB);
                connects += 1;
            }
        }
        connects
    };
    assert_eq!(run(&mut sim, 5 * SECOND), 1);
    assert!(say(&mut sim, ann, "one").is_ok());
    assert!(say(&mut sim, bob, "two").is_ok());
    run(&mut sim, 5 * SECOND);
    assert_eq!(texts(&sim, bob), ["ann: one", "bob: two"]);
    let via = sim.machine(ann).members().find(|member| member.name == "bob").and_then(|member| member.via);
    sim.run_for(30 * SECOND);
    assert!(via.is_none_or(|via| via == Transport::Tcp));
    sim.crash(server);
    run(&mut sim, 100 * SECOND);
    assert!(matches!(sim.machine(bob).state(), State::Connecting { .. }));
    sim.restart(server, hub(2, kept));
    sim.run_for(70 * SECOND);
    assert!(say(&mut sim, ann, "three").is_ok());
    assert!(run(&mut sim, 100 * SECOND) >= 1);
    assert_eq!(texts(&sim, bob), ["ann: one", "bob: two", "ann: three"]);
    assert_eq!(sim.machine(bob).name(), Some("bob"));
}

#[test]
fn what_is_asked_from_elsewhere_than_the_hub_is_passed_over() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1, Kept::default()));
    let ann = client(&mut sim, 2, "ann");
    sim.run_for(SECOND);
    sim.forge("192.0.2.66:9999", "192.0.2.2:4000", "ack #1 bob: forged\nbye bye");
    sim.run_for(SECOND);
    assert_eq!(sim.machine(ann).counts().strays, 1);
    assert!(texts(&sim, ann).is_empty());
    assert_eq!(sim.machine(ann).state(), &State::Online);
}

fn join(sim: &mut Sim, hosts: &[Host<Client>], room: &str) {
    for host in hosts {
        sim.act(*host, |machine, now, _| machine.join(now, RoomName::new(room).unwrap()));
    }
    sim.run_for(2 * SECOND);
}

#[test]
fn a_room_is_the_one_that_was_asked_for_however_the_hub_writes_it() {
    let mut sim = Sim::new(1);
    let kept = Kept::default();
    let server = sim.host(HUB, hub(1, kept.clone()));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    join(&mut sim, &[ann], "Den");
    join(&mut sim, &[bob], "den");
    assert_eq!(sim.machine(bob).room(), Some("Den"));
    assert!(say(&mut sim, bob, "here I am").is_ok());
    sim.run_for(SECOND);
    assert_eq!(texts(&sim, ann), ["bob: here I am"]);
    assert_eq!(notes(&sim, bob).iter().filter(|note| note.contains("you are in")).count(), 1);
    // After a new start of the hub it is the same room, whoever is back first.
    sim.act(ann, |machine, now, out| machine.leave(now, out));
    sim.stop(server);
    sim.run_for(SECOND);
    sim.restart(server, hub(2, kept.clone()));
    sim.run_for(20 * SECOND);
    assert_eq!(sim.machine(bob).room(), Some("Den"));
    assert_eq!(kept.of("Den").len(), 1);
}

#[test]
fn a_room_that_the_hub_has_forgotten_meanwhile_begins_anew_and_hides_nothing() {
    for history in [None, Some(Kept::default())] {
        let mut sim = Sim::new(1);
        let has_history = history.is_some();
        match history {
            Some(kept) => sim.host(HUB, hub(1, kept)),
            None => sim.host(HUB, hub(1, NoHistory)),
        };
        let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
        join(&mut sim, &[ann, bob], "den");
        for line in 0..5 {
            assert!(say(&mut sim, ann, &format!("ann's {line}")).is_ok());
            assert!(say(&mut sim, bob, &format!("bob's {line}")).is_ok());
            sim.run_for(SECOND);
        }
        join(&mut sim, &[ann, bob], "lobby");
        join(&mut sim, &[ann, bob], "den");
        let own = say(&mut sim, ann, "anew").unwrap();
        sim.run_for(SECOND);
        assert!(say(&mut sim, bob, "and I").is_ok());
        sim.run_for(10 * SECOND);
        for host in [ann, bob] {
            let texts = texts(&sim, host);
            assert_eq!(texts.len(), 12, "{texts:?}");
            assert_eq!(texts[10..], ["ann: anew", "bob: and I"], "with history: {has_history}");
            assert!(sim.machine(host).is_caught_up());
        }
        let own = sim.machine(ann).messages().iter().find(|entry| entry.id == own);
        assert!(own.is_some_and(|own| matches!(own.how, How::Delivered(_))), "{own:?}");
    }
}

#[test]
fn a_room_that_was_forgotten_while_all_of_it_were_cut_off_hides_nothing_either() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1, NoHistory));
    let (ann, bob) = (client(&mut sim, 2, "ann"), client(&mut sim, 3, "bob"));
    join(&mut sim, &[ann, bob], "den");
    for host in [ann, bob] {
        assert!(say(&mut sim, host, "before").is_ok());
        sim.run_for(SECOND);
    }
    for weather_of_all in ["loss=100%", "clear"] {
        for host in [ann, bob] {
            sim.link(host, server, &weather(weather_of_all));
        }
        sim.run_for(900 * SECOND);
    }
    for host in [ann, bob] {
        assert_eq!((sim.machine(host).room(), sim.machine(host).state()), (Some("den"), &State::Online));
        assert!(say(&mut sim, host, "anew").is_ok());
        sim.run_for(SECOND);
    }
    for host in [ann, bob] {
        assert_eq!(texts(&sim, host), ["ann: before", "bob: before", "ann: anew", "bob: anew"]);
        assert_eq!(sim.machine(host).pending(), 0);
    }
}
