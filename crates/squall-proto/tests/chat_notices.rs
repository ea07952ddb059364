//! What the chat client tells its user beside the messages, and what it does not.

mod chat;

use std::time::Duration;

use chat::Kept;
use squall_proto::chat::client::{Client, ClientConfig, Event, How, State};
use squall_proto::chat::wire::Name;
use squall_proto::chat::{Hub, HubConfig, NoHistory};
use squall_proto::{Origin, Peer, Transport};
use squall_sim::{Host, Sim, Weather};

const HUB: &str = "192.0.2.1:9999";
const SECOND: Duration = Duration::from_secs(1);

fn hub(seed: u64) -> Hub {
    Hub::new(HubConfig::default().seed(seed), Box::new(Kept::default()))
}

fn client(sim: &mut Sim, number: u8, name: Option<&str>) -> Host<Client> {
    let peer = Peer::Ip(HUB.parse().expect("it is an address"));
    let hub = Origin { peer, local: None, transport: Transport::Udp, validated: true };
    let name = name.and_then(|name| Name::new(name).ok());
    let config = ClientConfig::default().name(name).seed(u64::from(number));
    sim.host(&*format!("192.0.2.{number}:4000"), Client::new(config, Some(hub)))
}

fn type_line(sim: &mut Sim, host: Host<Client>, text: &str) {
    assert!(sim.act(host, |machine, now, out| machine.type_line(now, text, out)).is_ok(), "{text}");
}

/// What became new in the list since it was asked last, notices and messages.
fn news(sim: &mut Sim, host: Host<Client>) -> Vec<String> {
    let ids: Vec<u64> = events(sim, host)
        .iter()
        .filter_map(|event| match event {
            Event::Message(id) => Some(*id),
            _ => None,
        })
        .collect();
    let news = sim.machine(host).messages().iter().filter(|entry| ids.contains(&entry.id));
    news.map(|entry| match entry.how {
        How::Note => entry.text.clone(),
        _ => format!("{}: {}", entry.name, entry.text),
    })
    .collect()
}

fn events(sim: &mut Sim, host: Host<Client>) -> Vec<Event> {
    sim.act(host, |machine, _, _| std::iter::from_fn(|| machine.poll_event()).collect())
}

fn weather(text: &str) -> Weather {
    text.parse().expect("it is weather")
}

#[test]
fn who_comes_is_told_once_and_with_the_name() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1));
    let ann = client(&mut sim, 2, Some("ann"));
    sim.run_for(5 * SECOND);
    assert!(news(&mut sim, ann).is_empty(), "of oneself nothing is told");
    let bob = client(&mut sim, 3, Some("bob"));
    sim.run_for(5 * SECOND);
    assert_eq!(news(&mut sim, ann), ["bob came"]);
    assert_eq!(sim.machine(ann).member_count(), 2);
    // One without a name is told of when it has none for a while; its later name is news.
    let carl = client(&mut sim, 4, None);
    sim.run_for(SECOND);
    assert!(news(&mut sim, ann).is_empty());
    sim.run_for(2 * SECOND);
    assert_eq!(news(&mut sim, ann), ["~3 came"]);
    type_line(&mut sim, carl, "/name carl");
    sim.run_for(3 * SECOND);
    assert_eq!(news(&mut sim, ann), ["~3 is now carl"]);
    assert_eq!(news(&mut sim, carl), ["you are carl"]);
    sim.act(bob, |machine, now, out| machine.leave(now, out));
    type_line(&mut sim, carl, "/join garden");
    sim.run_for(SECOND);
    assert_eq!(news(&mut sim, ann), ["bob left", "carl went to garden"]);
}

