//! One peer of a session listener.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_socket::Address;

use super::line::{End, Line};
use super::listener::Shared;

/// One peer of a [`SessionListener`](super::SessionListener). It can be used by many threads at once.
///
/// Dropping it ends the session: what its peer sends next opens another.
pub struct Session {
    shared: Arc<Shared>,
    line: Arc<Line>,
}

/// Why a session could not be accepted, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer sent nothing for the idle time, and the session has ended.
    #[error("the session with {peer} ended: nothing came for {idle:?}")]
    Idle {
        /// The peer.
        peer: String,
        /// The idle time.
        idle: Duration,
    },
    /// A new peer took the place of the session, which had been silent for longest.
    #[error("the session with {peer} ended to make room for another")]
    Evicted {
        /// The peer.
        peer: String,
    },
    /// The listener was dropped.
    #[error("the session with {peer} ended with its listener")]
    Stopped {
        /// The peer.
        peer: String,
    },
    /// The listener cannot receive any more, and all its sessions have ended.
    #[error("cannot wait for datagrams: {0}")]
    Receive(#[source] io::Error),
    /// The next datagram is longer than the buffer. It is still there for a longer one.
    #[error("a datagram of {needed} bytes does not fit a buffer of {given}")]
    BufferTooSmall {
        /// The datagram's length, in bytes.
        needed: usize,
        /// The buffer's length, in bytes.
        given: usize,
    },
    /// The peer is not validated and was sent three times what came from it.
    #[error("{peer} is not validated and was sent three times what came from it")]
    Amplification {
        /// The peer.
        peer: String,
    },
    /// The datagram is longer than the transport carries.
    #[error("{len} bytes do not fit a datagram of {} bytes at most", squall_proto::MAX_DATAGRAM)]
    TooLong {
        /// The datagram's length, in bytes.
        len: usize,
    },
    /// The kernel did not take the datagram.
    #[error("cannot send to {peer}: {source}")]
    Send {
        /// The peer.
        peer: String,
        /// The system's reason; `WouldBlock` when the send buffer, or the queue of a Unix peer, stayed full.
        source: io::Error,
    },
}

impl SessionError {
    /// Whether the session has ended, so that it will never bring or take another datagram.
    pub fn is_end(&self) -> bool {
        use SessionError::{Evicted, Idle, Receive, Stopped};
        matches!(self, Idle { .. } | Evicted { .. } | Stopped { .. } | Receive(_))
    }

    pub(super) fn of(end: End, peer: Address) -> Self {
        let peer = peer.to_string();
        match end {
            End::Idle(idle) => SessionError::Idle { peer, idle },
            End::Evicted => SessionError::Evicted { peer },
            End::Stopped => SessionError::Stopped { peer },
            End::Failed(errno) => SessionError::Receive(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, line: Arc<Line>) -> Self {
        Self { shared, line }
    }

    /// Who it is with.
    pub fn peer(&self) -> Address {
        self.line.peer
    }

    /// The address that the peer sent to, which what is sent leaves from, on a wildcard socket too.
    pub fn local(&self) -> Address {
        self.line.local
    }

    /// Waits for the peer's next datagram and puts it into `buffer`; returns its length. An empty datagram
    /// has none. 65,535 bytes hold any.
    ///
    /// # Errors
    /// [`SessionError::BufferTooSmall`], with the datagram kept; why the session has ended, when all that
    /// came before was read.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize, SessionError> {
        Ok(self.line.take(buffer, None)?.unwrap_or_default())
    }

    /// As [`recv`](Self::recv), for `timeout` at most; `None` when nothing came.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<Option<usize>, SessionError> {
        self.line.take(buffer, Instant::now().checked_add(timeout))
    }

    /// As [`recv`](Self::recv), without waiting; `None` when nothing is there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<Option<usize>, SessionError> {
        self.recv_timeout(buffer, Duration::ZERO)
    }

    /// Sends one datagram to the peer, without waiting for more than a moment (8 ms) while the send buffer
    /// is full.
    ///
    /// # Errors
    /// [`SessionError::Amplification`] for a peer that is not [validated](Self::set_validated),
    /// [`SessionError::TooLong`], [`SessionError::Send`]; why the session has ended.
    pub fn send(&self, payload: &[u8]) -> Result<(), SessionError> {
        self.line.send(payload)
    }

    /// Whether the peer has shown that it is where it says. Until then it is sent three times what came
    /// from it at most.
    pub fn is_validated(&self) -> bool {
        self.line.is_validated()
    }

    /// Says that the peer has shown that it receives what is sent to its address: for instance by
    /// returning a number that was drawn for it.
    pub fn set_validated(&self) {
        self.line.validate();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.close(self.line.id);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("peer", &self.line.peer)
            .field("local", &self.line.local)
            .finish_non_exhaustive()
    }
}
