//! How many small runs a second: a request and its answer between two hosts, each run with a seed of its own.
//!
//! `cargo run --release -p squall-sim --example speed [RUNS]`

use std::time::{Duration, Instant};

use squall_proto::{Reply, Request, Stateless};
use squall_sim::{Mailbox, Sim, Weather, explore};

fn request_and_answer(sim: &mut Sim, weather: &Weather) -> usize {
    let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
    let server = sim.host("192.0.2.1:7", Stateless(echo));
    let client = sim.host("192.0.2.2:40000", Mailbox::default());
    sim.link(client, server, weather);
    sim.send(client, "192.0.2.1:7", b"hello");
    sim.run_until_idle(Duration::from_secs(10));
    sim.machine(client).received().len()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runs = std::env::args().nth(1).map_or(Ok(200_000), |runs| runs.parse::<u64>())?;
    for text in ["clear", "lte", "storm"] {
        let weather: Weather = text.parse()?;
        let mut sim = Sim::new(0);
        let start = Instant::now();
        let answered: usize = (0..runs)
            .map(|seed| {
                sim.reset(seed);
                request_and_answer(&mut sim, &weather)
            })
            .sum();
        let alone = runs as f64 / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let all: usize = explore(runs, |sim| request_and_answer(sim, &weather)).iter().sum();
        let together = runs as f64 / start.elapsed().as_secs_f64();
        assert_eq!(answered, all, "the same seeds give the same runs");
        println!(
            "{text}: {alone:.0} runs/s on one thread, {together:.0} on all ({answered} answers to {runs} requests)"
        );
    }
    Ok(())
}
