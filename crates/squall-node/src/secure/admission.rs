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

    /// The token that a peer has to prove.
    pub fn token(&self) -> Option<&Token> {
        match self {
            Self::Token(token) => Some(token),
            Self::Loopback | Self::Open => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_loopback_alone_is_served_unless_somebody_says_so() {
        let check = |admission: &Admission, local: &str| admission.check(local.parse().unwrap());
        let token = || Some(Token::generate().unwrap());
        let silent = Admission::of(None, false).unwrap();
        for local in ["127.0.0.1:4433", "127.9.9.9:1", "[::1]:4433", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(&silent, local), Ok(()), "{local}");
        }
        for local in ["0.0.0.0:4433", "[::]:4433", "192.168.1.1:4433", "[fe80::1]:4433"] {
            let told = check(&silent, local).unwrap_err().to_string();
            assert!(told.starts_with(local) && told.contains("--token") && told.contains("--open"), "{told}");
            assert_eq!(check(&Admission::of(token(), false).unwrap(), local), Ok(()));
            assert_eq!(check(&Admission::of(None, true).unwrap(), local), Ok(()));
        }
        assert_eq!(Admission::of(token(), true).unwrap_err(), AdmissionError::Both);
    }
}
