//! A client of the secure tier.

mod greet;
mod race;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use squall::UriError;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use self::race::{Racer, race};
use super::session::close;
use super::socket::Buffers;
use super::trust::Expected;
use super::{Alpn, ConnectError, Introduced, Session, Target, Token, Transport, Trust};

/// Connects to servers of the secure tier.
#[derive(Clone)]
pub struct SecureClient {
    protocol: Alpn,
    trust: Trust,
    transport: Transport,
    token: Option<Token>,
    deadline: Duration,
}

/// A session with a server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected {
    /// The session.
    pub session: Session,
    /// How the server's key is known.
    pub introduced: Introduced,
    /// The client's socket: [`wait_idle`](quinn::Endpoint::wait_idle) before the end, so that the server hears of it,
    /// and [`rebind`](quinn::Endpoint::rebind) where this machine's address changes.
    pub endpoint: quinn::Endpoint,
    /// What buffers the kernel gave it.
    pub buffers: Buffers,
}

impl SecureClient {
    /// A client that speaks `protocol` with servers whose key it trusts.
    pub fn new(protocol: Alpn, trust: Trust, transport: Transport) -> Self {
        Self { protocol, trust, transport, token: None, deadline: Duration::from_secs(10) }
    }

    /// The token that both sides prove; none by default. A client that has one goes on with no server that cannot
    /// prove it.
    pub fn token(mut self, token: impl Into<Option<Token>>) -> Self {
        self.token = token.into();
        self
    }

    /// How long it may take until the greeting is over: 10 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Connects, and greets. A name's addresses are tried one after the other, 250 ms apart, until one answers.
    ///
    /// A key that was not known is remembered only when the greeting is over: who cannot prove the token leaves no
    /// trace.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self, target: &Target) -> Result<Connected, ConnectError> {
        let started = Instant::now();
        let deadline = started + self.deadline;
        let addresses = timeout_at(deadline, resolve(target)).await.unwrap_or_else(|_| {
            let source = io::Error::new(io::ErrorKind::TimedOut, "no name server answers");
            Err(ConnectError::System { what: "look up the server", source })
        })?;
        let known_as = target.known_as(addresses.first().map_or(0, SocketAddr::port));
        let (trust, host) = (self.trust.clone(), known_as.clone());
        let expected = blocking(move || Ok(Expected::of(&trust, &host)?)).await?;
        let racer = Racer {
            target: known_as.clone(),
            protocol: self.protocol,
            expected: expected.clone(),
            transport: self.transport.clone(),
        };
        let silence =
            |tried| ConnectError::NoAnswer { target: known_as.clone(), tried, elapsed: started.elapsed() };
        let winner = match timeout_at(deadline, race(&racer, &addresses)).await {
            Ok(Err(ConnectError::NoAnswer { .. })) | Err(_) => return Err(silence(addresses)),
            Ok(result) => result?,
        };
        let greeting = greet::greet(&winner.connection, &known_as, self.token.as_ref(), self.protocol);
        let session = match timeout_at(deadline, greeting).await {
            Ok(session) => session?,
            Err(_) => {
                close(&winner.connection, squall::secure::Parting::Silent);
                return Err(ConnectError::Silent { target: known_as, elapsed: started.elapsed() });
            }
        };
        let introduced = blocking(move || expected.introduce(winner.shown)).await?;
        Ok(Connected { session, introduced, endpoint: winner.endpoint, buffers: winner.buffers })
    }
}

/// What may wait for a name server or a disk, away from the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConnectError> + Send + 'static,
) -> Result<T, ConnectError> {
    let lost = |source: tokio::task::JoinError| ConnectError::System { what: "work", source: source.into() };
    spawn_blocking(work).await.map_err(lost)?
}

async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
    let (give, take) = oneshot::channel::<Result<_, UriError>>();
    let target = target.clone();
    // A thread of its own: the runtime's would hold up the end of the program as long as the resolver waits.
    let spawned = std::thread::Builder::new().name("lookup".into()).spawn(move || {
        let _ = give.send(target.resolve());
    });
    let what = "look up the server";
    spawned.map_err(|source| ConnectError::System { what, source })?;
    let ended = |_| ConnectError::System { what, source: io::Error::other("the resolver failed") };
    Ok(take.await.map_err(ended)??)
}
