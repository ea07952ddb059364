//! How each side proves that it has the token, without telling it.
//!
//! A proof is HMAC-SHA256, keyed with the token, over a label and what TLS exports under that label
//! ([RFC 8446](https://www.rfc-editor.org/rfc/rfc8446#section-7.5), 7.5). The export differs from session to session and
//! follows from both sides' keys, so that a proof is worth nothing in any other session: not later, and not for who
//! ends one session here and begins another there. The labels differ, so that neither side's proof is the
//! other's. A token is 128 random bits, so that nobody finds it by trying against a proof.

use ring::hmac::{HMAC_SHA256, Key, sign, verify};
use squall::secure::PROOF;

use super::Token;

/// Whose proof it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prover {
    Client,
    Server,
}

impl Prover {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Client => b"EXPORTER-squall-token-client",
            Self::Server => b"EXPORTER-squall-token-server",
        }
    }

    /// What the token is proved over; `None` only where the handshake is not complete.
    fn message(self, connection: &quinn::Connection) -> Option<Vec<u8>> {
        let mut exported = [0; 32];
        connection.export_keying_material(&mut exported, self.label(), b"").ok()?;
        Some([self.label(), &exported].concat())
    }

    /// The proof of this side in this session.
    pub(super) fn proof(self, token: &Token, connection: &quinn::Connection) -> Option<[u8; PROOF]> {
        let tag = sign(&Key::new(HMAC_SHA256, token.secret()), &self.message(connection)?);
        tag.as_ref().try_into().ok()
    }

    /// Whether that is the proof of this side in this session; it takes as long for every wrong one.
    pub(super) fn has_proved(
        self,
        token: &Token,
        connection: &quinn::Connection,
        proof: &[u8; PROOF],
    ) -> bool {
        let key = Key::new(HMAC_SHA256, token.secret());
        self.message(connection).is_some_and(|message| verify(&key, &message, proof).is_ok())
    }
}
