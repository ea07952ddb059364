//! What a link decides. Statistical tests allow 4.9 standard deviations, or the Kolmogorov–Smirnov distance
//! of the same rarity: of runs with other seeds, one in a million would fail. The seeds are fixed.

use super::*;
use crate::{Direction, JitterShape, Weather};
use alloc::string::ToString;

const N: u64 = 100_000;

fn link(text: &str, seed: u64) -> Link {
    let weather: Weather = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    weather.link(Direction::Up, seed)
}

fn at(millis: u64) -> Time {
    Time::from_epoch(Duration::from_millis(millis))
}

fn packet(size: usize) -> Packet<'static> {
    Packet { size, payload: &[0; 64], peer: None }
}

/// One decision each millisecond.
fn decisions(link: &mut Link, count: u64) -> Vec<Decision> {
    (0..count).map(|n| link.decide(at(n), &packet(100))).collect()
}

fn copy(decision: Decision) -> Copy {
    match decision {
        Decision::Delivered(copies) => copies.first(),
        Decision::Dropped(cause) => panic!("dropped: {cause}"),
    }
}

/// Delays in nanoseconds of datagrams so far apart that none waits for another.
fn delays(text: &str, seed: u64, count: u64) -> Vec<f64> {
    let mut link = link(text, seed);
    let mut delays: Vec<f64> = (0..count)
        .map(|n| (copy(link.decide(at(n * 100_000), &packet(100))).at - at(n * 100_000)).as_nanos() as f64)
        .collect();
    delays.sort_by(f64::total_cmp);
    delays
}

#[track_caller]
fn assert_share(hits: u64, of: u64, probability: f64) {
    let (n, hits) = (of as f64, hits as f64);
    let sigma = libm::sqrt(n * probability * (1.0 - probability));
    let off = (hits - n * probability) / sigma;
    assert!(off.abs() < 4.9, "{hits} of {n} where {probability} was asked: {off:.1} standard deviations");
}

/// Whether sorted samples follow a distribution: the distance that one run in a million exceeds is 2.69/√n.
#[track_caller]
fn assert_distribution(sorted: &[f64], distribution: impl Fn(f64) -> f64) {
    let n = sorted.len() as f64;
    let distance = sorted
        .iter()
        .enumerate()
        .map(|(place, &sample)| {
            let expected = distribution(sample);
            (expected - place as f64 / n).abs().max((expected - (place + 1) as f64 / n).abs())
        })
        .fold(0.0, f64::max);
    assert!(distance < 2.69 / libm::sqrt(n), "the distance is {distance}");
}

fn moments(samples: &[f64]) -> (f64, f64) {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let variance = samples.iter().map(|sample| (sample - mean) * (sample - mean)).sum::<f64>() / n;
    (mean, libm::sqrt(variance))
}

#[test]
fn a_clear_link_delivers_all_at_once() {
    let mut link = link("clear", 1);
    for (n, decision) in decisions(&mut link, 1000).into_iter().enumerate() {
        assert_eq!(
            decision,
            Decision::Delivered(Copies::new(Copy { at: at(n as u64), corruption: None }, None))
        );
    }
    assert_eq!((link.counts().forwarded, link.counts().bytes, link.counts().dropped()), (1000, 100_000, 0));
}

#[test]
fn loss_is_as_asked_and_each_datagrams_own() {
    for (text, probability) in
        [("loss=0.1%", 0.001), ("loss=1%", 0.01), ("loss=50%", 0.5), ("loss=99%", 0.99)]
    {
        let mut link = link(text, 7);
        let lost: Vec<bool> =
            decisions(&mut link, N).into_iter().map(|d| d == Decision::Dropped(Cause::Loss)).collect();
        assert_share(link.counts().loss, N, probability);
        assert_eq!(link.counts().decided(), N);
        // Of two neighbours both are lost with the square of the probability, in disjoint pairs.
        let both = lost.chunks(2).filter(|pair| pair == &[true, true]).count();
        assert_share(both as u64, N / 2, probability * probability);
    }
    assert_eq!(decisions(&mut link("loss=100%", 7), 9), [Decision::Dropped(Cause::Loss); 9]);
}

