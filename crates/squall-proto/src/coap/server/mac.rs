//! A keyed hash that nobody without the key can foretell.

use core::net::IpAddr;

use crate::{Origin, Peer};

/// SipHash-2-4 (Aumasson, Bernstein: [SipHash: a fast short-input PRF](https://www.aumasson.jp/siphash/siphash.pdf)).
/// Echo values and a client's tokens rest on it, and the marks of requests, with which nobody shall be able to make another's
/// request look like a repeated one.
#[derive(Clone, Debug)]
pub(in crate::coap) struct Mac {
    key: [u64; 2],
}

impl Mac {
    pub(in crate::coap) const fn new(key: u128) -> Self {
        Self { key: [key as u64, (key >> 64) as u64] }
    }

    /// The hash of the parts, one behind the other.
    pub(in crate::coap) fn hash(&self, parts: &[&[u8]]) -> u64 {
        let [low, high] = self.key;
        let mut state = State([
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ]);
        let (mut word, mut filled, mut length) = (0u64, 0u32, 0u8);
        for part in parts {
            length = length.wrapping_add(part.len() as u8);
            let mut rest = *part;
            while let Some((&byte, after)) = rest.split_first() {
                if filled == 0
                    && let Some((whole, after)) = rest.split_first_chunk()
                {
                    state.take(u64::from_le_bytes(*whole));
                    rest = after;
                    continue;
                }
                word |= u64::from(byte) << (8 * filled);
                filled += 1;
                rest = after;
                if filled == 8 {
                    state.take(word);
                    (word, filled) = (0, 0);
                }
            }
        }
        state.take(word | u64::from(length) << 56);
        state.0[2] ^= 0xff;
        (0..4).for_each(|_| state.round());
        state.0.into_iter().fold(0, |hash, word| hash ^ word)
    }
}

struct State([u64; 4]);

impl State {
    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }
}

/// A peer as bytes: its address, port and zone.
pub(in crate::coap) fn peer(origin: &Origin) -> [u8; 23] {
    let mut bytes = [0; 23];
    match origin.peer {
        Peer::Ip(address) => {
            let (ip, zone) = match address {
                core::net::SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
                core::net::SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
            };
            bytes[0] = 1;
            bytes[1..17].copy_from_slice(&ip.octets());
            bytes[17..19].copy_from_slice(&address.port().to_be_bytes());
            bytes[19..].copy_from_slice(&zone.to_be_bytes());
        }
        Peer::Conn(number) => bytes[19..].copy_from_slice(&number.to_be_bytes()),
    }
    bytes
}

/// The address that a peer sent to, as bytes; zeroes where it is not known.
pub(in crate::coap) fn local(origin: &Origin) -> [u8; 18] {
    let mut bytes = [0; 18];
    if let Some(local) = origin.local {
        let ip = match local.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        bytes[..16].copy_from_slice(&ip.octets());
        bytes[16..].copy_from_slice(&local.port().to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_hashes_are_those_of_the_reference_implementation() {
        // https://github.com/veorq/SipHash/blob/master/vectors.h: the key 00…0f, the inputs empty, 00, 00 01, ….
        let mac = Mac::new(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
        let input: Vec<u8> = (0..16).collect();
        for (length, expected) in [
            (0, 0x726f_db47_dd0e_0e31_u64),
            (1, 0x74f8_39c5_93dc_67fd),
            (7, 0xab02_00f5_8b01_d137),
            (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
        ] {
            assert_eq!(mac.hash(&[&input[..length]]), expected, "{length}");
            for cut in 0..=length {
                assert_eq!(
                    mac.hash(&[&input[..cut], &input[cut..length]]),
                    expected,
                    "{length} cut at {cut}"
                );
            }
        }
    }
}
