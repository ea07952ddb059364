//! A server that runs, and what it says when it has stopped.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use squall_proto::Time;
use squall_socket::Socket;

use super::assemble::assemble;
use super::bind::{self, BindError, Bound};
use super::parts::{Parts, Seat};
use super::{Config, Model, Server, Service, groups};
use crate::control::Control;
use crate::stats::{Counter, Snapshot, SocketStats};
use crate::uri::Uri;
use crate::workers;

/// A server that runs. Dropping it stops the server without waiting.
pub struct Running {
    control: Arc<Control>,
    locals: Vec<Local>,
    left_out: Vec<BindError>,
    meters: Vec<(Arc<SocketStats>, Arc<Socket>)>,
    parts: Option<Parts>,
    started: Time,
}

/// An address that a running server listens on.
#[derive(Clone, Debug)]
pub struct Local {
    /// The service.
    pub service: String,
    /// Where it listens, with the port that the kernel chose.
    pub uri: Uri,
    /// The same as a socket address.
    pub address: squall_socket::Address,
    /// The receive buffer that the kernel gave each datagram socket, in bytes (`SO_RCVBUF`; Linux counts
    /// its own bookkeeping in).
    pub receive_buffer: Option<usize>,
    /// Sockets that share the address, one for each shard.
    pub sockets: usize,
}

/// What a server did, told when it has stopped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Requests that were handled: answered, or wanting no answer.
    pub handled: u64,
    /// Requests that got no answer though they could have had one: refused, shed, lost, dropped.
    pub unanswered: u64,
    /// Requests and connections that had been taken and were not finished by the deadline.
    pub unfinished: u64,
    /// How long the server ran.
    pub elapsed: Duration,
    /// All counts.
    pub stats: Snapshot,
}

impl Report {
    /// What this server and another one, which ran beside it, did together.
    pub fn and(self, other: Self) -> Self {
        Self {
            handled: self.handled + other.handled,
            unanswered: self.unanswered + other.unanswered,
            unfinished: self.unfinished + other.unfinished,
            elapsed: self.elapsed.max(other.elapsed),
            stats: self.stats.and(other.stats),
        }
    }
}

/// Tells a running server to stop, from any thread.
#[derive(Clone)]
pub struct Stopper(Arc<Control>);

impl Stopper {
    /// Stops the server; requests that were taken may run for the server's grace time.
    pub fn stop(&self) {
        self.0.stop(None);
    }

    /// Stops the server; requests that were taken may run for `grace`, or what is left of an earlier
    /// order's time.
    pub fn stop_within(&self, grace: Duration) {
        self.0.stop(Some(grace));
    }
}

/// What the kernel has of some sockets; zeros where it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// Bytes of memory that hold what has arrived and was not read.
    pub waiting: u64,
    /// Datagrams that it has dropped so far, for which there was no room.
    pub drops: u64,
}

impl std::iter::Sum for Backlog {
    fn sum<I: Iterator<Item = Self>>(backlogs: I) -> Self {
        backlogs.fold(Self::default(), |sum, one| Self {
            waiting: sum.waiting + one.waiting,
            drops: sum.drops + one.drops,
        })
    }
}

/// Reads a running server's counts, from any thread, also while it stops.
#[derive(Clone)]
pub struct Gauge {
    control: Arc<Control>,
    meters: Vec<(Arc<SocketStats>, Arc<Socket>)>,
}

impl Gauge {
    /// What the kernel has at the sockets of `service`. It costs a system call for each of these sockets.
    pub fn backlog(&self, service: &str) -> Backlog {
        let meters = self.meters.iter().filter(|(stats, _)| stats.service() == service);
        let memory = meters.filter_map(|(_, socket)| socket.memory().ok());
        memory
            .map(|memory| Backlog { waiting: memory.receive_queued.into(), drops: memory.drops.into() })
            .sum()
    }

    /// The counts up to now, as [`Running::stats`] tells them.
    pub fn read(&self) -> Snapshot {
        for (stats, socket) in &self.meters {
            stats.set_memory(socket.memory().ok());
        }
        self.control.stats.snapshot()
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gauge")
    }
}

impl Running {
    /// Where the server listens, in the order of its services.
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// The IP addresses that the server listens on, with the ports that the kernel chose, in the order
    /// of its services.
    pub fn local_addrs(&self) -> Vec<std::net::SocketAddr> {
        self.locals.iter().filter_map(|local| local.address.ip()).collect()
    }

    /// Optional addresses that this machine does not have.
    pub fn left_out(&self) -> &[BindError] {
        &self.left_out
    }

    /// The counts up to now. With worker processes they lag behind by a quarter of a second.
    pub fn stats(&self) -> Snapshot {
        self.gauge().read()
    }

    /// Something to read the counts with from elsewhere.
    pub fn gauge(&self) -> Gauge {
        Gauge { control: Arc::clone(&self.control), meters: self.meters.clone() }
    }

    /// For how long each shard, and each stream listener behind them, has been inside its handlers; zero
    /// for one that waits. A handler that blocks shows here.
    pub fn busy(&self) -> Vec<Duration> {
        self.control.busy()
    }

