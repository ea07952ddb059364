use alloc::vec;

use proptest::prelude::*;

use super::*;

/// What may happen in a run.
#[derive(Clone, Debug)]
enum Act {
    Say(u32, u8),
    Command(u32, u8),
    Raw(u32, Vec<u8>),
    Quit(u32),
    Beat(u32),
    Open(u32),
    Close(u32),
    Full(u32),
    Writable(u32),
    Kick(u32),
    Operator,
    Timeout,
    Wait(u8),
    Stop,
}

fn act() -> impl Strategy<Value = Act> {
    let udp = 0..8u32;
    let all = prop_oneof![0..8u32, 1000..1004u32];
    let stream = 1000..1004u32;
    prop_oneof![
        12 => (all.clone(), any::<u8>()).prop_map(|(member, text)| Act::Say(member, text)),
        6 => (all.clone(), any::<u8>()).prop_map(|(member, command)| Act::Command(member, command)),
        1 => (all.clone(), prop::collection::vec(any::<u8>(), 0..2000)).prop_map(|(member, raw)| Act::Raw(member, raw)),
        2 => all.clone().prop_map(Act::Quit),
        2 => udp.prop_map(Act::Beat),
        2 => stream.clone().prop_map(Act::Open),
        1 => stream.clone().prop_map(Act::Close),
        2 => stream.clone().prop_map(Act::Full),
        3 => stream.prop_map(Act::Writable),
        1 => all.prop_map(Act::Kick),
        1 => Just(Act::Operator),
        12 => Just(Act::Timeout),
        1 => any::<u8>().prop_map(Act::Wait),
        1 => Just(Act::Stop),
    ]
}

const COMMANDS: [&str; 24] = [
    "/name bob",
    "/name cid",
    "/name",
    "/join den",
    "/join attic",
    "/join lobby",
    "/rooms",
    "/who",
    "/who den",
    "/me x1",
    "/last",
    "/find x",
    "/numbers on",
    "/numbers off",
    "/lines on",
    "/lines off",
    "/me\n",
    "/foo\n",
    "/watch on",
    "/watch off",
    "/help",
    "/nothing",
    "quit\nback",
    "bob: hello",
];

