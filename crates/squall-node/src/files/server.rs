//! Receiving from whoever comes with the token.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use squall::{BindError, Uri};
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::counts::FileServerCounts;
use super::receive::{ReceiveConfig, ReceiveError, ReceiveEvent, Receiver, SessionCounts};
use crate::secure::{Alpn, Buffers, Parting, SecureConfig, SecureError, SecureServer};

/// A directory that takes files over the secure tier, as long as this lives.
pub struct FileServer {
    runtime: Runtime,
    server: Arc<SecureServer>,
    receiver: Arc<Receiver>,
    accepting: tokio::task::JoinHandle<()>,
    progress: watch::Receiver<Progress>,
}

/// How far a server has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Senders that have brought everything they had.
    complete: u64,
    /// It takes nobody any more, and everybody has gone.
    is_over: bool,
}

/// Why nothing is received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileServerError {
    /// The directory.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// The addresses, the token.
    #[error(transparent)]
    Secure(#[from] SecureError),
    /// The system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(#[source] io::Error),
}

impl FileServer {
    /// Opens the directory and the addresses, and takes what comes. `secure` needs no protocol; it gets that of files.
    ///
    /// # Errors
    /// [`FileServerError`].
    pub fn start(
        config: ReceiveConfig,
        secure: SecureConfig,
        report: impl Fn(&ReceiveEvent) + Send + Sync + 'static,
    ) -> Result<Self, FileServerError> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("squall-files")
            .enable_all()
            .build()
            .map_err(FileServerError::Threads)?;
        let receiver = Arc::new(Receiver::open(config, report)?);
        let server = {
            let _guard = runtime.enter();
            Arc::new(SecureServer::bind(secure.serve(Alpn::FILES))?)
        };
        let (tell, progress) = watch::channel(Progress::default());
        let accepting = runtime.spawn(accept(Arc::clone(&server), Arc::clone(&receiver), tell));
        Ok(Self { runtime, server, receiver, accepting, progress })
    }

    /// Where it listens, with the ports that the kernel chose, and what buffers the kernel gave.
    pub fn locals(&self) -> &[(Uri, Buffers)] {
        self.server.locals()
    }

    /// Optional addresses that this machine does not have.
    pub fn left_out(&self) -> &[BindError] {
        self.server.left_out()
    }

    /// Where files go.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// What came until now, and who.
    pub fn counts(&self) -> FileServerCounts {
        FileServerCounts::of(&self.receiver, &self.server)
    }

    pub(super) fn remote(&self) -> FileServerRemote {
        FileServerRemote { server: Arc::downgrade(&self.server), receiver: Arc::downgrade(&self.receiver) }
    }

    /// Calls `then` when a sender has brought everything it had, and everybody who came meanwhile has gone. From then on
    /// nobody is taken any more.
    pub fn when_one_is_done(&self, then: impl FnOnce() + Send + 'static) {
        let (mut progress, server) = (self.progress.clone(), Arc::clone(&self.server));
        self.runtime.spawn(async move {
            if progress.wait_for(|progress| progress.complete > 0).await.is_ok() {
                server.stop_accepting();
                let _ = progress.wait_for(|progress| progress.is_over).await;
                then();
            }
        });
    }

    /// Ends: senders are told, and what is whole goes under its name. Gives what was counted to the last.
    pub fn stop(self) -> FileServerCounts {
        let Self { runtime, server, receiver, accepting, .. } = self;
        receiver.stop();
        server.close(Parting::Stopping);
        runtime.block_on(async {
            let end = async {
                let _ = accepting.await;
                server.wait_idle().await;
            };
            let _ = tokio::time::timeout(END, end).await;
        });
        runtime.shutdown_timeout(END);
        FileServerCounts::of(&receiver, &server)
    }
}

/// What counts a server's files from elsewhere, and does not keep its directory from being given back.
#[derive(Clone, Debug)]
pub(super) struct FileServerRemote {
    server: Weak<SecureServer>,
    receiver: Weak<Receiver>,
}

impl FileServerRemote {
    /// What came until now, and who; `None` when the server has ended.
    pub(super) fn counts(&self) -> Option<FileServerCounts> {
        Some(FileServerCounts::of(&*self.receiver.upgrade()?, &*self.server.upgrade()?))
    }
}

impl std::fmt::Debug for FileServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileServer").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

/// Serves sessions until the server takes none any more, and those that it took to their ends.
async fn accept(server: Arc<SecureServer>, receiver: Arc<Receiver>, tell: watch::Sender<Progress>) {
    let mut sessions = JoinSet::new();
    while let Some(session) = server.accept().await {
        let (receiver, tell) = (Arc::clone(&receiver), tell.clone());
        sessions.spawn(async move {
            // Who only asked brought nothing, and neither did who had nothing that could be taken.
            let brought = |counts: SessionCounts| !counts.is_dry && counts.has_taken;
            if receiver.serve(session).await.is_ok_and(brought) {
                tell.send_modify(|progress| progress.complete += 1);
            }
        });
        while sessions.try_join_next().is_some() {}
    }
    while sessions.join_next().await.is_some() {}
    tell.send_modify(|progress| progress.is_over = true);
}

/// One for QUIC, one for what is told and planned meanwhile.
const THREADS: usize = 2;
/// How long the end may take.
const END: Duration = Duration::from_secs(10);
