//! Live members are evicted as rarely as was asked for, and dead ones do not stay.

mod hours;

use std::time::Duration;

use hours::hub::Kept;
use hours::runs::{Chain, poisson_bound};
use hours::{Plan, Seen, quantile, run};
use squall_proto::chat::LivenessConfig;

/// One live member evicted in so many member-hours.
const TARGET: f32 = 100.0;
const HOURS: u64 = 10;

/// 200 members in a weather, and how often it loses three heartbeats in a row by arithmetic.
fn simulate(weather: &str, chain: Chain, hard_intervals: u32) -> (Seen, f64) {
    let plan = Plan { weather: weather.parse().unwrap(), members: 200, hours: HOURS, seed: 11 };
    let hard = Duration::from_secs(60);
    let config = LivenessConfig::default().member_hours(TARGET).hard_limit(hard_intervals, hard);
    let seen = run(&plan, &mut Kept::new(config, plan.members));
    let count = HOURS as u32 * 360;
    let three = chain.runs(count, 3)[2] * seen.sent as f64 / f64::from(count);
    (seen, three)
}

#[test]
fn live_members_are_evicted_as_rarely_as_was_asked_for() {
    for (weather, chain, hard) in [
        ("clear", Chain::independent(0.0), 10),
        ("loss=5%", Chain::independent(0.05), 10),
        ("loss=15%", Chain::independent(0.15), 10),
        ("loss=25%", Chain::independent(0.25), 10),
        ("burst=2%:60%", Chain::bursts(0.02, 0.6), 10),
        ("burst=5%:50%", Chain::bursts(0.05, 0.5), 20),
    ] {
        let (seen, three) = simulate(weather, chain, hard);
        let bound = poisson_bound(seen.member_hours / f64::from(TARGET));
        assert!(seen.evicted <= bound, "{weather}: {} where {bound} would be much", seen.evicted);
        assert_eq!(seen.forgotten, 0, "{weather}: dead members that stay");
        let longest = seen.stays.last().copied().unwrap_or(f64::INFINITY);
        assert!(longest <= 10.0 * f64::from(hard) + 0.2, "{weather}: {longest} s");
        // That the weather was what it says, and the members, is seen by a rule that can be computed. Runs come
        // independently, so that their number varies as Poisson's does.
        let off = (seen.fixed_evicted as f64 - three).abs();
        assert!(off <= 5.0 * three.sqrt() + 1.0, "{weather}: {} by three, not {three}", seen.fixed_evicted);
    }
}

#[test]
fn in_clear_weather_a_dead_member_goes_sooner_than_by_three_missing_heartbeats() {
    let (seen, _) = simulate("clear", Chain::independent(0.0), 10);
    let (ours, fixed) = (quantile(&seen.stays, 0.5), quantile(&seen.fixed_stays, 0.5));
    assert!(ours + 8.0 < fixed, "{ours} s and {fixed} s");
    assert!(quantile(&seen.stays, 0.99) < 25.0);
}

#[test]
fn a_storm_that_comes_to_all_at_once_evicts_few() {
    // Five hours in which nothing is lost teach that two missing heartbeats are enough.
    let (seen, _) = simulate("clear@5h:loss=25%", Chain::independent(0.25), 10);
    let bound = poisson_bound(seen.member_hours / f64::from(TARGET));
    assert!(seen.evicted <= bound, "{} where {bound} would be much", seen.evicted);
    assert!(seen.fixed_evicted > 100 * seen.evicted);
}

#[test]
fn late_and_doubled_heartbeats_of_members_that_live_evict_nobody() {
    let weather = "delay=100ms,jitter=80ms,order=free,duplicate=30%,loss=1%";
    let (seen, _) = simulate(weather, Chain::independent(0.01), 10);
    let bound = poisson_bound(seen.member_hours / f64::from(TARGET));
    assert!(seen.evicted <= bound, "{} where {bound} would be much", seen.evicted);
    assert!(quantile(&seen.stays, 0.5) < 35.0);
}

#[test]
fn the_arithmetic_of_runs_is_that_of_coins() {
    // Of n throws, a run of k tails after a head: n - k places where one may begin to be k long, each with the
    // probability of a head and k tails.
    for length in 1..5 {
        let computed = Chain::independent(0.5).runs(1000, 5)[length - 1];
        let expected = (1000 - length) as f64 * 0.5_f64.powi(length as i32 + 1);
        assert!((computed - expected).abs() < 1e-9, "{length}: {computed} is not {expected}");
    }
    // A chain that is bad for ever after the first loss has one run of each length.
    let runs = Chain::bursts(0.5, 0.0).runs(1000, 3);
    assert!(runs.iter().all(|runs| (runs - 0.5).abs() < 1e-9), "none if the first is lost: {runs:?}");
    assert_eq!([poisson_bound(1.0), poisson_bound(1000.0)], [5, 1099]);
}

#[test]
fn of_many_members_the_dead_are_evicted_in_their_time_and_each_takes_little_memory() {
    let cost = hours::many::run(50_000, 6);
    assert!(cost.most_bytes <= 300.0 && cost.bytes > 100.0, "{cost:?}");
    assert_eq!((cost.died, cost.evicted, cost.wrong), (500, 500, 0), "{cost:?}");
    // By then 50,000 members have lost nothing for a minute: two missing heartbeats are enough.
    assert!(cost.shortest >= 22.0 && cost.longest <= 22.2 && cost.latest <= 0.2, "{cost:?}");
}
