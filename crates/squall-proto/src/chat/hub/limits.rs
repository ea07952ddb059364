//! How many members a network has, and how much they say.

use core::net::IpAddr;

use super::HubConfig;
use crate::guard::prefix_counts::{PrefixCounts, prefix};
use crate::guard::rate_limit::{Rate, Table};
use crate::{Origin, Time};

/// The limits of members and of networks.
#[derive(Debug)]
pub(super) struct Limits {
    member: Rate,
    prefixes: Table,
    /// How many members each network has.
    counts: PrefixCounts,
}

/// Whose rate was passed, in messages a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Member,
    Prefix,
}

impl Limits {
    pub(super) fn new(config: &HubConfig) -> Self {
        Self {
            member: config.member_rate.1,
            prefixes: Table::new(PREFIXES, config.prefix_rate.1, config.seed),
            counts: PrefixCounts::new(config.seed),
        }
    }

    /// Takes one message out of the buckets of a member and its network; none if either is empty. `paid` is the member's bucket.
    pub(super) fn admit(&mut self, now: Time, ip: IpAddr, paid: &mut Time) -> Result<(), Over> {
        let prefix = self.prefixes.find(now, prefix(ip)).ok_or(Over::Prefix)?;
        if !self.member.take(now, paid) {
            return Err(Over::Member);
        }
        self.prefixes.take(now, prefix);
        Ok(())
    }

    /// Takes a newcomer out of its network's bucket; false if it is empty.
    pub(super) fn admit_newcomer(&mut self, now: Time, ip: IpAddr) -> bool {
        self.prefixes.find(now, prefix(ip)).map(|prefix| self.prefixes.take(now, prefix)).is_some()
    }

    /// Whether a member could say something, by its bucket.
    pub(super) fn has_paid(&self, now: Time, mut paid: Time) -> bool {
        self.member.take(now, &mut paid)
    }

    /// Has a member pay for what it was not asked before.
    pub(super) fn charge(&self, now: Time, paid: &mut Time, messages: usize) {
        self.member.charge(now, paid, messages);
    }

    /// Counts a member of a network in, if it has fewer than `max`.
    pub(super) fn enter(&mut self, ip: IpAddr, max: u32) -> bool {
        self.counts.enter(ip, max)
    }

    /// Counts a member of a network out.
    pub(super) fn leave(&mut self, ip: IpAddr) {
        self.counts.leave(ip);
    }

    #[cfg(test)]
    pub(super) fn counted(&self) -> u64 {
        self.counts.total()
    }
}

impl HubConfig {
    /// The address whose network's members are counted, if they are.
    pub(super) fn counted(&self, origin: &Origin) -> Option<IpAddr> {
        let ip = origin.peer.ip()?.ip();
        // Not whether the driver calls it validated: it may validate all that may join.
        (!self.trust.validated(ip)).then_some(ip)
    }

    /// The address whose rate is limited, if it is.
    pub(super) fn rated(&self, origin: &Origin) -> Option<IpAddr> {
        let ip = origin.peer.ip()?.ip();
        (self.limit_loopback || !ip.to_canonical().is_loopback()).then_some(ip)
    }
}

/// Networks whose rates are remembered; 32 bytes each.
const PREFIXES: usize = 4096;
