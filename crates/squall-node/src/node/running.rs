//! A node that runs.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use squall::{BindError, Gauge, Local, Model, Report, Running, Server, Service, Stopper};
use tracing::warn;

use super::{Node, NodeError, NodeReport};
use crate::chat::control::{ControlServer, Listener, NodeView};
use crate::chat::{Chat, Operator};
use crate::config::ControlPlace;
use crate::data::SharedData;
use crate::files::plain::PlainFiles;
use crate::files::{Files, SecureFiles};

/// A node that runs. Dropping it stops the node without waiting.
#[derive(Debug)]
pub struct RunningNode {
    /// All that serve, the first of which may end by itself.
    servers: Vec<Running>,
    locals: Vec<Local>,
    chat: Option<Chat>,
    files: Files,
    operator: Arc<Operator>,
    control: Option<ControlServer>,
}

/// Tells a running node to stop, from any thread.
#[derive(Clone, Debug)]
pub struct NodeStopper(Vec<Stopper>);

impl NodeStopper {
    /// Stops the node; requests that were taken may run for the node's grace time.
    pub fn stop(&self) {
        self.0.iter().for_each(Stopper::stop);
    }
}

pub(super) fn start(node: Node) -> Result<RunningNode, NodeError> {
    let Node { services, chat, files, data, settings, control, .. } = node;
    let model = settings.model;
    let processes = matches!(model, Model::Processes { .. });
    let with = |server: Server, services: Vec<_>| services.into_iter().fold(server, Server::service);
    if squall::is_worker() {
        // What there is once is the parent's. This does not return.
        let running = with(settings.server(model), services).start()?;
        drop(running);
        return Err(NodeError::Bind(BindError::Start(io::ErrorKind::Unsupported.into())));
    }
    // A data directory or a control socket that is not to be had is known before a port is opened.
    let listener = listener(&control, chat.is_some())?;
    let mut data = SharedData::new(data);
    let (chat_service, chat) = chat.map(|plan| plan.open(&mut data)).transpose()?.unzip();
    let (files_service, files) = match files {
        Some(plan) => plan.open(&mut data)?,
        None => (None, Files::default()),
    };
    let once: Vec<Service> = chat_service.into_iter().chain(files_service).collect();
    let mut groups = if processes {
        vec![(model, services), (Model::Inline, once)]
    } else {
        vec![(model, services.into_iter().chain(once).collect())]
    };
    groups.retain(|(_, services)| !services.is_empty());
    if groups.is_empty() && files.secure.is_some() {
        // The secure tier serves by itself; when the node stops is a server's to know all the same.
        groups.push((Model::Inline, Vec::new()));
    }
    let mut servers = Vec::new();
    for (model, services) in groups {
        servers.push(with(settings.server(model).may_be_empty(true), services).start()?);
    }
    let mut locals: Vec<Local> = servers.iter().flat_map(|server| server.locals().iter().cloned()).collect();
    locals.extend(files.secure.iter().flat_map(|files| files.locals().iter().cloned()));
    let stopper = NodeStopper(servers.iter().map(Running::stopper).collect());
    let view = NodeView {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listens: locals.iter().map(|local| local.uri.to_string()).collect(),
        history: chat.as_ref().map(|chat| chat.place().to_string()),
    };
    let gauges: Vec<Gauge> = servers.iter().map(Running::gauge).collect();
    if let Some(files) = &files.plain {
        files.watch(gauges.clone());
    }
    let chat_remote = chat.as_ref().map(Chat::remote);
    let operator =
        Arc::new(Operator::new(view, Instant::now(), gauges, stopper, chat_remote, files.remote()));
    let control = listener.and_then(|listener| {
        let started = ControlServer::start(listener, Arc::clone(&operator) as Arc<_>);
        started.map_err(|problem| warn!("cannot take orders: {problem}")).ok()
    });
    Ok(RunningNode { servers, locals, chat, files, operator, control })
}

/// Where orders come from. A usual place that cannot be had is no reason not to serve.
fn listener(place: &ControlPlace, chat: bool) -> Result<Option<Listener>, NodeError> {
    match place {
        ControlPlace::Usual if chat => match Listener::usual() {
            Ok(listener) => Ok(Some(listener)),
            Err(problem) => {
                warn!("squall ctl will not find this node: {problem}");
                Ok(None)
            }
        },
        ControlPlace::Usual | ControlPlace::Nowhere => Ok(None),
        ControlPlace::Path(path) => Ok(Some(Listener::at(path)?)),
    }
}

impl RunningNode {
    /// Where the node listens, in the order of its services.
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// Optional addresses that this machine does not have.
    pub fn left_out(&self) -> impl Iterator<Item = &BindError> {
        let secure = self.files.secure.iter().flat_map(|files| files.left_out());
        self.servers.iter().flat_map(|server| server.left_out()).chain(secure)
    }

    /// For how long each shard has been inside its handlers; see [`Running::busy`].
    pub fn busy(&self) -> Vec<Duration> {
        self.servers.iter().flat_map(Running::busy).collect()
    }

    /// Something to stop the node with from elsewhere.
    pub fn stopper(&self) -> NodeStopper {
        NodeStopper(self.servers.iter().map(Running::stopper).collect())
    }

    /// What obeys orders to this node.
    pub fn operator(&self) -> Arc<Operator> {
        Arc::clone(&self.operator)
    }

    /// The socket on which it takes orders, if it does.
    pub fn control(&self) -> Option<&Path> {
        self.control.as_ref().map(ControlServer::path)
    }

    /// Its chat, if it has one.
    pub fn chat(&self) -> Option<&Chat> {
        self.chat.as_ref()
    }

    /// The files that it takes.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Waits until the node is told to stop, `time` at most; true when it was.
    pub fn wait_for_stop_within(&self, time: Duration) -> bool {
        self.servers.first().is_none_or(|server| server.wait_for_stop_within(time))
    }

    /// Waits until the node is stopped and has finished, and reports.
    pub fn wait(mut self) -> NodeReport {
        let mut total: Option<Report> = None;
        for server in self.servers.drain(..) {
            // The first may have ended by itself.
            if total.is_some() {
                server.stopper().stop();
            }
            let report = server.wait();
            total = Some(match total {
                Some(total) => total.and(report),
                None => report,
            });
        }
        let secure_files = self.files.secure.take().map(SecureFiles::finish);
        let report = total.expect("a node has a server");
        NodeReport {
            report,
            chat: self.chat.take().map(Chat::finish),
            files: self.files.plain.take().map(PlainFiles::finish),
            secure_files,
        }
    }
}