#[test]
fn bursts_have_the_share_and_the_length_of_gilbert_and_elliott() {
    let (enter, leave) = (0.01, 0.25);
    let mut link = link("burst=1%:25%", 3);
    let lost: Vec<bool> =
        decisions(&mut link, 1_000_000).into_iter().map(|d| d == Decision::Dropped(Cause::Burst)).collect();
    let share = enter / (enter + leave);
    // Neighbours are alike: the variance of the mean is (1 + ρ) / (1 − ρ) times that of independent ones, with
    // ρ = 1 − enter − leave.
    let rho = 1.0 - enter - leave;
    let n = lost.len() as f64;
    let sigma = libm::sqrt(share * (1.0 - share) / n * (1.0 + rho) / (1.0 - rho));
    let seen = link.counts().burst as f64 / n;
    assert!((seen - share).abs() < 4.9 * sigma, "{seen} instead of {share}");

    // Lengths are geometric: mean 1 / leave, variance (1 − leave) / leave².
    let runs: Vec<usize> = lost.split(|lost| !lost).map(<[bool]>::len).filter(|&length| length > 0).collect();
    let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
    let sigma = libm::sqrt((1.0 - leave) / (leave * leave) / runs.len() as f64);
    assert!((mean - 1.0 / leave).abs() < 4.9 * sigma, "{mean} instead of {}", 1.0 / leave);
}

#[test]
fn bad_and_good_times_can_have_losses_of_their_own() {
    let mut link = link("burst=10%:10%,burst-loss=80%,burst-good-loss=20%", 5);
    decisions(&mut link, 1_000_000);
    let seen = link.counts().burst as f64 / 1e6;
    // Half of the time bad: (80 % + 20 %) / 2. Beside the binomial part, the variance of the share of bad
    // times, 0.25 · (1 + ρ) / (1 − ρ) with ρ = 0.8, times the squared difference of the losses.
    let sigma = libm::sqrt((0.5 * 0.5 + 0.25 * 9.0 * 0.36) / 1e6);
    assert!((seen - 0.5).abs() < 4.9 * sigma, "{seen}");
    // Without bursts, the loss of good times is all there is.
    let mut link = self::link("burst-good-loss=3%", 5);
    decisions(&mut link, N);
    assert_share(link.counts().burst, N, 0.03);
}

#[test]
fn a_delay_is_exact() {
    let mut link = link("delay=25.000001ms", 1);
    assert_eq!(copy(link.decide(at(9), &packet(1))).at - at(9), Duration::from_nanos(25_000_001));
}

#[test]
fn uniform_jitter_is_uniform() {
    let (delay, jitter) = (25e6, 5e6);
    let samples = delays("delay=25ms,jitter=5ms", 11, N);
    assert_distribution(&samples, |x| ((x - delay + jitter) / (2.0 * jitter)).clamp(0.0, 1.0));
    assert!(samples[0] >= 20e6 && samples[samples.len() - 1] <= 30e6);
    let (mean, sigma) = moments(&samples);
    let expected = jitter / libm::sqrt(3.0);
    assert!((mean - delay).abs() < 4.9 * expected / libm::sqrt(N as f64), "{mean}");
    assert!((sigma / expected - 1.0).abs() < 0.01, "{sigma}");
}

#[test]
fn normal_jitter_is_normal_and_cut_at_zero() {
    let normal = |mean: f64, sigma: f64| move |x: f64| 0.5 * libm::erfc(-(x - mean) / sigma / 2f64.sqrt());
    let samples = delays("delay=100ms,jitter=5ms,jitter-shape=normal", 12, N);
    assert_distribution(&samples, normal(100e6, 5e6));
    let (mean, sigma) = moments(&samples);
    assert!((mean - 100e6).abs() < 4.9 * 5e6 / libm::sqrt(N as f64), "{mean}");
    // The variance of a normal sample's standard deviation is σ² / 2n.
    assert!((sigma - 5e6).abs() < 4.9 * 5e6 / libm::sqrt(2.0 * N as f64), "{sigma}");

    let samples = delays("delay=1ms,jitter=1ms,jitter-shape=normal", 12, N);
    let zero = samples.iter().filter(|&&sample| sample == 0.0).count();
    assert_share(zero as u64, N, 0.158_655_25);
}

