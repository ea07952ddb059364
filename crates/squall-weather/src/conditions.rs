//! What one direction does to datagrams.

use alloc::vec::Vec;
use core::time::Duration;

use crate::jitter::JitterShape;
use crate::probability::Probability;
use crate::rule::Rule;
use crate::times::{Blackouts, Schedule};

/// What one direction of a link does to datagrams. The default is clear: all arrives at once.
///
/// A datagram meets, in this order: a blackout, the MTU, a rule that drops, loss and bursts, the bottleneck
/// with its queue, delay and jitter, reordering, duplication, corruption. So what is lost does not use the bottleneck, as with
/// [tc-netem(8)](https://man7.org/linux/man-pages/man8/tc-netem.8.html).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    pub(crate) loss: Probability,
    pub(crate) burst_enter: Probability,
    pub(crate) burst_leave: Probability,
    pub(crate) burst_loss: Probability,
    pub(crate) burst_good_loss: Probability,
    /// In nanoseconds, as all times here.
    pub(crate) delay: u64,
    pub(crate) jitter: u64,
    pub(crate) jitter_shape: JitterShape,
    pub(crate) order: Order,
    pub(crate) duplicate: Probability,
    pub(crate) reorder: Probability,
    pub(crate) reorder_by: u64,
    pub(crate) corrupt: Probability,
    /// In bits per second; 0 is without limit.
    pub(crate) rate: u64,
    /// In bytes.
    pub(crate) queue: Option<u64>,
    pub(crate) mtu: Option<u32>,
    pub(crate) mtu_icmp: bool,
    pub(crate) blackouts: Blackouts,
    pub(crate) rules: Vec<Rule>,
    pub(crate) schedule: Schedule,
}

/// Whether jitter lets datagrams overtake one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// No datagram arrives before an earlier one: one that is late holds up those behind it, as a queue
    /// does. Datagrams that follow one another more closely than the jitter are then later than the
    /// distribution says.
    #[default]
    Keep,
    /// Each datagram has its own delay, and overtakes others if that is short.
    Free,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            loss: Probability::ZERO,
            burst_enter: Probability::ZERO,
            burst_leave: Probability::ZERO,
            burst_loss: Probability::ONE,
            burst_good_loss: Probability::ZERO,
            delay: 0,
            jitter: 0,
            jitter_shape: JitterShape::Uniform,
            order: Order::Keep,
            duplicate: Probability::ZERO,
            reorder: Probability::ZERO,
            reorder_by: DEFAULT_REORDER_BY,
            corrupt: Probability::ZERO,
            rate: 0,
            queue: None,
            mtu: None,
            mtu_icmp: true,
            blackouts: Blackouts::default(),
            rules: Vec::new(),
            schedule: Schedule::default(),
        }
    }
}

impl Conditions {
    /// The probability that a datagram is lost, each by itself. Default 0.
    pub fn loss(mut self, probability: Probability) -> Self {
        self.loss = probability;
        self
    }

    /// Loss in bursts: before each datagram, the link goes from good to bad with probability `enter` and
    /// from bad to good with probability `leave`; it begins good
    /// ([Gilbert 1960](https://doi.org/10.1002/j.1538-7305.1960.tb03959.x),
    /// [Elliott 1963](https://doi.org/10.1002/j.1538-7305.1963.tb00955.x)). In the long run it is bad for
    /// the share π = enter / (enter + leave) of all datagrams, and 1 / leave datagrams at a time on
    /// average. With [`burst_loss`](Self::burst_loss) h and [`burst_good_loss`](Self::burst_good_loss) k
    /// the loss is π · h + (1 − π) · k. Default: always good. A `leave` of 0 never ends a burst.
    pub fn burst(mut self, enter: Probability, leave: Probability) -> Self {
        (self.burst_enter, self.burst_leave) = (enter, leave);
        self
    }

    /// The probability that a datagram is lost while the link is bad. Default 100 %.
    pub fn burst_loss(mut self, probability: Probability) -> Self {
        self.burst_loss = probability;
        self
    }

    /// The probability that a datagram is lost while the link is good. Default 0. Counted as a burst's.
    pub fn burst_good_loss(mut self, probability: Probability) -> Self {
        self.burst_good_loss = probability;
        self
    }

