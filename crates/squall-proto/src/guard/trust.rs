//! Networks whose addresses are believed.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// The networks whose senders an operator believes to be where they say: their answers are not limited
/// in size, because nobody outside can forge such an address.
///
/// Loopback is always among them. A list of networks is searched from the front, so it should be short.
///
/// ```
/// use squall_proto::guard::Trust;
///
/// let trust = Trust::from_iter(["10.0.0.0/8".parse()?, "fd00::/8".parse()?]);
/// assert!(trust.validated("10.1.2.3".parse().unwrap()));
/// assert!(trust.validated("::1".parse().unwrap()));
/// assert!(!trust.validated("192.0.2.1".parse().unwrap()));
/// # Ok::<(), squall_proto::guard::NetworkError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    networks: Vec<Network>,
}

impl Trust {
    /// Loopback and nothing else.
    pub const fn new() -> Self {
        Self { networks: Vec::new() }
    }

    /// Whether the address of a datagram's sender counts as validated: it is loopback or in a trusted
    /// network. An IPv4 address mapped to IPv6 counts as the IPv4 address that it is.
    pub fn validated(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_loopback() || self.networks.iter().any(|network| network.contains(peer))
    }

    /// The trusted networks, without loopback.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }
}

impl Extend<Network> for Trust {
    fn extend<I: IntoIterator<Item = Network>>(&mut self, networks: I) {
        self.networks.extend(networks);
    }
}

impl FromIterator<Network> for Trust {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self { networks: networks.into_iter().collect() }
    }
}

/// A network: an address and how many of its bits, from the first, all members share.
///
/// Written as in [RFC 4632](https://www.rfc-editor.org/rfc/rfc4632#section-3.1) and
/// [RFC 4291 §2.3](https://www.rfc-editor.org/rfc/rfc4291#section-2.3), `10.0.0.0/8` or `fd00::/8`; an
/// address without a length is a network of one. A network of IPv4 addresses mapped to IPv6 is the IPv4 network
/// that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix_len: u8,
}

impl Network {
    /// The network of the addresses that share `address`'s first `prefix_len` bits.
    ///
    /// # Errors
    /// [`NetworkError::PrefixLength`] when the address has fewer bits, and [`NetworkError::HostBits`] when
    /// bits after the prefix are set, since nobody can tell what was meant.
    pub fn new(address: IpAddr, prefix_len: u8) -> Result<Self, NetworkError> {
        let max = bits_of(address);
        if prefix_len > max {
            return Err(NetworkError::PrefixLength { text: prefix_len.to_string(), max });
        }
        let masked = mask(address, prefix_len);
        // The prefix of mapped addresses is 96 bits long: a shorter one leaves no mapped address.
        let first = masked.to_canonical();
        let network = Self { address: first, prefix_len: prefix_len - (max - bits_of(first)) };
        if masked == address { Ok(network) } else { Err(NetworkError::HostBits { address, network }) }
    }

    /// The network's first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits all addresses of the network share: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Whether `address` belongs to the network. An IPv4 address mapped to IPv6 is taken for the IPv4
    /// address that it is, and no IPv4 address belongs to an IPv6 network.
    pub fn contains(&self, address: IpAddr) -> bool {
        mask(address.to_canonical(), self.prefix_len) == self.address
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| NetworkError::Address { text: address.to_string() })?;
        let max = bits_of(address);
        let prefix_len = match length {
            None => max,
            // `u8::from_str` would take a plus sign.
            Some(length) => Some(length)
                .filter(|length| length.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|length| length.parse().ok())
                .ok_or_else(|| NetworkError::PrefixLength { text: length.to_string(), max })?,
        };
        Self::new(address, prefix_len)
    }
}

