//! What a server counts: "where did my packet go?"

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use squall_proto::{Refusal, Transport};
use squall_socket::Memory;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Something that a server counts for each of its sockets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Counter {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Counter {
            /// Every counter, in the order of documentation.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)+];

            /// The counter's name in logs and JSON.
            pub fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)+ }
            }
        }
    };
}

counters! {
    /// Requests that arrived: datagrams, or frames of a stream.
    Received = "received",
    /// Their bytes.
    ReceivedBytes = "received_bytes",
    /// Requests that got at least one reply.
    Answered = "answered",
    /// Requests that were handled and wanted no reply.
    Silent = "silent",
    /// Replies that the kernel took: datagrams, or frames of a stream.
    Replies = "replies",
    /// Their bytes.
    ReplyBytes = "reply_bytes",
    /// Refused: the answer would be over three times the request of an unvalidated address.
    Amplification = "refused_amplification",
    /// Refused: the request could be a server's answer, and answering it could go on for ever.
    Loop = "refused_loop",
    /// Refused: the answer is longer than its transport carries.
    TooLong = "refused_too_long",
    /// Refused: replies that wait fill the outbox.
    Full = "refused_outbox_full",
    /// Refused: not of the form that the service reads.
    Malformed = "refused_malformed",
    /// Refused: the handler could not answer.
    Failed = "refused_failed",
    /// Refused by the admission hook.
    NotAdmitted = "refused_not_admitted",
    /// Refused: arrived by broadcast or multicast, which gets no plain answer.
    Multicast = "refused_multicast",
    /// Shed: over the rate limit, or no worker or queue was free.
    Shed = "shed",
    /// Dropped on purpose, to make bad weather.
    Pretended = "pretended_to_drop",
    /// Lost to a handler that panicked.
    Panicked = "panicked",
    /// Lost to a handler that took longer than the deadline.
    Late = "late",
    /// Worker processes that ended and were started again; what they held was lost with them.
    WorkerRestarts = "worker_restarts",
    /// Longer than the receive buffer; the rest was cut off.
    Truncated = "truncated",
    /// Replies that the kernel did not take, for any error.
    SendFailed = "send_failed",
    /// Replies dropped because the send buffer stayed full.
    SendBufferFull = "send_buffer_full",
    /// Replies to a Unix peer without an address, or one forgotten since.
    NoReturnAddress = "no_return_address",
    /// Segmented sends that the kernel refused and that were sent again one by one.
    Unsegmented = "sent_again_unsegmented",
    /// Segmented sends.
    Segmented = "segmented_sends",
    /// ICMP errors that came back for replies.
    IcmpErrors = "icmp_errors",
    /// Peers that were given a socket of their own, because they send more than their share.
    Isolated = "isolated",
    /// Those of them whose socket was given up: they were quiet, or others needed it more.
    IsolatedEnded = "isolated_ended",
    /// Peers that were to get one and did not: all were taken, or the system refused.
    IsolateFailed = "isolate_failed",
    /// Datagrams of such peers that the kernel dropped because their own buffer was full (`SO_MEMINFO`; a train
    /// that was merged on receipt counts once).
    IsolatedDropped = "isolated_dropped",
    /// Connections accepted.
    Accepted = "connections",
    /// Connections that ended.
    Closed = "connections_closed",
    /// Connections refused because too many were open.
    ConnectionsFull = "connections_refused_full",
    /// Times that accepting failed, for instance for lack of descriptors, and was tried again later.
    AcceptFailed = "accept_failed",
    /// Connections closed because nothing came for too long.
    Idle = "closed_idle",
    /// Connections closed because a frame took too long to arrive.
    SlowFrame = "closed_slow_frame",
    /// Connections closed because the peer did not read its replies.
    SlowReader = "closed_slow_reader",
    /// Connections closed because a frame was longer than allowed or cut off.
    BadFrame = "closed_bad_frame",
    /// Connections closed because they had been open for longer than allowed.
    Lifetime = "closed_lifetime",
    /// Connections that failed.
    ConnectionFailed = "closed_error",
}

