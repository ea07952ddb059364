//! The first message of either side.

/// How long a proof is, in bytes: an HMAC-SHA256.
pub const PROOF: usize = 32;

/// The first message of either side: whether it has a token, and the proof that it does. The client speaks first.
///
/// | byte | meaning |
/// | --- | --- |
/// | 0 | 0: no token; 1: a token |
/// | 1 to 32 | the proof; zero without a token |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The side has no token.
    Open,
    /// The side has a token, and this proves it.
    Proof([u8; PROOF]),
}

/// Why bytes are no greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GreetingError {
    /// The first byte has no meaning.
    #[error("byte 0 of a greeting is {0}, where 0 (no token) or 1 (a token) must be")]
    Kind(u8),
    /// There are bytes where nothing must be.
    #[error("byte {at} of a greeting without a token is {found}, where 0 must be")]
    NotZero {
        /// Where.
        at: usize,
        /// What is there.
        found: u8,
    },
}

impl Greeting {
    /// How long a greeting is, in bytes.
    pub const LEN: usize = 1 + PROOF;

    /// The message.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        if let Self::Proof(proof) = self {
            bytes[0] = 1;
            bytes[1..].copy_from_slice(proof);
        }
        bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`GreetingError`], which says where and why.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, GreetingError> {
        let [kind, proof @ ..] = *bytes;
        match kind {
            0 => match proof.iter().position(|&byte| byte != 0) {
                None => Ok(Self::Open),
                Some(at) => Err(GreetingError::NotZero { at: at + 1, found: proof[at] }),
            },
            1 => Ok(Self::Proof(proof)),
            other => Err(GreetingError::Kind(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_reads_as_it_was_written() {
        for greeting in [Greeting::Open, Greeting::Proof([7; PROOF]), Greeting::Proof([0; PROOF])] {
            assert_eq!(Greeting::decode(&greeting.encode()), Ok(greeting));
        }
    }

    #[test]
    fn what_is_no_greeting_is_told_with_its_place() {
        let mut bytes = Greeting::Open.encode();
        bytes[32] = 9;
        assert_eq!(Greeting::decode(&bytes), Err(GreetingError::NotZero { at: 32, found: 9 }));
        bytes[0] = 2;
        assert_eq!(Greeting::decode(&bytes), Err(GreetingError::Kind(2)));
    }
}
