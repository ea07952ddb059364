//! What people compare of a key.

use std::fmt;
use std::str::FromStr;

/// A key's fingerprint: SHA-256 of its SubjectPublicKeyInfo, written as `ssh` writes one, `SHA256:` and base64
/// without padding. It stays when the certificate around the key is made anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Why a text is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fingerprint: it is SHA256: and 43 letters, digits, + and /, as the other side shows it")]
pub struct FingerprintError(String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;
    fn from_str(_text: &str) -> Result<Self, FingerprintError> {
        todo!()
    }
}
