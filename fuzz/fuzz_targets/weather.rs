//! No text is too odd for a weather, a rule or a record; what is read shows itself as text that reads the
//! same, and whatever was read has a decision for every datagram, the same one twice, and once more from its record.
//! An input's first line is a weather, the second what changes it, the rest a record; its bytes are the datagrams too.
#![no_main]

use core::net::SocketAddr;
use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use squall_time::Time;
use squall_weather::{Decision, Direction, Entry, Packet, Record, Recorder, Weather};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (weather, changed) = (part(), part());
    record(part());
    let Ok(weather) = weather.parse::<Weather>() else { return };
    weather.check().expect("what is read goes together");
    let shown = weather.to_string();
    let again: Weather = shown.parse().unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert_eq!(again.to_string(), shown);

    let seed = data.len() as u64;
    let (mut one, mut other) = (weather.link(Direction::Up, seed), again.link(Direction::Up, seed));
    let mut recorder = Recorder::default();
    let (mut lines, mut decisions) = (String::new(), Vec::new());
    let mut now = Time::ZERO;
    for (place, bytes) in data.windows(8).enumerate() {
        if place == data.len() / 2
            && let Ok(changed) = weather.changed(changed)
        {
            one.change(now, &changed.up);
            other.change(now, &changed.up);
        }
        // From a nanosecond to a second, so that all that has a time is met.
        now += Duration::from_nanos(1 << (bytes[0] % 31));
        let size = usize::from(bytes[1]) * 8;
        let payload = &data[place..(place + usize::from(bytes[2] % 16)).min(data.len())];
        let peers =
            [None, Some(SocketAddr::from(([10, 0, 0, bytes[3]], 53))), Some(SocketAddr::from(([0; 16], 53)))];
        let packet = Packet { size, payload, peer: peers[usize::from(bytes[4] % 3)] };
        let _ = one.down_until(now);
        let decision = one.decide(now, &packet);
        assert_eq!(other.decide(now, &packet), decision);
        check(now, &packet, &decision);
        lines += &recorder.entry(Direction::Up, now, size, &decision).to_string();
        lines.push('\n');
        decisions.push((now, packet, decision));
    }
    assert_eq!(one.counts().decided(), decisions.len() as u64);
    let mut replay = lines.parse::<Record>().expect("a record is read").replay(Direction::Up);
    for (now, packet, decision) in decisions {
        assert_eq!(replay.decide(now, &packet), decision);
    }
    assert_eq!((replay.remaining(), replay.beyond(), replay.different()), (0, 0, 0));
});

fn check(now: Time, packet: &Packet<'_>, decision: &Decision) {
    let Decision::Delivered(copies) = decision else { return };
    for copy in copies.iter() {
        assert!(copy.at >= now);
        if let Some(corruption) = copy.corruption {
            let mut payload = packet.payload.to_vec();
            corruption.apply(&mut payload);
            let flipped: u32 = payload.iter().zip(packet.payload).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!(flipped, 1);
        }
    }
}

fn record(text: &str) {
    let _ = text.parse::<Record>();
    for line in text.lines() {
        if let Ok(entry) = line.parse::<Entry>() {
            assert_eq!(entry.to_string().parse(), Ok(entry));
        }
    }
}
