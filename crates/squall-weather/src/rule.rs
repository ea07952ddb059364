//! Rules that pick their datagrams.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::conditions::nanos;
use crate::decision::Packet;
use crate::probability::Probability;

/// What happens to certain datagrams instead of what happens to all. It applies to the datagrams for which
/// all of what it picks by holds; the first rule that applies to a datagram is the only one.
///
/// Datagrams whose delay or jitter comes from a rule keep their order among themselves, and overtake others
/// or are overtaken.
///
/// ```
/// use squall_weather::{Conditions, Probability, Rule};
///
/// let rule = Rule::new().size(1200..=1500).every(3).drop();
/// let conditions = Conditions::default().rule(rule).loss(Probability::percent(1));
/// assert_eq!(squall_weather::Weather::both(conditions).to_string(), "loss=1%,rule=size:1200-1500 every:3 drop");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub(crate) size: Option<(usize, usize)>,
    pub(crate) every: Option<u64>,
    pub(crate) peer: Option<PeerMatch>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) drop: bool,
    pub(crate) loss: Option<Probability>,
    pub(crate) delay: Option<u64>,
    pub(crate) jitter: Option<u64>,
    pub(crate) duplicate: Option<Probability>,
    pub(crate) reorder: Option<Probability>,
    pub(crate) corrupt: Option<Probability>,
}

/// Peers that a rule picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerMatch {
    /// One address and port.
    One(SocketAddr),
    /// The addresses whose first bits are those of this one.
    Network(IpAddr, u8),
}

impl Rule {
    /// A rule for every datagram, that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Picks datagrams of these sizes, in bytes with headers.
    pub fn size(mut self, sizes: RangeInclusive<usize>) -> Self {
        self.size = Some((*sizes.start(), *sizes.end()));
        self
    }

    /// Picks the `n`th of the datagrams that the rest picks, and every `n`th from there on; 0 is as 1.
    pub fn every(mut self, n: u64) -> Self {
        self.every = Some(n.max(1));
        self
    }

    /// Picks the client with this address and port.
    pub fn peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(PeerMatch::One(canonical(peer)));
        self
    }

    /// Picks the clients whose addresses begin with the first `bits` bits of `address`; more than it has
    /// are all it has.
    pub fn network(mut self, address: IpAddr, bits: u8) -> Self {
        let (address, bits) = match address.to_canonical() {
            // Of IPv4 in IPv6's clothes, the first 96 bits are the clothes.
            v4 @ IpAddr::V4(_) if address.is_ipv6() && bits >= 96 => (v4, bits - 96),
            _ => (address, bits),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        self.peer = Some(PeerMatch::Network(address, bits.min(most)));
        self
    }

    /// Picks payloads that begin with `bytes`.
    pub fn prefix(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.prefix = bytes.into();
        self
    }

    /// Drops what is picked. Nothing else of the rule matters then.
    pub fn drop(mut self) -> Self {
        self.drop = true;
        self
    }

    /// The probability that what is picked is lost, instead of independent loss and bursts.
    pub fn loss(mut self, probability: Probability) -> Self {
        self.loss = Some(probability);
        self
    }

    /// The delay of what is picked.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(nanos(delay));
        self
    }

    /// The jitter of what is picked, in the shape that all have.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = Some(nanos(jitter));
        self
    }

    /// The probability that what is picked arrives twice.
    pub fn duplicate(mut self, probability: Probability) -> Self {
        self.duplicate = Some(probability);
        self
    }

    /// The probability that what is picked is held back, by as much as others are.
    pub fn reorder(mut self, probability: Probability) -> Self {
        self.reorder = Some(probability);
        self
    }

    /// The probability that what is picked has a wrong bit.
    pub fn corrupt(mut self, probability: Probability) -> Self {
        self.corrupt = Some(probability);
        self
    }

    /// Whether it picks the datagram, but for [`every`](Self::every).
    pub(crate) fn picks(&self, packet: &Packet<'_>) -> bool {
        self.size.is_none_or(|(least, most)| (least..=most).contains(&packet.size))
            && packet.payload.starts_with(&self.prefix)
            && self.peer.is_none_or(|peer| packet.peer.is_some_and(|address| peer.contains(address)))
    }

    /// Whether it gives a delay of its own.
    pub(crate) fn delays(&self) -> bool {
        self.delay.is_some() || self.jitter.is_some()
    }

    /// Whether it drops or loses what it picks, and does nothing else.
    pub(crate) fn only_loses(&self) -> bool {
        !(Rule { drop: false, loss: None, ..self.clone() }).acts()
    }

    /// Whether it does anything.
    pub(crate) fn acts(&self) -> bool {
        let probabilities = [self.loss, self.duplicate, self.reorder, self.corrupt];
        self.drop || self.delays() || probabilities.iter().any(Option::is_some)
    }
}