#[test]
fn pareto_jitter_is_lomax_with_exponent_three() {
    let jitter = 5e6;
    let samples = delays("delay=20ms,jitter=5ms,jitter-shape=pareto", 13, N);
    assert_distribution(&samples, |x| {
        let scaled: f64 = 1.0 + (x - 20e6).max(0.0) / (2.0 * jitter);
        1.0 - scaled.powi(-3)
    });
    assert!(samples[0] >= 20e6 && samples[samples.len() - 1] <= 20e6 + 100.0 * jitter);
    let (mean, _) = moments(&samples);
    // The mean's standard deviation is √3 · jitter / √n.
    assert!((mean - 25e6).abs() < 4.9 * libm::sqrt(3.0) * jitter / libm::sqrt(N as f64), "{mean}");
    let late = samples.iter().filter(|&&sample| sample > 20e6 + 18.0 * jitter).count();
    assert_share(late as u64, N, 0.001);
}

#[test]
fn jitter_keeps_the_order_unless_it_is_free() {
    let arrivals = |text: &str| {
        let mut link = link(text, 17);
        let arrivals: Vec<Time> = decisions(&mut link, 10_000).into_iter().map(|d| copy(d).at).collect();
        (arrivals.is_sorted(), link.counts().overtaking)
    };
    for shape in JitterShape::ALL {
        let text = "delay=20ms,jitter=9ms,duplicate=10%,jitter-shape=".to_string() + &shape.to_string();
        assert_eq!(arrivals(&text), (true, 0), "{shape}");
        let (sorted, overtaking) = arrivals(&(text + ",order=free"));
        assert!(!sorted && overtaking > 1000, "{shape}: {overtaking}");
    }
}

#[test]
fn the_bottleneck_sends_one_datagram_after_the_other_without_drift() {
    // 1000 bytes at 3 bits per second take 8000/3 s: a third of a second remains, and must not be lost.
    let mut link = link("rate=3bit,queue=3MB", 1);
    for n in 1..=3000u64 {
        let expected = (n * 8_000_000_000_000).div_ceil(3);
        assert_eq!(copy(link.decide(at(0), &packet(1000))).at, Time::from_nanos(expected), "{n}");
    }
}

#[test]
fn an_idle_bottleneck_starts_when_a_datagram_comes() {
    let mut link = link("rate=8mbit,delay=1ms", 1);
    for (sent, arrives) in [(0, 2), (0, 3), (1, 4), (10, 12), (10, 13)] {
        assert_eq!(copy(link.decide(at(sent), &packet(1000))).at, at(arrives), "sent at {sent}");
    }
}

#[test]
fn the_queue_holds_as_many_bytes_as_it_says() {
    // A byte takes a microsecond.
    let mut link = link("rate=8mbit,queue=3000B", 1);
    for _ in 0..3 {
        copy(link.decide(at(0), &packet(1000)));
    }
    assert_eq!(link.decide(at(0), &packet(1)), Decision::Dropped(Cause::Queue), "full, to the byte");
    // After a nanosecond there is not yet room for a byte; after a microsecond there is.
    assert_eq!(link.decide(Time::from_nanos(999), &packet(1)), Decision::Dropped(Cause::Queue));
    copy(link.decide(Time::from_nanos(1000), &packet(1)));
    assert_eq!(link.decide(Time::from_nanos(1000), &packet(1)), Decision::Dropped(Cause::Queue));
    assert_eq!(link.counts().queue, 3);
    // What is being sent counts, but an empty queue takes any datagram.
    let mut link = self::link("rate=8mbit,queue=1500B", 1);
    copy(link.decide(at(0), &packet(9000)));
}

