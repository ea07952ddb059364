//! How likely a repeated request is answered, computed from what a weather says and not by trying it.
//!
//! One attempt is answered with some probability, and n attempts fail with the product of the n that
//! fail. Where datagrams are lost independently this is 1 − (1 − up · down)ⁿ. Bursts make attempts depend
//! on each other: each direction is a Gilbert–Elliott chain that takes a step for each datagram, so the
//! sum goes over the states of both chains, attempt by attempt. Beginning with both chains good:
//!
//! ```text
//! unanswered[n+1](u', d') = Σ over (u, d, k)  unanswered[n](u, d) · request(u → u', k) · nothing(k, d → d')
//! ```
//!
//! where request is the probability that the chain of the way up goes to u' and k copies of the request
//! arrive whole, and nothing the probability that k answers, sent one after the other, take the chain of
//! the way down to d' and none of their copies arrives whole. It holds where an answer comes before the
//! next attempt, and where each copy of a request that arrives is answered.

use squall_sim::Weather;

/// What one direction does to a datagram, as probabilities.
#[derive(Clone, Copy, Debug, Default)]
struct Odds {
    loss: f64,
    enter: f64,
    leave: f64,
    bad_loss: f64,
    good_loss: f64,
    duplicate: f64,
    corrupt: f64,
}

/// The probability that a request which is sent up to `attempts` times is answered.
pub(crate) fn answered(weather: &Weather, attempts: u32) -> f64 {
    let (up, down) = odds(weather);
    let mut unanswered = [[0.0; 2]; 2];
    unanswered[0][0] = 1.0;
    for _ in 0..attempts {
        let mut next = [[0.0; 2]; 2];
        for (u, d) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for (u_next, request) in up.pass(u).into_iter().enumerate() {
                for (copies, share) in request.into_iter().enumerate() {
                    let states = down.nothing(copies, d);
                    for (d_next, state) in states.into_iter().enumerate() {
                        next[u_next][d_next] += unanswered[u][d] * share * state;
                    }
                }
            }
        }
        unanswered = next;
    }
    1.0 - unanswered.iter().flatten().sum::<f64>()
}

impl Odds {
    /// For a chain in state `from`, good (0) or bad (1): the probability that it goes to each state and
    /// that none, one or two copies arrive whole.
    fn pass(&self, from: usize) -> [[f64; 3]; 2] {
        let turn = if from == 0 { self.enter } else { self.leave };
        let mut to = [0, 1].map(|state| if state == from { 1.0 - turn } else { turn });
        let whole = 1.0 - self.corrupt;
        [0, 1].map(|state| {
            let burst = if state == 0 { self.good_loss } else { self.bad_loss };
            let delivered = (1.0 - self.loss) * (1.0 - burst);
            let one =
                delivered * ((1.0 - self.duplicate) * whole + self.duplicate * 2.0 * whole * self.corrupt);
            let two = delivered * self.duplicate * whole * whole;
            let share = std::mem::take(&mut to[state]);
            [share * (1.0 - one - two), share * one, share * two]
        })
    }

    /// The probability that the chain goes from `from` to each state while `count` datagrams are sent of
    /// which none arrives whole.
    fn nothing(&self, count: usize, from: usize) -> [f64; 2] {
        let mut states = [0.0; 2];
        states[from] = 1.0;
        for _ in 0..count {
            let before = std::mem::take(&mut states);
            for (state, share) in before.into_iter().enumerate() {
                for (to, [none, ..]) in self.pass(state).into_iter().enumerate() {
                    states[to] += share * none;
                }
            }
        }
        states
    }
}

/// Reads both directions' odds from the weather's text.
///
/// # Panics
/// When the weather does something that this arithmetic does not know.
fn odds(weather: &Weather) -> (Odds, Odds) {
    let (mut up, mut down) =
        (Odds { bad_loss: 1.0, ..Odds::default() }, Odds { bad_loss: 1.0, ..Odds::default() });
    let text = weather.to_string();
    for item in text.split(',').filter(|item| *item != "clear") {
        let (key, value) = item.split_once('=').unwrap_or_else(|| panic!("{item} in {text}"));
        match key.split_once('.') {
            Some(("up", key)) => up.set(key, value),
            Some(("down", key)) => down.set(key, value),
            _ => {
                up.set(key, value);
                down.set(key, value);
            }
        }
    }
    (up, down)
}

