//! The secure tier of a node: QUIC between two machines that know each other's key and share a token.
//!
//! - [`Identity`]: the key that this machine shows, made at first start; [`Fingerprint`] is what people compare.
//! - [`Trust`]: which key a client accepts, one that was [pinned](Trust::Pinned) or the one it saw first
//!   ([`KnownNodes`]).
//! - [`Token`]: the secret of those who may come in. Both sides prove it over the TLS session and neither sends it.
//! - [`SecureServer`] yields a [`Session`] for each peer that proved it, [`SecureClient`] one to a [`Target`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use squall_node::secure::*;
//!
//! let identity = Identity::load_or_make(&Identity::default_path())?;
//! println!("{}", identity.fingerprint());
//! let token = Token::generate()?;
//! let transport = Transport::default();
//! let config = SecureConfig::new(identity, Admission::Token(token.clone()), transport.clone())
//!     .serve(Alpn::FILES)
//!     .on("udp://:4433".parse()?);
//! let server = SecureServer::bind(config)?;
//! let session = server.accept().await;
//!
//! let trust = Trust::Known(KnownNodes::at(KnownNodes::default_path()));
//! let client = SecureClient::new(Alpn::FILES, trust, transport).token(token);
//! let mut connected = client.connect(&Target::parse("files.example")?).await?;
//! connected.session.send.write_all(b"what the protocol says next").await?;
//! # Ok(()) }
//! ```

mod admission;
mod base64;
mod client;
mod congestion;
mod connect_error;
mod fingerprint;
mod identity;
mod known_nodes;
mod limits;
mod private_file;
mod proof;
mod server;
mod session;
mod socket;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod transport;
mod trust;
mod verify;

pub use admission::{Admission, AdmissionError};
pub use client::{Connected, SecureClient};
pub use connect_error::ConnectError;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use identity::{Identity, IdentityError};
pub use known_nodes::{KeyChanged, KnownNodes};
pub use private_file::PrivateFileError;
pub use server::{SecureConfig, SecureCounts, SecureError, SecureServer};
pub use session::{Alpn, Session};
pub(crate) use session::{close, close_with, part_with, peer_of};
pub use socket::Buffers;
pub use squall::secure::{PORT, Parting};
pub use target::{Target, TargetError};
pub use token::{Token, TokenError};
pub use transport::Transport;
pub use trust::{Introduced, Trust};
