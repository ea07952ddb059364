//! `accept()` for datagrams: each peer of a datagram socket as a session of its own.
//!
//! ```
//! use squall::sessions::SessionListener;
//!
//! let listener = SessionListener::bind("udp://127.0.0.1:0")?;
//! let peer = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! peer.send_to(b"hello", listener.local_addrs()[0])?;
//!
//! let session = listener.accept()?;
//! let mut buffer = [0; 1500];
//! let count = session.recv(&mut buffer)?;
//! session.send(&buffer[..count])?;
//! # let mut answer = [0; 16];
//! # assert_eq!(peer.recv(&mut answer)?, 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A session begins with the first datagram of a peer, and ends when its peer is silent for the idle time
//! or when it is dropped; the peer's next datagram then opens another. One thread receives for all, sorts
//! by peer and never waits for a session that is not read: what does not fit its queue is dropped and
//! counted. Everything is bounded: the sessions, those that wait to be accepted, the datagrams and bytes
//! of each, and the bytes of all.
//!
//! # What strangers can do
//! Anybody can forge the sender of a datagram, so a new session proves nothing.
//! - **Amplification.** A session may send three times what came from its peer, headers counted, until the
//!   peer has shown that it receives at its address: the application asks it to send back something that it
//!   cannot know, and calls [`Session::set_validated`]. Loopback, Unix peers and
//!   [trusted networks](SessionConfig::trust) are validated from the start.
//! - **Loops.** A datagram from port 0 is refused, as nobody can be answered there, and by default one that
//!   may be another server's answer, by its port (below 1024, this listener's own, a default port of
//!   Squall's services) or its form; see [`SessionConfig::answers_anything`]. An application that sends back
//!   what it is sent takes [`guard::Repeats`](crate::guard::Repeats) besides.
//! - **Exhaustion.** Forged peers fill the table. [`SessionConfig::when_full`] chooses who is hurt: new peers,
//!   or those that were silent for longest.
//!
//! What arrives by broadcast or multicast opens no session. Nor does a Unix peer without a name, whom nobody
//! can answer.

mod config;
mod line;
mod listener;
mod receiver;
mod session;
mod stats;

pub use config::SessionConfig;
pub use listener::SessionListener;
pub use session::{Session, SessionError};
pub use squall_proto::sessions::{Overflow, TableFull};
pub use stats::SessionStats;
