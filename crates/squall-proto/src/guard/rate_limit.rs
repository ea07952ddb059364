//! How often a peer, and its network, may ask.

use alloc::boxed::Box;
use alloc::vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::guard::hash;
use crate::{Refusal, Time};

/// A rate with a burst: a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time that one request takes, in nanoseconds.
    interval: u64,
    burst: u32,
}

impl Rate {
    /// `per_second` requests a second in the long run, and up to `burst` at once after a quiet time. Both
    /// from 1 to 1,000,000; other values are taken to the nearest bound.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval = 1_000_000_000 / u64::from(per_second.clamp(1, 1_000_000));
        Self { interval, burst: burst.clamp(1, 1_000_000) }
    }

    /// `count` at once, and no more than twice as many in any time as long as `period`: what is admitted
    /// and remembered for a `period` is never more than that. At least 1, at most 2³² − 1.
    pub(crate) fn per(count: usize, period: Duration) -> Self {
        let burst = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Self { interval: nanos.div_ceil(u64::from(burst)), burst }
    }

    /// Takes one request out of the bucket that is full from `full_at` on; false when it is empty.
    pub(crate) fn take(self, now: Time, full_at: &mut Time) -> bool {
        let ahead = full_at.as_nanos().saturating_sub(now.as_nanos());
        let fits = ahead <= self.tolerance();
        if fits {
            *full_at = (*full_at).max(now) + Duration::from_nanos(self.interval);
        }
        fits
    }

    /// Takes `count` requests out of the bucket whether it has them or not: those that come next pay for them.
    pub(crate) fn charge(self, now: Time, full_at: &mut Time, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        *full_at = (*full_at).max(now) + Duration::from_nanos(self.interval.saturating_mul(count));
    }

    /// How far the requests admitted may run ahead of the present.
    fn tolerance(self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst - 1))
    }
}

/// The limits of [`RateLimit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitConfig {
    peer: Rate,
    prefix: Rate,
    peers: usize,
    prefixes: usize,
    loopback: bool,
}

impl RateLimitConfig {
    /// The rate of one address, whatever its ports: default 1,000 requests a second, 2,000 at once, which
    /// a program that asks in a loop does not reach over a network and a flood passes at once.
    pub fn peer(mut self, rate: Rate) -> Self {
        self.peer = rate;
        self
    }

    /// The rate of all addresses of one IPv4 /24 or IPv6 /56 together, because who has one address of
    /// it often has them all: default 10,000 requests a second, 20,000 at once.
    pub fn prefix(mut self, rate: Rate) -> Self {
        self.prefix = rate;
        self
    }

    /// How many addresses are remembered: default 4096, from 4 to 2²⁰ (other values are taken to the
    /// nearest bound), rounded up to a power of two. Each takes 32 bytes.
    pub fn peers(mut self, peers: usize) -> Self {
        self.peers = table_size(peers);
        self
    }

    /// How many prefixes are remembered: default 1024, bounds and cost as for [`peers`](Self::peers).
    pub fn prefixes(mut self, prefixes: usize) -> Self {
        self.prefixes = table_size(prefixes);
        self
    }

    /// Whether loopback addresses are limited too: default no, since who can send from them is on this
    /// machine already.
    pub fn limit_loopback(mut self, limit: bool) -> Self {
        self.loopback = limit;
        self
    }
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            peer: Rate::new(1_000, 2_000),
            prefix: Rate::new(10_000, 20_000),
            peers: 4096,
            prefixes: 1024,
            loopback: false,
        }
    }
}

/// Token buckets for each peer and each network, in tables of fixed size.
///
/// When a table is full, the bucket that has recovered most makes room; a bucket that is forgotten
/// before it is full again gives its peer a new burst, and [`evictions`](Self::evictions) counts those.
/// A flood from forged addresses can bring that about, and then only the prefix's limit holds.
///
/// ```
/// use squall_proto::guard::{Rate, RateLimit, RateLimitConfig};
/// use squall_proto::Time;
///
/// let config = RateLimitConfig::default().peer(Rate::new(10, 2));
/// let mut limit = RateLimit::new(&config, 1);
/// let peer = "192.0.2.1:5000".parse()?;
/// assert!(limit.admit(Time::ZERO, peer).is_ok());
/// assert!(limit.admit(Time::ZERO, peer).is_ok());
/// assert!(limit.admit(Time::ZERO, peer).is_err());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct RateLimit {
    peers: Table,
    prefixes: Table,
    loopback: bool,
}

impl RateLimit {
    /// Full buckets for everybody. The seed spreads addresses over the tables and should be a number
    /// that peers cannot guess. Nothing is allocated after this.
    pub fn new(config: &RateLimitConfig, seed: u64) -> Self {
        Self {
            peers: Table::new(config.peers, config.peer, seed),
            prefixes: Table::new(config.prefixes, config.prefix, seed),
            loopback: config.loopback,
        }
    }

