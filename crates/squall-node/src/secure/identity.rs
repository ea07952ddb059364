//! The key that this machine shows.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::hmac;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::private_file::load_or_make;
use super::{Fingerprint, PrivateFileError, base64};
use crate::places::Kept;

/// The key that this machine shows to who connects, and a certificate for it, which it signs itself and makes anew at
/// each start.
///
/// The key is ECDSA on P-256, the one kind that browsers accept by a certificate's hash
/// ([WebTransport](https://www.w3.org/TR/webtransport/#custom-certificate-requirements)).
#[derive(Clone)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Arc<PrivatePkcs8KeyDer<'static>>,
    fingerprint: Fingerprint,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// Its file holds something else.
    #[error("{} holds no key (PKCS#8 PEM, ECDSA P-256): {reason}; name another file, or remove it and a new key is made", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No key could be made.
    #[error("cannot make a key: {0}")]
    Make(String),
}

impl Identity {
    /// The identity in the file at `path`. Where there is none it is made, for this user alone; of several that start
    /// at once one makes it.
    ///
    /// # Errors
    /// [`IdentityError`]: also for a file that others may read.
    pub fn load_or_make(path: &Path) -> Result<Self, IdentityError> {
        let pem = load_or_make(path, || Ok::<_, IdentityError>(to_pem(&make_key()?).into_bytes()))?;
        let no_key = |reason: String| IdentityError::NoKey { path: path.into(), reason };
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|error| no_key(error.to_string()))?;
        Self::of(der).map_err(|error| no_key(error.to_string()))
    }

    /// An identity that is kept nowhere.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn ephemeral() -> Result<Self, IdentityError> {
        Self::of(make_key()?.serialize_der().into()).map_err(|error| IdentityError::Make(error.to_string()))
    }

    fn of(der: PrivatePkcs8KeyDer<'static>) -> Result<Self, Box<dyn std::error::Error>> {
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)?;
        let certificate = CertificateParams::new([])?.self_signed(&key)?.into();
        let fingerprint = Fingerprint::of(&certificate)?;
        Ok(Self { certificate, key: Arc::new(der), fingerprint })
    }

    /// Where it is kept: `squall/identity` in `$XDG_CONFIG_HOME`, else in `~/.config` (on macOS `~/Library/Application
    /// Support`); `identity` in what systemd gives a service (`$STATE_DIRECTORY`).
    pub fn default_path() -> PathBuf {
        Kept::Settings.default_path().join("identity")
    }

    /// What people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// What stateless resets of its connections follow from.
    pub(super) fn reset_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive(b"squall stateless reset").as_ref())
    }

    /// What the numbers of its connections follow from.
    pub(super) fn connection_key(&self) -> u64 {
        let derived = self.derive(b"squall connection ids");
        derived.as_ref().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
    }

    /// A secret for one purpose: the key itself is for signatures.
    fn derive(&self, purpose: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.key.secret_pkcs8_der()), purpose)
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key().into()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint)
    }
}

fn make_key() -> Result<KeyPair, IdentityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| IdentityError::Make(error.to_string()))
}

/// [RFC 7468](https://www.rfc-editor.org/rfc/rfc7468), section 10.
fn to_pem(key: &KeyPair) -> String {
    let mut text = base64::encode(key.serialized_der());
    text.extend(std::iter::repeat_n('=', text.len().next_multiple_of(4) - text.len()));
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for (index, letter) in text.chars().enumerate() {
        if index != 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem + "\n-----END PRIVATE KEY-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_identity_stays_the_same_from_start_to_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("squall/identity");
        let first = Identity::load_or_make(&path).unwrap();
        let second = Identity::load_or_make(&path).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert_ne!(first.fingerprint(), Identity::ephemeral().unwrap().fingerprint());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n") && text.ends_with("KEY-----\n"), "a key");
        assert!(!format!("{first:?}").contains("key"), "{first:?}");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let pem = |text: &str| format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        for text in [String::new(), "a letter to ann".into(), pem("AAAA"), pem("!")] {
            fs::remove_file(&path).ok();
            load_or_make(&path, || Ok::<_, PrivateFileError>(text.clone().into_bytes())).unwrap();
            let refused = Identity::load_or_make(&path).unwrap_err();
            assert!(matches!(refused, IdentityError::NoKey { .. }), "{refused}");
            assert!(refused.to_string().contains("a new key is made"), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
