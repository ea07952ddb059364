//! What all servers of a node are set to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use squall::guard::Trust;
use squall::{Model, Offload, Request, Server, ServerError, StreamLimits, Verdict};

use crate::config::Config;

type Observe = Arc<dyn Fn(&str, &Request<'_>, Verdict) + Send + Sync>;
type Report = Arc<dyn Fn(&ServerError) + Send + Sync>;

pub(super) struct Settings {
    pub(super) model: Model,
    shards: Option<usize>,
    trust: Trust,
    gso: Offload,
    gro: Offload,
    receive_buffer: Option<usize>,
    idle: Option<Duration>,
    rate_limit: bool,
    pub(super) request_limit: Option<u64>,
    pub(super) on_request: Option<Observe>,
    pub(super) on_error: Option<Report>,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            model: match (config.model.unwrap_or_default(), config.deadline) {
                (Model::Threads { threads, queue, .. }, deadline) => {
                    Model::Threads { threads, queue, deadline }
                }
                (Model::Processes { workers, .. }, deadline) => Model::Processes { workers, deadline },
                (model, _) => model,
            },
            shards: config.shards,
            trust: config.trust_networks.iter().copied().collect(),
            gso: config.gso.unwrap_or_default(),
            gro: config.gro.unwrap_or_default(),
            receive_buffer: config.receive_buffer,
            idle: config.idle,
            rate_limit: config.rate_limit != Some(false),
            request_limit: None,
            on_request: None,
            on_error: None,
        }
    }

    /// A server without services, under `model`.
    pub(super) fn server(&self, model: Model) -> Server {
        let mut server = Server::new().model(model).trust(self.trust.clone()).gso(self.gso).gro(self.gro);
        if let Some(shards) = self.shards {
            server = server.shards(shards);
        }
        if let Some(bytes) = self.receive_buffer {
            server = server.receive_buffer(bytes);
        }
        if let Some(idle) = self.idle {
            server = server.stream_limits(StreamLimits::default().idle(idle));
        }
        if !self.rate_limit {
            server = server.rate_limit(None);
        }
        if let Some(requests) = self.request_limit {
            server = server.request_limit(requests);
        }
        if let Some(observe) = self.on_request.clone() {
            server = server.on_request(move |service, request, verdict| observe(service, request, verdict));
        }
        if let Some(report) = self.on_error.clone() {
            server = server.on_error(move |problem| report(problem));
        }
        server
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("model", &self.model).finish_non_exhaustive()
    }
}
