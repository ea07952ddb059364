//! Why a client has no session.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use squall::UriError;

use super::{Alpn, Fingerprint, KeyChanged, PrivateFileError};

/// Why a client has no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server's name cannot be resolved, or stands for no address of the family.
    #[error(transparent)]
    Address(#[from] UriError),
    /// Nobody answered in time.
    #[error("no answer from {target} after {:.1} s; nobody may listen there, or a firewall drops UDP", elapsed.as_secs_f64())]
    NoAnswer {
        /// Who was asked.
        target: String,
        /// At which addresses.
        tried: Vec<SocketAddr>,
        /// For how long.
        elapsed: Duration,
    },
    /// The server answered, but did not end the greeting in time.
    #[error("{target} answered and then fell silent for {:.1} s", elapsed.as_secs_f64())]
    Silent {
        /// Who was asked.
        target: String,
        /// For how long it was waited in all.
        elapsed: Duration,
    },
    /// The connection broke before the greeting was over.
    #[error("the connection to {target} broke: {source}")]
    Broken {
        /// Who was asked.
        target: String,
        /// How.
        source: quinn::ConnectionError,
    },
    /// It shows another key than before.
    #[error(transparent)]
    KeyChanged(#[from] KeyChanged),
    /// It shows another key than the one that was pinned.
    #[error(
        "{target} shows the key {shown}, and {pinned} is pinned: it is another machine, or somebody stands between"
    )]
    NotPinned {
        /// Who was asked.
        target: String,
        /// The key that was pinned.
        pinned: Fingerprint,
        /// The key that it shows.
        shown: Fingerprint,
    },
    /// The known nodes cannot be read.
    #[error(transparent)]
    KnownNodes(#[from] PrivateFileError),
    /// The server has another token.
    #[error("{target} does not accept this token; give the one that it shows (--token, SQUALL_TOKEN)")]
    TokenWrong {
        /// Who was asked.
        target: String,
    },
    /// The server wants a token, and there is none here.
    #[error("{target} wants a token; give the one that it shows (--token, SQUALL_TOKEN)")]
    TokenMissing {
        /// Who was asked.
        target: String,
    },
    /// The server has no token, and one was given here.
    #[error(
        "{target} takes everybody and cannot prove the token that was given, so it may be another machine; leave the token out if it is the one you mean"
    )]
    TokenNotAsked {
        /// Who was asked.
        target: String,
    },
    /// The server does not have the token that it asked for.
    #[error(
        "{target} does not know the token itself: somebody stands between, who wants what was meant for it"
    )]
    NotProved {
        /// Who was asked.
        target: String,
    },
    /// The server does not speak the protocol.
    #[error("{target} does not speak {protocol}; it may be of another version")]
    Protocol {
        /// Who was asked.
        target: String,
        /// What was wanted.
        protocol: Alpn,
    },
    /// The server takes nobody now.
    #[error("{target} takes no connections now: it has as many as it may have, or it is stopping")]
    Refused {
        /// Who was asked.
        target: String,
    },
    /// What it says is no greeting.
    #[error("{target} answers what is no greeting: {reason}")]
    Greeting {
        /// Who was asked.
        target: String,
        /// What is wrong.
        reason: String,
    },
    /// The system says no.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl ConnectError {
    /// Whether nobody answered, or no way leads there now.
    pub fn is_no_answer(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Silent { .. } | Self::Broken { .. })
            || self.is_unreachable()
    }

    /// Whether no way leads there now, as the system says.
    pub(super) fn is_unreachable(&self) -> bool {
        use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable};
        matches!(self, Self::System { source, .. }
            if matches!(source.kind(), NetworkUnreachable | HostUnreachable | NetworkDown))
    }

    /// Whether the same may work later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Address(error) => error.is_temporary(),
            Self::Refused { .. } => true,
            _ => self.is_no_answer(),
        }
    }

    /// Whether what the caller named is wrong.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Address(error) if !error.is_temporary())
    }
}
