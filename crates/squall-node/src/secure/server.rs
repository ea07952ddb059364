//! A server of the secure tier.

use std::time::Duration;

use squall::secure::Parting;
use squall::{BindError, Uri};

use super::{Admission, AdmissionError, Alpn, Buffers, Identity, Session, Transport};

/// Settings of a server.
pub struct SecureConfig {
    _identity: Identity,
    _admission: Admission,
    _transport: Transport,
    protocols: Vec<Alpn>,
    on: Vec<Uri>,
    greeting_time: Duration,
    max_half_open: usize,
    max_sessions: usize,
}

impl SecureConfig {
    /// A server with this identity. It needs an address and a protocol.
    pub fn new(identity: Identity, admission: Admission, transport: Transport) -> Self {
        Self {
            _identity: identity,
            _admission: admission,
            _transport: transport,
            protocols: vec![],
            on: vec![],
            greeting_time: Duration::from_secs(10),
            max_half_open: 512,
            max_sessions: 1024,
        }
    }

    /// Listens on this address too.
    pub fn on(mut self, uri: Uri) -> Self {
        self.on.push(uri);
        self
    }

    /// Speaks this protocol too.
    pub fn serve(mut self, protocol: Alpn) -> Self {
        self.protocols.push(protocol);
        self
    }

    /// How long a peer has from its first packet to the end of the greeting: 10 s by default.
    pub fn greeting_time(mut self, time: Duration) -> Self {
        self.greeting_time = time;
        self
    }

    /// How many connections may be in the greeting: 512 by default.
    pub fn max_half_open(mut self, max: usize) -> Self {
        self.max_half_open = max;
        self
    }

    /// How many sessions there may be: 1024 by default.
    pub fn max_sessions(mut self, max: usize) -> Self {
        self.max_sessions = max;
        self
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecureError {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Nobody said who may come in.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// QUIC could not be set up.
    #[error("cannot set up QUIC: {0}")]
    Setup(String),
}

/// What a server counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecureCounts {
    /// Sessions that were given out.
    pub admitted: u64,
    /// Peers with a wrong token.
    pub token_wrong: u64,
    /// Peers without a token, where one is needed.
    pub token_missing: u64,
}

/// A server of the secure tier.
pub struct SecureServer {}

impl SecureServer {
    /// Opens the addresses. It must be called in an asynchronous runtime.
    ///
    /// # Errors
    /// [`SecureError`].
    pub fn bind(_config: SecureConfig) -> Result<Self, SecureError> {
        todo!()
    }

    /// Where it listens, `udp://…`, with the port that the kernel chose, and what the kernel gave each socket.
    pub fn locals(&self) -> &[(Uri, Buffers)] {
        todo!()
    }

    /// The next peer that passed the greeting; `None` when the server was closed.
    pub async fn accept(&self) -> Option<Session> {
        todo!()
    }

    /// What it counted until now.
    pub fn counts(&self) -> SecureCounts {
        todo!()
    }

    /// Takes nobody any more and closes all connections.
    pub fn close(&self, _why: Parting) {
        todo!()
    }

    /// Takes nobody any more; sessions go on.
    pub fn stop_accepting(&self) {
        todo!()
    }

    /// Waits until every connection is closed and the peers were told.
    pub async fn wait_idle(&self) {
        todo!()
    }
}
