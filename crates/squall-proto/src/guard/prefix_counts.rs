//! How many of something each network has.

use core::net::IpAddr;

use hashbrown::HashTable;

use super::hash;
use super::rate_limit::network;

/// Counts for each IPv4 /24 and IPv6 /56 that has any: as large as what it counts, whose bound is elsewhere.
#[derive(Debug)]
pub(crate) struct PrefixCounts {
    counts: HashTable<(u128, u32)>,
    seed: u64,
}

impl PrefixCounts {
    pub(crate) fn new(seed: u64) -> Self {
        Self { counts: HashTable::new(), seed }
    }

    /// Counts one in, if its network has fewer than `max`.
    pub(crate) fn enter(&mut self, ip: IpAddr, max: u32) -> bool {
        let (key, seed) = (prefix(ip), self.seed);
        let hash = hash::number(seed, key);
        let entry = self.counts.entry(hash, |(other, _)| *other == key, |(key, _)| hash::number(seed, *key));
        let count = &mut entry.or_insert((key, 0)).into_mut().1;
        let fits = *count < max;
        *count += u32::from(fits);
        fits
    }

    /// Counts one out.
    pub(crate) fn leave(&mut self, ip: IpAddr) {
        let key = prefix(ip);
        if let Ok(mut entry) =
            self.counts.find_entry(hash::number(self.seed, key), |(other, _)| *other == key)
        {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| u64::from(*count)).sum()
    }
}

/// The IPv4 /24 or IPv6 /56 that an address is in: who has one address of it often has them all
/// ([RFC 6177, section 2](https://www.rfc-editor.org/rfc/rfc6177#section-2)).
pub(crate) fn prefix(ip: IpAddr) -> u128 {
    network(ip.to_canonical(), 24, 56)
}
