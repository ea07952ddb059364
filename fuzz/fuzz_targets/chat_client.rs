//! Whatever a hub sends a chat client, and whenever: it keeps its bounds, its list is in order, and it never spins.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::chat::client::{Client, ClientConfig, State};
use squall_proto::chat::wire::{Name, RoomName};
use squall_proto::{Input, MAX_DATAGRAM, Origin, Outbox, Peer, Protocol, Request, Time, Transport};

#[derive(Arbitrary, Debug)]
enum Act<'a> {
    /// Bytes as they are.
    Raw(&'a [u8]),
    /// Lines of a kind that hubs send.
    Numbered {
        number: u16,
        name: u8,
        text: u8,
    },
    Said {
        number: u16,
        name: u8,
        text: u8,
    },
    Last {
        messages: u8,
        after: u16,
        to: u16,
    },
    Joined {
        room: u8,
        number: u16,
    },
    Me {
        name: u8,
        room: u8,
        number: u16,
        id: u8,
        hub: u8,
    },
    Listed {
        total: u8,
        name: u8,
    },
    Line(u8),
    /// What the user does.
    Say(u8),
    Type(&'a str),
    Join(u8),
    Older(u16),
    /// What the driver does.
    Wait(u16),
    Due,
    Opened,
    Closed,
    Listen,
}

const SCROLL_BACK: usize = 200;
const NAMES: [&str; 4] = ["ann", "bob", "~7", "~8"];
const ROOMS: [&str; 3] = ["lobby", "garden", "attic"];
const LINES: [&str; 12] = [
    "* numbers on",
    "* watch on",
    "* name ann",
    "* rooms 2",
    "* more bob",
    "* went bob silent",
    "* renamed ann bob",
    "! slow down: 20 messages/s",
    "! last: nothing is kept here",
    "! last: too many questions wait; ask again",
    "! name: ann is taken in lobby",
    "bye bye",
];

fn pick<'a>(all: &[&'a str], which: u8) -> &'a str {
    all[usize::from(which) % all.len()]
}

fuzz_target!(|input: (bool, Vec<Act<'_>>)| {
    let (stream, acts) = input;
    let peer = Peer::Ip("192.0.2.1:9999".parse().expect("it is an address"));
    let transport = if stream { Transport::Tcp } else { Transport::Udp };
    let hub = Origin { peer, local: None, transport, validated: true };
    let config =
        ClientConfig::default().name(Name::new("ann").ok()).scroll_back(SCROLL_BACK).members(100).seed(7);
    let mut client = Client::new(config, (!stream).then_some(hub));
    let mut out = Outbox::new();
    let mut now = Time::ZERO;
    let mut token = String::from("x");
    client.handle_timeout(now, &mut out);
    for act in acts {
        let receive = |client: &mut Client, out: &mut Outbox, payload: &[u8]| {
            let request = Request::new(now, payload, hub);
            client.handle_input(now, Input::Message(request), out);
        };
        match act {
            Act::Raw(bytes) => receive(&mut client, &mut out, bytes),
            Act::Numbered { number, name, text } => {
                let line = format!("ack #{number} {}: text {text}", pick(&NAMES, name));
                receive(&mut client, &mut out, line.as_bytes());
            }
            Act::Said { number, name, text } => {
                let line =
                    format!("* said #{number} 2026-11-20T18:00:02Z {}: text {text}", pick(&NAMES, name));
                receive(&mut client, &mut out, line.as_bytes());
            }
            Act::Last { messages, after, to } => {
                let line = format!("* last lobby messages={messages} after={after} to={to}");
                receive(&mut client, &mut out, line.as_bytes());
            }
            Act::Joined { room, number } => {
                let line = format!("* join {} members=2 number={number}", pick(&ROOMS, room));
                receive(&mut client, &mut out, line.as_bytes());
            }
            Act::Me { name, room, number, id, hub } => {
                let (name, room) = (pick(&NAMES, name), pick(&ROOMS, room));
                let line = format!(
                    "* me {name} room={room} number={number} member={id} via=udp peer=192.0.2.2:1 idle=0.0 hub={hub:x} token={token}"
                );
                receive(&mut client, &mut out, line.as_bytes());
            }
            Act::Listed { total, name } => {
                let line = format!(
                    "* who lobby members={total}\n* member n{name} via=udp idle=1.0\n* room r{name} members=1 number=2"
                );
                receive(&mut client, &mut out, line.as_bytes());
            }
            Act::Line(which) => receive(&mut client, &mut out, pick(&LINES, which).as_bytes()),
            Act::Say(which) => drop(client.say(now, &format!("text {which}"), &mut out)),
            Act::Type(line) => {
                let line: String = line.chars().take(200).collect();
                drop(client.type_line(now, &line, &mut out));
            }
            Act::Join(which) => {
                client.join(now, RoomName::new(pick(&ROOMS, which)).expect("it is a room's name"));
            }
            Act::Older(count) => client.want_older(now, u32::from(count)),
            Act::Wait(millis) => now += Duration::from_millis(u64::from(millis)),
            Act::Due => now = client.poll_timeout().map_or(now, |due| due.max(now)),
            Act::Opened => client.handle_input(now, Input::Opened(hub), &mut out),
            Act::Closed => client.handle_input(now, Input::Closed(hub), &mut out),
            Act::Listen => while client.poll_event().is_some() {},
        }
        client.handle_timeout(now, &mut out);
        // What is due is done in a few rounds, and then there is nothing to do at once.
        for _ in 0..3 {
            if client.poll_timeout().is_some_and(|due| due <= now) {
                client.handle_timeout(now, &mut out);
            }
        }
        assert!(client.poll_timeout().is_none_or(|due| due > now), "it spins: {:?}", client.poll_timeout());
        assert_eq!(client.poll_timeout().is_none(), matches!(client.state(), State::Gone(_)));
        for frame in out.frames() {
            assert!(frame.payload.len() <= 1200 && frame.payload.len() < MAX_DATAGRAM);
            let text = std::str::from_utf8(frame.payload).expect("it sends text");
            if let Some(sent) = text.lines().find_map(|line| line.strip_prefix("/me ")) {
                token = sent.to_string();
            }
        }
        out.clear();
        check(&client);
    }
});

fn check(client: &Client) {
    let messages = client.messages();
    assert!(messages.len() <= SCROLL_BACK);
    let mut last = 0;
    for entry in messages.iter().filter(|entry| entry.is_counted()) {
        let number = entry.number.expect("what is counted has a number");
        assert!(number > last, "{number} after {last}");
        last = number;
    }
    let mut ids: Vec<u64> = messages.iter().map(|entry| entry.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), messages.len(), "every entry has an id of its own");
    assert!(client.members().len() <= 101);
}
