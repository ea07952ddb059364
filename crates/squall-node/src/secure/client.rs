//! A client of the secure tier.

use std::time::Duration;

use super::{Alpn, Buffers, ConnectError, Introduced, Session, Target, Token, Transport, Trust};

/// Connects to servers of the secure tier.
#[derive(Clone)]
pub struct SecureClient {
    _protocol: Alpn,
    _trust: Trust,
    _transport: Transport,
    token: Option<Token>,
    deadline: Duration,
}

/// A session with a server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected {
    /// The session.
    pub session: Session,
    /// How the server's key is known.
    pub introduced: Introduced,
    /// The socket's side of it, for [`quinn::Endpoint::wait_idle`] before the end and to change addresses.
    pub endpoint: quinn::Endpoint,
    /// What the kernel gave the socket.
    pub buffers: Buffers,
}

impl SecureClient {
    /// A client that speaks `protocol` with servers whose key it trusts.
    pub fn new(protocol: Alpn, trust: Trust, transport: Transport) -> Self {
        Self {
            _protocol: protocol,
            _trust: trust,
            _transport: transport,
            token: None,
            deadline: Duration::from_secs(10),
        }
    }

    /// The token that both sides prove; none by default. A client with a token talks to no server that cannot
    /// prove it.
    pub fn token(mut self, token: impl Into<Option<Token>>) -> Self {
        self.token = token.into();
        self
    }

    /// How long all of it may take: 10 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Connects, and greets.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self, _target: &Target) -> Result<Connected, ConnectError> {
        todo!()
    }
}
