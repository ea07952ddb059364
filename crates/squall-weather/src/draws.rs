//! Random numbers that each feature finds by itself.

use squall_time::random::mix;

/// What a number is drawn for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Feature {
    Loss,
    BurstStep,
    BurstLoss,
    Jitter,
    JitterSecond,
    CopyJitter,
    CopyJitterSecond,
    Duplicate,
    Reorder,
    Corrupt,
    CorruptBit,
    CopyCorrupt,
    CopyCorruptBit,
}

const FEATURES: usize = Feature::CopyCorruptBit as usize + 1;

/// A stream of numbers for each feature, in which each datagram has its place: the number for one
/// feature and one datagram follows from the seed, the feature and the datagram's index alone. So no
/// feature's numbers move when another one is added, nor when a datagram is dropped early.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    keys: [u64; FEATURES],
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        let mut keys = [0; FEATURES];
        for (feature, key) in keys.iter_mut().enumerate() {
            *key = mix(mix(seed.wrapping_add(GOLDEN)) ^ (feature as u64 + 1).wrapping_mul(ODD));
        }
        Self { keys }
    }

    /// The number of datagram `index` for `feature`: SplitMix64's, seeded by the feature's key, after
    /// `index` steps.
    pub(crate) fn draw(&self, feature: Feature, index: u64) -> u64 {
        mix(self.keys[feature as usize].wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN)))
    }
}

/// SplitMix64's step.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// An odd number without relation to the step; the increment of Knuth's MMIX generator.
const ODD: u64 = 6_364_136_223_846_793_005;

#[cfg(test)]
mod tests {
    use super::*;
    use squall_time::random::SplitMix64;

    #[test]
    fn each_feature_has_the_stream_of_a_generator() {
        let draws = Draws::new(42);
        let mut generator = SplitMix64::new(draws.keys[Feature::Jitter as usize]);
        for index in 0..100 {
            assert_eq!(draws.draw(Feature::Jitter, index), generator.next_u64());
        }
    }

    #[test]
    fn no_two_features_and_no_two_seeds_share_a_stream() {
        let mut keys: alloc::vec::Vec<u64> = (0..1000).flat_map(|seed| Draws::new(seed).keys).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 1000 * FEATURES);
    }
}
