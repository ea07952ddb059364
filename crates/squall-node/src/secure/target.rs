//! Whom a client wants.

use squall::{IpFamily, Transport, Uri, UriError};

use super::PORT;

/// A server, by name.
#[derive(Clone, Debug)]
pub struct Target {
    uri: Uri,
    family: IpFamily,
}

impl Target {
    /// Reads `HOST`, `HOST:PORT` or `udp://HOST:PORT`.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        Ok(Self { uri: Uri::parse(text, Transport::Udp, Some(PORT))?, family: IpFamily::Any })
    }

    /// Its addresses of this family alone; of both by default.
    pub fn family(mut self, family: IpFamily) -> Self {
        self.family = family;
        self
    }
}
