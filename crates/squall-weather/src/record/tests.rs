use super::*;
use crate::{Counts, Packet, Weather};
use alloc::string::ToString;
use proptest::prelude::*;

/// A run of both directions: its record, and what was decided.
fn run(text: &str, seed: u64, began: u64) -> (String, Vec<Decision>, [Counts; 2]) {
    let (mut up, mut down) = text.parse::<Weather>().unwrap().links(seed);
    let (mut recorder, mut lines, mut decisions) = (Recorder::default(), String::new(), Vec::new());
    for n in 0..3000u64 {
        let now = Time::from_nanos(began + n * 100_000);
        for (direction, link) in [(Direction::Up, &mut up), (Direction::Down, &mut down)] {
            let size = 100 + (n % 1400) as usize;
            let decision = link.decide(now, &Packet { size, payload: &[0; 50], peer: None });
            lines += &recorder.entry(direction, now, size, &decision).to_string();
            lines.push('\n');
            decisions.push(decision);
        }
    }
    (lines, decisions, [*up.counts(), *down.counts()])
}

const ALL: &str = "storm,mtu=1400,burst=1%:20%,blackout=100ms+20ms,rule=every:50 drop,rate=50mbit,queue=9KB";

#[test]
fn the_same_seed_gives_the_same_record_whatever_the_clock() {
    let (lines, ..) = run(ALL, 1, 0);
    assert_eq!(lines, run(ALL, 1, 987_654_321_123).0);
    assert_ne!(lines, run(ALL, 2, 0).0);
    for part in
        ["drop loss", "drop burst", "drop queue", "drop too-big 1400", "drop blackout", "drop rule", "flip"]
    {
        assert!(lines.contains(part), "{part}");
    }
}

#[test]
fn a_record_is_played_back_as_it_was() {
    let (lines, decisions, counts) = run(ALL, 1, 500);
    let record: Record = lines.parse().unwrap();
    assert_eq!(
        (record.len(Direction::Up), record.len(Direction::Down), record.is_empty()),
        (3000, 3000, false)
    );
    let (mut up, mut down) = record.replays();
    for n in 0..3000u64 {
        let packet = Packet { size: 100 + (n % 1400) as usize, payload: &[0; 50], peer: None };
        for (place, replay) in [&mut up, &mut down].into_iter().enumerate() {
            let decision = replay.decide(Time::from_nanos(500 + n * 100_000), &packet);
            assert_eq!(decision, decisions[n as usize * 2 + place]);
        }
    }
    for (replay, counts) in [(&up, counts[0]), (&down, counts[1])] {
        assert_eq!((replay.remaining(), replay.beyond(), replay.different()), (0, 0, 0));
        assert_eq!(*replay.counts(), Counts { reordered: 0, overtaking: 0, ..counts });
    }
}

#[test]
fn after_the_last_line_all_is_forwarded_and_counted() {
    let mut replay = "up 0 128 drop loss".parse::<Record>().unwrap().replay(Direction::Up);
    let packet = Packet { size: 99, payload: &[], peer: None };
    assert_eq!(replay.decide(Time::ZERO, &packet), Decision::Dropped(Cause::Loss));
    let now = Time::from_nanos(5);
    let plain = Copies::new(Copy { at: now, corruption: None }, None);
    assert_eq!(replay.decide(now, &packet), Decision::Delivered(plain));
    assert_eq!((replay.different(), replay.beyond(), replay.counts().forwarded), (1, 1, 1));
}

#[test]
fn lines_are_short_and_exact() {
    for line in [
        "up 0 128 pass +25ms",
        "up 1 128 drop loss",
        "down 18446744073709551615 0 drop burst",
        "up 2 1500 drop too-big 1400",
        "up 2 1500 drop too-big 1400 silent",
        "up 2 1500 drop queue",
        "up 2 1500 drop blackout",
        "up 2 1500 drop rule",
        "up 3 128 pass +25.103ms +27ms",
        "up 3 128 pass +0.000001ms flip 7 +0ms flip 9",
        "up 3 128 pass +90000ms +0ms flip 9",
    ] {
        assert_eq!(line.parse::<Entry>().unwrap().to_string(), line);
    }
}

