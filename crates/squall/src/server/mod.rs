//! A server: services on their addresses, one model, one life.

mod assemble;
mod bind;
mod groups;
mod open;
mod parts;
mod running;
mod service;

use std::time::Duration;

pub(crate) use assemble::assemble;
pub use bind::BindError;
pub(crate) use bind::{Bound, bind_datagrams};
pub use open::{OpenSocket, open};
pub use running::{Backlog, Gauge, Local, Report, Running, Stopper};
pub use service::Service;
use squall_proto::Request;
use squall_proto::guard::{RateLimitConfig, Trust};

use crate::engine::Offload;
use crate::hooks::{Hooks, ServerError};
use crate::stream::StreamLimits;
use crate::verdict::Verdict;

/// How handlers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// On the shard that received the request. The fastest; a handler that waits or computes for long
    /// holds up all peers of its shard.
    #[default]
    Inline,
    /// In a pool of threads that all services share. A slow handler holds up only its own thread.
    Threads {
        /// How many threads; one at least.
        threads: usize,
        /// Requests that may wait for one, and 8 MiB of them at most; more are shed and counted.
        queue: usize,
        /// How long a handler may take. Past it, its request counts as late, its thread is written off
        /// and another put in its place, up to twice `threads` in all: no thread can be ended from
        /// outside, only processes truly recover.
        deadline: Option<Duration>,
    },
    /// In worker processes, each a shard with sockets of its own. The program starts itself again with
    /// the same arguments for each worker, so `main` runs in each up to [`Server::start`], which in a
    /// worker takes the sockets that it inherits. A handler that blocks, aborts or corrupts memory costs
    /// its own worker alone, which is ended and started again. A program has a minute to reach
    /// [`Server::start`].
    Processes {
        /// How many; one at least.
        workers: usize,
        /// How long a handler may take before its worker is killed.
        deadline: Option<Duration>,
    },
}

impl Model {
    /// A pool of `threads` threads with a queue of 1024 requests and no deadline.
    pub fn threads(threads: usize) -> Self {
        Model::Threads { threads, queue: 1024, deadline: None }
    }

    /// `workers` processes without a deadline.
    pub fn processes(workers: usize) -> Self {
        Model::Processes { workers, deadline: None }
    }
}

/// Services, and how they are run. See the [crate's example](crate).
#[derive(Debug, Default)]
pub struct Server {
    pub(crate) services: Vec<Service>,
    pub(crate) config: Config,
}

/// What `Server`'s setters set.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) model: Model,
    pub(crate) shards: Option<usize>,
    pub(crate) gso: Offload,
    pub(crate) gro: Offload,
    pub(crate) receive_buffer: usize,
    pub(crate) batch: usize,
    pub(crate) trust: Trust,
    pub(crate) rate_limit: Option<RateLimitConfig>,
    pub(crate) stream_limits: StreamLimits,
    pub(crate) limit: Option<u64>,
    pub(crate) grace: Duration,
    pub(crate) icmp_errors: bool,
    pub(crate) may_be_empty: bool,
    pub(crate) hooks: Hooks,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: Model::Inline,
            shards: None,
            gso: Offload::Auto,
            gro: Offload::Auto,
            receive_buffer: 4 * 1024 * 1024,
            batch: 64,
            trust: Trust::new(),
            rate_limit: Some(RateLimitConfig::default()),
            stream_limits: StreamLimits::default(),
            limit: None,
            grace: Duration::from_secs(5),
            icmp_errors: false,
            may_be_empty: false,
            hooks: Hooks::default(),
        }
    }
}

impl Server {
    /// A server without services, with the defaults that each setter names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service.
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// How handlers run; [`Model::Inline`] by default. Asynchronous handlers, protocols and
    /// conversations have a place of their own and are not affected by threads.
    pub fn model(mut self, model: Model) -> Self {
        self.config.model = model;
        self
    }

