//! No datagram upsets the guards, no peer gets more than its rate, and no repeat is withheld too early.
#![no_main]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::Time;
use squall_proto::guard::{PortSet, Rate, RateLimit, RateLimitConfig, Repeats, RepeatsConfig, suspicious};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    seed: u64,
    port: u16,
    own_ports: [u16; 3],
    payload: &'a [u8],
    /// What each peer may ask a second, and at once.
    rate: (u16, u8),
    run: u8,
    requests: Vec<Datagram>,
}

#[derive(Arbitrary, Debug)]
struct Datagram {
    pause_micros: u16,
    peer: IpAddr,
    /// Few ports and texts, so that they come again.
    port: bool,
    text: u8,
}

fuzz_target!(|input: Input<'_>| {
    let own_ports = PortSet::from_iter(input.own_ports);
    let by_payload = suspicious(50_000, &PortSet::new(), input.payload).is_some();
    let refused = suspicious(input.port, &own_ports, input.payload).is_some();
    assert!(refused || !by_payload && !own_ports.contains(input.port) && input.port >= 1024);

    rates(&input);
    repeats(&input);
});

fn rates(input: &Input<'_>) {
    let (per_second, burst) = (u32::from(input.rate.0).max(1), u32::from(input.rate.1).max(1));
    let config = RateLimitConfig::default()
        .peer(Rate::new(per_second, burst))
        .prefix(Rate::new(per_second, burst))
        .peers(16)
        .prefixes(4)
        .limit_loopback(true);
    let mut limit = RateLimit::new(&config, input.seed);
    let mut now = Time::ZERO;
    let mut admitted: HashMap<IpAddr, u64> = HashMap::new();
    for datagram in &input.requests {
        now += Duration::from_micros(datagram.pause_micros.into());
        if limit.admit(now, SocketAddr::new(datagram.peer, 5000)).is_ok() {
            *admitted.entry(datagram.peer.to_canonical()).or_default() += 1;
        }
    }
    if limit.evictions() == 0 {
        // One more, because the time that a request takes is rounded down to a nanosecond.
        let allowed = u64::from(burst) + now.as_nanos() * u64::from(per_second) / 1_000_000_000 + 1;
        assert!(admitted.values().all(|&count| count <= allowed), "{admitted:?} of {allowed}");
    }
}

fn repeats(input: &Input<'_>) {
    let run = input.run % 8 + 1;
    let repeats = Repeats::new(&RepeatsConfig::default().slots(2).run(run), input.seed);
    let refused = input.requests.iter().filter(|datagram| {
        let peer = SocketAddr::new(datagram.peer, 5000 + u16::from(datagram.port));
        repeats.admit(peer, &[datagram.text]).is_err()
    });
    assert!(refused.count() * (usize::from(run) + 2) <= input.requests.len());
}