impl PeerMatch {
    fn contains(&self, peer: SocketAddr) -> bool {
        let peer = canonical(peer);
        match *self {
            // Scope and flow information of IPv6 do not count.
            PeerMatch::One(one) => (one.ip(), one.port()) == (peer.ip(), peer.port()),
            PeerMatch::Network(IpAddr::V4(network), bits) => match peer.ip() {
                IpAddr::V4(address) => {
                    let different = network.to_bits() ^ address.to_bits();
                    different.leading_zeros() >= u32::from(bits)
                }
                IpAddr::V6(_) => false,
            },
            PeerMatch::Network(IpAddr::V6(network), bits) => match peer.ip() {
                IpAddr::V6(address) => {
                    let different = network.to_bits() ^ address.to_bits();
                    different.leading_zeros() >= u32::from(bits)
                }
                IpAddr::V4(_) => false,
            },
        }
    }
}

/// IPv4 in IPv6's clothes is IPv4.
fn canonical(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(peer.ip().to_canonical(), peer.port())
        }
        _ => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet<'a>(size: usize, payload: &'a [u8], peer: Option<&str>) -> Packet<'a> {
        Packet { size, payload, peer: peer.map(|peer| peer.parse().unwrap()) }
    }

    #[test]
    fn a_rule_picks_by_size_prefix_and_peer_together() {
        let rule = Rule::new().size(100..=200).prefix("GET").network("10.1.0.0".parse().unwrap(), 16);
        let from = Some("10.1.9.9:1");
        assert!(rule.picks(&packet(100, b"GET /", from)) && rule.picks(&packet(200, b"GET", from)));
        for other in [
            packet(99, b"GET /", from),
            packet(201, b"GET /", from),
            packet(100, b"GE", from),
            packet(100, b"GET /", Some("10.2.0.1:1")),
            packet(100, b"GET /", Some("[::1]:1")),
            packet(100, b"GET /", None),
        ] {
            assert!(!rule.picks(&other), "{other:?}");
        }
        assert!(Rule::new().picks(&packet(0, b"", None)));
    }

    #[test]
    fn peers_are_picked_by_address_network_and_port() {
        let picks = |rule: &Rule, peer| rule.picks(&packet(1, b"", Some(peer)));
        let one = Rule::new().peer("[::ffff:10.0.0.1]:53".parse().unwrap());
        assert!(picks(&one, "10.0.0.1:53") && picks(&one, "[::ffff:10.0.0.1]:53"));
        assert!(!picks(&one, "10.0.0.1:54") && !picks(&one, "10.0.0.2:53"));
        let network = Rule::new().network("fd00::".parse().unwrap(), 8);
        assert!(picks(&network, "[fdff::1]:1") && !picks(&network, "[fe00::1]:1"));
        let all = Rule::new().network("0.0.0.0".parse().unwrap(), 0);
        assert!(picks(&all, "255.0.0.1:9") && !picks(&all, "[::1]:9"));
        let host = Rule::new().network("10.0.0.1".parse().unwrap(), 200);
        assert!(picks(&host, "10.0.0.1:9") && !picks(&host, "10.0.0.0:9"));
    }
}
