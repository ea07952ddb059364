//! Many members in clear weather: what they cost a hub, and whether it tells the living from the dead.

use std::time::{Duration, Instant};

use squall_proto::chat::LivenessConfig;
use squall_sim::Time;

use super::INTERVAL;
use super::hub::Kept;

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Bytes of the hub's memory for each member: when all have come and are measured, and at most on the way there.
    pub(crate) bytes: f64,
    pub(crate) most_bytes: f64,
    /// Processor time for a heartbeat, all that was due meanwhile included.
    pub(crate) nanos: f64,
    /// Heartbeats that this was measured by.
    pub(crate) heartbeats: u64,
    /// Members that died, and those of them that were evicted.
    pub(crate) died: u64,
    pub(crate) evicted: u64,
    /// Live members that were evicted.
    pub(crate) wrong: u64,
    /// The shortest and longest silence that a dead member was evicted after, and how much later than its limit that
    /// was at most; in seconds.
    pub(crate) shortest: f64,
    pub(crate) longest: f64,
    pub(crate) latest: f64,
}

/// Lets `members` send heartbeats, evenly spread over each interval, for `rounds` intervals; from then on one of
/// each hundred is dead.
pub(crate) fn run(members: u32, rounds: u32) -> Cost {
    let mut kept = None;
    let memory = allocation_counter::measure(|| {
        let mut hub = Kept::new(LivenessConfig::default(), members as usize);
        // They come in another order than their heartbeats do, so that what belongs to neighbours in time does
        // not lie side by side in memory.
        for number in 0..members {
            let member = (u64::from(number) * STRIDE % u64::from(members)) as u32;
            hub.say(Time::ZERO, member, b"");
        }
        (0..FIRST).for_each(|round| beat(&mut hub, members, round, &mut |_| false, &mut Cost::default()));
        kept = Some(hub);
    });
    let Some(mut hub) = kept else { return Cost::default() };
    let each = |bytes: i64| bytes as f64 / f64::from(members);
    let mut cost = Cost { shortest: f64::INFINITY, ..Cost::default() };
    (cost.bytes, cost.most_bytes) = (each(memory.bytes_current), each(memory.bytes_max as i64));
    assert_eq!(hub.stats().members, u64::from(members));

    let begun = Clock::start();
    for round in FIRST..rounds {
        beat(&mut hub, members, round, &mut |_| false, &mut cost);
    }
    cost.heartbeats = u64::from(rounds - FIRST) * u64::from(members);
    cost.nanos = begun.nanos() / cost.heartbeats as f64;

    cost.died = (0..members).filter(|member| is_dead(*member)).count() as u64;
    // The hard limit is ten intervals.
    for round in rounds..rounds + 11 {
        beat(&mut hub, members, round, &mut is_dead, &mut cost);
    }
    assert_eq!(hub.stats().members, u64::from(members) - cost.evicted - cost.wrong);
    cost
}

/// One interval.
fn beat(hub: &mut Kept, members: u32, round: u32, dead: &mut dyn FnMut(u32) -> bool, cost: &mut Cost) {
    let begin = INTERVAL * round;
    for member in 0..members {
        let phase = INTERVAL.as_nanos() as u64 * u64::from(member) / u64::from(members);
        let now = Time::from_epoch(begin + Duration::from_nanos(phase));
        while let Some(due) = hub.due().filter(|due| *due <= now) {
            hub.evict(due, |member, silence, limit| {
                if !dead(member) {
                    cost.wrong += 1;
                    return;
                }
                let silence = silence.as_secs_f64();
                cost.evicted += 1;
                cost.shortest = cost.shortest.min(silence);
                cost.longest = cost.longest.max(silence);
                cost.latest = cost.latest.max(silence - limit.as_secs_f64());
            });
        }
        if !dead(member) {
            hub.heartbeat(now, member, round);
        }
    }
}

fn is_dead(member: u32) -> bool {
    member % 100 == 42
}

/// The processor time of this thread, where the system tells it; elsewhere what a clock says.
struct Clock {
    begun: Instant,
    used: Option<u64>,
}

impl Clock {
    fn start() -> Self {
        Self { begun: Instant::now(), used: Self::used() }
    }

    fn nanos(&self) -> f64 {
        match (self.used, Self::used()) {
            (Some(before), Some(now)) => (now - before) as f64,
            _ => self.begun.elapsed().as_secs_f64() * 1e9,
        }
    }

    /// Linux has it, in nanoseconds: <https://docs.kernel.org/scheduler/sched-stats.html>.
    fn used() -> Option<u64> {
        std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
    }
}

/// Rounds in which all come and their intervals are measured.
const FIRST: u32 = 4;
/// A prime, so that all numbers come up.
const STRIDE: u64 = 7_368_787;
