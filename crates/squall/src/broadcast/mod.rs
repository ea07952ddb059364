//! One datagram for many: broadcast ([RFC 919](https://www.rfc-editor.org/rfc/rfc919)) and multicast.
//!
//! [`Shout`] sends and [`Listen`] hears. Both go by all interfaces or by those that are named, where a socket
//! without further care uses the one that the default route leads to.
//!
//! ```
//! use std::time::Duration;
//! use squall::broadcast::{Kind, Listen, Shout};
//!
//! // A group on the loopback interface, so that nobody else hears of it.
//! let group = "239.255.80.80".parse()?;
//! # let lo = if squall::socket::interface_index("lo").is_ok() { "lo" } else { "lo0" };
//! let mut listener = Listen::on_port(0).group(group, None).interface(lo).open()?;
//! let mut shouter = Shout::new().interface(lo).open();
//! shouter.send((group, listener.port()).into(), b"hello")?;
//! listener.receive(Some(Duration::from_secs(5)), |heard| {
//!     assert_eq!((heard.payload, heard.kind), (b"hello".as_slice(), Kind::Multicast));
//!     std::ops::ControlFlow::Break(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ear;
mod listen;
pub(crate) mod shout;
pub(crate) mod ways;

pub use ear::{Heard, Kind, Waited};
pub use listen::{Absent, Listen, ListenError, Listener, Membership};
pub use shout::{Sent, Shout, ShoutError, Shouter};

#[cfg(test)]
mod tests;
