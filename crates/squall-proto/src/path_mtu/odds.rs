//! How likely it is that losses are only losses.

/// What became of probes of sizes that are known to pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Odds {
    answered: u32,
    lost: u32,
}

impl Odds {
    pub(super) fn answered(&mut self) {
        self.answered = self.answered.saturating_add(1);
    }

    pub(super) fn lost(&mut self, count: u32) {
        self.lost = self.lost.saturating_add(count);
    }

    pub(super) fn has_losses(&self) -> bool {
        self.lost > 0
    }

    /// The probability that `count` probes in a row of a size that passes are all lost, given how those
    /// before fared: the mean of pᶜᵒᵘⁿᵗ over the loss rates p that fit them (a beta distribution, from a
    /// uniform one to begin with). So few probes that were all answered do not prove that nothing is lost.
    pub(super) fn all_lost(&self, count: u32) -> f64 {
        let (lost, all) = (f64::from(self.lost), f64::from(self.lost) + f64::from(self.answered));
        (0..count).map(|n| (lost + 1.0 + f64::from(n)) / (all + 2.0 + f64::from(n))).product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odds(answered: u32, lost: u32) -> Odds {
        Odds { answered, lost }
    }

    #[test]
    fn without_knowledge_one_loss_is_as_likely_as_none() {
        assert!((odds(0, 0).all_lost(1) - 0.5).abs() < 1e-12);
        assert!((odds(7, 3).all_lost(0) - 1.0).abs() < 1e-12);
        // The rule of succession: (3 + 1) / (10 + 2).
        assert!((odds(7, 3).all_lost(1) - 4.0 / 12.0).abs() < 1e-12);
    }

    #[test]
    fn the_more_was_answered_the_fewer_losses_convince() {
        let enough = |odds: Odds| (1..).find(|n| odds.all_lost(*n) <= 1e-4).unwrap();
        assert!(enough(odds(5, 0)) > enough(odds(20, 0)));
        assert!(enough(odds(10, 10)) > enough(odds(20, 0)));
        assert_eq!(enough(odds(10, 0)), 6, "1·2·3·4·5·6 / 12·13·14·15·16·17 is 5.4e-5");
    }
}
