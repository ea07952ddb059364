//! One direction in operation.

use squall_time::Time;

use crate::bottleneck::Bottleneck;
use crate::conditions::{Conditions, Order};
use crate::counts::Counts;
use crate::decision::{Cause, Copies, Copy, Corruption, Decision, Packet};
use crate::draws::{Draws, Feature};

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
    began: Option<Time>,
    state: State,
}

#[derive(Clone, Debug)]
struct State {
    draws: Draws,
    index: u64,
    bad: bool,
    bottleneck: Bottleneck,
    /// The latest arrival among those that keep their order.
    horizon: Time,
    /// The latest arrival of all.
    latest: Time,
    counts: Counts,
}

impl Link {
    /// A link whose decisions follow from `seed`.
    pub fn new(conditions: &Conditions, seed: u64) -> Self {
        Self {
            conditions: conditions.clone(),
            began: None,
            state: State {
                draws: Draws::new(seed),
                index: 0,
                bad: false,
                bottleneck: Bottleneck::default(),
                horizon: Time::ZERO,
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
        self.began.get_or_insert(now);
        let decision = match self.state.decide(&self.conditions, now, packet) {
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
        self.began = Some(now);
    }

    /// What it did so far.
    pub fn counts(&self) -> &Counts {
        &self.state.counts
    }
}

impl State {
    fn decide(&mut self, conditions: &Conditions, now: Time, packet: &Packet<'_>) -> Result<Copies, Cause> {
        let index = self.index;
        self.index += 1;
        let burst = self.burst(conditions, index);
        if let Some(mtu) = conditions.mtu.map(|mtu| mtu as usize)
            && packet.size > mtu
        {
            return Err(Cause::TooBig { mtu, silent: !conditions.mtu_icmp });
        }
        if conditions.loss.hit(self.draws.draw(Feature::Loss, index)) {
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
        let first = self.first(conditions, index, departure, packet);
        let duplicated = self.yes(conditions.duplicate, Feature::Duplicate, index);
        let second = duplicated.then(|| self.second(conditions, index, departure, packet));
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

    fn first(&mut self, conditions: &Conditions, index: u64, departure: Time, packet: &Packet<'_>) -> Copy {
        let delay = self.delay(conditions, index, Feature::Jitter, Feature::JitterSecond);
        let mut at = self.in_order(conditions, add(departure, delay));
        if self.yes(conditions.reorder, Feature::Reorder, index) {
            at = add(at, conditions.reorder_by);
            self.counts.reordered += 1;
        } else {
            self.horizon = self.horizon.max(at);
        }
        self.arrive(at);
        Copy {
            at,
            corruption: self.corruption(conditions, index, packet, Feature::Corrupt, Feature::CorruptBit),
        }
    }

    fn second(&mut self, conditions: &Conditions, index: u64, departure: Time, packet: &Packet<'_>) -> Copy {
        let delay = self.delay(conditions, index, Feature::CopyJitter, Feature::CopyJitterSecond);
        let at = self.in_order(conditions, add(departure, delay));
        self.horizon = self.horizon.max(at);
        self.latest = self.latest.max(at);
        let corruption =
            self.corruption(conditions, index, packet, Feature::CopyCorrupt, Feature::CopyCorruptBit);
        Copy { at, corruption }
    }

    fn delay(&self, conditions: &Conditions, index: u64, first: Feature, second: Feature) -> u64 {
        if conditions.jitter == 0 {
            return conditions.delay;
        }
        let draw = self.draws.draw(first, index);
        let another = || self.draws.draw(second, index);
        conditions.jitter_shape.apply(conditions.delay, conditions.jitter, draw, another)
    }

    fn in_order(&self, conditions: &Conditions, at: Time) -> Time {
        match conditions.order {
            Order::Keep => at.max(self.horizon),
            Order::Free => at,
        }
    }

    fn arrive(&mut self, at: Time) {
        self.counts.overtaking += u64::from(at < self.latest);
        self.latest = self.latest.max(at);
    }

    fn corruption(
        &self,
        conditions: &Conditions,
        index: u64,
        packet: &Packet<'_>,
        whether: Feature,
        which: Feature,
    ) -> Option<Corruption> {
        if packet.payload.is_empty() || !self.yes(conditions.corrupt, whether, index) {
            return None;
        }
        let bits = (packet.payload.len() as u64 * 8).min(u64::from(u32::MAX));
        Some(Corruption::new(((u128::from(self.draws.draw(which, index)) * u128::from(bits)) >> 64) as u32))
    }

    fn yes(&self, probability: crate::Probability, feature: Feature, index: u64) -> bool {
        !probability.is_zero() && probability.hit(self.draws.draw(feature, index))
    }
}

fn add(time: Time, nanos: u64) -> Time {
    Time::from_nanos(time.as_nanos().saturating_add(nanos))
}
