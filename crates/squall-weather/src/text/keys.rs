//! What can be set.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::conditions::{Conditions, DEFAULT_REORDER_BY, MAX_QUEUE, MAX_RATE, MAX_SPAN, Order};
use crate::jitter::JitterShape;
use crate::probability::Probability;
use crate::text::rules;
use crate::units::{Bytes, Rate, Span, parse_bytes, parse_rate, parse_span};

/// One setting of one direction.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What a value must be, to end "it must be …".
    pub(super) allowed: &'static str,
    /// `None` when the value is not allowed.
    pub(super) set: fn(&mut Conditions, &str) -> Option<()>,
    /// The values to show; none when it is as by default.
    pub(super) show: fn(&Conditions) -> Vec<String>,
    /// Whether it may be there more than once.
    pub(super) repeats: bool,
}

const PROBABILITY: &str = "a probability from 0% to 100%, like 1.5%";
const SPAN: &str = "a time up to 1h with its unit, like 25ms";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "delay",
        allowed: SPAN,
        set: |c, text| span(&mut c.delay, text),
        show: |c| (c.delay > 0).then(|| Span(c.delay).to_string()).into_iter().collect(),
        repeats: false,
    },
    Key {
        name: "jitter",
        allowed: SPAN,
        set: |c, text| span(&mut c.jitter, text),
        show: |c| (c.jitter > 0).then(|| Span(c.jitter).to_string()).into_iter().collect(),
        repeats: false,
    },
    Key {
        name: "jitter-shape",
        allowed: "uniform, normal or pareto",
        set: |c, text| {
            c.jitter_shape = JitterShape::ALL.into_iter().find(|shape| shape.to_string() == text)?;
            Some(())
        },
        show: |c| {
            (c.jitter_shape != JitterShape::Uniform).then(|| c.jitter_shape.to_string()).into_iter().collect()
        },
        repeats: false,
    },
    Key {
        name: "order",
        allowed: "keep or free",
        set: |c, text| {
            c.order = match text {
                "keep" => Order::Keep,
                "free" => Order::Free,
                _ => return None,
            };
            Some(())
        },
        show: |c| (c.order == Order::Free).then(|| "free".into()).into_iter().collect(),
        repeats: false,
    },
    Key {
        name: "loss",
        allowed: PROBABILITY,
        set: |c, text| probability(&mut c.loss, text),
        show: |c| shown(c.loss, Probability::ZERO),
        repeats: false,
    },
    Key {
        name: "burst",
        allowed: "two probabilities, of entering and of leaving a burst, like 1%:25%",
        set: |c, text| {
            let (enter, leave) = text.split_once(':')?;
            probability(&mut c.burst_enter, enter)?;
            probability(&mut c.burst_leave, leave)
        },
        show: |c| {
            let some = !c.burst_enter.is_zero() || !c.burst_leave.is_zero();
            some.then(|| alloc::format!("{}:{}", c.burst_enter, c.burst_leave)).into_iter().collect()
        },
        repeats: false,
    },
    Key {
        name: "burst-enter",
        allowed: PROBABILITY,
        set: |c, text| probability(&mut c.burst_enter, text),
        show: |_| Vec::new(),
        repeats: false,
    },
    Key {
        name: "burst-leave",
        allowed: PROBABILITY,
        set: |c, text| probability(&mut c.burst_leave, text),
        show: |_| Vec::new(),
        repeats: false,
    },
    Key {
        name: "burst-loss",
        allowed: PROBABILITY,
        set: |c, text| probability(&mut c.burst_loss, text),
        show: |c| shown(c.burst_loss, Probability::ONE),
        repeats: false,
    },
    Key {
        name: "burst-good-loss",
        allowed: PROBABILITY,
        set: |c, text| probability(&mut c.burst_good_loss, text),
        show: |c| shown(c.burst_good_loss, Probability::ZERO),
        repeats: false,
    },
    Key {
        name: "duplicate",
        allowed: PROBABILITY,
        set: |c, text| probability(&mut c.duplicate, text),
        show: |c| shown(c.duplicate, Probability::ZERO),
        repeats: false,
    },
    Key {
        name: "reorder",
        allowed: PROBABILITY,
        set: |c, text| probability(&mut c.reorder, text),
        show: |c| shown(c.reorder, Probability::ZERO),
        repeats: false,
    },
    Key {
        name: "reorder-by",
        allowed: SPAN,
        set: |c, text| span(&mut c.reorder_by, text),
        show: |c| {
            (c.reorder_by != DEFAULT_REORDER_BY).then(|| Span(c.reorder_by).to_string()).into_iter().collect()
        },
        repeats: false,
    },
    Key {
        name: "corrupt",
        allowed: PROBABILITY,
        set: |c, text| probability(&mut c.corrupt, text),
        show: |c| shown(c.corrupt, Probability::ZERO),
        repeats: false,
    },
    Key {
        name: "rate",
        allowed: "a rate from 1bit to 1tbit a second, like 10mbit or 1MB/s",
        set: |c, text| {
            c.rate = parse_rate(text).filter(|rate| (1..=MAX_RATE).contains(rate))?;
            Some(())
        },
        show: |c| (c.rate > 0).then(|| Rate(c.rate).to_string()).into_iter().collect(),
        repeats: false,
    },
    Key {
        name: "queue",
        allowed: "a number of bytes up to 16GB, like 64KiB or 6MB",
        set: |c, text| {
            c.queue = Some(parse_bytes(text).filter(|bytes| *bytes <= MAX_QUEUE)?);
            Some(())
        },
        show: |c| c.queue.map(|bytes| Bytes(bytes).to_string()).into_iter().collect(),
        repeats: false,
    },
    Key {
        name: "mtu",
        allowed: "a number of bytes from 68 to 65535, like 1400",
        set: |c, text| {
            let bytes = parse_bytes(text).filter(|bytes| (68..=65_535).contains(bytes))?;
            c.mtu = Some(bytes as u32);
            Some(())
        },
        show: |c| c.mtu.map(|bytes| bytes.to_string()).into_iter().collect(),
        repeats: false,
    },
    Key {
        name: "mtu-icmp",
        allowed: "yes or no",
        set: |c, text| {
            c.mtu_icmp = match text {
                "yes" => true,
                "no" => false,
                _ => return None,
            };
            Some(())
        },
        show: |c| (!c.mtu_icmp).then(|| "no".into()).into_iter().collect(),
        repeats: false,
    },
    Key {
        name: "blackout",
        allowed: "one or more times up to 1h, each with its length, like 10s+2s or 10s+2s/60s+500ms",
        set: |c, text| {
            // At most as many as anybody writes by hand.
            let windows: Option<Vec<(u64, u64)>> = text.split('/').take(65).map(window).collect();
            c.blackouts.once = windows.filter(|windows| windows.len() <= 64)?;
            Some(())
        },
        show: |c| {
            let windows = c.blackouts.once.iter().map(|&window| shown_window(window));
            let all = windows.collect::<Vec<_>>().join("/");
            (!all.is_empty()).then_some(all).into_iter().collect()
        },
        repeats: false,
    },
    Key {
        name: "blackout-every",
        allowed: "a period up to 1h and a length that is shorter, like 30s+2s",
        set: |c, text| {
            c.blackouts.every = Some(window(text).filter(|&(period, length)| length < period)?);
            Some(())
        },
        show: |c| c.blackouts.every.map(shown_window).into_iter().collect(),
        repeats: false,
    },
    Key {
        name: "rule",
        allowed: rules::ALLOWED,
        set: |c, text| {
            c.rules.push(rules::parse(text).ok()?);
            Some(())
        },
        show: |c| c.rules.iter().map(rules::show).collect(),
        repeats: true,
    },
];

pub(super) fn probability(field: &mut Probability, text: &str) -> Option<()> {
    *field = text.parse().ok()?;
    Some(())
}

pub(super) fn span(field: &mut u64, text: &str) -> Option<()> {
    *field = parse_span(text).filter(|nanos| u128::from(*nanos) <= MAX_SPAN.as_nanos())?;
    Some(())
}

fn shown(value: Probability, default: Probability) -> Vec<String> {
    (value != default).then(|| value.to_string()).into_iter().collect()
}

/// A start or a period, and a length.
fn window(text: &str) -> Option<(u64, u64)> {
    let (mut start, mut length) = (0, 0);
    let (before, after) = text.split_once('+')?;
    span(&mut start, before)?;
    span(&mut length, after)?;
    Some((start, length))
}

fn shown_window((start, length): (u64, u64)) -> String {
    alloc::format!("{}+{}", Span(start), Span(length))
}