impl Bench {
    fn act(&mut self, act: &Act, said: &mut u32) {
        match act {
            Act::Say(member, lines) => {
                let mut text = String::new();
                for _ in 0..=lines % 4 {
                    *said += 1;
                    text += &alloc::format!("text {said}{}\n", ".".repeat(usize::from(*lines) * 3));
                }
                self.give(&origin(*member), text.as_bytes());
            }
            Act::Command(member, command) => {
                let command = COMMANDS[usize::from(*command) % COMMANDS.len()];
                self.give(&origin(*member), command.as_bytes());
            }
            Act::Raw(member, raw) => self.give(&origin(*member), raw),
            Act::Quit(member) => self.give(&origin(*member), b"quit"),
            Act::Beat(member) => self.give(&origin(*member), b"^hb^"),
            Act::Open(member) => drop(self.open(*member)),
            Act::Close(member) => self.input(Input::Closed(origin(*member))),
            Act::Full(member) => self.input(Input::Full(origin(*member))),
            Act::Writable(member) => self.input(Input::Writable(origin(*member))),
            Act::Kick(member) => {
                let number =
                    self.hub.members(self.now).nth(*member as usize % 8).map_or(0, |member| member.number);
                self.hub.kick(self.now, &Selector::Number(number), &mut self.out);
                self.flush();
            }
            Act::Operator => drop(self.hub.say(self.now, None, "attention")),
            Act::Timeout => {
                self.hub.handle_timeout(self.now, &mut self.out);
                self.flush();
            }
            Act::Wait(seconds) => drop(self.wait(Duration::from_secs(u64::from(*seconds)))),
            Act::Stop => self.input(Input::Stopping),
        }
        self.check();
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_tables_agree_and_the_hub_comes_to_an_end(acts in prop::collection::vec(act(), 0..120), per_call in 1usize..50) {
        let mut bench = Bench::with(HubConfig::default().ring(4096).queue(64, 4096).rooms(3));
        bench.hub.relay.per_call = per_call;
        let mut said = 0;
        for act in &acts {
            bench.act(act, &mut said);
        }
        bench.wait(Duration::from_secs(1000));
        bench.input(Input::Stopping);
        bench.settle();
        prop_assert_eq!(bench.hub.poll_timeout(), None);
    }

    /// Some come, say something, go, change their names and forms; readers fill up and empty. Who is there
    /// all the time gets each message once, in the order of its numbers, and all get the same ones.
    #[test]
    fn who_stays_gets_each_message_once_and_in_order(acts in prop::collection::vec(act(), 1..150), per_call in 1usize..50) {
        let mut bench = Bench::new();
        bench.hub.relay.per_call = per_call;
        bench.say(&[(900, "/numbers on"), (901, "/numbers on"), (902, "/lines on"), (903, "/lines on\n/numbers on")]);
        bench.open(1900).open(1901);
        bench.say(&[(1900, "/numbers on")]);
        for member in [900, 901, 1900] {
            bench.got(member);
        }
        bench.raw.clear();
        let (mut said, mut full) = (0, false);
        for act in &acts {
            match act {
                // These would be ended, or the hub.
                Act::Stop | Act::Kick(_) | Act::Wait(_) => continue,
                Act::Full(_) | Act::Writable(_) => {
                    full = !full;
                    for member in [1900, 1901] {
                        let origin = origin(member);
                        bench.input(if full { Input::Full(origin) } else { Input::Writable(origin) });
                    }
                }
                _ => {}
            }
            bench.act(act, &mut said);
        }
        for member in [1900, 1901] {
            bench.input(Input::Writable(origin(member)));
        }
        bench.settle();
        let mut relayed: Vec<Vec<String>> = Vec::new();
        for member in [900, 901, 1900] {
            let got = bench.got(member);
            for (number, line) in (1u64..).zip(&got) {
                prop_assert!(line.starts_with(&alloc::format!("ack #{number} ")), "{} of {:?}", number, got);
            }
            relayed.push(got);
        }
        prop_assert_eq!(&relayed[0], &relayed[1]);
        prop_assert_eq!(&relayed[0], &relayed[2]);
        let plain: Vec<String> = relayed[0]
            .iter()
            .map(|line| {
                let (_, rest) = line.strip_prefix("ack #").unwrap().split_once(' ').unwrap();
                let (name, text) = rest.split_once(": ").unwrap();
                if name.starts_with('~') { alloc::format!("ack {text}") } else { alloc::format!("ack {rest}") }
            })
            .collect();
        prop_assert_eq!(&plain, &bench.got(1901));
        for (member, lines) in [(902, &plain), (903, &relayed[0])] {
            let raw = bench.raw(member);
            let fills = |datagram: &String| datagram.len() >= 1024;
            prop_assert!(raw.iter().all(|datagram| datagram.ends_with('\n') || fills(datagram)));
            let end = |line: &String| if line.len() < 1024 { "\n" } else { "" };
            let ended: String = lines.iter().flat_map(|line| [line.as_str(), end(line)]).collect();
            prop_assert_eq!(raw.concat(), ended);
        }
    }
}

#[test]
fn a_hundred_thousand_members_in_one_room_get_each_message_once_over_many_calls() {
    let mut hub = Hub::new(HubConfig::default(), Box::new(NoHistory));
    let mut out = Outbox::new();
    let origin = |member: u32| {
        let [_, high, middle, low] = member.to_be_bytes();
        udp(SocketAddr::from((Ipv4Addr::new(127, high, middle, low), 4000)))
    };
    let give = |hub: &mut Hub, member: u32, text: &[u8]| {
        let mut out = Outbox::with_limits(1024, 16);
        hub.handle_input(
            Time::ZERO,
            Input::Message(Request::new(Time::ZERO, text, origin(member))),
            &mut out,
        );
    };
    const MEMBERS: u32 = 100_000;
    (0..MEMBERS).for_each(|member| give(&mut hub, member, b"^hb^ 1"));
    give(&mut hub, 5, b"one\ntwo");
    let mut got = alloc::vec![0u8; MEMBERS as usize];
    let mut calls = 0;
    while hub.poll_timeout().is_some_and(|deadline| deadline == Time::ZERO) {
        hub.handle_timeout(Time::ZERO, &mut out);
        for frame in out.frames() {
            let Peer::Ip(SocketAddr::V4(peer)) = frame.destination.peer else { panic!() };
            assert_eq!(frame.payload, b"ack one\nack two");
            got[(peer.ip().to_bits() & 0x00ff_ffff) as usize] += 1;
        }
        out.clear();
        calls += 1;
        // Some leave and some come while it is written.
        give(&mut hub, calls * 900, b"quit");
        give(&mut hub, MEMBERS - calls * 7, b"quit");
    }
    assert!(calls > 90, "the sockets have their turn between calls: {calls}");
    let twice = got.iter().filter(|count| **count > 1).count();
    let none = got.iter().filter(|count| **count == 0).count();
    assert_eq!(twice, 0);
    assert!(none <= 2 * calls as usize, "only who left: {none}");
    // Those that left are told nothing more, and all others are told that it ends, over many calls.
    let mut byes = 0;
    hub.handle_input(Time::ZERO, Input::Stopping, &mut out);
    loop {
        byes += out.frames().filter(|frame| frame.payload == b"bye bye").count();
        out.clear();
        if hub.poll_timeout().is_none() {
            break;
        }
        hub.handle_timeout(Time::ZERO, &mut out);
    }
    assert_eq!(byes as u64, hub.stats().members);
}