    /// Threads of the pool that hang in a handler past the deadline and were replaced.
    pub fn written_off(&self) -> usize {
        let pool = self.parts.as_ref().and_then(|parts| parts.pool.as_ref());
        pool.map_or(0, |pool| pool.written_off())
    }

    /// Something to stop the server with from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.control))
    }

    /// Waits until the server is told to stop, `time` at most; true when it was.
    pub fn wait_for_stop_within(&self, time: Duration) -> bool {
        self.control.wait_for_stop_within(time);
        self.control.stopping().is_some()
    }

    /// Stops the server, gives requests that were taken `grace` to finish, and reports.
    pub fn shutdown(self, grace: Duration) -> Report {
        self.control.stop(Some(grace));
        self.wait()
    }

    /// Waits until the server is stopped and has finished, and reports.
    pub fn wait(mut self) -> Report {
        self.control.wait_for_stop();
        if let Some(parts) = self.parts.take() {
            parts.finish(&self.control);
        }
        let stats = self.stats();
        Report {
            handled: stats.total(Counter::Answered) + stats.total(Counter::Silent),
            unanswered: stats.unanswered(),
            unfinished: self.control.unfinished(),
            elapsed: self.control.now().since(self.started),
            stats,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop(Some(Duration::ZERO));
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("locals", &self.locals).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stopper")
    }
}

pub(crate) fn start(server: Server) -> Result<Running, BindError> {
    open(server, false).map(|(running, _)| running)
}

/// As [`start`], but the first shard runs on the calling thread, until the server stops.
pub(crate) fn run(server: Server, begun: impl FnOnce(&Running)) -> Result<Report, BindError> {
    let (running, first) = open(server, true)?;
    begun(&running);
    if let Some(first) = first {
        first.run(&running.control);
    }
    Ok(running.wait())
}

/// Opens the sockets and starts the threads; with `keep_first` all but that of the first shard.
fn open(server: Server, keep_first: bool) -> Result<(Running, Option<Seat>), BindError> {
    let Server { services, config } = server;
    if let Model::Processes { workers, deadline } = config.model {
        if let Some(inheritance) = workers::inheritance().map_err(BindError::Start)? {
            workers::run_as_worker(inheritance, services, config, deadline);
        }
        let (bound, left_out) = bind::bind_all(&services, &config, workers.max(1))?;
        let running = start_processes(services, config, bound, left_out, workers.max(1), deadline)?;
        return Ok((running, None));
    }
    let shards = match (config.limit, config.shards) {
        // The last request that a limit allows must be known before another is taken.
        (Some(_), _) => 1,
        (None, Some(shards)) => shards,
        (None, None) => thread::available_parallelism().map_or(1, usize::from),
    };
    let (bound, left_out) = bind::bind_all(&services, &config, shards)?;
    let (locals, members) = (locals(&services, &bound), groups::members(&services, &bound));
    let (control, mut parts, meters, mut seats) =
        assemble(services, config, bound, 0, false).map_err(BindError::Start)?;
    let first = (keep_first && !seats.is_empty()).then(|| seats.remove(0));
    if let Some(first) = &first {
        first.shard.own();
    }
    parts.groups = groups::keep(&control, members).map_err(|error| failed(&control, error))?;
    parts.spawn(&control, seats).map_err(BindError::Start)?;
    let started = control.now();
    Ok((Running { control, locals, left_out, meters, parts: Some(parts), started }, first))
}

fn start_processes(
    services: Vec<Service>,
    config: Config,
    bound: Vec<Bound>,
    left_out: Vec<BindError>,
    workers: usize,
    deadline: Option<Duration>,
) -> Result<Running, BindError> {
    let locals = locals(&services, &bound);
    let control = Control::new(config.hooks, config.limit, config.grace);
    let mut meters = Vec::new();
    let plan = workers::Plan::new(&control, &services, &bound, workers, &mut meters);
    let supervisor =
        workers::Supervisor::start(Arc::clone(&control), plan, deadline).map_err(BindError::Start)?;
    let members = groups::members(&services, &bound);
    let groups = groups::keep(&control, members).map_err(|error| failed(&control, error))?;
    let started = control.now();
    let workers = Some(supervisor);
    let parts = Parts { shards: Vec::new(), runtime: None, workers, groups, _bound: bound, pool: None };
    Ok(Running { control, locals, left_out, meters, parts: Some(parts), started })
}

/// Nothing that was started goes on.
fn failed(control: &Control, error: io::Error) -> BindError {
    control.stop(Some(Duration::ZERO));
    BindError::Start(error)
}

fn locals(services: &[Service], bound: &[Bound]) -> Vec<Local> {
    let local = |bound: &Bound| Local {
        service: services[bound.service].name.clone(),
        uri: bound.uri(),
        address: bound.address,
        receive_buffer: bound.receive_buffer,
        sockets: bound.sockets.len(),
    };
    bound.iter().map(local).collect()
}
