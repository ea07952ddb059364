//! The addresses of a server, tried one after the other until one answers.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::{Connection, ConnectionError, Endpoint, TokioRuntime, TransportErrorCode};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::socket::{Buffers, Opened, from_any};
use super::super::trust::Expected;
use super::super::{Alpn, ConnectError, Fingerprint, Transport, tls};

/// How long one address has before the next one is tried beside it
/// ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-8), 8).
const HEAD_START: Duration = Duration::from_millis(250);

/// The alert of TLS that no protocol is spoken by both sides
/// ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301#section-3.2), 3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// What it takes to connect to one address.
#[derive(Clone)]
pub(super) struct Racer {
    pub(super) target: String,
    pub(super) protocol: Alpn,
    pub(super) expected: Expected,
    pub(super) transport: Transport,
}

/// Who answered first.
pub(super) struct Winner {
    pub(super) connection: Connection,
    pub(super) endpoint: Endpoint,
    pub(super) buffers: Buffers,
    /// The key that it showed.
    pub(super) shown: Fingerprint,
}

/// Connects to the first of `addresses` that answers. Any answer counts, also one that nothing follows from: only
/// silence and a local obstacle are reasons to try another address.
pub(super) async fn race(racer: &Racer, addresses: &[SocketAddr]) -> Result<Winner, ConnectError> {
    let mut waiting = addresses.iter().copied();
    let mut racing = JoinSet::new();
    let mut first_obstacle = None;
    loop {
        match waiting.next() {
            Some(address) => drop(racing.spawn(racer.clone().connect(address))),
            None if racing.is_empty() => break,
            None => {}
        }
        let ended = tokio::select! {
            ended = racing.join_next() => ended,
            () = sleep(HEAD_START), if waiting.len() > 0 => continue,
        };
        match ended {
            Some(Ok(Ok(winner))) => return Ok(winner),
            Some(Ok(Err(error @ (ConnectError::System { .. } | ConnectError::NoAnswer { .. })))) => {
                // Where one address cannot be reached at all, another one's silence says more.
                let earlier =
                    first_obstacle.take().filter(|earlier: &ConnectError| !earlier.is_unreachable());
                first_obstacle = Some(earlier.unwrap_or(error));
            }
            Some(Ok(Err(answer))) => return Err(answer),
            Some(Err(lost)) => return Err(ConnectError::System { what: "connect", source: lost.into() }),
            None => {}
        }
    }
    Err(first_obstacle.unwrap_or_else(|| racer.no_answer(addresses.to_vec())))
}

impl Racer {
    async fn connect(self, address: SocketAddr) -> Result<Winner, ConnectError> {
        // Nothing else tells that there is no way there: quinn takes what sending says for a loss.
        let way = UdpSocket::bind(from_any(address)).and_then(|socket| socket.connect(address));
        way.map_err(|source| ConnectError::System { what: "reach the server", source })?;
        let failed = |source: io::Error| ConnectError::System { what: "open a socket", source };
        let (socket, buffers) = Opened::toward(address).map_err(failed)?;
        let endpoint = Endpoint::new(self.transport.endpoint(None), None, socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.map_err(failed)?;
        let shown = Arc::new(OnceLock::new());
        let set_up = |source| ConnectError::System { what: "set up QUIC", source: io::Error::other(source) };
        let crypto = tls::of_client(self.protocol, self.expected.clone(), shown.clone()).map_err(set_up)?;
        let mut config = quinn::ClientConfig::new(crypto);
        config.transport_config(self.transport.of_client(address.ip()));
        // The name is not sent: whom one talks to is the key.
        let connecting = endpoint.connect_with(config, address, "squall");
        let unreachable = |error| ConnectError::System { what: "connect", source: io::Error::other(error) };
        match connecting.map_err(unreachable)?.await {
            Ok(connection) => match shown.get() {
                Some(&shown) => Ok(Winner { connection, endpoint, buffers, shown }),
                None => {
                    Err(ConnectError::Greeting { target: self.target, reason: "it showed no key".into() })
                }
            },
            Err(error) => Err(self.explain(address, error, shown.get().copied())),
        }
    }

    fn explain(
        self,
        address: SocketAddr,
        error: ConnectionError,
        shown: Option<Fingerprint>,
    ) -> ConnectError {
        if let Some(Err(distrust)) = shown.map(|shown| self.expected.judge(shown)) {
            return distrust;
        }
        let code = match &error {
            ConnectionError::TransportError(error) => Some(error.code),
            ConnectionError::ConnectionClosed(close) => Some(close.error_code),
            _ => None,
        };
        if code == Some(TransportErrorCode::CONNECTION_REFUSED) {
            return ConnectError::Refused { target: self.target };
        }
        if code == Some(TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL)) {
            return ConnectError::Protocol { target: self.target, protocol: self.protocol };
        }
        match error {
            ConnectionError::VersionMismatch => {
                ConnectError::Protocol { target: self.target, protocol: self.protocol }
            }
            ConnectionError::TimedOut => self.no_answer(vec![address]),
            source => ConnectError::Broken { target: self.target, source },
        }
    }

    fn no_answer(&self, tried: Vec<SocketAddr>) -> ConnectError {
        ConnectError::NoAnswer { target: self.target.clone(), tried, elapsed: Duration::ZERO }
    }
}