#[test]
fn what_is_no_record_is_refused_with_its_line() {
    let up = "up or down";
    for (text, message) in [
        ("x", alloc::format!("line 1: \"x\" where {up} is expected")),
        ("\n# fine\nup", "line 3: \"\" where the datagram's number is expected".into()),
        ("up x", "line 1: \"x\" where the datagram's number is expected".into()),
        ("up +0", "line 1: \"+0\" where the datagram's number is expected".into()),
        ("up 0 -1", "line 1: \"-1\" where the datagram's size is expected".into()),
        ("up 0 1 fly", "line 1: \"fly\" where pass or drop is expected".into()),
        ("up 0 1 pass", "line 1: \"\" where a delay like +25ms is expected".into()),
        ("up 0 1 pass 25ms", "line 1: \"25ms\" where a delay like +25ms is expected".into()),
        ("up 0 1 pass +25", "line 1: \"+25\" where a delay like +25ms is expected".into()),
        ("up 0 1 pass +1ms flip", "line 1: \"\" where a bit's number is expected".into()),
        ("up 0 1 pass +1ms +1ms +1ms", "line 1: \"+1ms\" where the end of the line is expected".into()),
        ("up 0 1 drop loss loss", "line 1: \"loss\" where the end of the line is expected".into()),
        (
            "up 0 1 drop it",
            "line 1: \"it\" where loss, burst, queue, too-big, blackout or rule is expected".into(),
        ),
        ("up 0 1 drop too-big", "line 1: \"\" where an MTU is expected".into()),
        ("up 1 1 drop loss", "line 1: datagram 1 of up where 0 comes next".into()),
        ("up 0 1 drop loss\nup 0 1 drop loss", "line 2: datagram 0 of up where 1 comes next".into()),
    ] {
        assert_eq!(text.parse::<Record>().unwrap_err().to_string(), message, "{text}");
    }
    let long = "up ".to_string() + &"9".repeat(1000);
    assert!(long.parse::<Record>().unwrap_err().to_string().len() < 120);
}

#[test]
fn a_datagram_of_a_record_takes_as_much_memory_as_is_said() {
    assert_eq!(size_of::<(usize, Outcome)>(), 56);
}

fn any_passed() -> impl Strategy<Value = Passed> {
    (any::<u64>(), any::<Option<u32>>()).prop_map(|(nanos, bit)| Passed {
        delay: Duration::from_nanos(nanos),
        corruption: bit.map(Corruption::new),
    })
}

#[test]
fn a_header_is_what_stands_before_the_first_decision() {
    let record: Record = "# seed 7\n\n  # weather lte \nup 0 33 drop loss\n# a remark\n".parse().unwrap();
    assert_eq!(record.header(), "# seed 7\n# weather lte\n");
    let long = "#\n".repeat(1 << 20);
    assert!(long.parse::<Record>().unwrap().header().len() <= 1 << 16);
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (any_passed(), proptest::option::of(any_passed()))
            .prop_map(|(first, second)| Outcome::Delivered(first, second)),
        (any::<usize>(), any::<bool>())
            .prop_map(|(mtu, silent)| Outcome::Dropped(Cause::TooBig { mtu, silent })),
        prop_oneof![
            Just(Cause::Loss),
            Just(Cause::Burst),
            Just(Cause::Queue),
            Just(Cause::Blackout),
            Just(Cause::Rule)
        ]
        .prop_map(Outcome::Dropped),
    ]
}

proptest! {
    #[test]
    fn every_decision_survives_the_way_into_text_and_back(
        up in any::<bool>(), index in any::<u64>(), size in any::<usize>(), outcome in any_outcome()
    ) {
        let direction = if up { Direction::Up } else { Direction::Down };
        let entry = Entry { direction, index, size, outcome };
        prop_assert_eq!(entry.to_string().parse::<Entry>(), Ok(entry));
    }
}
