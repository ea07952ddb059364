//! One direction in operation.

use alloc::vec::Vec;
use core::time::Duration;

use squall_time::Time;

use crate::bottleneck::Bottleneck;
use crate::conditions::{Conditions, Order};
use crate::counts::Counts;
use crate::decision::{Cause, Copies, Copy, Corruption, Decision, Packet};
use crate::draws::{Draws, Feature};
use crate::probability::Probability;
use crate::rule::Rule;

/// One direction in operation: it decides what becomes of each datagram, and keeps none.
///
/// Decisions follow from the seed, the conditions, and the datagrams with their times. What a feature does to
/// a datagram depends on the datagram's index and no other feature: with jitter added, the same datagrams
/// are lost.
///
/// Times of the conditions (blackouts, schedules) count from [`begin`](Self::begin), or from the first
/// datagram if that was not called. Where `now` goes back, decisions stay defined, but times may be out of
/// order.
#[derive(Clone, Debug)]
pub struct Link {
    conditions: Conditions,
    timed: bool,
    began: Option<Time>,
    /// How many of the schedule's conditions have begun in this round.
    stage: usize,
    state: State,
}

#[derive(Clone, Debug)]
struct State {
    draws: Draws,
    index: u64,
    bad: bool,
    bottleneck: Bottleneck,
    /// The latest arrival among those that keep their order: of all datagrams without a delay by a rule, and
    /// of each rule's.
    horizon: Time,
    rules: Vec<RuleState>,
    /// The latest arrival of all.
    latest: Time,
    counts: Counts,
}

#[derive(Clone, Debug, Default)]
struct RuleState {
    picked: u64,
    horizon: Time,
}

/// What is in force for one datagram.
struct Effect<'a> {
    conditions: &'a Conditions,
    index: u64,
    delay: u64,
    jitter: u64,
    duplicate: Probability,
    reorder: Probability,
    corrupt: Probability,
    /// The rule whose order it is in.
    lane: Option<usize>,
}

impl Link {
    /// A link whose decisions follow from `seed`.
    pub fn new(conditions: &Conditions, seed: u64) -> Self {
        Self {
            conditions: conditions.clone(),
            timed: conditions.is_timed(),
            began: None,
            stage: 0,
            state: State {
                draws: Draws::new(seed),
                index: 0,
                bad: false,
                bottleneck: Bottleneck::default(),
                horizon: Time::ZERO,
                rules: rule_states(conditions),
                latest: Time::ZERO,
                counts: Counts::default(),
            },
        }
    }

    /// Lets the times of the conditions count from `now`.
    pub fn begin(&mut self, now: Time) {
        self.began = Some(now);
    }

    /// What becomes of a datagram that is sent `now`. Does not allocate.
    pub fn decide(&mut self, now: Time, packet: &Packet<'_>) -> Decision {
        let began = *self.began.get_or_insert(now);
        let (mut in_force, mut elapsed) = (&self.conditions, 0);
        if self.timed {
            let schedule = &self.conditions.schedule;
            elapsed = schedule.in_round(nanos(now - began));
            let stage = schedule.stage(elapsed);
            if stage != self.stage {
                self.stage = stage;
                // What a rule counted was another rule's.
                self.state.rules.fill(RuleState::default());
            }
            in_force = self.conditions.at_stage(stage);
        }
        let decision = match self.state.decide(in_force, now, elapsed, packet) {
            Ok(copies) => Decision::Delivered(copies),
            Err(cause) => Decision::Dropped(cause),
        };
        self.state.counts.decision(packet.size, &decision);
        decision
    }

    /// Has other conditions from `now` on, which is also when their times begin. What was decided keeps its
    /// times, what waits for the bottleneck is still before what comes, and order is still kept.
    pub fn change(&mut self, now: Time, conditions: &Conditions) {
        self.conditions.clone_from(conditions);
        self.timed = conditions.is_timed();
        self.began = Some(now);
        self.stage = 0;
        self.state.rules = rule_states(conditions);
    }

