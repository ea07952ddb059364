//! A running node: its services on their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squall::guard::{DEFAULT_PORTS, Trust};
use squall::{
    BindError, Counter, Model, Report, Request, Running, Server, ServerError, Service, StreamLimits,
    Transport, Uri, UriError, Verdict, coap,
};

use crate::config::{Config, ServiceConfig};
use crate::lossy::{Loss, Lossy};
use crate::services::{Echo, Exec, ExecMode, FixedReply, Length, Stamp, TimeOfDay, resources};

/// A node before it is started: services, and what else a program wants of them.
#[derive(Debug)]
pub struct Node {
    server: Server,
    coap_counts: CoapCounts,
}

/// What the CoAP servers of a node counted, those of worker processes apart.
#[derive(Clone, Debug, Default)]
pub struct CoapCounts {
    servers: Arc<Mutex<Vec<Arc<coap::server::Counts>>>>,
}

impl CoapCounts {
    /// How often each event happened so far, those left out that did not.
    pub fn total(&self) -> Vec<(coap::server::Event, u64)> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let total = |event| (event, servers.iter().map(|counts| counts.get(event)).sum());
        coap::server::Event::ALL.into_iter().map(total).filter(|(_, count)| *count > 0).collect()
    }

    fn add(&self, counts: Arc<coap::server::Counts>) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).push(counts);
    }
}

/// Why a node cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// There is no service of this name.
    #[error("there is no service {name:?}; there are {}", NAMES.join(", "))]
    UnknownService {
        /// The name.
        name: String,
    },
    /// A service needs something that is not said.
    #[error("service {service} {needs}")]
    Incomplete {
        /// The service.
        service: String,
        /// What it needs, and how to say it.
        needs: &'static str,
    },
    /// An address is written wrong.
    #[error("service {service}: {source}")]
    Address {
        /// The service.
        service: String,
        /// What is wrong.
        source: UriError,
    },
    /// The sockets cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl NodeError {
    /// Whether what the operator typed cannot be, rather than the system refusing it.
    pub fn is_usage(&self) -> bool {
        match self {
            NodeError::Bind(error) => error.is_usage(),
            NodeError::Address { source, .. } => !source.is_temporary(),
            _ => true,
        }
    }

    /// Whether the same may work later: a name server did not answer.
    pub fn is_temporary(&self) -> bool {
        match self {
            NodeError::Bind(error) => error.is_temporary(),
            NodeError::Address { source, .. } => source.is_temporary(),
            _ => false,
        }
    }
}

impl Node {
    /// The node that `config` describes.
    ///
    /// # Errors
    /// [`NodeError`], but for what only the system can tell.
    pub fn new(config: &Config) -> Result<Self, NodeError> {
        let seed = config.drop_seed.unwrap_or_else(squall::seed);
        let loss = config.drop.as_ref().filter(|drop| !drop.is_clear()).map(|drop| Loss::new(drop, seed));
        let defaults;
        let services = if config.services.is_empty() {
            let named = |name: &str| ServiceConfig { name: name.to_owned(), ..ServiceConfig::default() };
            defaults = Config::DEFAULT_SERVICES.map(named);
            &defaults[..]
        } else {
            &config.services[..]
        };
        let mut server = Server::new()
            .model(model(config))
            .trust(config.trust_networks.iter().copied().collect::<Trust>())
            .gso(config.gso.unwrap_or_default())
            .gro(config.gro.unwrap_or_default());
        if let Some(shards) = config.shards {
            server = server.shards(shards);
        }
        if let Some(bytes) = config.receive_buffer {
            server = server.receive_buffer(bytes);
        }
        if let Some(idle) = config.idle {
            server = server.stream_limits(StreamLimits::default().idle(idle));
        }
        if config.rate_limit == Some(false) {
            server = server.rate_limit(None);
        }
        let coap_counts = CoapCounts::default();
        for service in services {
            server = server.service(self::service(service, config, loss.as_ref(), &coap_counts)?);
        }
        Ok(Self { server, coap_counts })
    }

    /// Stops by itself after this many requests.
    pub fn request_limit(self, requests: u64) -> Self {
        Self { server: self.server.request_limit(requests), ..self }
    }

