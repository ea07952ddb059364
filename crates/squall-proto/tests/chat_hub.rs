//! The chat hub's memory, and its life under a hostile driver.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use squall_proto::chat::{Hub, HubConfig, NoHistory};
use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Request, Time, Transport};
use squall_sim::{Mailbox, Sim, explore};

fn origin(number: u32) -> Origin {
    let [_, high, middle, low] = number.to_be_bytes();
    let peer = SocketAddr::from((Ipv4Addr::new(127, high, middle, low), 4000));
    let local = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9999)));
    Origin { peer: Peer::Ip(peer), local, transport: Transport::Udp, validated: true }
}

fn give(hub: &mut Hub, out: &mut Outbox, now: Time, member: u32, text: &[u8]) {
    hub.handle_input(now, Input::Message(Request::new(now, text, origin(member))), out);
}

fn relay(hub: &mut Hub, out: &mut Outbox, now: Time) {
    while hub.poll_timeout().is_some_and(|deadline| deadline <= now) {
        hub.handle_timeout(now, out);
        out.clear();
    }
}

#[test]
fn a_member_that_sends_heartbeats_takes_at_most_300_bytes() {
    const MEMBERS: u32 = 100_000;
    let mut out = Outbox::new();
    let mut hub = None;
    let used = allocation_counter::measure(|| {
        let mut made = Hub::new(HubConfig::default(), Box::new(NoHistory));
        let mut now = Time::ZERO;
        for beat in 0..4 {
            for member in 0..MEMBERS {
                give(&mut made, &mut out, now, member, format!("^hb^ {beat}").as_bytes());
                now += Duration::from_micros(100);
            }
            relay(&mut made, &mut out, now);
        }
        hub = Some(made);
    });
    assert_eq!(hub.map(|hub| hub.stats().members), Some(MEMBERS.into()));
    let each = used.bytes_current as f64 / f64::from(MEMBERS);
    println!("{each:.0} bytes a member, {:.0} at most", used.bytes_max as f64 / f64::from(MEMBERS));
    assert!(each > 100.0 && each <= 300.0, "{each} bytes a member");
}

#[test]
fn a_message_costs_no_allocation_once_there_were_some() {
    let mut out = Outbox::new();
    let mut hub = Hub::new(HubConfig::default(), Box::new(NoHistory));
    (0..100).for_each(|member| give(&mut hub, &mut out, Time::ZERO, member, b"^hb^ 1"));
    for (member, text) in [(1, "/name bob"), (2, "/numbers on"), (3, "/name cid")] {
        give(&mut hub, &mut out, Time::ZERO, member, text.as_bytes());
    }
    let mut now = Time::ZERO;
    let mut run = |hub: &mut Hub| {
        for _ in 0..100 {
            for member in 0..32 {
                give(
                    hub,
                    &mut out,
                    now,
                    member,
                    b"a text that is relayed to all: it has 64 bytes, or about as many",
                );
            }
            give(hub, &mut out, now, 40, b"^hb^ 2");
            relay(hub, &mut out, now);
            now += Duration::from_millis(1);
        }
    };
    run(&mut hub);
    let before = hub.stats().messages;
    let used = allocation_counter::measure(|| run(&mut hub));
    assert_eq!(hub.stats().messages - before, 3200);
    assert_eq!(used.count_total, 0, "{used:?}");
}

#[test]
fn a_hostile_driver_upsets_nothing_and_every_member_hears_what_was_said() {
    explore(200, |sim: &mut Sim| {
        sim.hostile(Duration::from_millis(200));
        let seed = sim.random().next_u64();
        let hub = Hub::new(HubConfig::default().seed(seed), Box::new(NoHistory));
        let hub = sim.host("127.0.0.1:9999", hub);
        let members: Vec<_> =
            (0..5).map(|number| sim.host(&*format!("127.0.1.{number}:4000"), Mailbox::default())).collect();
        for member in &members {
            sim.send(*member, "127.0.0.1:9999", b"^hb^ 1");
        }
        sim.run_until_idle(Duration::from_secs(1));
        for (number, member) in members.iter().enumerate() {
            for text in 0..20 {
                sim.send(*member, "127.0.0.1:9999", format!("{number} says {text}").as_bytes());
            }
        }
        sim.run_until_idle(Duration::from_secs(2));
        assert_eq!(sim.machine(hub).stats().messages, 100);
        for member in &members {
            let mut lines: Vec<String> = Vec::new();
            for datagram in sim.machine(*member).payloads() {
                lines.extend(String::from_utf8_lossy(datagram).lines().map(ToOwned::to_owned));
            }
            for number in 0..5 {
                let own: Vec<&String> =
                    lines.iter().filter(|line| line.starts_with(&format!("ack {number} "))).collect();
                let expected: Vec<String> = (0..20).map(|text| format!("ack {number} says {text}")).collect();
                assert_eq!(own, expected.iter().collect::<Vec<_>>());
            }
        }
        // They fall silent, and are evicted, each after its time.
        sim.run_until_idle(Duration::from_secs(100));
        assert_eq!(sim.machine(hub).stats().members, 0);
        assert_eq!(sim.machine(hub).stats().silent, 5);
    });
}
