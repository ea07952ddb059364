//! What reads as a network prints as the same network, and holds what it should.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use squall_proto::guard::{Network, NetworkError, Trust};

fuzz_target!(|bytes: &[u8]| {
    if let Some(network) = str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()) {
        check(network);
    }
    match bytes {
        [a, b, c, d, prefix_len] => construct([*a, *b, *c, *d].into(), *prefix_len),
        [address @ .., prefix_len] => {
            if let Ok(address) = <[u8; 16]>::try_from(address) {
                construct(address.into(), *prefix_len);
            }
        }
        [] => {}
    }
});

fn construct(address: IpAddr, prefix_len: u8) {
    match Network::new(address, prefix_len) {
        Ok(network) | Err(NetworkError::HostBits { network, .. }) => {
            check(network);
            // No IPv4 address belongs to an IPv6 network, not even a mapped one with a short prefix.
            let across = address.to_canonical().is_ipv4() && network.address().is_ipv6();
            assert!(network.contains(address) != across, "{address} in {network}");
        }
        Err(error) => assert!(prefix_len > 32, "{address}/{prefix_len}: {error}"),
    }
}

fn check(network: Network) {
    assert_eq!(network.to_string().parse(), Ok(network), "{network}");
    assert!(network.contains(network.address()), "{network}");
    let trust = Trust::from_iter([network]);
    assert!(trust.validated(network.address()), "{network}");
    if let IpAddr::V4(address) = network.address() {
        assert!(trust.validated(address.to_ipv6_mapped().into()), "{network}");
    }
}