    /// Until when the link is down, if it is `now`: the end of the blackout. For what does not come in
    /// datagrams, and waits instead of being dropped.
    pub fn down_until(&self, now: Time) -> Option<Time> {
        let elapsed = nanos(now - self.began?);
        let schedule = &self.conditions.schedule;
        let in_round = schedule.in_round(elapsed);
        let stage = schedule.stage(in_round);
        let end = self.conditions.at_stage(stage).blackouts.until(in_round)?;
        // A blackout ends with its round, and with the conditions it belongs to.
        let next = schedule.later.get(stage).map(|(at, _)| *at);
        let end = end.min(next.unwrap_or(u64::MAX)).min(schedule.repeat.unwrap_or(u64::MAX));
        Some(now + Duration::from_nanos(end - in_round))
    }

    /// What it did so far.
    pub fn counts(&self) -> &Counts {
        &self.state.counts
    }
}

impl State {
    fn decide(
        &mut self,
        conditions: &Conditions,
        now: Time,
        elapsed: u64,
        packet: &Packet<'_>,
    ) -> Result<Copies, Cause> {
        let index = self.index;
        self.index += 1;
        // What has a memory takes its step, whatever becomes of the datagram.
        let burst = self.burst(conditions, index);
        let rule = self.rule(conditions, packet);
        if !conditions.blackouts.is_empty() && conditions.blackouts.until(elapsed).is_some() {
            return Err(Cause::Blackout);
        }
        if let Some(mtu) = conditions.mtu.map(|mtu| mtu as usize)
            && packet.size > mtu
        {
            return Err(Cause::TooBig { mtu, silent: !conditions.mtu_icmp });
        }
        let (loss, burst) = match rule {
            Some((_, rule)) if rule.drop => return Err(Cause::Rule),
            Some((_, Rule { loss: Some(loss), .. })) => (*loss, false),
            _ => (conditions.loss, burst),
        };
        if self.yes(loss, Feature::Loss, index) {
            return Err(Cause::Loss);
        }
        if burst {
            return Err(Cause::Burst);
        }
        let departure = match conditions.rate {
            0 => now,
            rate => {
                let left = self.bottleneck.send(now, packet.size, rate, conditions.queue_bytes());
                left.ok_or(Cause::Queue)?
            }
        };
        let effect = Effect::new(conditions, rule, index);
        let first = self.first(&effect, departure, packet);
        let duplicated = self.yes(effect.duplicate, Feature::Duplicate, index);
        let second = duplicated.then(|| self.second(&effect, departure, packet));
        Ok(Copies::new(first, second))
    }

    /// Whether the datagram is lost to Gilbert–Elliott's chain, which takes a step.
    fn burst(&mut self, conditions: &Conditions, index: u64) -> bool {
        if conditions.burst_enter.is_zero() && conditions.burst_good_loss.is_zero() {
            self.bad = false;
            return false;
        }
        let turn = if self.bad { conditions.burst_leave } else { conditions.burst_enter };
        self.bad ^= turn.hit(self.draws.draw(Feature::BurstStep, index));
        let loss = if self.bad { conditions.burst_loss } else { conditions.burst_good_loss };
        self.yes(loss, Feature::BurstLoss, index)
    }

