//! The congestion controller on paths in virtual time.
//!
//! `SQUALL_SIM_SEEDS=100 cargo test --release -p squall-proto --test congestion` runs more seeds.

#[path = "congestion/path.rs"]
mod path;
#[path = "congestion/window.rs"]
mod window;

use std::time::Duration;

use path::{Did, Path};
use squall_proto::congestion::{Belief, Phase};
use squall_sim::explore;
use window::{cubic, squall};

/// One way.
const DELAY: Duration = Duration::from_millis(25);
/// A path of 200 Mbit/s and 50 ms with a queue of 48 ms.
const USUAL: &str = "rate=200mbit,delay=25ms,queue=1.2MB";
/// What of 200 Mbit/s is left for packets of 1452 bytes behind 28 bytes of headers.
const USUAL_RATE: f64 = 200e6 * 1452.0 / 1480.0;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn path(weather: &str, seed: u64) -> Path {
    Path::new(weather, seed).delay(DELAY)
}

fn belief(path: &Path, sender: usize) -> Belief {
    path.senders[sender].window.belief().unwrap()
}

/// The same test under some seeds. A gigabit of packets in a debug build takes its time; more are run on demand.
fn each_seed(test: impl Fn(u64) + Sync) {
    explore(4, |sim| test(sim.seed()));
}

/// One sender on a path of 1 Gbit/s and 50 ms: from the second second on, and in the first one.
fn gigabit(loss: &str, seed: u64) -> (Did, Did) {
    let mut path = path(&format!("rate=1gbit,delay=25ms,queue=6MB,loss={loss}"), seed);
    path.sender(squall());
    (path.run(seconds(1.0))[0], path.run(seconds(2.0))[0])
}

#[test]
fn a_long_fast_path_is_filled_whatever_it_loses_and_the_queue_is_kept_short() {
    for loss in ["0%", "1%", "5%", "20%"] {
        let (first, steady) = gigabit(loss, 1);
        // A gigabyte takes nine seconds: with these two it averages 880 Mbit/s.
        assert!(first.rate > 410e6, "{loss}: {first:?}");
        assert!(steady.rate > 940e6, "{loss}: {steady:?}");
        assert!(steady.waited < seconds(0.0125), "{loss}: {steady:?}");
    }
}

#[test]
fn the_start_up_fills_a_path_within_ten_round_trips_and_leaves_no_queue() {
    each_seed(|seed| {
        let mut path = path(USUAL, seed);
        path.sender(squall());
        path.run(seconds(0.5));
        let did = path.run(seconds(0.5))[0];
        assert!(did.rate > 0.9 * USUAL_RATE, "seed {seed}: {did:?}");
        let did = path.run(seconds(1.0))[0];
        assert!(did.waited < seconds(0.0125), "seed {seed}: {did:?}");
    });
}

#[test]
fn random_loss_up_to_a_quarter_slows_nothing_down() {
    each_seed(|seed| {
        for loss in [1, 5, 10, 20, 25] {
            let mut path = path(&format!("{USUAL},loss={loss}%"), seed);
            path.sender(squall());
            path.run(seconds(2.0));
            let did = path.run(seconds(3.0))[0];
            assert!(did.rate > 0.93 * USUAL_RATE, "seed {seed}, {loss} %: {did:?}");
            assert!(did.waited < seconds(0.0125), "seed {seed}, {loss} %: {did:?}");
            let believed = belief(&path, 0).loss;
            assert!((believed - f64::from(loss) / 100.0).abs() < 0.02, "seed {seed}: {believed}");
        }
    });
}

#[test]
fn loss_in_bursts_costs_little() {
    each_seed(|seed| {
        let mut path = path(&format!("{USUAL},burst=0.1%:5%"), seed);
        path.sender(squall());
        path.run(seconds(2.0));
        let did = path.run(seconds(4.0))[0];
        assert!(did.rate > 0.8 * USUAL_RATE, "seed {seed}: {did:?}");
    });
}

#[test]
fn two_share_alike_and_so_does_one_that_comes_later() {
    each_seed(|seed| {
        let gigabit = ("rate=1gbit,delay=25ms,queue=6MB", 1e9 / 200e6 * USUAL_RATE);
        for (late, settle, ratio, (weather, all)) in [
            (0.0, 4.0, 1.5, (USUAL, USUAL_RATE)),
            (3.0, 20.0, 1.4, (USUAL, USUAL_RATE)),
            (3.0, 5.0, 1.5, gigabit),
        ] {
            let mut path = path(weather, seed);
            path.sender(squall());
            path.run(seconds(late));
            path.sender(squall());
            path.run(seconds(settle));
            let did = path.run(seconds(8.0));
            let (one, other) = (did[0].rate, did[1].rate);
            assert!(one < ratio * other && other < ratio * one, "seed {seed}, {weather}, {late} s: {did:?}");
            assert!(one + other > 0.93 * all, "seed {seed}, {weather}, {late} s: {did:?}");
            assert!(did[0].waited < seconds(0.0125), "seed {seed}, {weather}, {late} s: {did:?}");
        }
    });
}

#[test]
fn a_cubic_sender_beside_it_keeps_a_third_and_leaves_a_part() {
    for late in [0.0, 6.0] {
        let mut path = path(USUAL, 1);
        path.sender(cubic());
        path.run(seconds(late));
        path.sender(squall());
        path.run(seconds(30.0));
        let did = path.run(seconds(60.0));
        let (cubic, own) = (did[0].rate, did[1].rate);
        assert!(cubic > USUAL_RATE / 3.0, "{late} s: {did:?}");
        assert!(own > USUAL_RATE / 8.0, "{late} s: {did:?}");
    }
}

