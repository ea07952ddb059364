//! Sending to a receiver, over as many connections as it takes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use squall::files::wire::Closing;
use tokio::runtime;
use tokio::sync::watch;

use super::send::{SendCounts, SendEvent, SendFailure, Sender};
use crate::secure::{Buffers, ConnectError, Introduced, SecureClient, Target, close_with};

/// Sends to a receiver. A connection that is lost is made again, and the transfer goes on where it was.
pub struct Upload {
    client: SecureClient,
    target: Target,
    sender: Sender,
    patience: Duration,
    stop: watch::Sender<bool>,
}

/// Stops an upload, from any thread.
#[derive(Clone, Debug)]
pub struct UploadStopper(watch::Sender<bool>);

impl UploadStopper {
    /// Ends the connection, and with it the upload.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum UploadEvent<'a> {
    /// The receiver is reached.
    Connected {
        /// Its address.
        peer: SocketAddr,
        /// How its key is known.
        introduced: &'a Introduced,
        /// What the kernel gave of the buffers.
        buffers: &'a Buffers,
    },
    /// The connection is gone, and another one is tried.
    Lost {
        /// Why.
        why: &'a str,
    },
    /// What happened with the files.
    Files(&'a SendEvent),
}

/// What became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Uploaded {
    /// What was done.
    pub counts: SendCounts,
    /// From the first attempt to connect to the end.
    pub elapsed: Duration,
    /// How it ended.
    pub end: UploadEnd,
}

/// How it ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum UploadEnd {
    /// Everything was offered and answered. Single files may have failed.
    Complete,
    /// It stopped half-way; the same again resumes it. Why, in words.
    HalfWay(String),
    /// One side does not understand the other, so that the same again would end the same. Why, in words.
    Broken(String),
    /// It was stopped here; the same again resumes it.
    Stopped,
    /// The receiver was not reached at all.
    NotBegun(ConnectError),
}

impl Upload {
    /// Sends what `sender` has to `target`.
    pub fn new(client: SecureClient, target: Target, sender: Sender) -> Self {
        Self { client, target, sender, patience: Duration::from_secs(60), stop: watch::Sender::new(false) }
    }

    /// How long it is tried to reach the receiver again when a connection is lost. Default: a minute.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Something to stop it with from elsewhere.
    pub fn stopper(&self) -> UploadStopper {
        UploadStopper(self.stop.clone())
    }

    /// What it sends.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Sends, and waits for the end.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn run(&self, report: impl Fn(&UploadEvent<'_>) + Send + Sync + 'static) -> io::Result<Uploaded> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        let uploaded = runtime.block_on(self.send(Arc::new(report)));
        // A thread may hang in a read that never ends.
        runtime.shutdown_background();
        Ok(uploaded)
    }

    async fn send(&self, report: Arc<dyn Fn(&UploadEvent<'_>) + Send + Sync>) -> Uploaded {
        let start = Instant::now();
        let mut counts = SendCounts::default();
        // Since when there is no connection, and why; at first there was none yet.
        let mut lost: Option<(Instant, String)> = None;
        let mut pause = FIRST_PAUSE;
        let mut stop = self.stop.subscribe();
        let end = loop {
            let left =
                lost.as_ref().map_or(CONNECT, |(since, _)| self.patience.saturating_sub(since.elapsed()));
            let client = self.client.clone().deadline(left.clamp(SHORTEST, CONNECT));
            let connected = tokio::select! {
                connected = client.connect(&self.target) => connected,
                _ = stop.wait_for(|stop| *stop) => break UploadEnd::Stopped,
            };
            let connected = match connected {
                Ok(connected) => connected,
                Err(error) => {
                    let Some((since, why)) = &lost else { break UploadEnd::NotBegun(error) };
                    if !error.is_temporary() || since.elapsed() + pause > self.patience {
                        break UploadEnd::HalfWay(format!("{why}; then {error}"));
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = stop.wait_for(|stop| *stop) => break UploadEnd::Stopped,
                    }
                    pause = (pause * 2).min(LAST_PAUSE);
                    continue;
                }
            };
            let stopping = {
                let (connection, mut stop) = (connected.session.connection.clone(), self.stop.subscribe());
                tokio::spawn(async move {
                    if stop.wait_for(|stop| *stop).await.is_ok() {
                        close_with(&connection, Closing::Stopped.code(), b"the sender was stopped");
                    }
                })
            };
            report(&UploadEvent::Connected {
                peer: connected.session.peer,
                introduced: &connected.introduced,
                buffers: &connected.buffers,
            });
            let has_moved = Arc::new(Mutex::new(false));
            let (moved, telling) = (Arc::clone(&has_moved), Arc::clone(&report));
            let (done, result) = self
                .sender
                .run(connected.session, move |event| {
                    if matches!(event, SendEvent::Progress { .. } | SendEvent::Stored { .. }) {
                        *moved.lock().unwrap_or_else(PoisonError::into_inner) = true;
                    }
                    telling(&UploadEvent::Files(event));
                })
                .await;
            stopping.abort();
            counts = counts.and(done);
            // The receiver is to hear of the end, even if that is lost once; that all is done it said itself.
            if result.is_err() {
                let _ = tokio::time::timeout(FAREWELL, connected.endpoint.wait_idle()).await;
            }
            if *self.stop.borrow() {
                break UploadEnd::Stopped;
            }
            let failure = match result {
                Ok(()) => break UploadEnd::Complete,
                Err(failure) => failure,
            };
            let why = failure.to_string();
            if matches!(failure, SendFailure::Fault(_) | SendFailure::Refused(_)) {
                break UploadEnd::Broken(why);
            }
            if !failure.is_temporary() || !self.sender.is_repeatable() {
                break UploadEnd::HalfWay(why);
            }
            report(&UploadEvent::Lost { why: &why });
            // A connection over which nothing moved is no success.
            let has_moved = *has_moved.lock().unwrap_or_else(PoisonError::into_inner);
            let since = lost.take().filter(|_| !has_moved).map_or_else(Instant::now, |(since, _)| since);
            if has_moved {
                pause = FIRST_PAUSE;
            }
            if since.elapsed() + pause > self.patience {
                break UploadEnd::HalfWay(why);
            }
            lost = Some((since, why));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => break UploadEnd::Stopped,
            }
            pause = (pause * 2).min(LAST_PAUSE);
        };
        Uploaded { counts, elapsed: start.elapsed(), end }
    }
}

impl SendFailure {
    /// Whether another connection may bring it to its end.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Ended { is_stopping, .. } => *is_stopping,
            Self::Refused(_) | Self::Fault(_) => false,
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("target", &self.target).finish_non_exhaustive()
    }
}

/// One for QUIC, one for what is read and told meanwhile.
const THREADS: usize = 2;
/// Between two attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How long an attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_millis(200);
/// How long the receiver may take to hear of the end.
const FAREWELL: Duration = Duration::from_millis(300);
