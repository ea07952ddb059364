//! What people compare of a key.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;

use super::base64;

/// A key's fingerprint: SHA-256 of its SubjectPublicKeyInfo, written as `ssh` writes one, `SHA256:` and base64
/// without padding. It stays when the certificate around the key is made anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Why a text is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fingerprint: it is SHA256: and 43 letters, digits, + and /, as the other side shows it")]
pub struct FingerprintError(String);

const PREFIX: &str = "SHA256:";

impl Fingerprint {
    /// That of the key in a certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &key).as_ref());
        Ok(Self(hash))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", base64::encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let bytes = text.strip_prefix(PREFIX).and_then(base64::decode);
        let hash = bytes.and_then(|bytes| bytes.try_into().ok());
        hash.map(Self).ok_or_else(|| FingerprintError(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_as_it_is_shown() {
        let fingerprint = Fingerprint(std::array::from_fn(|index| index as u8 * 8));
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 7 + 43);
        assert_eq!(text.parse(), Ok(fingerprint));
    }

    #[test]
    fn what_is_none_is_told_and_acts_on_no_terminal() {
        let good = Fingerprint([0; 32]).to_string();
        for text in ["", "SHA256:", &good[7..], &good[..49], &format!("{good}="), "SHA256:\u{1b}[2J"] {
            let told = text.parse::<Fingerprint>().unwrap_err().to_string();
            assert!(told.contains("43 letters") && !told.contains('\u{1b}'), "{told}");
        }
    }
}