#[test]
fn who_comes_and_speaks_is_told_of_before_it_is_heard() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1));
    let ann = client(&mut sim, 2, Some("ann"));
    sim.run_for(5 * SECOND);
    news(&mut sim, ann);
    sim.forge("192.0.2.3:4000", HUB, "hello");
    sim.run_for(SECOND);
    assert_eq!(news(&mut sim, ann), ["~2 came", "~2: hello"]);
    // One that only passes through is no news.
    sim.forge("192.0.2.4:4000", HUB, "\nquit");
    sim.forge("192.0.2.5:4000", HUB, "^hb^\n/join garden");
    sim.run_for(5 * SECOND);
    assert!(news(&mut sim, ann).is_empty());
}

#[test]
fn of_many_newcomers_a_bounded_number_is_held_back_and_none_is_forgotten() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1));
    let ann = client(&mut sim, 2, Some("ann"));
    sim.run_for(5 * SECOND);
    news(&mut sim, ann);
    for host in 100..200 {
        sim.forge(&*format!("192.0.2.{host}:4000"), HUB, "^hb^");
    }
    sim.run_for(SECOND);
    let mut told = news(&mut sim, ann);
    assert_eq!(told.len(), 100 - 64);
    sim.run_for(2 * SECOND);
    told.extend(news(&mut sim, ann));
    assert_eq!(told, (2..102).map(|number| format!("~{number} came")).collect::<Vec<_>>());
}

#[test]
fn in_a_room_that_is_joined_one_is_counted_once() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1));
    let ann = client(&mut sim, 2, Some("ann"));
    sim.link(ann, server, &weather("delay=50ms"));
    sim.run_for(5 * SECOND);
    news(&mut sim, ann);
    type_line(&mut sim, ann, "/join garden");
    // As it is told to the user at once, and after the list of members has come.
    for _ in 0..1000 {
        sim.run_for(SECOND / 1000);
        let machine = sim.machine(ann);
        assert!(machine.room() != Some("garden") || machine.member_count() == 1);
    }
    assert_eq!(news(&mut sim, ann), ["you are in garden"]);
    // A hub may tell a member of its own coming, too.
    sim.forge(HUB, "192.0.2.2:4000", "* came ann");
    sim.run_for(SECOND);
    assert!(news(&mut sim, ann).is_empty());
    assert_eq!(sim.machine(ann).member_count(), 1);
}

#[test]
fn after_a_hubs_new_start_all_come_back_once() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1));
    let (ann, bob) = (client(&mut sim, 2, Some("ann")), client(&mut sim, 3, Some("bob")));
    sim.run_for(5 * SECOND);
    for host in [ann, bob] {
        news(&mut sim, host);
    }
    sim.stop(server);
    sim.run_for(SECOND);
    sim.restart(server, hub(2));
    sim.run_for(20 * SECOND);
    // Whoever is back first sees the other come.
    let both = [news(&mut sim, ann), news(&mut sim, bob)];
    let told = |first: &str, second: &str| {
        let restart = "the hub was started anew";
        both.contains(&vec![restart.to_string(), format!("{second} came")])
            && both.contains(&vec![restart.to_string()])
            && both[usize::from(first == "bob")].len() == 2
    };
    assert!(told("ann", "bob") || told("bob", "ann"), "{both:?}");
    assert!(sim.machine(ann).members().len() == 2 && sim.machine(ann).member_count() == 2);
}

