//! Both sides over loopback, and those who are neither.

mod closing;
mod keys;
mod limits;
mod proofs;
mod tokens;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{Connection, ConnectionError, Endpoint, TokioRuntime};

use super::socket::Opened;
use super::trust::Expected;
use super::*;

/// Longer than any test takes: who waits for it has failed.
const LONG: Duration = Duration::from_secs(30);

pub(super) fn transport() -> Transport {
    Transport::new(Arc::new(CubicConfig::default()))
}

fn identity() -> Identity {
    Identity::ephemeral().unwrap()
}

pub(super) fn config(admission: Admission) -> SecureConfig {
    SecureConfig::new(identity(), admission, transport())
        .serve(Alpn::FILES)
        .on("udp://127.0.0.1:0".parse().unwrap())
        .greeting_time(LONG)
}

/// A server with a token of its own.
pub(super) fn guarded() -> (SecureServer, Token) {
    let token = Token::generate().unwrap();
    (SecureServer::bind(config(Admission::Token(token.clone()))).unwrap(), token)
}

pub(super) fn address(server: &SecureServer) -> SocketAddr {
    let uri = server.locals()[0].0.to_string();
    uri.strip_prefix("quic://").unwrap().parse().unwrap()
}

fn target(server: &SecureServer) -> Target {
    Target::parse(&address(server).to_string()).unwrap()
}

/// A client that knows nobody and keeps nothing.
pub(super) fn stranger() -> SecureClient {
    SecureClient::new(Alpn::FILES, nowhere(), transport()).deadline(LONG)
}

/// A session from both sides.
async fn session(client: &SecureClient, server: &SecureServer) -> (Connected, Session) {
    let target = target(server);
    let (connected, session) = tokio::join!(client.connect(&target), server.accept());
    (connected.unwrap(), session.unwrap())
}

/// Trust in whoever comes first, which is not kept.
fn nowhere() -> Trust {
    Trust::Known(KnownNodes::at("/dev/null/known_nodes"))
}

/// A connection whose maker says what it likes.
async fn raw(peer: SocketAddr) -> Result<(Connection, Endpoint), ConnectionError> {
    let (socket, _) = Opened::toward(peer).unwrap();
    let endpoint = Endpoint::new(transport().endpoint(None), None, socket, Arc::new(TokioRuntime)).unwrap();
    let expected = Expected::of(&nowhere(), "anybody:1").unwrap();
    let crypto = tls::of_client(Alpn::FILES, expected, Arc::new(OnceLock::new())).unwrap();
    let mut config = quinn::ClientConfig::new(crypto);
    config.transport_config(transport().of_client(peer.ip()));
    let connection = endpoint.connect_with(config, peer, "squall").unwrap().await?;
    Ok((connection, endpoint))
}

/// A server of somebody else: it has this TLS and does with who comes what it likes.
fn foreign(crypto: Arc<quinn::crypto::rustls::QuicServerConfig>) -> Endpoint {
    let opened = Opened::at(&"udp://127.0.0.1:0".parse().unwrap(), 1 << 20).unwrap().remove(0);
    let mut config = quinn::ServerConfig::with_crypto(crypto);
    config.transport_config(transport().of_server());
    Endpoint::new(transport().endpoint(None), Some(config), opened.socket, Arc::new(TokioRuntime)).unwrap()
}

/// The same with a key of its own.
fn attacker() -> Endpoint {
    foreign(tls::of_server(&identity(), &[Alpn::FILES]).unwrap())
}

fn target_of(endpoint: &Endpoint) -> Target {
    Target::parse(&endpoint.local_addr().unwrap().to_string()).unwrap()
}

/// Why the peer closed.
async fn parting(connection: &Connection) -> Option<Parting> {
    match tokio::time::timeout(LONG, connection.closed()).await.expect("the peer closes") {
        ConnectionError::ApplicationClosed(close) => Parting::of(close.error_code.into_inner()),
        other => panic!("{other}"),
    }
}
