//! What a chat hub costs by itself, without sockets: `cargo run --release -p squall-proto --example hub_cost`.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use squall_proto::chat::{Hub, HubConfig, NoHistory};
use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Request, Time, Transport};

fn origin(number: u32) -> Origin {
    let [_, high, middle, low] = number.to_be_bytes();
    let peer = SocketAddr::from((Ipv4Addr::new(127, high, middle, low), 4000));
    let local = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9999)));
    Origin { peer: Peer::Ip(peer), local, transport: Transport::Udp, validated: true }
}

struct Run {
    hub: Hub,
    out: Outbox,
    now: Time,
}

impl Run {
    /// A hub with `members` that have sent a heartbeat.
    fn new(members: u32) -> Self {
        let config = HubConfig::default().members(2_000_000);
        let mut run =
            Self { hub: Hub::new(config, Box::new(NoHistory)), out: Outbox::new(), now: Time::ZERO };
        (0..members).for_each(|member| run.give(member, b"^hb^ 1"));
        run
    }

    fn give(&mut self, member: u32, text: &[u8]) {
        let request = Request::new(self.now, text, origin(member));
        self.hub.handle_input(self.now, Input::Message(request), &mut self.out);
    }

    /// Relays what waits; how many frames that were.
    fn relay(&mut self) -> usize {
        let mut frames = 0;
        while self.hub.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            self.hub.handle_timeout(self.now, &mut self.out);
            frames += black_box(self.out.frames()).len();
            self.out.clear();
        }
        frames
    }
}

/// Nanoseconds for each of `count`, the least of five times.
fn best(count: u64, mut what: impl FnMut()) -> f64 {
    let times = (0..5).map(|_| {
        let begun = Instant::now();
        what();
        begun.elapsed()
    });
    times.min().map_or(0.0, |time| time.as_nanos() as f64 / count as f64)
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("heartbeats") {
        return heartbeats(&[100_000]);
    }
    let text = [b'x'; 64];
    for (members, batch) in [(100u32, 32u32), (1000, 8), (1000, 1), (100_000, 32)] {
        let mut run = Run::new(members);
        let rounds = (20_000_000 / (members * batch)).max(1);
        let count = u64::from(members) * u64::from(batch) * u64::from(rounds);
        let each = best(count, || {
            for _ in 0..rounds {
                (0..batch).for_each(|_| run.give(7, &text));
                run.relay();
                run.now += Duration::from_micros(100);
            }
        });
        println!("{members} members, {batch} messages at once: {each:.2} ns a delivery");
    }
    let mut run = Run::new(100);
    let each = best(32_000, || {
        for _ in 0..1000 {
            (0..32).for_each(|_| run.give(7, &text));
            assert_eq!(run.relay(), 300);
        }
    });
    println!("a message of 32 to 100 members: {each:.0} ns in all");
    heartbeats(&[1000, 100_000, 1_000_000]);
}

fn heartbeats(counts: &[u32]) {
    for members in counts.iter().copied() {
        let mut run = Run::new(members);
        for (name, step) in [("in order", 1u64), ("in no order", 7_368_787)] {
            let mut beat = 1;
            let each = best(u64::from(members) * 4, || {
                for _ in 0..4 {
                    beat += 1;
                    let text = format!("^hb^ {beat}");
                    let pause = Duration::from_secs(10) / members;
                    for place in 0..u64::from(members) {
                        run.give((place * step % u64::from(members)) as u32, text.as_bytes());
                        run.now += pause;
                        if place % 64 == 0 {
                            run.relay();
                        }
                    }
                }
            });
            assert_eq!(run.hub.stats().members, u64::from(members), "all beat");
            println!("{members} members: {each:.0} ns a heartbeat, {name}");
        }
    }
}
