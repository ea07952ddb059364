use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn plain() -> RetryPolicy {
    RetryPolicy::default().jitter(0.0)
}

/// When each try is sent and to which server, and when the client gives up; at most 1,000 tries.
fn run(policy: &RetryPolicy, servers: u32, seed: u64) -> (Vec<(Duration, usize)>, Option<Duration>) {
    let start = Time::from_nanos(12_345);
    let mut schedule = Schedule::new(policy, servers, seed, start).unwrap();
    let mut tries = vec![(Duration::ZERO, schedule.server())];
    while tries.len() < 1000 {
        let now = schedule.poll_timeout().unwrap();
        assert_eq!(schedule.handle_timeout(Time::from_nanos(now.as_nanos() - 1)), None, "not yet due");
        match schedule.handle_timeout(now).unwrap() {
            Step::Try => tries.push((now - start, schedule.server())),
            Step::GiveUp => {
                assert_eq!(schedule.poll_timeout(), None);
                assert_eq!(schedule.handle_timeout(now), None, "the end comes once");
                assert_eq!(schedule.tries() as usize, tries.len());
                return (tries, Some(now - start));
            }
        }
    }
    (tries, None)
}

fn times(tries: &[(Duration, usize)]) -> Vec<u128> {
    tries.iter().map(|(at, _)| at.as_millis()).collect()
}

#[test]
fn the_waits_double_and_the_client_gives_up_when_the_next_would_be_over_two_seconds() {
    let (tries, end) = run(&plain(), 1, 1);
    assert_eq!(times(&tries), [0, 100, 300, 700, 1500]);
    assert_eq!(end, Some(millis(3100)), "to the nanosecond");
}

#[test]
fn a_wait_of_exactly_the_longest_is_still_made() {
    let (tries, end) = run(&plain().max_wait(millis(1600)), 1, 1);
    assert_eq!((tries.len(), end), (5, Some(millis(3100))));
    let (tries, end) = run(&plain().max_wait(millis(1599)), 1, 1);
    assert_eq!((tries.len(), end), (4, Some(millis(1500))));
}

#[test]
fn the_client_stops_after_its_number_of_tries() {
    let (tries, end) = run(&plain().max_tries(Some(1)), 1, 1);
    assert_eq!((tries.len(), end), (1, Some(millis(100))));
    let (tries, end) = run(&plain().factor(1.0).max_tries(Some(7)), 1, 1);
    assert_eq!((tries.len(), end), (7, Some(millis(700))));
}

#[test]
fn the_last_wait_is_cut_to_the_total_time() {
    let (tries, end) = run(&plain().total(Some(millis(1000))), 1, 1);
    assert_eq!(times(&tries), [0, 100, 300, 700]);
    assert_eq!(end, Some(millis(1000)));
    let (tries, end) = run(&plain().total(Some(millis(700))), 1, 1);
    assert_eq!((times(&tries), end), (vec![0, 100, 300], Some(millis(700))), "no try at the very end");
}

#[test]
fn every_server_is_asked_before_the_first_is_asked_again_and_before_the_wait_grows() {
    let (tries, end) = run(&plain().max_wait(millis(200)), 3, 1);
    let expected = [(0, 0), (100, 1), (200, 2), (300, 0), (500, 1), (700, 2)];
    assert_eq!(tries, expected.map(|(at, server)| (millis(at), server)));
    assert_eq!(end, Some(millis(900)));
    assert_eq!(run(&plain(), 0, 1), run(&plain(), 1, 1), "no server counts as one");
}

#[test]
fn a_late_timeout_does_not_shorten_the_next_wait() {
    let mut schedule = Schedule::new(&plain(), 1, 1, Time::ZERO).unwrap();
    let late = Time::from_epoch(millis(5000));
    assert_eq!(schedule.handle_timeout(late), Some(Step::Try));
    assert_eq!(schedule.poll_timeout(), Some(late + millis(200)));
}