    /// Takes one request of `peer` out of its bucket and its network's. IPv4 addresses mapped to IPv6
    /// count as the IPv4 addresses that they are.
    ///
    /// # Errors
    /// [`Refusal::Overload`] when either is empty; then nothing is taken.
    pub fn admit(&mut self, now: Time, peer: SocketAddr) -> Result<(), Refusal> {
        let ip = peer.ip().to_canonical();
        if ip.is_loopback() && !self.loopback {
            return Ok(());
        }
        // The prefix first: addresses of a network that is over its limit shall not displace others.
        let prefix = self.prefixes.find(now, prefix_of(ip)).ok_or(OVER_PREFIX)?;
        let address = self.peers.find(now, hash::address(ip)).ok_or(OVER_PEER)?;
        self.prefixes.take(now, prefix);
        self.peers.take(now, address);
        Ok(())
    }

    /// How many buckets were forgotten before they were full again, for want of room.
    pub fn evictions(&self) -> u64 {
        self.peers.evictions + self.prefixes.evictions
    }
}

/// Buckets in sets of [`WAYS`]; the key's hash chooses the set.
#[derive(Debug)]
pub(crate) struct Table {
    buckets: Box<[Bucket]>,
    seed: u64,
    interval: u64,
    tolerance: u64,
    evictions: u64,
}

/// A token bucket as the generic cell rate algorithm keeps it: one time instead of a level and its age
/// (ITU-T I.371, virtual scheduling).
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    key: u128,
    /// When the requests admitted so far will have been paid for: the bucket is full from then on.
    full_at: Time,
}

/// Where a key's bucket is, or will be.
pub(crate) struct Place {
    index: usize,
    key: u128,
}

impl Table {
    /// `size` full buckets; a power of two, at least [`WAYS`].
    pub(crate) fn new(size: usize, rate: Rate, seed: u64) -> Self {
        Self {
            buckets: vec![Bucket::default(); size].into_boxed_slice(),
            seed,
            interval: rate.interval,
            tolerance: rate.tolerance(),
            evictions: 0,
        }
    }

    /// The place of `key`'s bucket, if a request can be taken out of it; changes nothing.
    pub(crate) fn find(&self, now: Time, key: u128) -> Option<Place> {
        let sets = self.buckets.len() / WAYS;
        let first = (hash::number(self.seed, key) as usize & (sets - 1)) * WAYS;
        let set = &self.buckets[first..first + WAYS];
        // An unused bucket has the key 0 and is full, which is right for the address 0, too.
        match set.iter().position(|bucket| bucket.key == key) {
            Some(way) => {
                let ahead = set[way].full_at.as_nanos().saturating_sub(now.as_nanos());
                (ahead <= self.tolerance).then_some(Place { index: first + way, key })
            }
            None => {
                let (way, _) = set.iter().enumerate().min_by_key(|(_, bucket)| bucket.full_at)?;
                Some(Place { index: first + way, key })
            }
        }
    }

    /// Takes a request out of the bucket at `place`, which is `key`'s from now on.
    pub(crate) fn take(&mut self, now: Time, Place { index, key }: Place) {
        let bucket = &mut self.buckets[index];
        if bucket.key != key {
            self.evictions += u64::from(bucket.full_at > now);
            *bucket = Bucket { key, full_at: now };
        }
        bucket.full_at = bucket.full_at.max(now) + Duration::from_nanos(self.interval);
    }
}

/// Buckets of one set: 4 of 32 bytes lie in two cache lines.
const WAYS: usize = 4;

const OVER_PEER: Refusal = Refusal::Overload("the peer is over its rate limit");
const OVER_PREFIX: Refusal = Refusal::Overload("the peer's network is over its rate limit");

fn table_size(wanted: usize) -> usize {
    wanted.clamp(WAYS, 1 << 20).next_power_of_two()
}

/// The network that `ip` counts to: the IPv4 /24 that is the smallest anybody routes, the IPv6 /56 that
/// a household gets ([RFC 6177](https://www.rfc-editor.org/rfc/rfc6177)).
fn prefix_of(ip: IpAddr) -> u128 {
    network(ip, 24, 56)
}

