//! What several rounds gave.

use serde::Serialize;

/// The middle of the rounds, and how far they lie apart.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Of no values, NaN, which is `null` in JSON.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let middle = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let count = values.len();
        let median = (middle(count.saturating_sub(1) / 2) + middle(count / 2)) / 2.0;
        Self { median, lowest: middle(0), highest: middle(count.saturating_sub(1)) }
    }
}
