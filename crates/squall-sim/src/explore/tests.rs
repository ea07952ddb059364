use super::*;

/// Fails for the seeds 37 and 41, and those over 60.
fn property(sim: &mut Sim) -> u64 {
    let seed = sim.seed();
    assert!(seed != 37 && seed != 41 && seed <= 60, "{seed} is unlucky");
    seed * 2
}

fn failure<T: Send>(
    seeds: Range<u64>,
    threads: usize,
    property: impl Fn(&mut Sim) -> T + Sync,
) -> Option<Failure> {
    run(&Seeds(seeds), threads, &property).err()
}

#[test]
fn results_come_in_the_order_of_the_seeds() {
    // Two threads meet for each pair of seeds, so that both have some of the first and some of the last.
    let meet = std::sync::Barrier::new(2);
    let double = |sim: &mut Sim| {
        meet.wait();
        sim.seed() * 2
    };
    let results = run(&Seeds(3..13), 2, &double).ok().unwrap();
    assert_eq!(results, (3..13).map(|seed| seed * 2).collect::<Vec<_>>());
}

#[test]
fn of_two_failures_the_one_with_the_smaller_seed_is_kept() {
    let mut failed = None;
    for seed in [41, 37, 40] {
        Failure { seed, message: String::new(), trace: String::new() }.keep_in(&mut failed);
    }
    assert_eq!(failed.unwrap().seed, 37);
}

#[test]
fn the_smallest_failing_seed_is_told_whatever_the_threads_do() {
    for threads in [1, 2, 7] {
        let failure = failure(0..100, threads, property).unwrap();
        assert_eq!((failure.seed, failure.message.as_str()), (37, "37 is unlucky"), "{threads} threads");
    }
}

#[test]
fn a_report_has_seed_message_network_and_the_command_that_runs_it_again() {
    let failure = failure(0..38, 2, |sim| {
        sim.forge("192.0.2.1:1", "192.0.2.2:2", b"x");
        property(sim)
    });
    let report = failure.unwrap().report(&again(37));
    let expected = [
        "seed 37 fails: 37 is unlucky\n",
        "0.000000000 192.0.2.1:1 > 192.0.2.2:2 1 B nobody there ",
        "run it alone: SQUALL_SIM_SEED=37 cargo test -p squall-sim -- --exact \
         explore::tests::a_report_has_seed_message_network_and_the_command_that_runs_it_again",
    ];
    for expected in expected {
        assert!(report.contains(expected), "{report}");
    }
}

#[test]
fn a_seed_that_runs_alone_shows_all_of_its_network() {
    let failure = failure(5..6, 1, |sim| {
        (0..1000).for_each(|_| sim.forge("192.0.2.1:1", "192.0.2.2:2", b"x"));
        panic!("as it was asked")
    });
    assert_eq!(failure.unwrap().trace.lines().count(), 1000);
}

#[test]
fn the_environment_chooses_one_seed_or_more_of_them() {
    let overridden = |seed: &str, seeds: &str| {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Seeds::from(10).overridden(given(seed), given(seeds)).map(|Seeds(range)| range)
    };
    assert_eq!(overridden("", ""), Ok(0..10));
    assert_eq!(overridden("", "5000"), Ok(0..5000));
    assert_eq!(overridden("", "20..30"), Ok(20..30));
    assert_eq!(overridden("17", "20..30"), Ok(17..18));
    let refused = [
        ("x", "", "SQUALL_SIM_SEED=x: a seed is a number from 0 to 2⁶⁴ − 2"),
        (
            "18446744073709551615",
            "",
            "SQUALL_SIM_SEED=18446744073709551615: a seed is a number from 0 to 2⁶⁴ − 2",
        ),
        ("", "many", "SQUALL_SIM_SEEDS=many: give a number of seeds, or a range like 500..600"),
        ("", "5..x", "SQUALL_SIM_SEEDS=5..x: give a number of seeds, or a range like 500..600"),
        ("", "0", "there are no seeds in 0..0 to explore"),
        ("", "7..7", "there are no seeds in 7..7 to explore"),
    ];
    for (seed, seeds, error) in refused {
        assert_eq!(overridden(seed, seeds), Err(error.to_owned()));
    }
}