#[test]
fn without_a_size_the_queue_holds_a_tenth_of_a_second_and_at_least_64_kib() {
    for (rate, packets) in [("8mbit", 100), ("1mbit", 65)] {
        let mut link = link(&("rate=".to_string() + rate), 1);
        for _ in 0..200 {
            link.decide(at(0), &packet(1000));
        }
        assert_eq!(link.counts().forwarded, packets, "{rate}");
    }
}

#[test]
fn a_changed_rate_leaves_the_queued_their_times_and_their_room() {
    let mut link = link("rate=8kbit,queue=10KB", 1);
    for n in 1..=10 {
        assert_eq!(copy(link.decide(at(0), &packet(1000))).at, at(n * 1000));
    }
    let faster: Weather = "rate=8mbit,queue=10KB".parse().unwrap();
    link.change(at(5_000), &faster.up);
    // Five thousand bytes are left of the slow time. The eight-mbit line takes five more after them.
    for n in 1..=5 {
        assert_eq!(copy(link.decide(at(5_000), &packet(1000))).at, at(10_000 + n));
    }
    assert_eq!(link.decide(at(5_000), &packet(1000)), Decision::Dropped(Cause::Queue));
    // After half of that time, half of it has left.
    for n in 6..=7 {
        assert_eq!(copy(link.decide(at(7_500), &packet(1000))).at, at(10_000 + n));
    }
    assert_eq!(link.decide(at(7_500), &packet(1000)), Decision::Dropped(Cause::Queue));
}

#[test]
fn datagrams_over_the_mtu_are_dropped_with_or_without_a_word() {
    let mut told = link("mtu=1400", 1);
    copy(told.decide(at(0), &packet(1400)));
    let dropped = |silent| Decision::Dropped(Cause::TooBig { mtu: 1400, silent });
    assert_eq!(told.decide(at(0), &packet(1401)), dropped(false));
    assert_eq!(link("mtu=1400,mtu-icmp=no", 1).decide(at(0), &packet(1401)), dropped(true));
}

#[test]
fn the_reordered_are_overtaken_and_no_others() {
    let mut link = link("delay=5ms,reorder=2%,reorder-by=10ms", 23);
    let arrivals: Vec<Time> = decisions(&mut link, N).into_iter().map(|d| copy(d).at).collect();
    let late = (0..N).filter(|&n| arrivals[n as usize] - at(n) == Duration::from_millis(15)).count() as u64;
    let timely = (0..N).filter(|&n| arrivals[n as usize] - at(n) == Duration::from_millis(5)).count() as u64;
    assert_eq!((late + timely, link.counts().reordered), (N, late));
    assert_share(late, N, 0.02);
    // A timely one overtakes when at least one of the nine before it is late. Ten in a row depend on one
    // another, so that the variance is at most 19 times that of independent ones.
    let share = (1.0 - 0.98f64.powi(9)) * 0.98;
    let sigma = libm::sqrt(19.0 * N as f64 * share * (1.0 - share));
    let expected = N as f64 * share;
    assert!((link.counts().overtaking as f64 - expected).abs() < 4.9 * sigma, "{}", link.counts().overtaking);
}

#[test]
fn duplicates_and_wrong_bits_are_as_many_as_asked() {
    let mut link = link("duplicate=3%,corrupt=2%", 29);
    let (mut bits, mut corrupted) = ([0u64; 512], 0);
    for decision in decisions(&mut link, N) {
        let Decision::Delivered(copies) = decision else { panic!("{decision:?}") };
        for corruption in copies.iter().filter_map(|copy| copy.corruption) {
            bits[corruption.bit() as usize] += 1;
            corrupted += 1;
        }
    }
    let counts = *link.counts();
    assert_share(counts.duplicated, N, 0.03);
    assert_share(corrupted, N + counts.duplicated, 0.02);
    assert_eq!(counts.corrupted, corrupted);
    for half in bits.chunks(256) {
        assert_share(half.iter().sum(), corrupted, 0.5);
    }
    let empty = Packet { size: 28, payload: &[], peer: None };
    assert_eq!(copy(self::link("corrupt=100%", 1).decide(at(0), &empty)).corruption, None);
}

