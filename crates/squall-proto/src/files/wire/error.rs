//! Why bytes are no message.

use crate::files::NameError;

/// Why bytes are nothing that a sender or receiver of files says. It is always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// They end too early.
    #[error("{what} is cut off at byte {at}")]
    Cut {
        /// What was being read.
        what: &'static str,
        /// Where they end.
        at: usize,
    },
    /// It is of a kind that does not exist.
    #[error("{what} is of kind {kind}, which does not exist")]
    Kind {
        /// What was being read.
        what: &'static str,
        /// The kind.
        kind: u8,
    },
    /// A number, a length or a flag is out of its range.
    #[error("{what} is out of range: {value}")]
    Range {
        /// What was being read.
        what: &'static str,
        /// What it was.
        value: u64,
    },
    /// More than may be.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// What is possible.
        limit: usize,
    },
    /// Something follows where nothing should.
    #[error("{extra} bytes follow {what}")]
    Extra {
        /// What was read.
        what: &'static str,
        /// Bytes behind it.
        extra: usize,
    },
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
}