    /// Threads that receive datagrams, each with a socket of its own for each address; one for each
    /// processor by default. One peer is always on one shard. Each takes up to 4.5 MiB under load.
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = Some(shards.max(1));
        self
    }

    /// Whether consecutive replies to one peer leave as one segmented datagram (`UDP_SEGMENT`).
    pub fn gso(mut self, gso: Offload) -> Self {
        self.config.gso = gso;
        self
    }

    /// Whether the kernel may merge the datagrams of one peer on receipt (`UDP_GRO`).
    pub fn gro(mut self, gro: Offload) -> Self {
        self.config.gro = gro;
        self
    }

    /// The receive buffer asked for on each datagram socket, in bytes (`SO_RCVBUF`); 4 MiB by default.
    /// The kernel gives `net.core.rmem_max` at most; [`Running::locals`] tells what it gave.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.config.receive_buffer = bytes;
        self
    }

    /// Datagrams taken with one call; 64 by default, 1 to 1024.
    pub fn batch(mut self, datagrams: usize) -> Self {
        self.config.batch = datagrams.clamp(1, 1024);
        self
    }

    /// Networks whose addresses count as validated, as loopback always does: the amplification limit
    /// does not hold for them. None by default.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.config.trust = trust;
        self
    }

    /// Requests that one peer and one network prefix may send; `None` for no limit. The default is that
    /// of [`RateLimitConfig`], which leaves loopback alone. Each shard counts for itself.
    pub fn rate_limit(mut self, limit: Option<RateLimitConfig>) -> Self {
        self.config.rate_limit = limit;
        self
    }

    /// Bounds on connections.
    pub fn stream_limits(mut self, limits: StreamLimits) -> Self {
        self.config.stream_limits = limits;
        self
    }

    /// Stops by itself after this many handled requests; refused ones do not count. No limit by default.
    /// Datagrams are then taken one at a time, by one shard. Connections and worker processes that are
    /// inside a request when the last one is handled finish theirs, too.
    pub fn request_limit(mut self, requests: u64) -> Self {
        self.config.limit = Some(requests.max(1));
        self
    }

    /// How long requests that were taken may still run when the server stops; five seconds by default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// Counts the ICMP errors that come back for replies (`IP_RECVERR`); off by default, when the kernel
    /// keeps them to itself. They never stop a server or another peer's reply.
    pub fn icmp_errors(mut self, count: bool) -> Self {
        self.config.icmp_errors = count;
        self
    }

    /// Whether it starts without any service too, and then does nothing until it is told to stop: for a program whose
    /// services can all be such that it serves them by itself. Off by default, when that is an error.
    pub fn may_be_empty(mut self, may: bool) -> Self {
        self.config.may_be_empty = may;
        self
    }

    /// Asks `admit` before each request is handled; false turns it away. It runs on the receiving
    /// thread and must not wait.
    pub fn on_admission(mut self, admit: impl Fn(&Request<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.config.hooks.admission = Some(Box::new(admit));
        self
    }

    /// Tells `observe` what became of each request to which service. It runs on the receiving thread and must not wait;
    /// with worker processes, in the worker.
    pub fn on_request(
        mut self,
        observe: impl Fn(&str, &Request<'_>, Verdict) + Send + Sync + 'static,
    ) -> Self {
        self.config.hooks.observer = Some(Box::new(observe));
        self
    }

    /// Tells `report` what went wrong without ending the server.
    pub fn on_error(mut self, report: impl Fn(&ServerError) + Send + Sync + 'static) -> Self {
        self.config.hooks.error = Some(Box::new(report));
        self
    }

    /// Opens all sockets and starts to serve.
    ///
    /// With [`Model::Processes`] this does not return in a worker process before the worker ends:
    /// it serves there, and then ends the process.
    ///
    /// # Errors
    /// [`BindError`], which names the address and the remedy; nothing stays open.
    pub fn start(self) -> Result<Running, BindError> {
        running::start(self)
    }

    /// Serves until it is told to stop, by [`Server::request_limit`] for instance, and reports. The first
    /// shard runs on the calling thread.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn run(self) -> Result<Report, BindError> {
        self.run_with(|_| {})
    }

    /// As [`run`](Self::run); calls `begun` once every socket is open, with what tells the addresses and
    /// gives a [`Stopper`].
    ///
    /// # Errors
    /// [`BindError`].
    pub fn run_with(self, begun: impl FnOnce(&Running)) -> Result<Report, BindError> {
        running::run(self, begun)
    }
}
