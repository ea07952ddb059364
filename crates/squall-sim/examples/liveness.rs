//! Ten thousand members for ten hours in all weathers: how many live ones a hub evicts, and how long dead
//! ones stay, beside a rule of three missing heartbeats.
//!
//! `cargo run --release -p squall-sim --example liveness [MEMBERS [HOURS [MEMBER-HOURS]]]`
//!
//! A tenth of the members dies, each at a time of its own. "allowed" is the mean that the target gives and
//! what chance makes of it once in a thousand times; "computed" is what the fixed rule should show by
//! arithmetic; "known" is the limit that would keep the target if the weather were known from the
//! beginning.

#[path = "../tests/hours/mod.rs"]
mod hours;

use std::time::{Duration, Instant};

use hours::hub::Kept;
use hours::runs::{Chain, poisson_bound};
use hours::{Plan, quantile, run};
use squall_proto::chat::LivenessConfig;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let members: usize = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let hours: u64 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let target: f32 = arguments.next().map_or(Ok(100.0), |text| text.parse())?;
    if members == 0 || hours == 0 {
        return Err("at least one member for one hour".into());
    }
    println!("{members} members, {hours} h, one live member evicted in {target} member-hours\n");
    println!(
        "{:<34} {:>6}   {:>7} {:>7} {:>7}   {:>7} {:>8}   {:>6} {:>6}   {:>6} {:>6}   {:>6}",
        "weather",
        "lost",
        "evicted",
        "allowed",
        "at most",
        "3-miss",
        "computed",
        "stay50",
        "stay99",
        "3-m50",
        "3-m99",
        "known"
    );
    let independent =
        |percent: u32| (format!("loss={percent}%"), Chain::independent(f64::from(percent) / 100.0), 10);
    let bursts = |enter: u32, leave: u32, hard| {
        let chain = Chain::bursts(f64::from(enter) / 100.0, f64::from(leave) / 100.0);
        (format!("burst={enter}%:{leave}%"), chain, hard)
    };
    let begun = Instant::now();
    for (text, chain, hard) in [
        independent(0),
        independent(1),
        independent(5),
        independent(15),
        independent(25),
        bursts(2, 60, 10),
        bursts(5, 50, 10),
        bursts(5, 50, 20),
        bursts(2, 30, 10),
        bursts(2, 30, 30),
    ] {
        let plan = Plan { weather: text.parse()?, members, hours, seed: 4 };
        let config = LivenessConfig::default().member_hours(target).hard_limit(hard, Duration::from_secs(60));
        let seen = run(&plan, &mut Kept::new(config, members));
        let allowed = seen.member_hours / f64::from(target);
        // Of as many heartbeats as were sent, by one member's.
        let count = (hours * 360) as u32;
        let scale = seen.sent as f64 / f64::from(count);
        let runs: Vec<f64> = chain.runs(count, 40).into_iter().map(|runs| runs * scale).collect();
        let known =
            runs.iter().position(|runs| *runs <= allowed).map_or(f64::NAN, |index| 10.0 * (index + 1) as f64);
        let name = if hard == 10 { text } else { format!("{text}, hard limit {hard} intervals") };
        println!(
            "{name:<34} {:>5.1}%   {:>7} {:>7.0} {:>7}   {:>7} {:>8.0}   {:>6.1} {:>6.1}   {:>6.1} {:>6.1}   {known:>6}",
            100.0 * (1.0 - seen.arrived as f64 / seen.sent as f64),
            seen.evicted,
            allowed,
            poisson_bound(allowed),
            seen.fixed_evicted,
            runs[2],
            quantile(&seen.stays, 0.5),
            quantile(&seen.stays, 0.99),
            quantile(&seen.fixed_stays, 0.5),
            quantile(&seen.fixed_stays, 0.99),
        );
        if seen.forgotten > 0 {
            return Err(format!("{} dead members were never evicted", seen.forgotten).into());
        }
    }
    println!("\nin {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}
