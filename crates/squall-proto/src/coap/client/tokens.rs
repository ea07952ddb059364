//! Tokens that nobody can guess who is not on the path.

use crate::coap::message::Token;
use crate::coap::server::mac::Mac;
use crate::random::mix;

/// Gives tokens of 8 bytes, each once: a keyed hash of a count, so that who sees some cannot tell the next. They
/// protect an answer from forgers who cannot read along
/// ([RFC 7252 §5.3.1](https://www.rfc-editor.org/rfc/rfc7252#section-5.3.1)), as far as the seed is a secret.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    mac: Mac,
    count: u64,
}

impl Tokens {
    pub(super) fn new(seed: u64) -> Self {
        let key = u128::from(mix(seed)) << 64 | u128::from(mix(!seed));
        Self { mac: Mac::new(key), count: 0 }
    }

    /// A seed for what others get to see, from which nothing follows for the tokens.
    pub(super) fn other_seed(&self) -> u64 {
        self.mac.hash(&[b"jitter, message IDs and tags"])
    }

    pub(super) fn next(&mut self) -> Token {
        self.count += 1;
        Token::from(self.mac.hash(&[&self.count.to_le_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_follow_from_the_seed_and_do_not_repeat() {
        let mut tokens = Tokens::new(1);
        let (first, second) = (tokens.next(), tokens.next());
        assert_ne!(first, second);
        assert_eq!(Tokens::new(1).next(), first);
        assert_ne!(Tokens::new(2).next(), first);
    }
}
