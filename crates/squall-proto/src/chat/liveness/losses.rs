//! What was lost of a member's heartbeats, and how long a silence that explains.

/// How often a heartbeat was lost: one that follows a heartbeat that came, one that follows a single lost
/// one, one that follows several.
///
/// Three shares tell independent losses (all are alike) from bursts (the later ones are larger), and either
/// from a mixture of the two, which two shares would take for something between.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    shares: [Share; 3],
    /// The first of the shares over the last 16 heartbeats or so, in 65,535ths.
    lately: u16,
}

/// What all members of a hub lost together, which is what is expected of one of whom nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    /// All, and those of them that were lost.
    shares: [(f64, f64); 3],
    /// The first of the shares over the last [`POOL_LATELY`] heartbeats or so.
    lately: f32,
}

/// Sixteenths of a heartbeat, so that halving keeps what matters.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: u16,
    lost: u16,
}

impl Losses {
    /// A heartbeat came and `lost` before it did not.
    pub(super) fn count(&mut self, lost: u16) {
        let lost = lost.min(MOST_LOST);
        self.shares[0].add(lost.min(1), 1);
        if lost > 0 {
            self.shares[1].add(u16::from(lost > 1), 1);
        }
        if lost > 1 {
            self.shares[2].add(lost - 2, lost - 1);
        }
        if self.shares.iter().any(|share| share.all > MEMORY * UNIT) {
            // All at once: what is known of bursts is as old as what is known of loss.
            for share in &mut self.shares {
                (share.all, share.lost) = (share.all / 2, share.lost / 2);
            }
        }
        let target = if lost > 0 { u16::MAX } else { 0 };
        self.lately = (i32::from(self.lately) + (i32::from(target) - i32::from(self.lately)) / 16) as u16;
    }

    /// Heartbeats that were counted, as far as is remembered.
    pub(super) fn counted(&self) -> f32 {
        self.shares[0].of_all()
    }

    /// The share that was lost, as far as is remembered.
    pub(super) fn share(&self) -> f32 {
        let all: f32 = self.shares.iter().map(Share::of_all).sum();
        let lost: f32 = self.shares.iter().map(Share::of_lost).sum();
        if all > 0.0 { lost / all } else { 0.0 }
    }

    /// After how many missing heartbeats a live member has been silent for so long with a probability of at
    /// most `allowed` for each heartbeat that came: at least two, and `most` at most.
    ///
    /// The probability is the mean over all weathers that could have shown what was seen (for shares with a
    /// beta distribution, so that a run of losses has Pólya's probability, with a longer tail than if the
    /// shares were known), since over many members it is the mean that counts. `own` is the weight that this
    /// member's heartbeats had in the pool.
    pub(super) fn explains(&self, pool: &Pool, own: f32, allowed: f32, most: u32) -> u32 {
        let mut silent = self.first(pool, own);
        let [_, after_one, after_more] = &self.shares;
        let again = pool.mean(1, AGAIN);
        silent *= after_one.mean(again, AGAIN.1);
        let mut missing = 2;
        let prior = pool.mean(2, MORE);
        let mut lost = after_more.of_lost() + prior * MORE.1;
        let mut all = after_more.of_all() + MORE.1;
        while silent > allowed && missing < most {
            silent *= lost / all;
            lost += 1.0;
            all += 1.0;
            missing += 1;
        }
        if silent > allowed { most } else { missing }
    }

    /// The expected share of the heartbeats after one that came that are lost.
    fn first(&self, pool: &Pool, own: f32) -> f32 {
        let share = &self.shares[0];
        let others = pool.without(share, own);
        let expected = share.mean(others, FIRST.1);
        // However long it was clear for this member, it can become as bad as it becomes for others; unless it
        // is known of this member alone that it does not.
        let onset = share.mean(FIRST.0, FIRST.1).min(others);
        // Two in a short time say that the weather has changed.
        let lately = f32::from(self.lately) / 65_535.0 - LATELY;
        expected.max(onset).max(lately).max(pool.storm())
    }
}

impl Pool {
    /// A heartbeat of a member came, and `lost` before it did not.
    pub(super) fn count(&mut self, lost: u16, weight: f32) {
        self.lately += (f32::from(lost.min(1)) - self.lately) * weight / POOL_LATELY;
        let weight = f64::from(weight);
        let mut add = |index: usize, lost: u16, all: u16| {
            self.shares[index].0 += f64::from(all) * weight;
            self.shares[index].1 += f64::from(lost) * weight;
        };
        add(0, lost.min(1), 1);
        if lost > 0 {
            add(1, u16::from(lost > 1), 1);
        }
        if lost > 1 {
            add(2, lost - 2, lost - 1);
        }
        if self.shares[0].0 > POOL_MEMORY {
            for (all, lost) in &mut self.shares {
                (*all, *lost) = (*all / 2.0, *lost / 2.0);
            }
        }
    }

    /// Whether it was seen, and not only assumed, that heartbeats are lost.
    pub(super) fn is_lossy(&self) -> bool {
        let (all, lost) = self.shares[0];
        all >= LOSSY_COUNT && lost >= LOSSY * all
    }

    /// The share that all lose lately, if it is far more than they did, so that members are not yet known
    /// to lose as much.
    fn storm(&self) -> f32 {
        let usual = self.mean(0, FIRST);
        // Three standard deviations of a mean of so many, and more than two that are lost by chance.
        let chance = 3.0 * libm::sqrtf(usual / (2.0 * POOL_LATELY)) + 2.5 / POOL_LATELY;
        if self.lately > 3.0 * usual + chance { self.lately } else { 0.0 }
    }

    fn mean(&self, index: usize, (mean, weight): (f32, f32)) -> f32 {
        let (all, lost) = self.shares[index];
        (lost as f32 + mean * weight) / (all as f32 + weight)
    }

    /// The first share of all others than the member with `share`.
    fn without(&self, share: &Share, weight: f32) -> f32 {
        let (all, lost) = self.shares[0];
        let all = (all as f32 - share.of_all() * weight).max(0.0);
        let lost = (lost as f32 - share.of_lost() * weight).clamp(0.0, all);
        (lost + FIRST.0 * FIRST.1) / (all + FIRST.1)
    }
}

impl Share {
    fn add(&mut self, lost: u16, all: u16) {
        self.lost += lost * UNIT;
        self.all += all * UNIT;
    }

    fn of_all(&self) -> f32 {
        f32::from(self.all) / f32::from(UNIT)
    }

    fn of_lost(&self) -> f32 {
        f32::from(self.lost) / f32::from(UNIT)
    }

    /// The share with `weight` heartbeats added of which the share `mean` was lost.
    fn mean(&self, mean: f32, weight: f32) -> f32 {
        (self.of_lost() + mean * weight) / (self.of_all() + weight)
    }
}

/// More missing heartbeats than this say no more.
const MOST_LOST: u16 = 60;
const UNIT: u16 = 16;
/// Heartbeats that a member is remembered by, half of them at least.
const MEMORY: u16 = 2000;
const POOL_MEMORY: f64 = 4.0e6;
const POOL_LATELY: f32 = 128.0;
/// How many heartbeats must have been seen, and which share of them lost.
const LOSSY_COUNT: f64 = 200.0;
const LOSSY: f64 = 0.01;
/// What is taken for each share before it is known, and how many heartbeats that is worth.
const FIRST: (f32, f32) = (0.02, 10.0);
const AGAIN: (f32, f32) = (0.15, 10.0);
const MORE: (f32, f32) = (0.25, 10.0);
/// What one lost heartbeat makes of `lately`, and a little more.
const LATELY: f32 = 1.1 / 16.0;