    /// How long each datagram takes, up to [`MAX_SPAN`]. Default 0.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = nanos(delay);
        self
    }

    /// How much the delay varies, up to [`MAX_SPAN`]; see [`JitterShape`] for what that means. No delay is
    /// ever negative. Default 0.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = nanos(jitter);
        self
    }

    /// The jitter's distribution. Default uniform.
    pub fn jitter_shape(mut self, shape: JitterShape) -> Self {
        self.jitter_shape = shape;
        self
    }

    /// Whether jitter lets datagrams overtake one another. Default: it does not.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The probability that a datagram arrives twice. Its second copy has the same delay and a jitter of its own,
    /// and does not use the bottleneck again. Default 0.
    pub fn duplicate(mut self, probability: Probability) -> Self {
        self.duplicate = probability;
        self
    }

    /// The probability that a datagram is held back by `by` more, so that what follows within that time
    /// overtakes it. `by` is up to [`MAX_SPAN`]. Default 0; as text, `by` is 10 ms unless given.
    pub fn reorder(mut self, probability: Probability, by: Duration) -> Self {
        (self.reorder, self.reorder_by) = (probability, nanos(by));
        self
    }

    /// The probability that one bit of a copy's payload, each as likely, is wrong. Default 0.
    pub fn corrupt(mut self, probability: Probability) -> Self {
        self.corrupt = probability;
        self
    }

    /// The bottleneck's rate in bits per second, up to [`MAX_RATE`]; 0 is without limit, the default. A
    /// datagram leaves it at max(its arrival, the departure of the one before) + size / rate.
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        self.rate = bits_per_second.min(MAX_RATE);
        self
    }

    /// How many bytes may wait for the bottleneck, up to [`MAX_QUEUE`]; what does not fit is dropped. What
    /// is left of a datagram that is just being sent counts too. Default: 100 ms at the rate, at least 64 KiB.
    pub fn queue(mut self, bytes: u64) -> Self {
        self.queue = Some(bytes.min(MAX_QUEUE));
        self
    }

    /// The longest datagram that passes, in bytes with headers. Default: any.
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// Whether the sender of a longer datagram is told (ICMP's "packet too big"), or hears nothing: a black
    /// hole. Default: told.
    pub fn mtu_icmp(mut self, told: bool) -> Self {
        self.mtu_icmp = told;
        self
    }

    /// Adds a time at which the link is down and drops all that is sent: from `start` after its beginning,
    /// for `length`, both up to [`MAX_SPAN`]. What is under way then arrives. The text form has room for 64.
    /// Default: none.
    pub fn blackout(mut self, start: Duration, length: Duration) -> Self {
        self.blackouts.once.push((nanos(start), nanos(length)));
        self
    }

    /// Has the link down again and again: first at `period` after its beginning, then at each further
    /// `period`, for `length` each time, both up to [`MAX_SPAN`]. A `period` of 0 is none. Default: none.
    pub fn blackout_every(mut self, period: Duration, length: Duration) -> Self {
        self.blackouts.every = (!period.is_zero()).then_some((nanos(period), nanos(length)));
        self
    }

    /// Adds a rule for certain datagrams, behind those there are. Each costs a comparison for every
    /// datagram. The text form has room for 64. Default: none.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Has `conditions` in force from `time` after the link's beginning, until the next such time. They
    /// replace these ones as a whole; a schedule of their own does not count. Default: none.
    pub fn then(mut self, time: Duration, mut conditions: Conditions) -> Self {
        conditions.schedule = Schedule::default();
        let (time, later) = (span_nanos(time), &mut self.schedule.later);
        match later.binary_search_by_key(&time, |(time, _)| *time) {
            Ok(same) => later[same].1 = conditions,
            Err(place) => later.insert(place, (time, conditions)),
        }
        self
    }

    /// Lets all times, those of blackouts too, begin anew each `period` after the link's beginning. 0 is
    /// never, the default.
    pub fn repeat(mut self, period: Duration) -> Self {
        self.schedule.repeat = (!period.is_zero()).then_some(span_nanos(period));
        self
    }

    /// Whether this does nothing to any datagram.
    pub fn is_clear(&self) -> bool {
        *self == Self::default()
    }

    /// Whether anything depends on the time since the link's beginning.
    pub(crate) fn is_timed(&self) -> bool {
        !self.blackouts.is_empty() || !self.schedule.later.is_empty()
    }

    /// These conditions, or the later ones of the schedule of which `stage` have begun.
    pub(crate) fn at_stage(&self, stage: usize) -> &Conditions {
        match stage.checked_sub(1) {
            None => self,
            Some(later) => &self.schedule.later[later].1,
        }
    }

    pub(crate) fn queue_bytes(&self) -> u64 {
        // 100 ms are a tenth of the bits of a second, an eightieth of it in bytes.
        self.queue.unwrap_or_else(|| (self.rate / 80).clamp(MIN_DEFAULT_QUEUE, MAX_QUEUE))
    }
}

/// The longest delay, jitter and such: one hour.
pub const MAX_SPAN: Duration = Duration::from_secs(3600);
/// The highest rate: 1 Tbit/s.
pub const MAX_RATE: u64 = 1_000_000_000_000;
/// The longest queue: 16 GB.
pub const MAX_QUEUE: u64 = 16_000_000_000;

const MIN_DEFAULT_QUEUE: u64 = 64 * 1024;
pub(crate) const DEFAULT_REORDER_BY: u64 = 10_000_000;

/// For times of a schedule, which may lie as far ahead as time goes.
fn span_nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn nanos(span: Duration) -> u64 {
    span.min(MAX_SPAN).as_nanos() as u64
}
