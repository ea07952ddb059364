//! The check of a server's key in the handshake.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::Fingerprint;
use super::trust::Expected;

/// Accepts the key that is expected, whatever names, dates and issuers a certificate tells: the key is the name. That
/// the server has the key is checked by the signature of the handshake, as ever.
#[derive(Debug)]
pub(super) struct KeyVerifier {
    expected: Expected,
    shown: Arc<OnceLock<Fingerprint>>,
    provider: Arc<CryptoProvider>,
}

impl KeyVerifier {
    /// A verifier that leaves in `shown` which key the server showed.
    pub(super) fn new(
        expected: Expected,
        shown: Arc<OnceLock<Fingerprint>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { expected, shown, provider }
    }
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(certificate)?;
        let shown = *self.shown.get_or_init(|| shown);
        match self.expected.judge(shown) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            // Whoever connects judges again and tells the reason.
            Err(_) => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("QUIC has no TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
