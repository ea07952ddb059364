//! The key that this machine shows.

use std::path::{Path, PathBuf};

use super::{Fingerprint, PrivateFileError};

/// The key that this machine shows to who connects, and its certificate.
#[derive(Clone)]
pub struct Identity {}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// Its file holds something else.
    #[error("{} holds no key of an identity (PKCS#8 PEM, P-256): {reason}", path.display())]
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
    /// The identity at `path`, made where there is none.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load_or_make(_path: &Path) -> Result<Self, IdentityError> {
        todo!()
    }

    /// An identity that is kept nowhere.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn ephemeral() -> Result<Self, IdentityError> {
        todo!()
    }

    /// Where it is kept.
    pub fn default_path() -> PathBuf {
        todo!()
    }

    /// What people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        todo!()
    }
}
