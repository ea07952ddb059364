//! A small generator of numbers that look random and follow from a seed.

/// SplitMix64: 64 bits of state, 64 bits a step, every seed as good as another (Steele, Lea, Flood:
/// [Fast splittable pseudorandom number generators](https://doi.org/10.1145/2714064.2660195)).
///
/// For jitter, weather and tests, where the same seed must give the same run. Not for secrets: whoever
/// sees one output knows all that follow.
///
/// ```
/// use squall_time::random::SplitMix64;
///
/// let (mut one, mut other) = (SplitMix64::new(7), SplitMix64::new(7));
/// assert_eq!(one.next_u64(), other.next_u64());
/// assert!(one.below(6) < 6);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator whose numbers follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, uniform over all of `u64`.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// The next number from 0 to `bound` − 1; 0 when `bound` is 0. Some numbers come up more often than
    /// others by at most `bound` in 2⁶⁴, which nothing here can notice.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// The next number from 0 up to, and not including, 1, in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// SplitMix64's output function, for hashes that need no secrecy: a permutation in which each bit of the input moves half of the output's.
pub const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// 2⁶⁴ divided by the golden ratio, made odd: the step between SplitMix64's states.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference_implementation() {
        // https://prng.di.unimi.it/splitmix64.c with the seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected.map(|_| random.next_u64()), expected);
    }

    #[test]
    fn bounded_numbers_stay_in_bounds_and_reach_both_ends() {
        let mut random = SplitMix64::new(1);
        let mut seen = [0u32; 3];
        for _ in 0..3000 {
            seen[random.below(3) as usize] += 1;
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert!(seen.iter().all(|&count| (900..1100).contains(&count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }
}