/// The IPv4 /`v4_bits` or IPv6 /`v6_bits` that `ip` is in, as a number.
pub(crate) fn network(ip: IpAddr, v4_bits: u32, v6_bits: u32) -> u128 {
    let host_bits = if ip.is_ipv4() { 32 - v4_bits } else { 128 - v6_bits };
    hash::address(ip) >> host_bits << host_bits
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn limit(config: RateLimitConfig) -> RateLimit {
        RateLimit::new(&config, 1)
    }

    /// How many of `count` requests of `peer` are admitted at `now`.
    fn admitted(limit: &mut RateLimit, now: Time, peer: &str, count: usize) -> usize {
        let peer = SocketAddr::new(peer.parse().unwrap(), 5000);
        (0..count).filter(|_| limit.admit(now, peer).is_ok()).count()
    }

    fn at(millis: u64) -> Time {
        Time::from_epoch(Duration::from_millis(millis))
    }

    #[test]
    fn a_peer_gets_its_burst_and_then_its_rate() {
        let mut limit = limit(RateLimitConfig::default().peer(Rate::new(1000, 20)));
        assert_eq!(admitted(&mut limit, at(5), "192.0.2.1", 100), 20);
        let later: usize = (6..=105).map(|now| admitted(&mut limit, at(now), "192.0.2.1", 3)).sum();
        assert_eq!(later, 100);
        assert_eq!(admitted(&mut limit, at(10_000), "192.0.2.1", 100), 20, "no more than the burst");
    }

    #[test]
    fn peers_are_limited_each_by_itself_and_ports_do_not_matter() {
        let mut limit = limit(RateLimitConfig::default().peer(Rate::new(1, 2)));
        assert_eq!(admitted(&mut limit, at(0), "192.0.2.1", 9), 2);
        assert_eq!(admitted(&mut limit, at(0), "192.0.2.2", 9), 2);
        assert!(limit.admit(at(0), "192.0.2.1:6000".parse().unwrap()).is_err());
    }

    #[test]
    fn a_network_is_limited_as_a_whole() {
        for (inside, outside) in [("192.0.2", "192.0.3.1"), ("2001:db8:0:ff:", "2001:db8:0:100::1")] {
            let mut limit = limit(RateLimitConfig::default().prefix(Rate::new(1, 5)));
            let separator = if inside.contains(':') { ':' } else { '.' };
            let hosts = (1..=9).map(|host| format!("{inside}{separator}{host}"));
            let sum: usize = hosts.map(|host| admitted(&mut limit, at(0), &host, 1)).sum();
            assert_eq!(sum, 5, "{inside}");
            assert_eq!(admitted(&mut limit, at(0), outside, 9), 5, "{outside}");
        }
    }

    #[test]
    fn a_request_that_is_refused_takes_nothing() {
        let config = RateLimitConfig::default().peer(Rate::new(1, 1)).prefix(Rate::new(1, 2));
        let mut limit = limit(config);
        assert_eq!(admitted(&mut limit, at(0), "192.0.2.1", 50), 1);
        assert_eq!(admitted(&mut limit, at(0), "192.0.2.2", 50), 1, "the network has one request left");
        assert_eq!(admitted(&mut limit, at(0), "192.0.2.3", 50), 0);
        assert_eq!(admitted(&mut limit, at(1000), "192.0.2.3", 50), 1, "the peer had all of its own left");
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_that_it_is() {
        let mut limit = limit(RateLimitConfig::default().peer(Rate::new(1, 2)));
        assert_eq!(admitted(&mut limit, at(0), "192.0.2.1", 9), 2);
        assert_eq!(admitted(&mut limit, at(0), "::ffff:192.0.2.1", 9), 0);
    }

    #[test]
    fn loopback_is_limited_only_on_request() {
        let config = RateLimitConfig::default().peer(Rate::new(1, 2));
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(admitted(&mut limit(config.clone()), at(0), peer, 9), 9, "{peer}");
            let config = config.clone().limit_loopback(true);
            assert_eq!(admitted(&mut limit(config), at(0), peer, 9), 2, "{peer}");
        }
    }

    #[test]
    fn a_full_table_forgets_the_bucket_that_has_recovered_most_and_counts_it() {
        let config = RateLimitConfig::default().peer(Rate::new(1, 10)).peers(4);
        let mut limit = limit(config);
        for (peer, requests) in [("10.0.0.1", 10), ("10.0.0.2", 1), ("10.0.0.3", 10), ("10.0.0.4", 10)] {
            admitted(&mut limit, at(0), peer, requests);
        }
        assert_eq!(limit.evictions(), 0);
        admitted(&mut limit, at(0), "10.0.0.5", 10);
        assert_eq!(limit.evictions(), 1);
        for peer in ["10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5"] {
            assert_eq!(admitted(&mut limit, at(0), peer, 1), 0, "{peer} is still remembered");
        }
        admitted(&mut limit, at(60_000), "10.0.0.6", 1);
        assert_eq!(limit.evictions(), 1, "a bucket that is full again is no loss");
    }

    #[test]
    fn time_at_its_end_upsets_nothing() {
        let mut limit = limit(RateLimitConfig::default());
        assert_eq!(admitted(&mut limit, Time::from_nanos(u64::MAX), "192.0.2.1", 9), 9);
    }
}