#[test]
fn without_growth_and_limits_the_client_asks_for_ever() {
    assert_eq!(run(&plain().factor(1.0), 1, 1).1, None);
}

#[test]
fn jitter_lengthens_each_wait_by_up_to_half_and_follows_from_the_seed() {
    let policy = RetryPolicy::default();
    assert_eq!(run(&policy, 1, 7), run(&policy, 1, 7));
    let ends: Vec<f64> = (0..1000).map(|seed| run(&policy, 1, seed).1.unwrap().as_secs_f64()).collect();
    assert!(ends.iter().all(|end| (3.1..=4.65).contains(end)));
    let mean = ends.iter().sum::<f64>() / 1000.0;
    assert!((3.8..3.95).contains(&mean), "{mean} s on average, and 3.875 expected");
    let firsts: Vec<_> = (0..1000).map(|seed| run(&policy, 1, seed).0[1].0).collect();
    assert!(firsts.iter().min().unwrap() < &millis(101) && firsts.iter().max().unwrap() > &millis(149));
}

#[test]
fn a_value_out_of_bounds_is_named() {
    for (policy, message) in [
        (plain().first(millis(0)), "the first wait must be from 1 ms to the longest wait of 2s, not 0ns"),
        (
            plain().first(millis(2001)),
            "the first wait must be from 1 ms to the longest wait of 2s, not 2.001s",
        ),
        (plain().factor(0.5), "the factor between waits must be from 1 to 10, not 0.5"),
        (plain().factor(f64::NAN), "the factor between waits must be from 1 to 10, not NaN"),
        (plain().jitter(-0.1), "the jitter must be from 0 to 1, not -0.1"),
        (plain().max_wait(Duration::MAX), "the longest wait must be from 1 ms to an hour, not "),
        (plain().max_tries(Some(0)), "the number of tries must be at least 1"),
        (plain().total(Some(millis(0))), "the time for all tries must be at least 1 ms, not 0ns"),
    ] {
        let error = Schedule::new(&policy, 1, 1, Time::ZERO).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn jitter_that_is_drawn_once_lengthens_all_waits_alike() {
    for seed in 0..50 {
        let drawn = RetryPolicy::default().drawn(seed);
        let (tries, end) = run(&drawn, 1, 1);
        let waits: Vec<_> = tries.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert_eq!(tries.len(), 5);
        assert!(waits[0] >= millis(100) && waits[0] <= millis(150), "{waits:?}");
        assert!(waits.windows(2).all(|pair| pair[1] == 2 * pair[0]), "{waits:?}");
        assert_eq!(end, Some(31 * waits[0]));
    }
}

proptest! {
    #[test]
    fn waits_never_shrink_within_their_jitter_and_no_limit_is_passed(
        first in 1u64..500,
        factor in 1.1f64..10.0,
        jitter in 0.0f64..=1.0,
        max_tries in prop::option::of(1u32..20),
        total in prop::option::of(1u64..5000),
        servers in 1u32..5,
        seed: u64,
    ) {
        let policy = RetryPolicy::default()
            .first(millis(first))
            .factor(factor)
            .jitter(jitter)
            .max_tries(max_tries)
            .total(total.map(millis));
        let (tries, end) = run(&policy, servers, seed);
        let end = end.expect("a growing wait comes to an end");
        prop_assert!(max_tries.is_none_or(|max| tries.len() <= max as usize));
        prop_assert!(total.is_none_or(|total| end <= millis(total)));
        let ends = tries.iter().skip(1).map(|(at, _)| *at).chain([end]);
        let waits: Vec<_> = tries.iter().zip(ends).map(|((start, _), end)| end - *start).collect();
        prop_assert!(waits.iter().all(|&wait| wait <= scaled(millis(2000), 1.0 + jitter)));
        let uncut = &waits[..waits.len() - 1];
        prop_assert!(uncut.iter().all(|&wait| wait >= millis(first)));
    }
}
