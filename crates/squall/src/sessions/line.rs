//! A session between the receiving thread and its owner.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use squall_proto::Refusal;
use squall_proto::sessions::{Allowance, Inbox, Overflow, SessionId};
use squall_socket::errno::{EAGAIN, EINTR, ENOBUFS};
use squall_socket::{Address, Outgoing, SendBatch, Socket, wait_writable};

use super::config::SessionConfig;
use super::session::SessionError;
use super::stats::{Counts, add};

/// What all sessions of a listener count together.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) counts: Counts,
    /// Bytes that wait in all sessions.
    pub(super) queued: AtomicUsize,
}

/// Where a session's datagrams leave from.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) socket: Arc<Socket>,
    /// An IPv6 socket takes IPv4 addresses mapped.
    pub(super) v6: bool,
    /// Whether the socket is bound to no address of its own, so that each datagram says its source.
    pub(super) wildcard: bool,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Idle(Duration),
    Evicted,
    Stopped,
    /// The poller failed with this error number.
    Failed(i32),
}

/// One session's state.
pub(super) struct Line {
    pub(super) id: SessionId,
    pub(super) peer: Address,
    pub(super) local: Address,
    /// Bytes of IP and UDP header around each datagram.
    pub(super) header: usize,
    exit: Arc<Exit>,
    totals: Arc<Totals>,
    state: Mutex<State>,
    arrived: Condvar,
    /// Made with the first datagram that is sent.
    batch: Mutex<Option<SendBatch>>,
}

struct State {
    inbox: Inbox,
    allowance: Allowance,
    end: Option<End>,
}

impl Line {
    pub(super) fn new(
        id: SessionId,
        (peer, local): (Address, Address),
        header: usize,
        validated: bool,
        exit: Arc<Exit>,
        totals: Arc<Totals>,
        config: &SessionConfig,
    ) -> Self {
        let inbox = Inbox::new(config.queue, config.queue_bytes, config.overflow);
        let state = Mutex::new(State { inbox, allowance: Allowance::new(validated), end: None });
        let (arrived, batch) = (Condvar::new(), Mutex::new(None));
        Self { id, peer, local, header, exit, totals, state, arrived, batch }
    }

    /// Queues a datagram of the peer, if the policies let it.
    pub(super) fn put(&self, payload: &[u8], config: &SessionConfig) {
        let counts = &self.totals.counts;
        let mut state = self.lock();
        // What is dropped came from the peer all the same.
        state.allowance.receive(self.header + payload.len());
        let before = state.inbox.bytes();
        // One thread alone adds, so that nobody can take the room between the look and the use.
        if self.totals.queued.load(Ordering::Relaxed) + payload.len() > config.memory {
            add(&counts.dropped_memory, 1);
            return;
        }
        let dropped = state.inbox.push(payload) as u64;
        let after = state.inbox.bytes();
        // Before a reader can take it away again; less than before where older ones made room.
        self.totals.queued.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        drop(state);
        match config.overflow {
            Overflow::DropOldest => add(&counts.dropped_oldest, dropped),
            Overflow::DropNewest => add(&counts.dropped_newest, dropped),
        }
        self.arrived.notify_one();
    }

