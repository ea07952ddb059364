//! TLS as this tier has it: version 1.3, keys instead of names, nothing sent before the handshake is over.

use std::sync::{Arc, OnceLock};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;

use super::trust::Expected;
use super::verify::KeyVerifier;
use super::{Alpn, Fingerprint, Identity};

type Error = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn of_server(identity: &Identity, protocols: &[Alpn]) -> Result<Arc<QuicServerConfig>, Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate()], identity.key())?;
    config.alpn_protocols = protocols.iter().copied().map(name).collect();
    // Each session begins with a handshake of its own: its keys are what the token is proved over.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config.try_into()?))
}

/// A client's; which key the server showed is left in `shown`.
pub(super) fn of_client(
    protocol: Alpn,
    expected: Expected,
    shown: Arc<OnceLock<Fingerprint>>,
) -> Result<Arc<QuicClientConfig>, Error> {
    let verifier = KeyVerifier::new(expected, shown, provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![name(protocol)];
    // A server has one key, whatever it is called, and who listens on the way need not know how.
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config.try_into()?))
}

fn name(protocol: Alpn) -> Vec<u8> {
    protocol.name().into()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
