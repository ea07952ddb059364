//! The secret of those who may come in.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::PrivateFileError;

/// A secret of 128 random bits. It is never sent: both sides prove that they have it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 16]);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
}

impl Token {
    /// The variable of the environment that a token is taken from.
    pub const VARIABLE: &str = "SQUALL_TOKEN";

    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// [`TokenError::NoRandom`].
    pub fn generate() -> Result<Self, TokenError> {
        todo!()
    }

    /// The one in the file at `path`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load(_path: &Path) -> Result<Self, TokenError> {
        todo!()
    }

    /// The one in the file at `path`, made where there is none.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load_or_make(_path: &Path) -> Result<Self, TokenError> {
        todo!()
    }

    /// Its text, for the one who may know it.
    pub fn reveal(&self) -> String {
        todo!()
    }
}

impl FromStr for Token {
    type Err = TokenError;
    fn from_str(_text: &str) -> Result<Self, TokenError> {
        todo!()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}
