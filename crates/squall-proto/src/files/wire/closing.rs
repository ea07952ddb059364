//! Why a side closes the connection.

use crate::secure::Parting;

/// Why a sender or receiver closes the connection, as QUIC's application error code. Above them are those of every
/// protocol of the secure tier, [`Parting`]; 0 says that all is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It cannot go on: the other side broke the rules, or reading or writing failed.
    Broken,
    /// The same sender came again.
    Superseded,
    /// Whoever sends stopped it.
    Stopped,
}

impl Closing {
    /// The code on the wire.
    pub fn code(self) -> u32 {
        Parting::FIRST_OF_PROTOCOL
            + match self {
                Closing::Broken => 0,
                Closing::Superseded => 1,
                Closing::Stopped => 2,
            }
    }
}