#[test]
fn blackouts_begin_and_end_on_time() {
    let mut link = link("blackout=10ms+2ms/0+1ms,blackout-every=30ms+5ms", 1);
    link.begin(at(1000));
    let down: Vec<u64> = (0..70)
        .filter(|n| link.decide(at(1000 + n), &packet(1)) == Decision::Dropped(Cause::Blackout))
        .collect();
    assert_eq!(down, [0, 10, 11, 30, 31, 32, 33, 34, 60, 61, 62, 63, 64]);
    let last = Time::from_nanos(at(1012).as_nanos() - 1);
    assert_eq!(link.decide(last, &packet(1)), Decision::Dropped(Cause::Blackout), "the last nanosecond");
    assert_eq!(link.down_until(at(1010)), Some(at(1012)));
    assert_eq!((link.down_until(at(1012)), link.down_until(at(1031))), (None, Some(at(1035))));
}

#[test]
fn without_a_beginning_times_count_from_the_first_datagram() {
    let mut link = link("blackout=1ms+1ms", 1);
    assert_eq!(link.down_until(at(501)), None);
    copy(link.decide(at(500), &packet(1)));
    assert_eq!(link.decide(at(501), &packet(1)), Decision::Dropped(Cause::Blackout));
    copy(link.decide(at(502), &packet(1)));
    copy(link.decide(at(400), &packet(1)));
}

#[test]
fn a_schedule_changes_the_weather_on_time_and_begins_anew() {
    let mut link = link("delay=1ms,order=free@10ms:delay=2ms,order=free@15ms:loss=100%@20ms:repeat", 1);
    for round in 0..3 {
        for n in 0..20 {
            let now = at(7 + round * 20 + n);
            let decision = link.decide(now, &packet(1));
            match n {
                0..10 => assert_eq!(copy(decision).at - now, Duration::from_millis(1), "{n}"),
                10..15 => assert_eq!(copy(decision).at - now, Duration::from_millis(2), "{n}"),
                _ => assert_eq!(decision, Decision::Dropped(Cause::Loss), "{n}"),
            }
        }
    }
    // Long silence, and a clock that goes back.
    assert_eq!(copy(link.decide(at(7 + 20_000_000), &packet(1))).at, at(7 + 20_000_001));
    assert_eq!(link.decide(at(7 + 16), &packet(1)), Decision::Dropped(Cause::Loss));
}

#[test]
fn blackouts_of_a_schedule_end_with_their_part() {
    let mut link = link("clear@10ms:blackout=12ms+1s@20ms:clear@30ms:repeat", 1);
    link.begin(at(0));
    let down: Vec<u64> =
        (0..60).filter(|&n| link.decide(at(n), &packet(1)) == Decision::Dropped(Cause::Blackout)).collect();
    let expected: Vec<u64> = (12..20).chain(42..50).collect();
    assert_eq!(down, expected);
    assert_eq!((link.down_until(at(44)), link.down_until(at(50))), (Some(at(50)), None));
}

#[test]
fn the_first_rule_that_picks_a_datagram_is_the_only_one() {
    let mut link = link(
        "loss=100%,rule=size:1000- every:3 drop,rule=size:500- loss:0%,rule=prefix:GET loss:0% delay:7ms",
        1,
    );
    let mut decide = |size, payload| link.decide(at(0), &Packet { size, payload, peer: None });
    let big = [(); 6].map(|()| decide(1200, b"GET")).map(|d| matches!(d, Decision::Dropped(Cause::Rule)));
    assert_eq!(big, [false, false, true, false, false, true]);
    assert_eq!(copy(decide(600, b"GET")).at, at(0), "the second rule, not the third");
    assert_eq!(copy(decide(100, b"GET")).at, at(7));
    assert_eq!(decide(100, b"PUT"), Decision::Dropped(Cause::Loss));
}

