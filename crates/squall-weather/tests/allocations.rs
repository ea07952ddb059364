//! No datagram costs an allocation.

use squall_time::Time;
use squall_weather::{Decision, Direction, Entry, Packet, Queue, Record, Recorder, Weather};

const WEATHER: &str = "storm,rate=100mbit,blackout-every=50ms+1ms,rule=size:1000- every:3 drop,rule=prefix:a delay:9ms\
                       @100ms:lte,rule=drop@200ms:repeat";

#[test]
fn a_decision_and_a_warm_queue_allocate_nothing() {
    let weather: Weather = WEATHER.parse().unwrap();
    let mut link = weather.link(Direction::Up, 1);
    let mut recorder = Recorder::default();
    let mut queue: Queue<Entry> = Queue::new(100, 1_000_000);
    let mut clock = 0;
    let mut run = |count| {
        let mut kinds = [0u32; 2];
        for _ in 0..count {
            clock += 100_000;
            let now = Time::from_nanos(clock);
            let size = 100 + (clock / 100_000 % 1200) as usize;
            let decision = link.decide(now, &Packet { size, payload: b"abc", peer: None });
            let entry = recorder.entry(Direction::Up, now, size, &decision);
            kinds[usize::from(matches!(decision, Decision::Delivered(_)))] += 1;
            if let Decision::Delivered(copies) = decision {
                // A full queue counts what it gives back.
                for copy in copies.iter() {
                    let _ = queue.push(copy.at, size, entry);
                }
            }
            while queue.pop(now).is_some() {}
        }
        assert!(kinds.iter().all(|kind| *kind > count / 100), "{kinds:?}");
        assert!(queue.refused() > 0, "the queue was full once");
    };
    run(20_000);
    let allocations = allocation_counter::measure(|| run(20_000));
    assert_eq!(allocations.count_total, 0, "{allocations:?}");
}

#[test]
fn a_replayed_decision_allocates_nothing() {
    let mut replay = "up 0 9 pass +1ms +2ms".parse::<Record>().unwrap().replay(Direction::Up);
    let packet = Packet { size: 9, payload: b"abc", peer: None };
    let allocations = allocation_counter::measure(|| {
        for _ in 0..3 {
            replay.decide(Time::ZERO, &packet);
        }
    });
    assert_eq!((allocations.count_total, replay.beyond()), (0, 2));
}
