//! Members who send heartbeats for hours, through weather, to a hub: how many live ones it evicts, and how
//! long dead ones stay.
#![allow(dead_code, reason = "no program uses all of it")]

pub(crate) mod hub;
pub(crate) mod many;
pub(crate) mod runs;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use squall_sim::{Direction, Time, Weather};
use squall_time::random::SplitMix64;
use squall_weather::{Decision, Link, Packet};

use self::hub::Kept;

/// How often each member sends a heartbeat.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// A fixed rule beside: three heartbeats in a row are missing, and a second.
pub(crate) const THREE_MISSED: Duration = Duration::from_secs(31);
/// Of so many members one dies.
const DIES: usize = 10;

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
    /// Live members that were evicted, by the hub and by the fixed rule.
    pub(crate) evicted: u64,
    pub(crate) fixed_evicted: u64,
    /// For how many seconds dead ones stayed, sorted.
    pub(crate) stays: Vec<f64>,
    pub(crate) fixed_stays: Vec<f64>,
    /// Dead members that the hub never evicted.
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
pub(crate) fn run(plan: &Plan, kept: &mut Kept) -> Seen {
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
    let interval = INTERVAL.as_nanos() as u64;
    for number in 0..(plan.hours * 360) as u32 {
        for index in 0..plan.members {
            let phase = index as u64 * interval / plan.members as u64;
            let now = Time::from_nanos(u64::from(number) * interval + phase);
            while let Some(Reverse((at, ..))) = under_way.peek()
                && *at <= now
            {
                if let Some(Reverse((at, index, number))) = under_way.pop() {
                    seen.arrive(at, index, number, &mut members, kept);
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
                    seen.arrive(now, index as u32, number, &mut members, kept);
                } else {
                    under_way.push(Reverse((copy.at, index as u32, number)));
                }
            }
        }
    }
    seen.pass(end, &mut members, kept);
    for member in &mut members {
        member.fixed(end, &mut seen);
        seen.forgotten += u64::from(member.dies.is_some() && member.present);
    }
    seen.stays.sort_by(f64::total_cmp);
    seen.fixed_stays.sort_by(f64::total_cmp);
    seen
}

impl Seen {
    fn arrive(&mut self, now: Time, index: u32, number: u32, members: &mut [Member], kept: &mut Kept) {
        self.pass(now, members, kept);
        kept.heartbeat(now, index, number);
        let member = &mut members[index as usize];
        member.fixed(now, self);
        (member.present, member.fixed_present, member.heard) = (true, true, Some(now));
    }

    /// Lets time pass for the kept.
    fn pass(&mut self, now: Time, members: &mut [Member], kept: &mut Kept) {
        while let Some(due) = kept.due().filter(|due| *due <= now) {
            kept.evict(due, |index, _, _| {
                let member = &mut members[index as usize];
                assert!(std::mem::take(&mut member.present), "an evicted member was there");
                match member.dies.filter(|dies| *dies <= due) {
                    Some(dies) => self.stays.push((due - dies).as_secs_f64()),
                    None => self.evicted += 1,
                }
            });
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