/// Why a text, or an address and a length, is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// What stands before the slash is no IP address. Names and zones are not looked up here.
    #[error("`{text}` is not an IP address")]
    Address {
        /// What stands there.
        text: String,
    },
    /// What stands after the slash is no prefix length for this kind of address.
    #[error("`{text}` is not a prefix length from 0 to {max}")]
    PrefixLength {
        /// What stands there.
        text: String,
        /// The bits of such an address.
        max: u8,
    },
    /// The address is not the first of its network.
    #[error("{address} has bits set beyond the network's prefix; the network is {network}")]
    HostBits {
        /// The address given.
        address: IpAddr,
        /// The network that the address lies in.
        network: Network,
    },
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `address` with all bits after the first `prefix_len` cleared.
fn mask(address: IpAddr, prefix_len: u8) -> IpAddr {
    let host_bits = u32::from(bits_of(address).saturating_sub(prefix_len));
    match address {
        IpAddr::V4(ip) => {
            Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
        IpAddr::V6(ip) => {
            Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_its_first_and_last_address_and_not_their_neighbours() {
        for (text, first, last, before, after) in [
            ("10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.255", "192.0.2.127", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.6", "192.0.2.8"),
            ("fd00::/8", "fd00::", "fdff:ffff::1", "fcff::", "fe00::"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::1", "2001:db8::", "2001:db8::2"),
        ] {
            let network = network(text);
            assert!(network.contains(ip(first)) && network.contains(ip(last)), "{text}");
            assert!(!network.contains(ip(before)) && !network.contains(ip(after)), "{text}");
        }
    }

    #[test]
    fn a_prefix_of_no_bits_holds_its_whole_family_and_not_the_other() {
        assert!(network("0.0.0.0/0").contains(ip("255.255.255.255")));
        assert!(!network("0.0.0.0/0").contains(ip("2001:db8::1")));
        assert!(network("::/0").contains(ip("2001:db8::1")));
        assert!(!network("::/0").contains(ip("192.0.2.1")));
        assert!(!network("::/0").contains(ip("::ffff:192.0.2.1")));
    }

    #[test]
    fn mapped_addresses_do_not_slip_through() {
        assert_eq!(network("::ffff:10.0.0.0/104"), network("10.0.0.0/8"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1/32"));
        let trust = Trust::from_iter([network("10.0.0.0/8")]);
        assert!(trust.validated(ip("::ffff:10.1.2.3")));
        assert!(!trust.validated(ip("::ffff:192.0.2.1")));
        assert!(trust.validated(ip("::ffff:127.0.0.1")));
    }

    #[test]
    fn loopback_is_trusted_without_being_named() {
        let trust = Trust::new();
        assert!(trust.validated(ip("127.0.0.1")) && trust.validated(ip("127.9.9.9")));
        assert!(trust.validated(ip("::1")));
        assert!(!trust.validated(ip("192.0.2.1")) && !trust.validated(ip("::2")));
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        for (text, message) in [
            ("", "`` is not an IP address"),
            ("10.0.0/8", "`10.0.0` is not an IP address"),
            ("fe80::1%eth0", "`fe80::1%eth0` is not an IP address"),
            ("10.0.0.0/33", "`33` is not a prefix length from 0 to 32"),
            ("10.0.0.0/", "`` is not a prefix length from 0 to 32"),
            ("10.0.0.0/+8", "`+8` is not a prefix length from 0 to 32"),
            ("10.0.0.0/8/8", "`8/8` is not a prefix length from 0 to 32"),
            ("fd00::/129", "`129` is not a prefix length from 0 to 128"),
            ("10.0.0.1/8", "10.0.0.1 has bits set beyond the network's prefix; the network is 10.0.0.0/8"),
            (
                "::ffff:10.0.0.1/104",
                "::ffff:10.0.0.1 has bits set beyond the network's prefix; the network is 10.0.0.0/8",
            ),
            (
                "::ffff:0:0/90",
                "::ffff:0.0.0.0 has bits set beyond the network's prefix; the network is ::ffc0:0:0/90",
            ),
        ] {
            assert_eq!(text.parse::<Network>().unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn what_a_network_prints_reads_as_the_same_network(bits: u128, v4: bool, prefix_len in 0u8..=128) {
            let address: IpAddr = match v4 {
                true => Ipv4Addr::from_bits(bits as u32).into(),
                false => Ipv6Addr::from_bits(bits).into(),
            };
            let prefix_len = prefix_len.min(bits_of(address));
            let network = Network::new(mask(address, prefix_len), prefix_len).unwrap();
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
            prop_assert!(network.contains(address));
        }
    }
}
