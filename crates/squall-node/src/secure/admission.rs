//! Who may come in.

use std::net::SocketAddr;

use super::Token;

/// Who may come in.
#[derive(Clone, Debug)]
pub enum Admission {
    /// Who proves this token, and the server proves it too.
    Token(Token),
    /// Everybody on this machine: a server with this admission opens loopback addresses alone.
    Loopback,
    /// Everybody. Somebody has to have asked for it (`--open`).
    Open,
}

/// Why a server does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// It would be open to the network, and nobody asked for that.
    #[error(
        "{0} can be reached from other machines, and there is no token: give one (--token, SQUALL_TOKEN), or say that everybody may come in (--open)"
    )]
    NoToken(SocketAddr),
    /// There is a token and everybody may come in.
    #[error("a token and --open exclude each other: leave one out")]
    Both,
}

impl Admission {
    /// What a command line says: a token, or that everybody may come in, or nothing, which is enough on loopback.
    ///
    /// # Errors
    /// [`AdmissionError::Both`].
    pub fn of(token: Option<Token>, open: bool) -> Result<Self, AdmissionError> {
        match (token, open) {
            (Some(_), true) => Err(AdmissionError::Both),
            (Some(token), false) => Ok(Self::Token(token)),
            (None, true) => Ok(Self::Open),
            (None, false) => Ok(Self::Loopback),
        }
    }

    /// Whether a server may listen on `local`: off loopback no token means no service, unless somebody said so.
    ///
    /// # Errors
    /// [`AdmissionError::NoToken`].
    pub fn check(&self, local: SocketAddr) -> Result<(), AdmissionError> {
        match self {
            Self::Loopback if !local.ip().to_canonical().is_loopback() => Err(AdmissionError::NoToken(local)),
            _ => Ok(()),
        }
    }

    pub(super) fn token(&self) -> Option<&Token> {
        match self {
            Self::Token(token) => Some(token),
            Self::Loopback | Self::Open => None,
        }
    }
}