    /// The first rule that applies.
    fn rule<'a>(&mut self, conditions: &'a Conditions, packet: &Packet<'_>) -> Option<(usize, &'a Rule)> {
        for (place, rule) in conditions.rules.iter().enumerate() {
            if !rule.picks(packet) {
                continue;
            }
            let Some(every) = rule.every else { return Some((place, rule)) };
            let picked = &mut self.rules[place].picked;
            *picked += 1;
            if picked.is_multiple_of(every) {
                return Some((place, rule));
            }
        }
        None
    }

    fn first(&mut self, effect: &Effect<'_>, departure: Time, packet: &Packet<'_>) -> Copy {
        let delay = self.delay(effect, Feature::Jitter, Feature::JitterSecond);
        let mut at = self.in_order(effect, add(departure, delay));
        if self.yes(effect.reorder, Feature::Reorder, effect.index) {
            at = add(at, effect.conditions.reorder_by);
            self.counts.reordered += 1;
        } else {
            *self.horizon(effect.lane) = at;
        }
        self.counts.overtaking += u64::from(at < self.latest);
        self.latest = self.latest.max(at);
        Copy { at, corruption: self.corruption(effect, packet, Feature::Corrupt, Feature::CorruptBit) }
    }

    fn second(&mut self, effect: &Effect<'_>, departure: Time, packet: &Packet<'_>) -> Copy {
        let delay = self.delay(effect, Feature::CopyJitter, Feature::CopyJitterSecond);
        let at = self.in_order(effect, add(departure, delay));
        *self.horizon(effect.lane) = at;
        self.latest = self.latest.max(at);
        Copy {
            at,
            corruption: self.corruption(effect, packet, Feature::CopyCorrupt, Feature::CopyCorruptBit),
        }
    }

    fn delay(&self, effect: &Effect<'_>, first: Feature, second: Feature) -> u64 {
        if effect.jitter == 0 {
            return effect.delay;
        }
        let draw = self.draws.draw(first, effect.index);
        let another = || self.draws.draw(second, effect.index);
        effect.conditions.jitter_shape.apply(effect.delay, effect.jitter, draw, another)
    }

    fn in_order(&mut self, effect: &Effect<'_>, at: Time) -> Time {
        match effect.conditions.order {
            Order::Keep => at.max(*self.horizon(effect.lane)),
            Order::Free => at,
        }
    }

    fn horizon(&mut self, lane: Option<usize>) -> &mut Time {
        match lane {
            Some(rule) => &mut self.rules[rule].horizon,
            None => &mut self.horizon,
        }
    }

    fn corruption(
        &self,
        effect: &Effect<'_>,
        packet: &Packet<'_>,
        whether: Feature,
        which: Feature,
    ) -> Option<Corruption> {
        if packet.payload.is_empty() || !self.yes(effect.corrupt, whether, effect.index) {
            return None;
        }
        let bits = (packet.payload.len() as u64 * 8).min(u64::from(u32::MAX));
        let bit = (u128::from(self.draws.draw(which, effect.index)) * u128::from(bits)) >> 64;
        Some(Corruption::new(bit as u32))
    }

    fn yes(&self, probability: Probability, feature: Feature, index: u64) -> bool {
        !probability.is_zero() && probability.hit(self.draws.draw(feature, index))
    }
}

impl<'a> Effect<'a> {
    fn new(conditions: &'a Conditions, rule: Option<(usize, &Rule)>, index: u64) -> Self {
        let mut effect = Self {
            conditions,
            index,
            delay: conditions.delay,
            jitter: conditions.jitter,
            duplicate: conditions.duplicate,
            reorder: conditions.reorder,
            corrupt: conditions.corrupt,
            lane: None,
        };
        if let Some((place, rule)) = rule {
            effect.delay = rule.delay.unwrap_or(effect.delay);
            effect.jitter = rule.jitter.unwrap_or(effect.jitter);
            effect.duplicate = rule.duplicate.unwrap_or(effect.duplicate);
            effect.reorder = rule.reorder.unwrap_or(effect.reorder);
            effect.corrupt = rule.corrupt.unwrap_or(effect.corrupt);
            effect.lane = rule.delays().then_some(place);
        }
        effect
    }
}

/// Room for what each rule must know, under whichever conditions of the schedule.
fn rule_states(conditions: &Conditions) -> Vec<RuleState> {
    let later = conditions.schedule.later.iter().map(|(_, later)| later.rules.len());
    let most = later.chain([conditions.rules.len()]).max().unwrap_or(0);
    alloc::vec![RuleState::default(); most]
}

fn add(time: Time, nanos: u64) -> Time {
    Time::from_nanos(time.as_nanos().saturating_add(nanos))
}

/// A difference of two points in time always fits.
fn nanos(span: Duration) -> u64 {
    span.as_nanos() as u64
}

#[cfg(test)]
mod tests;