#[test]
fn what_a_rule_delays_does_not_hold_up_the_rest() {
    let mut link = link("delay=1ms,rule=size:1000- delay:50ms", 1);
    assert_eq!(copy(link.decide(at(0), &packet(1000))).at, at(50));
    assert_eq!(copy(link.decide(at(1), &packet(100))).at, at(2));
    assert_eq!(copy(link.decide(at(2), &packet(1000))).at, at(52));
    assert_eq!(link.counts().overtaking, 1);
}

#[test]
fn a_rules_loss_stands_for_bursts_too_and_its_other_settings_for_theirs() {
    let mut link =
        link("burst=100%:0.1%,rule=size:100 loss:0% duplicate:100% reorder:100% corrupt:100% jitter:1ms", 1);
    let counts = |link: &Link| *link.counts();
    copy(link.decide(at(0), &packet(100)));
    let one = counts(&link);
    assert_eq!((one.burst, one.duplicated, one.reordered, one.corrupted), (0, 1, 1, 2));
    let arrival = copy(link.decide(at(0), &packet(100))).at - at(10);
    assert!(arrival > Duration::ZERO && arrival <= Duration::from_millis(1), "{arrival:?}");
    assert_eq!(link.decide(at(0), &packet(101)), Decision::Dropped(Cause::Burst));
}

#[test]
fn rules_of_the_next_weather_count_from_the_beginning() {
    let mut link = link("rule=every:3 drop@5ms:rule=every:3 drop@10ms:repeat", 1);
    let dropped: Vec<bool> =
        decisions(&mut link, 15).iter().map(|d| *d == Decision::Dropped(Cause::Rule)).collect();
    assert_eq!(
        dropped.iter().enumerate().filter(|(_, d)| **d).map(|(n, _)| n).collect::<Vec<_>>(),
        [2, 7, 12]
    );
}

#[test]
fn times_of_a_changed_weather_count_from_the_change() {
    let mut link = link("clear", 1);
    copy(link.decide(at(0), &packet(1)));
    let weather: Weather = "blackout=0+2ms@5ms:loss=100%".parse().unwrap();
    link.change(at(100), &weather.up);
    let outcomes = [100, 101, 102, 104, 105].map(|n| link.decide(at(n), &packet(1)));
    let dropped = Decision::Dropped;
    assert_eq!(outcomes[..2], [dropped(Cause::Blackout); 2]);
    assert_eq!((copy(outcomes[2]).at, copy(outcomes[3]).at), (at(102), at(104)));
    assert_eq!(outcomes[4], dropped(Cause::Loss));
    link.change(at(106), &Conditions::default());
    assert_eq!((copy(link.decide(at(206), &packet(1))).at, link.down_until(at(206))), (at(206), None));
}

#[test]
fn second_copies_have_the_delay_and_a_jitter_of_their_own() {
    let mut plain = link("delay=5ms,duplicate=100%", 1);
    let Decision::Delivered(copies) = plain.decide(at(0), &packet(1)) else { panic!() };
    assert!(copies.iter().map(|copy| copy.at).eq([at(5), at(5)]));

    let mut jittered = link("delay=50ms,jitter=9ms,order=free,duplicate=100%", 1);
    let mut gaps = Vec::new();
    for n in 0..1000 {
        let Decision::Delivered(copies) = jittered.decide(at(n), &packet(1)) else { panic!() };
        let delays: Vec<f64> = copies.iter().map(|copy| (copy.at - at(n)).as_nanos() as f64).collect();
        assert!(delays.iter().all(|delay| (41e6..=59e6).contains(delay)));
        gaps.push(delays[1] - delays[0]);
    }
    // The difference of two uniform numbers has √2 times the deviation of one.
    let (mean, sigma) = moments(&gaps);
    let expected = 9e6 * libm::sqrt(2.0 / 3.0);
    assert!(
        mean.abs() < 4.9 * expected / libm::sqrt(1000.0) && (sigma / expected - 1.0).abs() < 0.1,
        "{mean} {sigma}"
    );
}

