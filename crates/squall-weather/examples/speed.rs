//! How long a decision takes. In release mode, on a quiet machine:
//!
//! ```sh
//! cargo run --release -p squall-weather --example speed
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use squall_time::Time;
use squall_weather::{Direction, PRESETS, Packet, Queue, Weather};

fn main() {
    let mut weathers: Vec<&str> =
        vec!["loss=1%,delay=25ms", "delay=25ms,jitter=5ms,loss=1%,rate=1gbit,queue=6MB"];
    weathers.extend(PRESETS.iter().map(|preset| preset.name));
    println!("ns a decision (the least and the middle of {ROUNDS} rounds of {DECISIONS})");
    for text in weathers {
        let weather: Weather = text.parse().expect("the texts above are weathers");
        let mut link = weather.link(Direction::Up, 7);
        let packet = Packet { size: 128, payload: &[0; 100], peer: None };
        let mut now = Time::ZERO;
        report(text, || {
            now += Duration::from_millis(1);
            black_box(link.decide(now, black_box(&packet)));
        });
    }
    let mut queue = Queue::new(10_000, 10_000_000);
    let mut now = Time::ZERO;
    for _ in 0..5_000 {
        now += Duration::from_micros(1);
        queue.push(now + Duration::from_millis(5), 100, 0u64).expect("there is room");
    }
    report("a queue of 5,000: push and pop", || {
        now += Duration::from_micros(1);
        queue.push(now + Duration::from_millis(5), 100, 0u64).expect("one leaves for each that comes");
        black_box(queue.pop(now));
    });
}

fn report(name: &str, mut step: impl FnMut()) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..DECISIONS).for_each(|_| step());
            start.elapsed().as_nanos() as f64 / f64::from(DECISIONS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{:6.1} {:6.1}  {name}", rounds[0], rounds[rounds.len() / 2]);
}

const ROUNDS: usize = 21;
const DECISIONS: u32 = 200_000;
