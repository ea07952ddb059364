//! A keyed hash for tables of fixed size.
//!
//! Who does not know the seed cannot choose addresses or payloads that fall into one slot; who can
//! watch a server for long might find some. That costs a merged run or an early eviction, no more, and
//! does not justify a cryptographic hash for each datagram.

use core::net::IpAddr;

use crate::random::mix;
use crate::{Origin, Peer};

/// A hash of `bytes` under `seed`: two words at a time are multiplied to 128 bits, whose halves are
/// joined, as in wyhash.
pub(super) fn bytes(seed: u64, bytes: &[u8]) -> u64 {
    let key = mix(seed ^ KEY);
    let mut state = seed ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        state = fold(state ^ word(&chunk[..8]), key ^ word(&chunk[8..]));
    }
    let rest = chunks.remainder();
    let (low, high) = rest.split_at(rest.len().min(8));
    mix(fold(state ^ word(low), key ^ word(high)))
}

/// A hash of `number` under `seed`.
pub(crate) fn number(seed: u64, number: u128) -> u64 {
    mix(fold(seed ^ number as u64, mix(seed ^ KEY) ^ (number >> 64) as u64))
}

/// `ip` as a number, the same for an IPv4 address and the IPv6 address that it is mapped to.
pub(crate) fn address(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// A hash of who sent something from where to where, in 32 bits: what a table keeps beside each entry.
pub(crate) fn origin(seed: u64, origin: &Origin) -> u32 {
    let (peer, port) = match origin.peer {
        Peer::Ip(peer) => (address(peer.ip()), u64::from(peer.port())),
        Peer::Conn(number) => (u128::from(number), 1 << 32),
    };
    let (local, own_port) =
        origin.local.map_or((0, 0), |local| (address(local.ip()), u64::from(local.port())));
    let word = port << 24 | own_port << 8 | origin.transport as u64;
    let first = number(seed ^ word, peer);
    // The local address is mostly one of few, and still one that a peer can choose.
    (first ^ (first >> 32) ^ (local as u64).wrapping_mul(first | 1) >> 32) as u32
}

/// A hash of 32 bits for a table, which takes its tag from the highest bits and its slot from the lowest.
pub(crate) fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Up to 8 bytes as a number, little-endian.
fn word(bytes: &[u8]) -> u64 {
    match bytes.try_into() {
        Ok(whole) => u64::from_le_bytes(whole),
        Err(_) => bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// Any odd number with about as many ones as zeroes.
const KEY: u64 = 0xa076_1d64_78bd_642f;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn each_bit_and_the_seed_move_about_half_of_the_hash() {
        let text = vec![0x5a; 37];
        for bit in 0..text.len() * 8 {
            let mut other = text.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let moved = (bytes(1, &text) ^ bytes(1, &other)).count_ones();
            assert!((12..=52).contains(&moved), "bit {bit} moves {moved}");
        }
        assert_ne!(bytes(1, &text), bytes(2, &text));
        assert_ne!(bytes(1, b""), bytes(1, b"\0"), "the length counts");
    }

    #[test]
    fn addresses_of_one_network_fall_into_different_slots() {
        let mut slots = [0u8; 256];
        for host in 0..256u128 {
            slots[(number(7, host << 64 | 0x2001_0db8) >> 56) as usize] += 1;
        }
        assert!(slots.iter().all(|&count| count < 9), "{slots:?}");
    }
}