#[test]
fn a_path_that_gets_slower_or_faster_is_followed_within_a_second_or_two() {
    each_seed(|seed| {
        let mut path = path(USUAL, seed);
        path.sender(squall());
        path.run(seconds(3.0));
        path.change("rate=100mbit,delay=25ms,queue=1.2MB");
        path.run(seconds(2.0));
        let did = path.run(seconds(1.0))[0];
        assert!(did.rate > 0.95 * USUAL_RATE / 2.0 && did.waited < seconds(0.0125), "seed {seed}: {did:?}");
        path.change(USUAL);
        path.run(seconds(1.0));
        let did = path.run(seconds(1.0))[0];
        assert!(did.rate > 0.9 * USUAL_RATE && did.waited < seconds(0.015), "seed {seed}: {did:?}");
    });
}

#[test]
fn a_longer_way_is_believed_after_a_while_and_slows_nothing_down_for_long() {
    let mut path = path(USUAL, 1);
    path.sender(squall());
    path.run(seconds(4.0));
    path.change("rate=200mbit,delay=50ms,queue=1.2MB");
    path.run(seconds(6.0));
    assert!(path.run(seconds(4.0))[0].rate > 0.9 * USUAL_RATE);
    let round_trip = belief(&path, 0).round_trip.unwrap();
    assert!((seconds(0.099)..seconds(0.11)).contains(&round_trip), "{round_trip:?}");
}

#[test]
fn a_shallow_buffer_costs_few_retransmissions() {
    each_seed(|seed| {
        let mut path = path("rate=200mbit,delay=25ms,queue=120KB", seed);
        path.sender(squall());
        path.run(seconds(2.0));
        let did = path.run(seconds(4.0))[0];
        assert!(did.rate > 0.9 * USUAL_RATE && did.lost < 0.02, "seed {seed}: {did:?}");
    });
}

#[test]
fn too_little_to_send_makes_nothing_forgotten() {
    let mut path = path(USUAL, 1);
    let sender = path.sender(squall());
    path.run(seconds(3.0));
    path.supply(sender, Some(1_000_000));
    path.run(seconds(0.2));
    let did = path.run(seconds(5.0))[0];
    assert!((7.5e6..8.5e6).contains(&did.rate), "{did:?}");
    assert!(belief(&path, sender).bandwidth as f64 * 8.0 > 0.9 * USUAL_RATE, "{:?}", belief(&path, sender));
    path.supply(sender, None);
    path.run(seconds(0.2));
    let did = path.run(seconds(0.5))[0];
    assert!(did.rate > 0.9 * USUAL_RATE, "{did:?}");
}

#[test]
fn a_short_path_is_filled_though_acknowledgements_take_as_long_as_it_does() {
    for (rate, bits) in [("20mbit", 20e6), ("100mbit", 100e6), ("1gbit", 1e9)] {
        let mut path = Path::new(&format!("rate={rate},delay=1ms,queue=1MB"), 1).delay(seconds(0.001));
        path.sender(squall());
        let (first, did) = (path.run(seconds(0.5))[0], path.run(seconds(1.0))[0]);
        assert!(first.lost < 0.03 && did.lost == 0.0, "{rate}: {first:?}, {did:?}");
        assert!(did.rate > 0.95 * bits * 1452.0 / 1480.0, "{rate}: {did:?}");
        assert!(did.waited < seconds(0.006), "{rate}: {did:?}");
    }
}

#[test]
fn reordering_slows_nothing_down() {
    each_seed(|seed| {
        let mut path = path(&format!("{USUAL},reorder=2%,reorder-by=10ms"), seed);
        path.sender(squall());
        path.run(seconds(2.0));
        let did = path.run(seconds(3.0))[0];
        assert!(did.rate > 0.88 * USUAL_RATE, "seed {seed}: {did:?}");
    });
}

#[test]
fn after_a_blackout_it_is_soon_as_fast_as_before() {
    let mut path = path(&format!("{USUAL},blackout=3s+2s"), 1);
    path.sender(squall());
    path.run(seconds(6.0));
    let did = path.run(seconds(2.0))[0];
    assert!(did.rate > 0.9 * USUAL_RATE, "{did:?}");
}

#[test]
fn after_a_blackout_the_path_may_be_a_longer_one() {
    let mut path = path(&format!("{USUAL},blackout=3s+4s"), 1);
    path.sender(squall());
    path.run(seconds(6.0));
    path.change("rate=200mbit,delay=75ms,queue=3.6MB");
    path.run(seconds(3.0));
    let did = path.run(seconds(2.0))[0];
    assert!(did.rate > 0.9 * USUAL_RATE, "{did:?}, {:?}", belief(&path, 0));
}

#[test]
fn noise_of_a_millisecond_does_not_slow_a_path_of_fifty_microseconds_down() {
    each_seed(|seed| {
        let weather = "rate=2gbit,delay=25us,jitter=500us,queue=4MB";
        let mut path = Path::new(weather, seed).delay(Duration::from_micros(25));
        path.sender(squall());
        path.run(seconds(0.1));
        let did = path.run(seconds(0.2))[0];
        assert!(did.rate > 0.9 * 2e9 && did.waited < seconds(0.005), "seed {seed}: {did:?}");
    });
}

#[test]
fn it_says_what_it_is_doing() {
    let mut path = path(USUAL, 1);
    path.sender(squall());
    path.run(seconds(0.1));
    assert_eq!(belief(&path, 0).phase, Phase::Startup);
    path.run(seconds(3.0));
    let belief = belief(&path, 0);
    assert_eq!(belief.phase.to_string(), "steady");
    assert!((belief.bandwidth as f64 * 8.0 / USUAL_RATE - 1.0).abs() < 0.05, "{belief:?}");
    assert!((seconds(0.05)..seconds(0.052)).contains(&belief.round_trip.unwrap()), "{belief:?}");
}
