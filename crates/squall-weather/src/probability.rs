//! Shares of the whole, exact in decimals.

use core::fmt;
use core::str::FromStr;

use crate::units::Decimal;

/// A probability from 0 % to 100 %, in steps of a billionth, so that what people write in decimals is
/// what they get.
///
/// ```
/// use squall_weather::Probability;
///
/// let loss: Probability = "1.5%".parse()?;
/// assert_eq!(loss, "0.015".parse()?);
/// assert_eq!(loss.to_string(), "1.5%");
/// # Ok::<(), squall_weather::NotAProbability>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability {
    billionths: u32,
}

/// A text or a number that is no probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a probability is written from 0% to 100%, or as a fraction like 0.015")]
pub struct NotAProbability;

impl Probability {
    /// Never.
    pub const ZERO: Probability = Probability { billionths: 0 };
    /// Every second time, on average.
    pub const HALF: Probability = Probability { billionths: WHOLE / 2 };
    /// Always.
    pub const ONE: Probability = Probability { billionths: WHOLE };

    /// `percent` hundredths; more than 100 are 100.
    pub const fn percent(percent: u32) -> Self {
        Self { billionths: if percent > 100 { WHOLE } else { percent * (WHOLE / 100) } }
    }

    /// The probability `ratio`, rounded to a billionth.
    ///
    /// # Errors
    /// A `ratio` that is not from 0 to 1, or no number.
    pub fn from_ratio(ratio: f64) -> Result<Self, NotAProbability> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(NotAProbability);
        }
        Ok(Self { billionths: libm::round(ratio * f64::from(WHOLE)) as u32 })
    }

    /// From 0.0 to 1.0.
    pub fn ratio(self) -> f64 {
        f64::from(self.billionths) / f64::from(WHOLE)
    }

    /// Whether this is [`ZERO`](Probability::ZERO).
    pub const fn is_zero(self) -> bool {
        self.billionths == 0
    }

    /// Whether a uniform draw means yes; wrong for at most one draw in 2³⁴, and never for 0 % and 100 %.
    pub(crate) const fn hit(self, draw: u64) -> bool {
        ((draw as u128 * WHOLE as u128) >> 64) < self.billionths as u128
    }
}

impl FromStr for Probability {
    type Err = NotAProbability;

    /// `1.5%` or `0.015`. A plain `1` is refused, since some mean one percent by it.
    fn from_str(text: &str) -> Result<Self, NotAProbability> {
        let (number, places) = match text.strip_suffix('%') {
            Some(number) => (number, 7),
            None if text == "1" => return Err(NotAProbability),
            None => (text, 9),
        };
        let billionths = Decimal::parse(number).and_then(|number| number.scaled(places));
        match billionths.and_then(|billionths| u32::try_from(billionths).ok()) {
            Some(billionths) if billionths <= WHOLE => Ok(Self { billionths }),
            _ => Err(NotAProbability),
        }
    }
}

impl fmt::Display for Probability {
    /// In percent: `1.5%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Decimal::new(u64::from(self.billionths), 7).fmt(f)?;
        f.write_str("%")
    }
}

/// How many billionths 100 % are.
const WHOLE: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn what_people_write_is_exact() {
        for (text, shown) in [
            ("1%", "1%"),
            ("0.1%", "0.1%"),
            ("0.0000001%", "0.0000001%"),
            ("100%", "100%"),
            ("0", "0%"),
            ("0.5", "50%"),
            ("1.0", "100%"),
            (".5%", "0.5%"),
            ("33.3333333%", "33.3333333%"),
        ] {
            assert_eq!(text.parse::<Probability>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for text in
            ["", "%", "1", "5", "100.1%", "1.1", "-1%", "nan", "inf%", "1e-3", "0.00000001%", "1 %", "٣%"]
        {
            assert_eq!(text.parse::<Probability>(), Err(NotAProbability), "{text}");
        }
        for ratio in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Probability::from_ratio(ratio), Err(NotAProbability), "{ratio}");
        }
    }

    #[test]
    fn the_ends_are_never_and_always() {
        for draw in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert!(!Probability::ZERO.hit(draw) && Probability::ONE.hit(draw));
        }
        assert!(Probability::HALF.hit(u64::MAX / 2 - 1) && !Probability::HALF.hit(u64::MAX / 2 + 1));
        assert_eq!(Probability::from_ratio(0.5), Ok(Probability::percent(50)));
        assert_eq!(Probability::percent(101), Probability::ONE);
    }
}
