//! Why a connection is closed.

use core::fmt;

/// Why a connection is closed: the application error code of QUIC's `CONNECTION_CLOSE`, for all protocols of the
/// secure tier. Codes from [`Parting::FIRST_OF_PROTOCOL`] on are a protocol's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parting {
    /// All is said.
    Done,
    /// The client's token is not the server's.
    TokenWrong,
    /// The server needs a token, and the client has none.
    TokenMissing,
    /// The client has a token, and the server none.
    TokenNotAsked,
    /// The server did not prove the token.
    NotProved,
    /// The first message is no greeting.
    NoGreeting,
    /// The greeting did not come in time.
    Silent,
    /// There are as many sessions as there may be.
    Full,
    /// The server ends.
    Stopping,
}

impl Parting {
    /// The first code that a protocol may use for itself.
    pub const FIRST_OF_PROTOCOL: u32 = 0x100;

    const ALL: [Self; 9] = [
        Self::Done,
        Self::TokenWrong,
        Self::TokenMissing,
        Self::TokenNotAsked,
        Self::NotProved,
        Self::NoGreeting,
        Self::Silent,
        Self::Full,
        Self::Stopping,
    ];

    /// The code on the wire.
    pub fn code(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::TokenWrong => 1,
            Self::TokenMissing => 2,
            Self::TokenNotAsked => 3,
            Self::NotProved => 4,
            Self::NoGreeting => 5,
            Self::Silent => 6,
            Self::Full => 7,
            Self::Stopping => 8,
        }
    }

    /// What a code means; `None` for those of a protocol and those that have no meaning.
    pub fn of(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|parting| u64::from(parting.code()) == code)
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::TokenWrong => "the token is wrong",
            Self::TokenMissing => "a token is needed",
            Self::TokenNotAsked => "there is no token here",
            Self::NotProved => "the token was not proved",
            Self::NoGreeting => "that is no greeting",
            Self::Silent => "the greeting did not come in time",
            Self::Full => "there are too many sessions",
            Self::Stopping => "the server ends",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_meaning() {
        for parting in Parting::ALL {
            assert_eq!(Parting::of(parting.code().into()), Some(parting));
            assert!(parting.code() < Parting::FIRST_OF_PROTOCOL);
        }
        assert_eq!(Parting::of(0x100), None);
    }
}
