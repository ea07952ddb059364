//! Putting services on their sockets: shards, listeners, pools.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use squall_proto::guard::{PortSet, RateLimit};
use squall_proto::{Protocol, Stateless, Transport};
use squall_socket::Socket;
use tokio::runtime;
use tokio::sync::oneshot;

use super::bind::Bound;
use super::parts::{PartEnd, Parts, Seat};
use super::service::Application;
use super::{Config, Model, Service};
use crate::clock::seed;
use crate::control::Control;
use crate::engine::hosted::{Connections, Hosted};
use crate::engine::{App, Endpoint, Gate, Rules, Shard, ShardConfig};
use crate::offload::Work;
use crate::pool::Pool;
use crate::remote::{Machine, Plain};
use crate::stats::{SocketStats, Tally};
use crate::stream::bridge::Bridge;
use crate::stream::{self, Listener, StreamApp, StreamService};

pub(super) type Meters = Vec<(Arc<SocketStats>, Arc<Socket>)>;

/// Starts a server whose sockets are open, but for the threads of its shards. `first_shard` is the number of the first
/// shard in the counts: that of the worker, in a worker process.
pub(crate) fn assemble(
    services: Vec<Service>,
    config: Config,
    bound: Vec<Bound>,
    first_shard: usize,
    time_requests: bool,
) -> io::Result<(Arc<Control>, Parts, Meters, Vec<Seat>)> {
    let control = Control::new(config.hooks, config.limit, config.grace);
    let trust = Arc::new(config.trust);
    let ports: PortSet =
        bound.iter().filter_map(|bound| bound.address.ip()).map(|address| address.port()).collect();
    let ports = Arc::new(ports);
    let pool = match config.model {
        Model::Threads { threads, queue, deadline } => {
            Some(Arc::new(Pool::start(control.clock(), threads.max(1), queue, deadline)?))
        }
        _ => None,
    };
    let needs_runtime = services.iter().any(|service| matches!(service.app, Application::Asynchronous(_)))
        || bound.iter().any(|bound| bound.transport.is_stream());
    let runtime =
        needs_runtime.then(|| runtime::Builder::new_current_thread().enable_all().build()).transpose()?;
    let shard_count = bound
        .iter()
        .filter(|bound| !bound.transport.is_stream())
        .map(|bound| bound.sockets.len())
        .max()
        // A protocol that is heard on streams alone has a shard all the same.
        .max(bound.iter().any(|bound| services[bound.service].has_one_owner()).then_some(1))
        .unwrap_or(0);

    let mut meters = Vec::new();
    let mut shards: Vec<_> = (0..shard_count).map(|_| (Vec::new(), Vec::new())).collect();
    let mut listeners = Vec::new();
    for (index, service) in services.into_iter().enumerate() {
        let rules = Rules {
            answers_anything: service.answers_anything,
            rate_limited: service.rate_limited,
            groups: !service.groups.is_empty(),
        };
        let (framing, limits) = (service.framing, config.stream_limits);
        let own: Vec<&Bound> = bound.iter().filter(|bound| bound.service == index).collect();
        let mut register = |bound: &Bound, shard: usize| {
            let uri = bound.uri().to_string();
            let stats = SocketStats::new(&service.name, uri, bound.transport, first_shard + shard);
            let stats = control.stats.register(stats);
            if bound.transport == Transport::Udp {
                meters.push((Arc::clone(&stats), Arc::clone(&bound.sockets[shard])));
            }
            stats
        };
        let app = match (service.app, &pool) {
            (Application::Protocol(_), _) if own.is_empty() => continue,
            (Application::Protocol(protocol), _) => {
                let mut hosted = Hosted::new(protocol, &service.name);
                let bridge = match own.iter().any(|bound| bound.transport.is_stream()) {
                    true => Some(Arc::new(Bridge::new()?)),
                    false => None,
                };
                hosted.connections = bridge.clone().map(Connections::new);
                let (_, protocols) = &mut shards[0];
                protocols.push(hosted);
                Shared::Protocol(protocols.len() - 1, bridge)
            }
            (Application::Protocols(make), _) => Shared::Protocols(make),
            (Application::Asynchronous(handler), _) => Shared::Asynchronous(handler),
            (Application::Conversation(handler), _) => Shared::Conversation(handler),
            (Application::Handler(handler), Some(pool)) => Shared::Pool(Arc::clone(pool), handler),
            (Application::Handler(handler), None) => Shared::Inline(handler),
        };
        let one_owner = matches!(app, Shared::Protocol(..));
        // A shard's protocol of this service, once it has one.
        let mut hosted = vec![None; shard_count];
        for bound in own {
            if bound.transport.is_stream() {
                let Some(app) = app.on_stream() else { continue };
                let socket = bound.sockets[0].try_clone()?;
                if matches!(app, StreamApp::Protocol(_)) && bound.transport == Transport::Tcp {
                    // Such a connection lives as long as its peer, and one that vanished would stay for ever. What
                    // is accepted has its listener's options.
                    let _ = socket.set_keepalive_times(KEEPALIVE, KEEPALIVE_INTERVAL);
                }
                let stats = register(bound, 0);
                let last_word = service.last_word.clone();
                let service = StreamService { app, framing, limits, last_word };
                listeners.push(Listener { socket, transport: bound.transport, service, stats });
                continue;
            }
            for (shard, socket) in bound.sockets.iter().enumerate() {
                let (endpoints, protocols) = &mut shards[shard];
                let app = app.on_shard(&service.name, &mut hosted[shard], protocols, runtime.as_ref());
                endpoints.push(Endpoint {
                    socket: Arc::clone(socket),
                    transport: bound.transport,
                    bound: bound.address.ip(),
                    v6: bound.v6(),
                    dual_stack: bound.v6() && matches!(socket.only_v6(), Ok(false)),
                    wildcard: bound.wildcard,
                    rules,
                    // With a limit on requests each must come by itself.
                    alone: one_owner && bound.transport == Transport::Udp && config.limit.is_none(),
                    app,
                    stats: register(bound, shard),
                    tally: Tally::new(),
                });
            }
        }
    }

    let mut seats = Vec::new();
    for (number, (endpoints, protocols)) in shards.into_iter().enumerate() {
        let gate = Gate {
            trust: Arc::clone(&trust),
            ports: Arc::clone(&ports),
            rate_limit: config.rate_limit.as_ref().map(|limit| RateLimit::new(limit, seed())),
            hooks: Arc::clone(control.hooks()),
        };
        let shard_config =
            ShardConfig { gso: config.gso, gro: config.gro, batch: config.batch, time_requests };
        let busy = control.add_busy();
        let shard = Shard::new(Arc::clone(&control), busy, gate, shard_config, endpoints, protocols)?;
        seats.push(Seat { number: first_shard + number, shard });
    }
    let runtime = runtime.map(|runtime| start_runtime(runtime, &control, listeners)).transpose()?;
    let parts = Parts { shards: Vec::new(), runtime, workers: None, groups: None, _bound: bound, pool };
    Ok((control, parts, meters, seats))
}

