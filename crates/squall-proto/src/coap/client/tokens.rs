//! Tokens that nobody can guess who is not on the path.

use crate::coap::message::Token;
use crate::random::mix;

/// Gives tokens of 8 bytes, each once: SipHash-2-4 of a count, so that who sees some cannot tell the next. They
/// protect an answer from forgers who cannot read along
/// ([RFC 7252 §5.3.1](https://www.rfc-editor.org/rfc/rfc7252#section-5.3.1)), as far as the seed is a secret.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    key: [u64; 2],
    count: u64,
}

impl Tokens {
    pub(super) fn new(seed: u64) -> Self {
        Self { key: [mix(seed), mix(!seed)], count: 0 }
    }

    pub(super) fn next(&mut self) -> Token {
        self.count += 1;
        Token::from(siphash(self.key, self.count))
    }
}

/// SipHash-2-4 of one word ([Aumasson, Bernstein](https://doi.org/10.1007/978-3-642-34931-7_28)).
fn siphash([k0, k1]: [u64; 2], word: u64) -> u64 {
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let length = 8 << 56;
    for block in [word, length] {
        state[3] ^= block;
        (0..2).for_each(|_| round(&mut state));
        state[0] ^= block;
    }
    state[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut state));
    state.into_iter().fold(0, |hash, word| hash ^ word)
}

fn round([a, b, c, d]: &mut [u64; 4]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_reference_implementation() {
        // `vectors[8]` of https://github.com/veorq/SipHash: the key is 00, 01, …, 0f, the input 00, 01, …, 07.
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(siphash(key, 0x0706_0504_0302_0100), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn tokens_follow_from_the_seed_and_do_not_repeat() {
        let mut tokens = Tokens::new(1);
        let (first, second) = (tokens.next(), tokens.next());
        assert_ne!(first, second);
        assert_eq!(Tokens::new(1).next(), first);
        assert_ne!(Tokens::new(2).next(), first);
    }
}