#[test]
fn no_feature_moves_the_draws_of_another() {
    let lost = |text: &str| {
        let mut link = link(text, 99);
        let decisions = decisions(&mut link, 5000).into_iter().enumerate();
        decisions.filter(|(_, d)| *d == Decision::Dropped(Cause::Loss)).map(|(n, _)| n).collect::<Vec<_>>()
    };
    let alone = lost("loss=5%");
    assert!(alone.len() > 100);
    let others =
        "delay=9ms,jitter=5ms,jitter-shape=normal,duplicate=9%,corrupt=9%,reorder=9%,rate=9gbit,mtu=1400";
    assert_eq!(lost(&("loss=5%,".to_string() + others)), alone);
    // What a blackout takes is not lost, and what follows is as it was.
    let behind: Vec<usize> = alone.iter().copied().filter(|&n| n >= 2000).collect();
    assert_eq!(lost("loss=5%,blackout=0+2s"), behind);
    // A higher loss takes these and more.
    let more = lost("loss=10%");
    assert!(more.len() > alone.len() && alone.iter().all(|n| more.contains(n)));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_does_not() {
    for preset in crate::PRESETS {
        let run = |seed| {
            let (mut up, mut down) = Weather::preset(preset.name).unwrap().links(seed);
            (decisions(&mut up, 2000), decisions(&mut down, 2000))
        };
        assert_eq!(run(5), run(5), "{}", preset.name);
        let (up, down) = run(5);
        if !matches!(preset.name, "clear" | "half") {
            assert_ne!(run(5), run(6), "{}", preset.name);
            assert_ne!(up, down, "{}: the directions are their own", preset.name);
        }
    }
}

#[test]
fn half_loses_half_of_the_requests_and_no_answer() {
    let (mut up, mut down) = Weather::preset("half").unwrap().links(1);
    decisions(&mut up, N);
    decisions(&mut down, N);
    assert_share(up.counts().loss, N, 0.5);
    assert_eq!(down.counts().forwarded, N);
}

#[test]
fn each_cause_has_its_count() {
    let mut link = link(
        "blackout=0+1ms,mtu=1400,rule=prefix:a drop,rule=prefix:b loss:100%,rule=prefix:c loss:0%,\
         burst=100%:0.1%,rate=8mbit,queue=1500B",
        1,
    );
    let mut decide = |millis, size, payload| link.decide(at(millis), &Packet { size, payload, peer: None });
    let dropped = Decision::Dropped;
    assert_eq!(decide(0, 100, b"c"), dropped(Cause::Blackout));
    assert_eq!(decide(1, 1401, b"c"), dropped(Cause::TooBig { mtu: 1400, silent: false }));
    assert_eq!(decide(1, 100, b"a"), dropped(Cause::Rule));
    assert_eq!(decide(1, 100, b"b"), dropped(Cause::Loss));
    assert_eq!(decide(1, 100, b"d"), dropped(Cause::Burst));
    copy(decide(1, 1400, b"c"));
    assert_eq!(decide(1, 1400, b"c"), dropped(Cause::Queue));
    let one = Counts { blackout: 1, too_big: 1, rule: 1, loss: 1, burst: 1, queue: 1, ..Counts::default() };
    assert_eq!(*link.counts(), Counts { forwarded: 1, bytes: 1400, ..one });
    assert_eq!((link.counts().dropped(), link.counts().decided()), (6, 7));
}

#[test]
fn any_time_and_any_size_has_a_decision() {
    let mut link = link("storm,rate=1bit,queue=16GB,mtu=65535,blackout-every=1ns+0", 1);
    for now in [0, u64::MAX, 5, u64::MAX - 1, u64::MAX / 2] {
        for size in [0, 1, 65_535, usize::MAX] {
            let _ = link.decide(Time::from_nanos(now), &packet(size));
        }
    }
    let mut link = self::link("rate=1bit,queue=16GB", 1);
    for _ in 0..20 {
        let _ = link.decide(Time::from_nanos(u64::MAX - 5), &packet(usize::MAX));
    }
}
