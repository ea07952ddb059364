//! Whatever several members send, by datagrams and over connections, and however time jumps, a hub writes only
//! lines that a member can read, no plain member's datagram is longer than 1024 bytes, nobody that is no
//! member gets anything, and it comes to an end.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::chat::wire::Line;
use squall_proto::chat::{Hub, HubConfig, NoHistory, Selector};
use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Request, Time, Transport};

#[derive(Arbitrary, Debug)]
struct Step<'a> {
    member: u8,
    what: What<'a>,
    /// How often the hub is called for its deadline.
    timeouts: u8,
    wait_milliseconds: u16,
}

#[derive(Arbitrary, Debug)]
enum What<'a> {
    Bytes(&'a [u8]),
    /// One of [`LINES`], and something behind it.
    Line(u8, &'a [u8]),
    Opened,
    Closed,
    Full,
    Writable,
    Kick(u8),
    Ban(bool),
    Say(&'a str),
    Flood(u16),
    Long,
    Stopping,
}

const LINES: [&[u8]; 21] = [
    b"/name ",
    b"/name bob\n",
    b"/join ",
    b"/join den\n",
    b"/rooms",
    b"/who ",
    b"/me ",
    b"/last ",
    b"/find ",
    b"/numbers on",
    b"/numbers off",
    b"/lines on\n",
    b"/lines off\n",
    b"/me\n",
    b"/watch on",
    b"/help",
    b"quit\n",
    b"^hb^ ",
    b"bob: ",
    b"ack ",
    b"bye bye",
];

fn origin(member: u8) -> Origin {
    let number = member % 12;
    match number {
        0..4 => Origin {
            peer: Peer::Conn(number.into()),
            local: None,
            transport: Transport::Unix,
            validated: true,
        },
        _ => {
            let ip = if number < 8 { [127, 0, 0, number] } else { [192, 0, 2, number] };
            let peer = Peer::Ip(SocketAddr::new(ip.into(), 4000));
            Origin { peer, local: None, transport: Transport::Udp, validated: number < 8 }
        }
    }
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let config = HubConfig::default().members(8).members_per_prefix(2).rooms(3).queue(64, 4096).ring(4096);
    let mut hub = Hub::new(config, Box::new(NoHistory));
    let mut out = Outbox::new();
    let mut now = Time::ZERO;
    for step in steps.iter().take(200) {
        let origin = origin(step.member);
        let mut give = |hub: &mut Hub, bytes: &[u8]| {
            hub.handle_input(now, Input::Message(Request::new(now, bytes, origin)), &mut out);
        };
        match step.what {
            What::Bytes(bytes) => give(&mut hub, bytes),
            What::Line(line, rest) => {
                give(&mut hub, &[LINES[usize::from(line) % LINES.len()], rest].concat())
            }
            What::Flood(count) => (0..count % 2000).for_each(|_| give(&mut hub, b"flood")),
            What::Long => give(&mut hub, &[b'x'; 2000]),
            What::Opened => hub.handle_input(now, Input::Opened(origin), &mut out),
            What::Closed => hub.handle_input(now, Input::Closed(origin), &mut out),
            What::Full => hub.handle_input(now, Input::Full(origin), &mut out),
            What::Writable => hub.handle_input(now, Input::Writable(origin), &mut out),
            What::Kick(number) => drop(hub.kick(now, &Selector::Number(number.into()), &mut out)),
            What::Ban(true) => {
                let network = "192.0.2.0/24".parse().unwrap();
                let _ = hub.ban(now, network, Some(Duration::from_secs(1)), &mut out);
            }
            What::Ban(false) => drop(hub.unban("192.0.2.0/24".parse().unwrap())),
            What::Say(text) => drop(hub.say(now, None, text)),
            What::Stopping => hub.handle_input(now, Input::Stopping, &mut out),
        }
        check(&mut out);
        for _ in 0..step.timeouts % 4 {
            hub.handle_timeout(now, &mut out);
            check(&mut out);
        }
        now += Duration::from_millis(step.wait_milliseconds.into());
        assert!(hub.stats().members <= 8 && hub.stats().rooms <= 3);
        let networked = hub.members(now).filter(|member| !member.origin.validated).count();
        assert!(networked <= 2, "{networked} members of one network");
    }
    hub.handle_input(now, Input::Stopping, &mut out);
    for _ in 0..10_000 {
        check(&mut out);
        if hub.poll_timeout().is_none() {
            return;
        }
        hub.handle_timeout(now, &mut out);
    }
    panic!("the hub does not come to an end");
});

fn check(out: &mut Outbox) {
    for frame in out.frames() {
        let text = std::str::from_utf8(frame.payload).expect("lines are text");
        let numbered = text.starts_with("ack #");
        assert!(numbered || frame.payload.len() <= 1024, "{} bytes", frame.payload.len());
        // One at the end for who wants it, and one at the beginning where it did not fit the datagram before.
        let body = text.strip_suffix('\n').unwrap_or(text);
        let body = body.strip_prefix('\n').unwrap_or(body);
        assert!(!body.is_empty() || text == "\n", "{text:?}");
        for line in body.split('\n').filter(|_| !body.is_empty()) {
            assert!(!matches!(Line::parse(line), Line::Unknown(_)), "{line:?}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
    out.clear();
}