    /// Ends the session; what waits can still be read.
    pub(super) fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.arrived.notify_all();
    }

    /// Takes a datagram into `buffer`; waits for one until `deadline`, for ever without one.
    pub(super) fn take(
        &self,
        buffer: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<Option<usize>, SessionError> {
        let mut state = self.lock();
        loop {
            if let Some(needed) = state.inbox.next_len() {
                let given = buffer.len();
                let buffer =
                    buffer.get_mut(..needed).ok_or(SessionError::BufferTooSmall { needed, given })?;
                if let Some(payload) = state.inbox.pop() {
                    buffer.copy_from_slice(&payload);
                }
                drop(state);
                self.totals.queued.fetch_sub(needed, Ordering::Relaxed);
                return Ok(Some(needed));
            }
            if let Some(end) = state.end {
                return Err(SessionError::of(end, self.peer));
            }
            state = match deadline.map(|deadline| deadline.checked_duration_since(Instant::now())) {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(None) => return Ok(None),
                Some(Some(rest)) => {
                    self.arrived.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Sends a datagram to the peer.
    pub(super) fn send(&self, payload: &[u8]) -> Result<(), SessionError> {
        let counts = &self.totals.counts;
        let len = payload.len();
        if len > squall_proto::MAX_DATAGRAM {
            return Err(SessionError::TooLong { len });
        }
        {
            let mut state = self.lock();
            if let Some(end) = state.end {
                return Err(SessionError::of(end, self.peer));
            }
            state.allowance.send(self.header + len).map_err(|_: Refusal| {
                add(&counts.refused_amplification, 1);
                SessionError::Amplification { peer: self.peer.to_string() }
            })?;
        }
        match self.send_now(payload) {
            Ok(()) => {
                add(&counts.sent, 1);
                add(&counts.sent_bytes, len as u64);
                Ok(())
            }
            Err(source) => {
                add(&counts.send_failed, 1);
                Err(SessionError::Send { peer: self.peer.to_string(), source })
            }
        }
    }

    pub(super) fn is_validated(&self) -> bool {
        self.lock().allowance.is_validated()
    }

    pub(super) fn validate(&self) {
        self.lock().allowance.validate();
    }

    fn send_now(&self, payload: &[u8]) -> io::Result<()> {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = batch.get_or_insert_with(|| SendBatch::new(1));
        let source = self.local.ip().filter(|_| self.exit.wildcard);
        let outgoing = Outgoing { payload, to: Some(self.peer), source, segment_size: None };
        let mut patience = PATIENCE;
        loop {
            let Err(error) = batch.send(&*self.exit.socket, self.exit.v6, [outgoing].into_iter()) else {
                return Ok(());
            };
            match error.raw_os_error() {
                Some(EINTR) => {}
                // A Unix peer's own queue is full: the socket seems writable all the while.
                Some(EAGAIN | ENOBUFS) if patience > 0 && self.peer.ip().is_some() => {
                    patience -= 1;
                    let _ = wait_writable(&*self.exit.socket, Duration::from_millis(1));
                }
                _ => return Err(error),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        add(&self.totals.counts.unread, state.inbox.len() as u64);
        self.totals.queued.fetch_sub(state.inbox.bytes(), Ordering::Relaxed);
    }
}

/// A peer as a session's key: the socket, the peer, and the address that it asked.
pub(super) type Key = (usize, Address, Option<SocketAddr>);

/// How often a send waits a millisecond for a full send buffer.
const PATIENCE: u32 = 8;

#[cfg(test)]
mod tests {
    use squall_proto::sessions::{Arrival, Table, TableConfig};
    use squall_socket::{Family, Kind};

    use super::*;

    fn line(validated: bool) -> (Line, Socket) {
        let open = || {
            let socket = Socket::open(Family::V4, Kind::Datagram).unwrap();
            socket.bind("127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
            socket
        };
        let (ours, peer) = (open(), open());
        let mut table = Table::new(TableConfig::default());
        let Arrival::Opened { id, .. } = table.handle_input(squall_proto::Time::ZERO, &0, |_| ()) else {
            unreachable!("the first")
        };
        let addresses = (peer.local_address().unwrap(), ours.local_address().unwrap());
        let exit = Arc::new(Exit { socket: Arc::new(ours), v6: false, wildcard: false });
        let totals = Arc::new(Totals { counts: Counts::default(), queued: AtomicUsize::new(0) });
        (Line::new(id, addresses, 28, validated, exit, totals, &SessionConfig::default()), peer)
    }

    #[test]
    fn an_unvalidated_peer_is_sent_three_times_what_came_from_it() {
        let (line, peer) = line(false);
        line.put(&[0; 72], &SessionConfig::default());
        assert!(line.send(&[0; 272]).is_ok(), "300 bytes with the headers");
        let error = line.send(&[]).unwrap_err();
        assert!(matches!(error, SessionError::Amplification { .. }) && !error.is_end(), "{error}");
        assert_eq!(line.totals.counts.refused_amplification.load(Ordering::Relaxed), 1);
        line.validate();
        assert!(line.send(b"now").is_ok());
        assert_eq!(peer.recv(&mut [0; 300]).unwrap(), 272);
        assert_eq!(peer.recv(&mut [0; 300]).unwrap(), 3);
    }

    #[test]
    fn what_nobody_read_is_counted_and_given_back() {
        let (line, _peer) = line(true);
        line.put(b"unread", &SessionConfig::default());
        let totals = Arc::clone(&line.totals);
        assert_eq!(totals.queued.load(Ordering::Relaxed), 6);
        drop(line);
        assert_eq!(totals.queued.load(Ordering::Relaxed), 0);
        assert_eq!(totals.counts.unread.load(Ordering::Relaxed), 1);
    }
}