/// Who answers a service, before it is put on its sockets.
enum Shared {
    Inline(Arc<dyn squall_proto::Handler>),
    Pool(Arc<Pool>, Arc<dyn squall_proto::Handler>),
    Asynchronous(crate::offload::Asynchronous),
    /// A protocol on the first shard, by its number there, and what joins it to its connections.
    Protocol(usize, Option<Arc<Bridge>>),
    Protocols(Arc<dyn Fn() -> Box<dyn Protocol> + Send + Sync>),
    Conversation(Arc<dyn stream::conversation::StreamHandler>),
}

impl Shared {
    fn on_stream(&self) -> Option<StreamApp> {
        match self {
            Shared::Inline(handler) => Some(StreamApp::Inline(Arc::clone(handler))),
            Shared::Pool(pool, handler) => Some(StreamApp::Pool(Arc::clone(pool), Arc::clone(handler))),
            Shared::Asynchronous(handler) => Some(StreamApp::Asynchronous(handler.clone())),
            Shared::Conversation(handler) => Some(StreamApp::Conversation(Arc::clone(handler))),
            Shared::Protocol(_, bridge) => bridge.clone().map(StreamApp::Protocol),
            Shared::Protocols(_) => None,
        }
    }

    /// The application of an endpoint; a handler or a protocol for each shard is put on the shard the first
    /// time, as its number `hosted`.
    fn on_shard(
        &self,
        service: &str,
        hosted: &mut Option<usize>,
        protocols: &mut Vec<Hosted>,
        runtime: Option<&runtime::Runtime>,
    ) -> App {
        let index = *hosted;
        let mut host = |machine: Box<dyn Machine>| {
            protocols.push(Hosted::new(machine, service));
            *hosted = Some(protocols.len() - 1);
            App::Protocol(protocols.len() - 1)
        };
        match self {
            Shared::Inline(handler) => host(Box::new(Plain(Stateless(Arc::clone(handler))))),
            Shared::Protocol(number, _) => App::Protocol(*number),
            Shared::Protocols(make) => index.map_or_else(|| host(Box::new(Plain(make()))), App::Protocol),
            Shared::Pool(pool, handler) => App::Away(Work::Pool(Arc::clone(pool), Arc::clone(handler))),
            Shared::Asynchronous(handler) => match runtime {
                Some(runtime) => App::Away(Work::Runtime(runtime.handle().clone(), handler.clone())),
                None => unreachable!("an asynchronous service brings a runtime"),
            },
            Shared::Conversation(_) => unreachable!("a conversation is refused on datagrams"),
        }
    }
}

fn start_runtime(
    runtime: runtime::Runtime,
    control: &Arc<Control>,
    listeners: Vec<Listener>,
) -> io::Result<(JoinHandle<()>, oneshot::Sender<()>)> {
    let (drained, until_drained) = oneshot::channel();
    let control = Arc::clone(control);
    let serve = move || {
        let _end = PartEnd(&control);
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for listener in listeners {
                let address = listener.stats.address().to_owned();
                let control = Arc::clone(&control);
                tasks.spawn(async move {
                    if let Err(source) = stream::serve(Arc::clone(&control), listener).await {
                        control.hooks().report(&crate::ServerError::Accept { address, source });
                        control.stop(None);
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
            // Asynchronous handlers of datagrams run until the shards have their answers.
            let _ = until_drained.await;
        });
        // What hangs in a task is not waited for.
        runtime.shutdown_background();
    };
    Ok((thread::Builder::new().name("squall-io".into()).spawn(serve)?, drained))
}

/// When a silent TCP peer is asked whether it lives, and how often.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