impl Counter {
    /// Whether it counts requests that a handler finished.
    pub(crate) fn is_handled(self) -> bool {
        matches!(self, Counter::Answered | Counter::Silent)
    }
}

/// The number of counters.
pub(crate) const COUNTERS: usize = Counter::ALL.len();

impl From<Refusal> for Counter {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Amplification => Counter::Amplification,
            Refusal::TooLong { .. } => Counter::TooLong,
            Refusal::Full => Counter::Full,
            Refusal::Loop(_) => Counter::Loop,
            Refusal::Malformed(_) => Counter::Malformed,
            Refusal::Overload(_) => Counter::Shed,
            Refusal::Dropped => Counter::Pretended,
            _ => Counter::Failed,
        }
    }
}

/// Counts of one thread until they are published, so that the hot path takes no locked instruction.
#[derive(Debug)]
pub(crate) struct Tally([u64; COUNTERS]);

impl Tally {
    pub(crate) fn new() -> Self {
        Self([0; COUNTERS])
    }

    pub(crate) fn add(&mut self, counter: Counter, count: u64) {
        self.0[counter as usize] += count;
    }

    /// Adds the counts to `stats` and begins again.
    pub(crate) fn publish(&mut self, stats: &SocketStats) {
        for (count, total) in self.0.iter_mut().zip(&stats.counts) {
            if *count > 0 {
                total.fetch_add(std::mem::take(count), Relaxed);
            }
        }
    }
}

/// The counts of one socket, shared by the threads that use it.
#[derive(Debug)]
pub(crate) struct SocketStats {
    service: String,
    address: String,
    transport: Transport,
    shard: usize,
    counts: [AtomicU64; COUNTERS],
    /// Failed sends by error number; those past the table count in the last.
    send_errors: [AtomicU64; ERRNOS],
    /// The kernel's view, as it was read last.
    memory: Mutex<Option<Memory>>,
}

impl SocketStats {
    pub(crate) fn new(service: &str, address: String, transport: Transport, shard: usize) -> Self {
        Self {
            service: service.to_owned(),
            address,
            transport,
            shard,
            counts: [const { AtomicU64::new(0) }; COUNTERS],
            send_errors: [const { AtomicU64::new(0) }; ERRNOS],
            memory: Mutex::new(None),
        }
    }

    pub(crate) fn add(&self, counter: Counter, count: u64) {
        self.counts[counter as usize].fetch_add(count, Relaxed);
    }

    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn send_error(&self, errno: i32) {
        self.add_send_errors(errno, 1);
    }

    pub(crate) fn add_send_errors(&self, errno: i32, count: u64) {
        let index = usize::try_from(errno).unwrap_or(0).min(ERRNOS - 1);
        self.send_errors[index].fetch_add(count, Relaxed);
    }

    /// Failed sends by error number, of those that occurred.
    pub(crate) fn send_errors(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        let counts = self.send_errors.iter().enumerate();
        counts.map(|(errno, count)| (errno as i32, count.load(Relaxed))).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn counts(&self) -> [u64; COUNTERS] {
        std::array::from_fn(|index| self.counts[index].load(Relaxed))
    }

    pub(crate) fn set_memory(&self, memory: Option<Memory>) {
        *self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = memory;
    }

    pub(crate) fn snapshot(&self) -> SocketSnapshot {
        SocketSnapshot {
            service: self.service.clone(),
            address: self.address.clone(),
            transport: self.transport,
            shard: self.shard,
            counts: self.counts(),
            send_errors: self.send_errors().collect(),
            memory: *self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        }
    }
}

/// Error numbers that are counted apart: Linux's go to 133.
const ERRNOS: usize = 134;

/// All sockets of a server.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    sockets: Mutex<Vec<Arc<SocketStats>>>,
}

impl Stats {
    pub(crate) fn register(&self, stats: SocketStats) -> Arc<SocketStats> {
        let stats = Arc::new(stats);
        self.sockets.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Arc::clone(&stats));
        stats
    }

    pub(crate) fn with_all<T>(&self, look: impl FnOnce(&[Arc<SocketStats>]) -> T) -> T {
        look(&self.sockets.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let sockets = self.sockets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Snapshot { sockets: sockets.iter().map(|socket| socket.snapshot()).collect() }
    }
}