impl Odds {
    fn set(&mut self, key: &str, value: &str) {
        let percent = |value: &str| value.strip_suffix('%').unwrap().parse::<f64>().unwrap() / 100.0;
        match key {
            "loss" => self.loss = percent(value),
            "burst" => {
                let (enter, leave) = value.split_once(':').unwrap();
                (self.enter, self.leave) = (percent(enter), percent(leave));
            }
            "burst-loss" => self.bad_loss = percent(value),
            "burst-good-loss" => self.good_loss = percent(value),
            "duplicate" => self.duplicate = percent(value),
            "corrupt" => self.corrupt = percent(value),
            // These decide when a datagram arrives; few and small ones are not lost to them.
            "delay" | "jitter" | "jitter-shape" | "order" | "reorder" | "reorder-by" | "rate" | "queue" => {}
            _ => panic!("this arithmetic knows nothing of {key}={value}"),
        }
    }
}

/// Checks that of `count` trials with probability `chance` it is possible that `seen` succeed: each tail
/// beyond has a probability under one in two million by the binomial distribution, so that one check in a
/// million is a false alarm.
///
/// # Panics
/// When it is not, with the range that is.
pub(crate) fn check(what: &str, seen: u64, count: u64, chance: f64) {
    let range = possible(count, chance);
    let share = seen as f64 / count as f64;
    assert!(
        range.contains(&seen),
        "{what}: {seen} of {count} ({share}) where {chance} was computed, so from {} to {}",
        range.start(),
        range.end()
    );
}

fn possible(count: u64, chance: f64) -> std::ops::RangeInclusive<u64> {
    const TAIL: f64 = 0.5e-6;
    let (p, q) = (chance.clamp(0.0, 1.0), (1.0 - chance).clamp(0.0, 1.0));
    if p == 0.0 || q == 0.0 {
        let sure = if p == 0.0 { 0 } else { count };
        return sure..=sure;
    }
    // ln(n choose k) + k ln p + (n − k) ln q, from k = 0 on.
    let mut log = count as f64 * q.ln();
    let mut mass = Vec::with_capacity(count as usize + 1);
    for k in 0..=count {
        mass.push(log.exp());
        log += ((count - k) as f64).ln() - ((k + 1) as f64).ln() + p.ln() - q.ln();
    }
    let outside = |mass: &mut dyn Iterator<Item = &f64>| {
        let mut tail = 0.0;
        mass.take_while(|mass| {
            tail += **mass;
            tail < TAIL
        })
        .count() as u64
    };
    outside(&mut mass.iter())..=count - outside(&mut mass.iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_loss_is_the_well_known_formula() {
        let weather = |text: &str| text.parse::<Weather>().unwrap();
        let close = |text, expected: f64| {
            let computed = answered(&weather(text), 5);
            assert!((computed - expected).abs() < 1e-12, "{text}: {computed} is not {expected}");
        };
        close("clear", 1.0);
        close("up.loss=50%", 1.0 - 0.5_f64.powi(5));
        close("loss=20%", 1.0 - (1.0 - 0.8_f64 * 0.8).powi(5));
        close("corrupt=10%,delay=5ms", 1.0 - (1.0 - 0.9_f64 * 0.9).powi(5));
        // A chain that turns each time: bad, good, bad, good, bad.
        close("up.burst=100%:100%", 1.0);
        // One that is bad from the first datagram on, and leaves with each of the next four half of the time.
        close("up.burst=100%:50%", 1.0 - 0.5_f64.powi(4));
        // Of two copies either will do.
        close("up.loss=50%,down.loss=50%,down.duplicate=100%", 1.0 - 0.75_f64.powi(5));
        close("up.duplicate=100%,down.loss=50%", 1.0 - 0.25_f64.powi(5));
    }

    #[test]
    fn the_possible_range_is_that_of_the_binomial_distribution() {
        // For a fair coin thrown 10,000 times the normal distribution says 5000 ± 4.89 · 50.
        let range = possible(10_000, 0.5);
        assert!((4754..=4757).contains(range.start()) && (5243..=5246).contains(range.end()), "{range:?}");
        assert_eq!(possible(10, 1.0), 10..=10);
        // Once in a hundred million is not once in ten thousand, but twice or more is not to be excluded
        // below.
        assert_eq!(possible(10_000, 1.0 - 1e-11), 10_000..=10_000);
        assert_eq!(possible(10_000, 1.0 - 1e-8), 9_999..=10_000);
    }
}
