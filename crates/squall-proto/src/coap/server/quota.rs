//! How much of a store one endpoint, and its network, may take.

use core::time::Duration;

use super::mac::{self, Mac};
use crate::guard::rate_limit::{Rate, Table, network};
use crate::{Origin, Time};

/// Shares of a store in which everything stays for one lifetime, kept by token buckets: a share of N
/// lets N/2 at once, and N in any lifetime, so that no more than N of it are in the store.
///
/// One endpoint (address and port) may have a sixteenth, one address an eighth, its network (the IPv4
/// /24, the IPv6 /64) a quarter and the IPv6 /48 three eighths; all endpoints together that are not validated
/// a half. Loopback and Unix peers have all: who can send from there is on this machine already.
#[derive(Debug)]
pub(super) struct Quotas {
    endpoints: Table,
    addresses: Table,
    networks: Table,
    sites: Table,
    strangers: Table,
}

/// A share is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverQuota;

impl Quotas {
    pub(super) fn new(size: usize, lifetime: Duration, seed: u64) -> Self {
        let table = |entries, share: usize| Table::new(entries, Rate::per(share / 2, lifetime), seed);
        Self {
            endpoints: table(1024, size / 16),
            addresses: table(1024, size / 8),
            networks: table(1024, size / 4),
            sites: table(1024, size * 3 / 8),
            strangers: table(4, size / 2),
        }
    }

    /// Takes one out of all shares of `origin`; out of none if one of them is used up.
    pub(super) fn admit(
        &mut self,
        now: Time,
        origin: &Origin,
        validated: bool,
        mac: &Mac,
    ) -> Result<(), OverQuota> {
        let Some(ip) = origin.peer.ip().map(|address| address.ip().to_canonical()) else { return Ok(()) };
        if ip.is_loopback() {
            return Ok(());
        }
        // The widest first: a network that has its share shall not displace others from the tables.
        let strangers = if validated { None } else { Some(self.strangers.find(now, 1).ok_or(OverQuota)?) };
        let site = self.sites.find(now, network(ip, 24, 48)).ok_or(OverQuota)?;
        let near = self.networks.find(now, network(ip, 24, 64)).ok_or(OverQuota)?;
        let address = self.addresses.find(now, network(ip, 32, 128)).ok_or(OverQuota)?;
        let key = u128::from(mac.hash(&[&mac::peer(origin)])) | 1 << 127;
        let endpoint = self.endpoints.find(now, key).ok_or(OverQuota)?;
        if let Some(strangers) = strangers {
            self.strangers.take(now, strangers);
        }
        self.sites.take(now, site);
        self.networks.take(now, near);
        self.addresses.take(now, address);
        self.endpoints.take(now, endpoint);
        Ok(())
    }
}
