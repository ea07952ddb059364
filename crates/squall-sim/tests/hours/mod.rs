//! Members who send heartbeats for hours, through weather, to whoever keeps them: how many live ones are
//! evicted, and how long dead ones stay.
#![allow(dead_code, reason = "no program uses all of it")]

pub(crate) mod runs;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use squall_proto::chat::{Climate, Liveness, LivenessConfig};
use squall_proto::wheel::Wheel;
use squall_sim::{Direction, Time, Weather};
use squall_time::random::SplitMix64;
use squall_weather::{Decision, Link, Packet};

/// How often each member sends a heartbeat.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// A fixed rule beside: three heartbeats in a row are missing, and a second.
pub(crate) const THREE_MISSED: Duration = Duration::from_secs(31);
/// Of so many members one dies.
const DIES: usize = 10;

/// Who keeps members by their heartbeats.
pub(crate) trait Keeper {
    /// A heartbeat of a member came; it may be a new one, or one that was evicted.
    fn heartbeat(&mut self, now: Time, member: u32, number: u32);
    /// When to call `evict` next.
    fn due(&self) -> Option<Time>;
    /// Evicts whose time has come, and tells whom.
    fn evict(&mut self, now: Time, gone: &mut Vec<u32>);
}

/// What is simulated.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) weather: Weather,
    pub(crate) members: usize,
    pub(crate) hours: u64,
    pub(crate) seed: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Hours of live members, all together.
    pub(crate) member_hours: f64,
    /// Heartbeats sent, and those that arrived (copies not counted).
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
    /// Live members that were evicted, by the keeper and by the fixed rule.
    pub(crate) evicted: u64,
    pub(crate) fixed_evicted: u64,
    /// For how many seconds dead ones stayed, sorted.
    pub(crate) stays: Vec<f64>,
    pub(crate) fixed_stays: Vec<f64>,
    /// Dead members that the keeper never evicted.
    pub(crate) forgotten: u64,
}

struct Member {
    link: Link,
    heard: Option<Time>,
    dies: Option<Time>,
    present: bool,
    fixed_present: bool,
}

/// Lets members send heartbeats.
pub(crate) fn run(plan: &Plan, keeper: &mut dyn Keeper) -> Seen {
    let end = Time::from_epoch(Duration::from_secs(plan.hours * 3600));
    let mut random = SplitMix64::new(plan.seed);
    let mut members: Vec<Member> = (0..plan.members)
        .map(|index| {
            let link = plan.weather.link(Direction::Up, random.next_u64());
            // Early enough that the longest limit passes before the end.
            let last = plan.hours * 3600 - 400;
            let dies = (index % DIES == 3)
                .then(|| Time::from_epoch(INTERVAL * random.below(last * 100) as u32 / 1000));
            Member { link, heard: None, dies, present: false, fixed_present: false }
        })
        .collect();
    let mut seen = Seen::default();
    let mut under_way: BinaryHeap<Reverse<(Time, u32, u32)>> = BinaryHeap::new();
    let mut gone = Vec::new();
    let interval = INTERVAL.as_nanos() as u64;
    for number in 0..(plan.hours * 360) as u32 {
        for index in 0..plan.members {
            let phase = index as u64 * interval / plan.members as u64;
            let now = Time::from_nanos(u64::from(number) * interval + phase);
            while let Some(Reverse((at, ..))) = under_way.peek()
                && *at <= now
            {
                if let Some(Reverse((at, index, number))) = under_way.pop() {
                    seen.arrive(at, index, number, &mut members, keeper, &mut gone);
                }
            }
            let member = &mut members[index];
            if member.dies.is_some_and(|dies| dies <= now) {
                continue;
            }
            seen.sent += 1;
            seen.member_hours += INTERVAL.as_secs_f64() / 3600.0;
            let packet = Packet { size: 40, payload: b"^hb^ 123456", peer: None };
            let Decision::Delivered(copies) = member.link.decide(now, &packet) else { continue };
            seen.arrived += 1;
            for copy in copies.iter() {
                if copy.at <= now {
                    seen.arrive(now, index as u32, number, &mut members, keeper, &mut gone);
                } else {
                    under_way.push(Reverse((copy.at, index as u32, number)));
                }
            }
        }
    }
    seen.pass(end, &mut members, keeper, &mut gone);
    for member in &mut members {
        member.fixed(end, &mut seen);
        seen.forgotten += u64::from(member.dies.is_some() && member.present);
    }
    seen.stays.sort_by(f64::total_cmp);
    seen.fixed_stays.sort_by(f64::total_cmp);
    seen
}

impl Seen {
    fn arrive(
        &mut self,
        now: Time,
        index: u32,
        number: u32,
        members: &mut [Member],
        keeper: &mut dyn Keeper,
        gone: &mut Vec<u32>,
    ) {
        self.pass(now, members, keeper, gone);
        keeper.heartbeat(now, index, number);
        let member = &mut members[index as usize];
        member.fixed(now, self);
        (member.present, member.fixed_present, member.heard) = (true, true, Some(now));
    }

    /// Lets time pass for the keeper.
    fn pass(&mut self, now: Time, members: &mut [Member], keeper: &mut dyn Keeper, gone: &mut Vec<u32>) {
        while let Some(due) = keeper.due().filter(|due| *due <= now) {
            keeper.evict(due, gone);
            for index in gone.drain(..) {
                let member = &mut members[index as usize];
                assert!(std::mem::take(&mut member.present), "an evicted member was there");
                match member.dies.filter(|dies| *dies <= due) {
                    Some(dies) => self.stays.push((due - dies).as_secs_f64()),
                    None => self.evicted += 1,
                }
            }
        }
    }
}

impl Member {
    /// What the fixed rule has done with it until `now`.
    fn fixed(&mut self, now: Time, seen: &mut Seen) {
        let Some(heard) = self.heard.filter(|_| self.fixed_present) else { return };
        let due = heard + THREE_MISSED;
        if due > now {
            return;
        }
        self.fixed_present = false;
        match self.dies.filter(|dies| *dies <= due) {
            Some(dies) => seen.fixed_stays.push((due - dies).as_secs_f64()),
            None => seen.fixed_evicted += 1,
        }
    }
}

/// The part of the sorted `values` that lies below; NaN where there are none.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let index = (values.len() as f64 * part) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Liveness and a wheel, and nothing else of a hub.
pub(crate) struct Bare {
    climate: Climate,
    wheel: Wheel,
    members: Vec<Option<Liveness>>,
}

impl Bare {
    pub(crate) fn new(config: LivenessConfig, members: usize) -> Self {
        let wheel = Wheel::new(Duration::from_millis(100));
        Self { climate: Climate::new(config), wheel, members: vec![None; members] }
    }
}

impl Keeper for Bare {
    fn heartbeat(&mut self, now: Time, member: u32, number: u32) {
        let live = self.members[member as usize].get_or_insert_with(|| Liveness::new(now));
        live.beat(now, Some(number), &mut self.climate);
        self.wheel.schedule(member, live.deadline(&self.climate));
    }

    fn due(&self) -> Option<Time> {
        self.wheel.poll_timeout()
    }

    fn evict(&mut self, now: Time, gone: &mut Vec<u32>) {
        while let Some(member) = self.wheel.expire(now) {
            let live = &mut self.members[member as usize];
            match live.and_then(|live| live.reprieve(now, &self.climate)) {
                Some(later) => self.wheel.schedule(member, later),
                None => {
                    *live = None;
                    gone.push(member);
                }
            }
        }
    }
}
