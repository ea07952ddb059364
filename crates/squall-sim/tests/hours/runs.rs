//! How often so many heartbeats in a row are lost, computed from what a weather says and not by trying it.
//!
//! A weather's losses follow from a hidden state, good or bad, that takes a step for each datagram. What is
//! summed is the probability of each state together with the length of the run of losses that it is in, from
//! heartbeat to heartbeat. Runs before the first heartbeat that arrives are none, since nobody is a member
//! then.

/// A Gilbert–Elliott chain that begins good, with losses of its own in either state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub(crate) enter: f64,
    pub(crate) leave: f64,
    pub(crate) good_loss: f64,
    pub(crate) bad_loss: f64,
}

impl Chain {
    /// Independent losses.
    pub(crate) fn independent(loss: f64) -> Self {
        Self { enter: 0.0, leave: 1.0, good_loss: loss, bad_loss: loss }
    }

    /// Bursts in which everything is lost.
    pub(crate) fn bursts(enter: f64, leave: f64) -> Self {
        Self { enter, leave, good_loss: 0.0, bad_loss: 1.0 }
    }

    /// How many runs of at least 1, 2, … `longest` losses are expected among `count` heartbeats of one
    /// member.
    pub(crate) fn runs(&self, count: u32, longest: usize) -> Vec<f64> {
        let mut runs = vec![0.0; longest];
        // By state, not yet heard; and by state and losses since it was heard, as many as `longest` at most.
        let mut unheard = [1.0, 0.0];
        let mut silent = vec![[0.0; 2]; longest + 1];
        for _ in 0..count {
            let mut next = vec![[0.0; 2]; longest + 1];
            let mut next_unheard = [0.0; 2];
            for from in 0..2 {
                for to in 0..2 {
                    let turn = if from == 0 { self.enter } else { self.leave };
                    let step = if from == to { 1.0 - turn } else { turn };
                    let loss = if to == 0 { self.good_loss } else { self.bad_loss };
                    next_unheard[to] += unheard[from] * step * loss;
                    next[0][to] += unheard[from] * step * (1.0 - loss);
                    for length in 0..=longest {
                        let here = silent[length][from] * step;
                        next[0][to] += here * (1.0 - loss);
                        next[(length + 1).min(longest)][to] += here * loss;
                        if length < longest {
                            runs[length] += here * loss;
                        }
                    }
                }
            }
            (silent, unheard) = (next, next_unheard);
        }
        runs
    }
}

/// The most events that a Poisson distribution with this mean has in 999 of 1000 cases.
pub(crate) fn poisson_bound(mean: f64) -> u64 {
    let (mut log, mut below, mut count) = (-mean, 0.0, 0u64);
    loop {
        below += f64::exp(log);
        if below >= 0.999 {
            return count;
        }
        count += 1;
        log += mean.ln() - (count as f64).ln();
    }
}
