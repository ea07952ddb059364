//! One property, many seeds.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::Sim;

/// Runs `property` under each of `seeds`, on all processors, and returns what it returned, in the order
/// of the seeds.
///
/// `seeds` is a count, from seed 0 on, or a range. The environment goes before it:
/// `SQUALL_SIM_SEEDS=100000` runs that many from 0 on (or `500..600` those), `SQUALL_SIM_SEED=17` that
/// one alone, with all that its network did in the panic's message if it fails.
///
/// ```
/// use core::time::Duration;
/// use squall_proto::{Reply, Request, Stateless};
/// use squall_sim::{Mailbox, Weather, explore};
///
/// let half: Weather = "up.loss=50%".parse()?;
/// let answered = explore(1000, |sim| {
///     let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
///     let server = sim.host("192.0.2.1:7", Stateless(echo));
///     let client = sim.host("192.0.2.2:40000", Mailbox::default());
///     sim.link(client, server, &half);
///     sim.send(client, "192.0.2.1:7", b"hello");
///     sim.run_until_idle(Duration::from_secs(1));
///     assert!(sim.machine(client).received().len() <= 1);
///     sim.machine(client).received().len()
/// });
/// let answered: usize = answered.iter().sum();
/// assert!((422..=578).contains(&answered), "{answered} is not half within 4.9 standard deviations");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// When the property does: for the smallest seed for which it does, with its message, the last events of
/// its network, and the command that runs this seed again. Also when there are no seeds, and when the
/// environment's make no sense.
pub fn explore<T: Send>(seeds: impl Into<Seeds>, property: impl Fn(&mut Sim) -> T + Sync) -> Vec<T> {
    let environment = |name| std::env::var(name).ok();
    let seeds = match seeds.into().overridden(environment(SEED), environment(SEEDS)) {
        Ok(seeds) => seeds,
        Err(error) => panic!("{error}"),
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    match run(&seeds, threads, &property) {
        Ok(results) => results,
        Err(failure) => panic!("{}", failure.report(&again(failure.seed))),
    }
}

/// The seeds to run: a count from 0 on, or a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Range<u64>);

impl From<u64> for Seeds {
    fn from(count: u64) -> Self {
        Self(0..count)
    }
}

impl From<Range<u64>> for Seeds {
    fn from(range: Range<u64>) -> Self {
        Self(range)
    }
}

impl Seeds {
    /// The seeds that the environment asks for instead, if it does.
    fn overridden(self, seed: Option<String>, seeds: Option<String>) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let range = match (seed, seeds) {
            (Some(text), _) => match number(&text).filter(|seed| *seed < u64::MAX) {
                Some(seed) => seed..seed + 1,
                None => return Err(format!("{SEED}={text}: a seed is a number from 0 to 2⁶⁴ − 2")),
            },
            (None, Some(text)) => {
                let range = match text.split_once("..") {
                    Some((from, to)) => number(from).zip(number(to)).map(|(from, to)| from..to),
                    None => number(&text).map(|count| 0..count),
                };
                range.ok_or(format!("{SEEDS}={text}: give a number of seeds, or a range like 500..600"))?
            }
            (None, None) => self.0,
        };
        if range.is_empty() {
            Err(format!("there are no seeds in {range:?} to explore"))
        } else {
            Ok(Self(range))
        }
    }
}

/// The smallest seed that failed.
struct Failure {
    seed: u64,
    message: String,
    trace: String,
}

impl Failure {
    /// Of two failures the one with the smaller seed is kept.
    fn keep_in(self, failed: &mut Option<Failure>) {
        if failed.as_ref().is_none_or(|failed| self.seed < failed.seed) {
            *failed = Some(self);
        }
    }

    fn report(&self, again: &str) -> String {
        let Self { seed, message, trace } = self;
        format!("seed {seed} fails: {message}\nits network, at the end:\n{trace}run it alone: {again}")
    }
}

fn run<T: Send>(
    Seeds(seeds): &Seeds,
    threads: usize,
    property: &(impl Fn(&mut Sim) -> T + Sync),
) -> Result<Vec<T>, Failure> {
    let alone = seeds.end - seeds.start == 1;
    let next = AtomicU64::new(seeds.start);
    // Seeds from here on need not be run any more. Smaller ones that are running come to their end.
    let end = AtomicU64::new(seeds.end);
    let failed = Mutex::new(None::<Failure>);
    let work = || {
        let mut sim = Sim::new(0);
        let mut results = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return results;
            }
            sim.reset(seed);
            if alone {
                sim.keep_trace(ALONE);
            }
            match catch_unwind(AssertUnwindSafe(|| property(&mut sim))) {
                Ok(result) => results.push((seed, result)),
                Err(panic) => {
                    end.fetch_min(seed, Ordering::Relaxed);
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    let trace = sim.trace().to_string();
                    Failure { seed, message: message(&*panic), trace }.keep_in(&mut failed);
                    // Its machines may be in any state.
                    sim = Sim::new(0);
                }
            }
        }
    };
    let mut results = thread::scope(|scope| {
        let threads = threads.min((seeds.end - seeds.start) as usize).max(1);
        // A panic is told with the name of the test.
        let name = thread::current().name().unwrap_or("explore").to_owned();
        let spawn = |_| thread::Builder::new().name(name.clone()).spawn_scoped(scope, work);
        let workers: Vec<_> =
            (0..threads).map(spawn).map(|worker| worker.expect("a thread starts")).collect();
        let results = workers.into_iter().map(|worker| worker.join().expect("panics are caught within"));
        results.flatten().collect::<Vec<_>>()
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => {
            results.sort_unstable_by_key(|(seed, _)| *seed);
            Ok(results.into_iter().map(|(_, result)| result).collect())
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// How `seed` is run again. Cargo tells a test its package, and libtest names a test's thread after the test.
fn again(seed: u64) -> String {
    match (thread::current().name(), std::env::var("CARGO_PKG_NAME")) {
        (Some(test), Ok(package)) if test != "main" => {
            format!("{SEED}={seed} cargo test -p {package} -- --exact {test}")
        }
        _ => format!("the same command with {SEED}={seed} in its environment"),
    }
}

const SEED: &str = "SQUALL_SIM_SEED";
const SEEDS: &str = "SQUALL_SIM_SEEDS";
/// Events that are shown of a seed that runs alone.
const ALONE: usize = 100_000;

#[cfg(test)]
mod tests;
