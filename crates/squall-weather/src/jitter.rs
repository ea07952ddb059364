//! How delays vary.

use core::f64::consts::TAU;
use core::fmt;

/// The distribution of the jitter that is added to the delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JitterShape {
    /// Uniform from −jitter to +jitter; standard deviation jitter/√3.
    #[default]
    Uniform,
    /// Normal with mean 0 and the jitter as its standard deviation; a delay that would be negative is 0.
    Normal,
    /// Lomax (Pareto of type II) with exponent 3, from 0 upwards: mean = jitter, standard deviation
    /// √3 · jitter, and one datagram in 1,000 more than 18 jitters late. Cut at 100 jitters, which 7.5
    /// in a million reach.
    Pareto,
}

impl JitterShape {
    /// All there are.
    pub const ALL: [JitterShape; 3] = [JitterShape::Uniform, JitterShape::Normal, JitterShape::Pareto];

    /// `delay` with jitter, in nanoseconds. `second` is called when one draw is not enough.
    pub(crate) fn apply(self, delay: u64, jitter: u64, draw: u64, second: impl FnOnce() -> u64) -> u64 {
        match self {
            JitterShape::Uniform => {
                let span = u128::from(jitter) * 2 + 1;
                let extra = ((u128::from(draw) * span) >> 64) as u64;
                delay.saturating_add(extra).saturating_sub(jitter)
            }
            JitterShape::Normal => {
                // Box and Muller's transform: https://doi.org/10.1214/aoms/1177706645
                let radius = libm::sqrt(-2.0 * libm::log(open_unit(draw)));
                let extra = radius * libm::cos(TAU * open_unit(second())) * jitter as f64;
                if extra < 0.0 {
                    delay.saturating_sub(libm::round(-extra) as u64)
                } else {
                    delay.saturating_add(libm::round(extra) as u64)
                }
            }
            JitterShape::Pareto => {
                // The inverse of F(x) = 1 − (1 + x/λ)^−3 with λ = 2 · jitter, whose mean is λ/2.
                let extra = (2.0 / libm::cbrt(open_unit(draw)) - 2.0).min(PARETO_CUT);
                delay.saturating_add(libm::round(extra * jitter as f64) as u64)
            }
        }
    }
}

impl fmt::Display for JitterShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JitterShape::Uniform => "uniform",
            JitterShape::Normal => "normal",
            JitterShape::Pareto => "pareto",
        })
    }
}

/// In jitters.
const PARETO_CUT: f64 = 100.0;

/// Above 0 and below 1, in steps of 2⁻⁵².
fn open_unit(draw: u64) -> f64 {
    ((draw >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}
