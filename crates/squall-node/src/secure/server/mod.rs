//! A server of the secure tier.

mod config;
mod counts;
mod greet;
mod listen;

use std::sync::Arc;

use quinn::{Endpoint, TokioRuntime};
use squall::secure::Parting;
use squall::{BindError, Uri};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

pub use config::SecureConfig;
pub use counts::SecureCounts;

use self::counts::Counts;
use self::listen::Listener;
use super::limits::{Bounds, Places};
use super::socket::{Buffers, Opened};
use super::{AdmissionError, Session, tls};

/// Sessions that wait for [`SecureServer::accept`]. Beyond them peers wait in the greeting, and then are refused.
const WAITING: usize = 16;

/// Why a server does not start. Nothing stays open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecureError {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Nobody said who may come in.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// It has no address, or no protocol.
    #[error("{0}")]
    Incomplete(&'static str),
    /// QUIC could not be set up.
    #[error("cannot set up QUIC: {0}")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A server of the secure tier, until it is dropped.
#[derive(Debug)]
pub struct SecureServer {
    endpoints: Vec<Endpoint>,
    locals: Vec<(Uri, Buffers)>,
    left_out: Vec<BindError>,
    ready: Mutex<mpsc::Receiver<Session>>,
    counts: Arc<Counts>,
    stop: watch::Sender<bool>,
    /// Those who listen; they end with this value.
    _listening: JoinSet<()>,
}

impl SecureServer {
    /// Opens the addresses. It must be called in an asynchronous runtime.
    ///
    /// # Errors
    /// [`SecureError`].
    pub fn bind(config: SecureConfig) -> Result<Self, SecureError> {
        if config.protocols.is_empty() {
            return Err(SecureError::Incomplete("a secure server without a protocol"));
        }
        let (mut opened, mut left_out) = (Vec::new(), Vec::new());
        for (uri, optional) in &config.on {
            match Opened::at(uri, config.buffers) {
                Ok(sockets) => opened.extend(sockets),
                Err(error @ (BindError::NotHere { .. } | BindError::NoFamily { .. })) if *optional => {
                    left_out.push(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for socket in &opened {
            config.admission.check(socket.local)?;
        }
        let crypto = tls::of_server(&config.identity, &config.protocols);
        let mut quic = quinn::ServerConfig::with_crypto(crypto.map_err(SecureError::Setup)?);
        quic.transport_config(config.transport.of_server());
        // A peer whose address changes, since its network or its NAT does, keeps its session.
        quic.migration(true);
        let mut locals = Vec::new();
        let mut endpoints = Vec::new();
        for Opened { socket, uri, buffers, .. } in opened {
            let runtime = Arc::new(TokioRuntime);
            let endpoint = Endpoint::new(
                config.transport.endpoint(Some(&config.identity)),
                Some(quic.clone()),
                socket,
                runtime,
            );
            endpoints.push(endpoint.map_err(|error| SecureError::Setup(error.into()))?);
            locals.push((uri, buffers));
        }
        if endpoints.is_empty() {
            return Err(SecureError::Incomplete("a secure server without an address that this machine has"));
        }
        let (give, ready) = mpsc::channel(WAITING);
        let (stop, stopping) = watch::channel(false);
        let counts = Arc::new(Counts::default());
        let half_open = Bounds { all: config.max_half_open, of_address: config.max_half_open_of_address };
        let sessions = Bounds { all: config.max_sessions, of_address: config.max_sessions_of_address };
        let listener = Arc::new(Listener {
            admission: config.admission,
            protocols: config.protocols,
            greeting_time: config.greeting_time,
            sessions: Places::new(sessions),
            half_open: Places::new(half_open),
            counts: counts.clone(),
            give,
            stopping,
        });
        let mut listening = JoinSet::new();
        for endpoint in &endpoints {
            listening.spawn(listener.clone().listen(endpoint.clone()));
        }
        Ok(Self {
            endpoints,
            locals,
            left_out,
            ready: Mutex::new(ready),
            counts,
            stop,
            _listening: listening,
        })
    }

    /// Where it listens, with the ports that the kernel chose, and what buffers the kernel gave.
    pub fn locals(&self) -> &[(Uri, Buffers)] {
        &self.locals
    }

    /// Optional addresses that this machine does not have.
    pub fn left_out(&self) -> &[BindError] {
        &self.left_out
    }

    /// The next peer that passed the greeting; `None` when the server takes nobody any more, and those who were let in by
    /// then have been told. Dropping the future loses no session.
    pub async fn accept(&self) -> Option<Session> {
        let mut stopping = self.stop.subscribe();
        let mut ready = self.ready.lock().await;
        let present = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => None,
            session = ready.recv() => Some(session),
        };
        match present {
            Some(session) => session,
            None => {
                // Who is in the greeting yet is turned away when it is over.
                ready.close();
                ready.recv().await
            }
        }
    }

    /// What it counted until now.
    pub fn counts(&self) -> SecureCounts {
        self.counts.snapshot()
    }

    /// Refuses everybody from now on; sessions go on.
    pub fn stop_accepting(&self) {
        self.stop.send_replace(true);
    }

    /// Takes nobody any more and closes every session.
    pub fn close(&self, why: Parting) {
        self.stop_accepting();
        for endpoint in &self.endpoints {
            endpoint.close(why.code().into(), why.to_string().as_bytes());
        }
    }

    /// Waits until every connection is closed and the peers were told.
    pub async fn wait_idle(&self) {
        for endpoint in &self.endpoints {
            endpoint.wait_idle().await;
        }
    }
}
