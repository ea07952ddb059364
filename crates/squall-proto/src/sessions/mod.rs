//! Datagrams sorted by peer: who has a session, for how long, and what waits in it.
//!
//! - [`Table`]: the peers that have a session, their idle time, and what happens when there are too many.
//! - [`Inbox`]: the datagrams of one session that were not read yet.
//! - [`Allowance`]: how much may be sent to a peer that could be anybody.

mod allowance;
mod inbox;
mod table;

pub use allowance::Allowance;
pub use inbox::{Inbox, Overflow};
pub use table::{Arrival, Cause, Ended, SessionId, Table, TableConfig, TableFull};