/// A server's counts at one moment, socket by socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    sockets: Vec<SocketSnapshot>,
}

impl Snapshot {
    /// Each socket's counts. A service that is sharded has one socket for each shard and address.
    pub fn sockets(&self) -> &[SocketSnapshot] {
        &self.sockets
    }

    /// These counts and those of another server together.
    pub fn and(mut self, other: Self) -> Self {
        self.sockets.extend(other.sockets);
        self
    }

    /// `counter` over all sockets.
    pub fn total(&self, counter: Counter) -> u64 {
        self.sockets.iter().map(|socket| socket.get(counter)).sum()
    }

    /// Datagrams that the kernel dropped because a receive buffer was full, over all sockets
    /// (`SO_MEMINFO`; a train that was merged on receipt counts once), without those of peers that have a socket of
    /// their own ([`Counter::IsolatedDropped`]).
    pub fn kernel_drops(&self) -> u64 {
        self.sockets.iter().filter_map(|socket| socket.memory).map(|memory| u64::from(memory.drops)).sum()
    }

    /// Requests that got no answer though they could have had one: refused, shed, lost or dropped on
    /// purpose.
    pub fn unanswered(&self) -> u64 {
        self.unanswered_by().map(|(_, count)| count).sum()
    }

    /// The same, by reason; those that are not zero.
    pub fn unanswered_by(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        const LOST: &[Counter] = &[
            Counter::Amplification,
            Counter::Loop,
            Counter::TooLong,
            Counter::Full,
            Counter::Malformed,
            Counter::Failed,
            Counter::NotAdmitted,
            Counter::Multicast,
            Counter::Shed,
            Counter::Pretended,
            Counter::Panicked,
            Counter::Late,
        ];
        self.totals(LOST)
    }

    /// Replies that did not leave: the kernel refused them or had no room, or their peer has no address.
    pub fn unsent(&self) -> u64 {
        const UNSENT: &[Counter] = &[Counter::SendFailed, Counter::SendBufferFull, Counter::NoReturnAddress];
        self.totals(UNSENT).map(|(_, count)| count).sum()
    }

    /// Connections that the server ended or refused, by reason; those that are not zero.
    pub fn closed_by(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        const CLOSED: &[Counter] = &[
            Counter::ConnectionsFull,
            Counter::Idle,
            Counter::SlowFrame,
            Counter::SlowReader,
            Counter::BadFrame,
            Counter::Lifetime,
        ];
        self.totals(CLOSED)
    }

    fn totals(&self, counters: &'static [Counter]) -> impl Iterator<Item = (Counter, u64)> + '_ {
        counters.iter().map(|counter| (*counter, self.total(*counter))).filter(|(_, count)| *count > 0)
    }
}

/// One socket's counts at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSnapshot {
    /// The service that the socket belongs to.
    pub service: String,
    /// The socket's address, as a URI.
    pub address: String,
    /// Its transport.
    pub transport: Transport,
    /// The shard or worker process that reads it, counted from 0.
    pub shard: usize,
    counts: [u64; COUNTERS],
    /// Replies that the kernel did not take, by error number.
    pub send_errors: Vec<(i32, u64)>,
    /// The kernel's own counts, where it has them (`SO_MEMINFO`, Linux).
    pub memory: Option<Memory>,
}

impl SocketSnapshot {
    /// The value of `counter`.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts[counter as usize]
    }

    /// The counters that are not zero, in order.
    pub fn counts(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|counter| (*counter, self.get(*counter))).filter(|(_, count)| *count > 0)
    }
}

impl fmt::Display for SocketSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} shard {}:", self.service, self.address, self.shard)?;
        for (counter, count) in self.counts() {
            write!(f, " {}={count}", counter.name())?;
        }
        for (errno, count) in &self.send_errors {
            write!(f, " send_error[{}]={count}", std::io::Error::from_raw_os_error(*errno))?;
        }
        match self.memory {
            Some(memory) if memory.drops > 0 => write!(f, " kernel_drops={}", memory.drops),
            _ => Ok(()),
        }
    }
}