    /// Tells `observe` what became of each request to which service.
    pub fn on_request(self, observe: impl Fn(&str, &Request<'_>, Verdict) + Send + Sync + 'static) -> Self {
        Self { server: self.server.on_request(observe), ..self }
    }

    /// Tells `report` what went wrong without ending the node.
    pub fn on_error(self, report: impl Fn(&ServerError) + Send + Sync + 'static) -> Self {
        Self { server: self.server.on_error(report), ..self }
    }

    /// What its CoAP servers count, to be read while it runs and afterwards.
    pub fn coap_counts(&self) -> CoapCounts {
        self.coap_counts.clone()
    }

    /// Opens all sockets and starts to serve. Does not return in a worker process; see
    /// [`Server::start`].
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start(self) -> Result<Running, NodeError> {
        Ok(self.server.start()?)
    }

    /// A line that asks the service behind `local`, for people to paste; `None` where there is none.
    pub fn try_line(service: &str, uri: &Uri) -> Option<String> {
        let text = if service == "time" { "" } else { "hello" };
        match uri.transport() {
            _ if uri.is_coap() => {
                let host = if uri.is_wildcard() {
                    format!("127.0.0.1:{}", uri.resolve(squall::IpFamily::Any).ok()?.first()?.ip()?.port())
                } else {
                    uri.to_string().trim_start_matches("coap://").to_owned()
                };
                let usual = format!(":{}", coap::PORT);
                Some(format!("squall ask coap://{}/time", host.strip_suffix(&usual).unwrap_or(&host)))
            }
            Transport::Udp | Transport::Tcp => {
                let address = uri.resolve(squall::IpFamily::Any).ok()?.first()?.ip()?;
                let udp = if uri.transport() == Transport::Udp { "-u " } else { "-N " };
                let host = match address.ip() {
                    ip if !ip.is_unspecified() => ip.to_string(),
                    // The IPv6 wildcard takes IPv4 too, or the service has a socket for that beside it.
                    _ => "127.0.0.1".to_owned(),
                };
                Some(
                    format!("echo {text} | nc {udp}-w1 {host} {}", address.port())
                        .replace("echo  |", "echo |"),
                )
            }
            Transport::Unix if uri.unix()?.as_path().is_some() => {
                Some(format!("echo {text} | nc -N -U {}", uri.unix()?))
            }
            _ => Some(format!("squall ask {uri} {}", if text.is_empty() { "\"\"" } else { text })),
        }
    }

    /// What a node did, in one line.
    pub fn summary(report: &Report) -> String {
        let stats = &report.stats;
        let mut line =
            format!("answered {} and left {} unanswered", requests(report.handled), report.unanswered);
        line += &reasons(stats.unanswered_by());
        line += &format!(" in {:.1} s", report.elapsed.as_secs_f64());
        if report.unfinished > 0 {
            line += &format!("; {} not finished in time", report.unfinished);
        }
        if stats.unsent() > 0 {
            line += &format!("; {} replies could not be sent", stats.unsent());
        }
        let closed: u64 = stats.closed_by().map(|(_, count)| count).sum();
        if closed > 0 {
            line += &format!("; ended {closed} connections{}", reasons(stats.closed_by()));
        }
        let restarts = stats.total(Counter::WorkerRestarts);
        if restarts > 0 {
            line += &format!(
                "; replaced {restarts} workers, whose last quarter of a second is not in these counts"
            );
        }
        let drops = stats.kernel_drops();
        if drops > 0 {
            line += &format!("; the kernel dropped {drops} before they were read");
        }
        line
    }
}

/// ` (3 loop, 1 too long)`, or nothing.
fn reasons(counts: impl Iterator<Item = (Counter, u64)>) -> String {
    let word = |counter: Counter| {
        let name = counter.name();
        name.trim_start_matches("refused_").trim_start_matches("closed_").replace('_', " ")
    };
    let reasons: Vec<String> = counts.map(|(counter, count)| format!("{count} {}", word(counter))).collect();
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".into() } else { format!("{count} requests") }
}

fn model(config: &Config) -> Model {
    match (config.model.unwrap_or_default(), config.deadline) {
        (Model::Threads { threads, queue, .. }, deadline) => Model::Threads { threads, queue, deadline },
        (Model::Processes { workers, .. }, deadline) => Model::Processes { workers, deadline },
        (model, _) => model,
    }
}

fn service(
    config: &ServiceConfig,
    node: &Config,
    loss: Option<&Loss>,
    counts: &CoapCounts,
) -> Result<Service, NodeError> {
    let name = config.name.as_str();
    let incomplete = |needs| NodeError::Incomplete { service: name.to_owned(), needs };
    let loss = loss.cloned();
    if name != "exec" && (config.command.is_some() || config.pool.is_some()) {
        return Err(incomplete("runs no command; only exec does"));
    }
    if !matches!(name, "reply" | "coap") && config.text.is_some() {
        return Err(incomplete("has no text to set; only reply and coap have"));
    }
    let mut service = match name {
        "time" => Service::new(name, Lossy(loss, TimeOfDay)),
        "length" => Service::new(name, Lossy(loss, Length)),
        "stamp" => Service::new(name, Lossy(loss, Stamp)),
        "reply" => {
            let reply = config.text.as_ref().map_or_else(FixedReply::default, FixedReply::new);
            Service::new(name, Lossy(loss, reply))
        }
        "echo" => Service::new(name, Lossy(loss, Echo::default())),
        "coap" => {
            // Worker processes have no memory in common, so that a value would be there now and then.
            let shares_memory = !matches!(node.model, Some(Model::Processes { .. }));
            let resources = resources(config.text.as_deref(), shares_memory);
            let counts = counts.clone();
            let make = move || {
                let key = u128::from(squall::seed()) << 64 | u128::from(squall::seed());
                let server = coap::server::Server::new(&Default::default(), resources.clone(), key);
                counts.add(server.counts());
                Lossy(loss.clone(), server)
            };
            let service = Service::protocol_each(name, make).answers_anything(false);
            GROUPS.into_iter().fold(service, Service::group)
        }
        "exec" => {
            let command =
                config.command.clone().ok_or_else(|| incomplete("needs a command: --command 'wc -c'"))?;
            let mode = config.pool.map_or(ExecMode::Each, ExecMode::Pool);
            let time_limit = node.deadline.unwrap_or(COMMAND_TIME);
            Service::asynchronous(name, Exec::new(command, mode, time_limit, loss))
        }
        _ => return Err(NodeError::UnknownService { name: name.to_owned() }),
    };
    if let Some(framing) = config.framing {
        service = service.framing(framing);
    }
    if config.on.is_empty() {
        let defaults = default_addresses(name);
        if defaults.is_empty() {
            return Err(incomplete("has no default address; say where with --on udp://127.0.0.1:PORT"));
        }
        for uri in defaults {
            service = service.on_if_present(uri);
        }
        return Ok(service);
    }
    for text in &config.on {
        let usual_port = default_port(name);
        let uri = Uri::parse(text, Transport::Udp, usual_port)
            .map_err(|source| NodeError::Address { service: name.to_owned(), source })?;
        if uri.is_coap() && name != "coap" {
            return Err(incomplete("is a resource of the service coap: squall serve coap --on coap://host"));
        }
        service = service.on(if name == "coap" { uri.as_coap() } else { uri });
    }
    Ok(service)
}

/// Loopback, both families.
fn default_addresses(service: &str) -> Vec<Uri> {
    let Some(port) = default_port(service) else { return Vec::new() };
    let transports: &[Transport] =
        if service == "stamp" { &[Transport::Udp, Transport::Tcp] } else { &[Transport::Udp] };
    let uri = |transport: &Transport, host: &str| {
        let uri = Uri::parse(&format!("{transport}://{host}:{port}"), *transport, None).ok()?;
        Some(if service == "coap" { uri.as_coap() } else { uri })
    };
    transports
        .iter()
        .flat_map(|transport| ["127.0.0.1", "[::1]"].map(|host| uri(transport, host)))
        .flatten()
        .collect()
}

fn default_port(service: &str) -> Option<u16> {
    let [time, length, stamp, reply, ..] = DEFAULT_PORTS;
    match service {
        "time" => Some(time),
        "length" => Some(length),
        "stamp" => Some(stamp),
        "reply" => Some(reply),
        "coap" => Some(coap::PORT),
        _ => None,
    }
}

/// The services that there are.
const NAMES: [&str; 7] = ["time", "length", "stamp", "reply", "echo", "exec", "coap"];
/// The groups of all CoAP nodes: on IPv4, on a link, and in a site
/// ([RFC 7252 §12.8](https://www.rfc-editor.org/rfc/rfc7252#section-12.8)).
const GROUPS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(224, 0, 1, 187)),
    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd)),
    IpAddr::V6(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xfd)),
];
/// How long a command may run where nothing else is said.
const COMMAND_TIME: Duration = Duration::from_secs(10);