#[test]
fn a_hub_without_history_is_mentioned_only_where_something_is_missed() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, Hub::new(HubConfig::default(), Box::new(NoHistory)));
    let bob = client(&mut sim, 3, Some("bob"));
    for text in ["one", "two"] {
        sim.forge("192.0.2.9:4000", HUB, text);
    }
    sim.run_for(5 * SECOND);
    let ann = client(&mut sim, 2, Some("ann"));
    sim.run_for(5 * SECOND);
    assert!(news(&mut sim, ann).is_empty());
    assert!(sim.machine(ann).keeps_nothing() && sim.machine(ann).is_caught_up());
    // Whoever asks is answered.
    type_line(&mut sim, ann, "/last 20");
    assert_eq!(news(&mut sim, ann), ["this hub keeps no messages"]);
    for round in 0..2 {
        sim.link(ann, server, &weather("loss=100%"));
        sim.act(bob, |machine, now, out| machine.say(now, "unheard", out)).expect("it can be said");
        sim.run_for(SECOND);
        sim.link(ann, server, &weather("clear"));
        sim.act(bob, |machine, now, out| machine.say(now, "heard", out)).expect("it can be said");
        sim.run_for(5 * SECOND);
        let told = news(&mut sim, ann);
        let mentions = told.iter().filter(|text| text.starts_with("this hub keeps no messages")).count();
        assert_eq!(mentions, usize::from(round == 0), "{told:?}");
        assert!(told.contains(&"1 message was missed, and not kept by the hub".to_string()), "{told:?}");
    }
}

#[test]
fn who_asks_for_older_messages_is_told_where_there_are_none() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1));
    let ann = client(&mut sim, 2, Some("ann"));
    sim.run_for(5 * SECOND);
    type_line(&mut sim, ann, "/last 20");
    assert_eq!(news(&mut sim, ann), ["there are no older messages"]);
    // A hub that has not yet said that it keeps none says it when it is asked.
    let silent = "192.0.2.7:9999";
    sim.host(silent, Hub::new(HubConfig::default(), Box::new(NoHistory)));
    let hub = Origin {
        peer: Peer::Ip(silent.parse().unwrap()),
        local: None,
        transport: Transport::Udp,
        validated: true,
    };
    sim.forge("192.0.2.9:4000", silent, "one");
    let bob = sim.host("192.0.2.3:4000", Client::new(ClientConfig::default().history(0), Some(hub)));
    sim.run_for(5 * SECOND);
    for _ in 0..2 {
        type_line(&mut sim, bob, "/last 20");
        sim.run_for(SECOND);
        assert_eq!(news(&mut sim, bob), ["this hub keeps no messages"]);
    }
}

#[test]
fn a_name_that_becomes_free_is_told_as_it_was_told_that_it_is_taken() {
    let mut sim = Sim::new(1);
    sim.host(HUB, hub(1));
    let first = client(&mut sim, 2, Some("bob"));
    sim.run_for(SECOND);
    let second = client(&mut sim, 3, Some("bob"));
    sim.run_for(5 * SECOND);
    assert_eq!(news(&mut sim, second), ["name: bob is taken in lobby"]);
    sim.act(first, |machine, now, out| machine.leave(now, out));
    sim.run_for(60 * SECOND);
    assert_eq!(news(&mut sim, second), ["bob left", "you are bob"]);
}

#[test]
fn a_hub_whose_host_refuses_datagrams_is_quiet_soon_and_lost_soon() {
    let mut sim = Sim::new(1);
    let server = sim.host(HUB, hub(1));
    let ann = client(&mut sim, 2, Some("ann"));
    sim.run_for(5 * SECOND);
    // A sign that is forged does no harm.
    for _ in 0..20 {
        sim.act(ann, |machine, _, _| machine.unreachable("no hub listens there"));
        sim.run_for(SECOND / 10);
    }
    assert_eq!(sim.machine(ann).state(), &State::Online);
    assert_eq!(sim.machine(ann).counts().disconnects, 0);
    sim.crash(server);
    let killed = sim.now();
    let mut waits = Vec::new();
    for state in ["Quiet", "Connecting"] {
        while !format!("{:?}", sim.machine(ann).state()).starts_with(state) {
            // Each datagram is refused on the spot.
            sim.act(ann, |machine, _, _| machine.unreachable("no hub listens there"));
            sim.run_for(SECOND / 20);
            assert!(sim.now() < killed + 10 * SECOND, "{:?}", sim.machine(ann).state());
        }
        waits.push(sim.now().since(killed));
    }
    assert!(waits[0] <= 3 * SECOND && waits[1] <= 6 * SECOND, "{waits:?}");
}
