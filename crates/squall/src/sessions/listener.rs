//! The listener: its sockets, its table, its thread.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use squall_proto::Transport;
use squall_proto::sessions::{SessionId, Table};
use squall_socket::{Address, Waker};

use super::config::SessionConfig;
use super::line::{End, Key, Line, Totals};
use super::receiver::Receiver;
use super::session::{Session, SessionError};
use super::stats::{Counts, SessionStats};
use crate::server::{BindError, Bound, Config, bind_datagrams};
use crate::uri::Uri;

/// A datagram socket whose peers are accepted one by one. See the [module's example](super).
///
/// Dropping it ends its sessions: they give what they hold, and then say so. It can be used by many
/// threads at once.
pub struct SessionListener {
    shared: Arc<Shared>,
    locals: Vec<Uri>,
    addresses: Vec<Address>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    /// Socket files to remove, after all else.
    _bound: Vec<Bound>,
}

/// What the listener, its thread and its sessions share.
pub(super) struct Shared {
    sessions: Mutex<Sessions>,
    arrivals: Condvar,
    pub(super) totals: Arc<Totals>,
}

pub(super) struct Sessions {
    pub(super) table: Table<Key, Arc<Line>>,
    pub(super) end: Option<End>,
}

impl SessionListener {
    /// Listens on `address`, a [`Uri`] of datagrams or `host:port` for UDP, with the default configuration.
    /// Port 0 lets the kernel choose.
    ///
    /// # Errors
    /// [`BindError`], which names the address and the remedy.
    pub fn bind(address: &str) -> Result<Self, BindError> {
        let uri = Uri::parse(address, Transport::Udp, None)
            .map_err(|source| BindError::Address { service: NAME.into(), source })?;
        Self::bind_with(SessionConfig::default(), &uri)
    }

    /// Listens on `uri` under `config`. A name that stands for several addresses gets a socket for each.
    ///
    /// # Errors
    /// [`BindError`], which names the address and the remedy.
    pub fn bind_with(config: SessionConfig, uri: &Uri) -> Result<Self, BindError> {
        let sockets = Config { receive_buffer: config.receive_buffer, ..Config::default() };
        let bound = bind_datagrams(NAME, uri, &sockets)?;
        let totals = Arc::new(Totals { counts: Counts::default(), queued: AtomicUsize::new(0) });
        let shared = Arc::new(Shared {
            sessions: Mutex::new(Sessions { table: Table::new(config.table), end: None }),
            arrivals: Condvar::new(),
            totals,
        });
        let receiver = Receiver::new(Arc::clone(&shared), config, &bound).map_err(BindError::Start)?;
        let waker = receiver.waker();
        let thread = thread::Builder::new()
            .name("squall-sessions".into())
            .spawn(move || receiver.run())
            .map_err(BindError::Start)?;
        Ok(Self {
            shared,
            locals: bound.iter().map(Bound::uri).collect(),
            addresses: bound.iter().map(|bound| bound.address).collect(),
            waker,
            thread: Some(thread),
            _bound: bound,
        })
    }

    /// Waits for the next peer. Its first datagram is there to be read.
    ///
    /// # Errors
    /// [`SessionError::Receive`] when the system can no longer wait for datagrams.
    pub fn accept(&self) -> Result<Session, SessionError> {
        loop {
            // Without a deadline there is a session or an error.
            if let Some(session) = self.accept_until(None)? {
                return Ok(session);
            }
        }
    }

    /// As [`accept`](Self::accept), for `timeout` at most; `None` when nobody came.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn accept_timeout(&self, timeout: Duration) -> Result<Option<Session>, SessionError> {
        self.accept_until(Instant::now().checked_add(timeout))
    }

    /// Where it listens, with the ports that the kernel chose.
    pub fn locals(&self) -> &[Uri] {
        &self.locals
    }

    /// The IP addresses where it listens, with the ports that the kernel chose.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.addresses.iter().filter_map(Address::ip).collect()
    }

    /// The counts up to now.
    pub fn stats(&self) -> SessionStats {
        let sessions = self.shared.lock();
        let (open, waiting) = (sessions.table.len(), sessions.table.waiting());
        let queued = self.shared.totals.queued.load(Ordering::Relaxed);
        self.shared.totals.counts.snapshot(open as u64, waiting as u64, queued as u64)
    }

    fn accept_until(&self, deadline: Option<Instant>) -> Result<Option<Session>, SessionError> {
        let mut sessions = self.shared.lock();
        loop {
            if let Some(id) = sessions.table.accept()
                && let Some(line) = sessions.table.get(id)
            {
                return Ok(Some(Session::new(Arc::clone(&self.shared), Arc::clone(line))));
            }
            if let Some(end) = sessions.end {
                return Err(SessionError::of(end, self.addresses[0]));
            }
            let arrivals = &self.shared.arrivals;
            sessions = match deadline.map(|deadline| deadline.checked_duration_since(Instant::now())) {
                None => arrivals.wait(sessions).unwrap_or_else(PoisonError::into_inner),
                Some(None) => return Ok(None),
                Some(Some(rest)) => {
                    arrivals.wait_timeout(sessions, rest).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Drop for SessionListener {
    fn drop(&mut self) {
        self.shared.end_all(End::Stopped);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the receiving thread is a bug, and was told by its panic hook.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for SessionListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionListener").field("locals", &self.locals).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes one that waits for a new peer.
    pub(super) fn announce(&self) {
        self.arrivals.notify_one();
    }

    /// Ends a session whose owner is done with it.
    pub(super) fn close(&self, id: SessionId) {
        // The line is dropped after the lock.
        let line = self.lock().table.close(id);
        drop(line);
    }

    /// Ends all sessions and those to come.
    pub(super) fn end_all(&self, end: End) {
        let mut sessions = self.lock();
        sessions.end.get_or_insert(end);
        let lines: Vec<_> = sessions.table.close_all().collect();
        drop(sessions);
        for line in lines {
            line.end(end);
        }
        self.arrivals.notify_all();
    }
}

/// What its errors call it.
const NAME: &str = "sessions";
