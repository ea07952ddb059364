//! Chat in every weather: once it clears, each client has every message that the hub keeps, once and in order.
//!
//! `SQUALL_SIM_SEEDS=1000 cargo test -p squall-proto --test chat_weather` runs more seeds.

mod chat;

use std::time::Duration;

use chat::Kept;
use squall_proto::chat::client::{Client, ClientConfig, How, State};
use squall_proto::chat::wire::Name;
use squall_proto::chat::{History, Hub, HubConfig};
use squall_proto::{Origin, Peer, Transport};
use squall_sim::{Host, Sim, Weather, explore};

const HUB: &str = "192.0.2.1:9999";
const NAMES: [&str; 4] = ["ann", "bob", "cleo", "dora"];
/// How late the timeouts of a hostile driver come.
const LATE: Duration = Duration::from_millis(100);

fn hub(seed: u64, history: impl History + 'static) -> Hub {
    Hub::new(HubConfig::default().seed(seed), Box::new(history))
}

fn hub_origin() -> Origin {
    let peer = Peer::Ip(HUB.parse().expect("it is an address"));
    Origin { peer, local: None, transport: Transport::Udp, validated: true }
}

fn client(sim: &mut Sim, index: usize) -> Host<Client> {
    let config = ClientConfig::default().name(Name::new(NAMES[index]).ok()).seed(sim.random().next_u64());
    sim.host(&*format!("192.0.2.{}:4000", index + 10), Client::new(config, Some(hub_origin())))
}

/// What of a client's list the hub counts: numbers, names and texts.
fn counted(client: &Client) -> Vec<(u64, &str, &str)> {
    let counted = client.messages().iter().filter(|entry| entry.is_counted());
    counted.map(|entry| (entry.number.unwrap_or(0), &*entry.name, &*entry.text)).collect()
}

/// Says something every few seconds for `time`; what was said.
fn talk(sim: &mut Sim, clients: &[Host<Client>], time: Duration, said: &mut Vec<(usize, String)>) {
    let end = sim.now() + time;
    while sim.now() < end {
        let wait = Duration::from_millis(sim.random().below(2000));
        sim.run_for(wait);
        let who = sim.random().below(clients.len() as u64) as usize;
        let text = format!("message {}", said.len());
        let outcome = sim.act(clients[who], |machine, now, out| machine.say(now, &text, out));
        if outcome.is_ok() {
            said.push((who, text));
        }
    }
}

const WEATHERS: [&str; 6] = [
    "delay=20ms",
    "delay=50ms,loss=5%",
    "delay=50ms,loss=25%",
    "delay=30ms,burst=5%:20%",
    "delay=30ms,jitter=200ms,order=free,duplicate=10%,reorder=20%,reorder-by=500ms",
    "storm",
];

/// What happens to the hub meanwhile.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Stays,
    Restarted,
    /// It has lost the last messages that it kept.
    Forgetful,
}

fn conversation(sim: &mut Sim) -> (usize, usize) {
    let seed = sim.seed();
    let weather: Weather = WEATHERS[(seed % 6) as usize].parse().expect("it is weather");
    let fate = [Fate::Stays, Fate::Restarted, Fate::Forgetful][(seed / 6 % 3) as usize];
    if seed.is_multiple_of(2) {
        sim.hostile(LATE);
    }
    sim.checksums(true);
    let kept = Kept::default();
    let seed = sim.random().next_u64();
    let server = sim.host(HUB, hub(seed, kept.clone()));
    let clients: Vec<_> = (0..NAMES.len()).map(|index| client(sim, index)).collect();
    sim.weather(&weather);
    for client in &clients {
        sim.link(*client, server, &weather);
    }
    let mut said = Vec::new();
    talk(sim, &clients, Duration::from_secs(100), &mut said);
    let begins: Vec<_> =
        clients.iter().map(|host| counted(sim.machine(*host)).first().map(|first| first.0)).collect();
    if fate != Fate::Stays {
        sim.crash(server);
        talk(sim, &clients, Duration::from_secs(20), &mut said);
        if fate == Fate::Forgetful {
            kept.with(|all| all.truncate(all.len().saturating_sub(3)));
        }
        let seed = sim.random().next_u64();
        sim.restart(server, hub(seed, kept.clone()));
        talk(sim, &clients, Duration::from_secs(100), &mut said);
    }
    let clear: Weather = "delay=20ms".parse().expect("it is weather");
    for client in &clients {
        sim.link(*client, server, &clear);
    }
    sim.run_for(Duration::from_secs(150));

    let kept = kept.of("lobby");
    let kept: Vec<_> = kept.iter().map(|kept| (kept.number, &*kept.name, &*kept.text)).collect();
    for (host, begin) in clients.iter().zip(begins) {
        let client = sim.machine(*host);
        assert_eq!(client.state(), &State::Online);
        assert!(client.is_caught_up());
        let list = counted(client);
        let first = list.first().map_or(0, |(number, ..)| *number);
        let from = kept.iter().position(|(number, ..)| *number == first).expect("its first message is kept");
        let same = list.iter().zip(&kept[from..]).take_while(|(ours, theirs)| ours == theirs).count();
        let rest =
            |all: &[(u64, &str, &str)]| format!("{:?}", &all[same.min(all.len())..all.len().min(same + 9)]);
        assert!(
            list == kept[from..],
            "{:?} has {}, kept is {}",
            client.name(),
            rest(&list),
            rest(&kept[from..])
        );
        assert!(
            begin.is_none_or(|begin| first <= begin),
            "the list began at {begin:?} and begins at {first}"
        );
        for entry in client.messages().iter().filter(|entry| entry.is_own()) {
            let said_by = kept.iter().find(|(_, _, text)| *text == entry.text).map(|(_, name, _)| *name);
            match &entry.how {
                How::Delivered(_) => assert!(said_by.is_some() || fate == Fate::Forgetful, "{entry:?}"),
                // Where it was a nameless member twice before it learned its number, its own words are a stranger's.
                How::NoReceipt => assert!(said_by.is_none_or(|name| name.starts_with('~')), "{entry:?}"),
                other => panic!("{other:?}: {entry:?}"),
            }
        }
        let members: Vec<_> = client.members().map(|member| member.name.clone()).collect();
        assert_eq!(members, NAMES, "{:?}", client.name());
    }
    (said.len(), kept.len())
}

#[test]
fn after_the_weather_every_client_has_all_that_is_kept_once_and_in_order() {
    let results = explore(120, conversation);
    let said: usize = results.iter().map(|(said, _)| said).sum();
    let kept: usize = results.iter().map(|(_, kept)| kept).sum();
    assert!(kept > said / 2 && kept <= said, "{kept} of {said} messages arrived");
}
