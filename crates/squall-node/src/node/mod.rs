//! A running node: its services on their addresses.

mod catalogue;
mod running;
mod settings;
mod summary;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use catalogue::{Addresses, addresses, refuse_exposed};
pub use running::{NodeStopper, RunningNode};
use settings::Settings;
use squall::{BindError, Request, ServerError, Service, Transport, Uri, UriError, Verdict, coap};
pub use summary::NodeReport;

use crate::chat::ChatPlan;
use crate::chat::control::ControlError;
use crate::config::{Config, ControlPlace, ServiceConfig};
use crate::files::FilesPlan;
use crate::lossy::Loss;

/// A node before it is started: services, and what else a program wants of them.
#[derive(Debug)]
pub struct Node {
    /// All but those that this process has once.
    services: Vec<Service>,
    chat: Option<ChatPlan>,
    files: Option<FilesPlan>,
    data: Option<PathBuf>,
    settings: Settings,
    control: ControlPlace,
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
    #[error("there is no service {name:?}; there are {}", catalogue::NAMES.join(", "))]
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
    /// A service would listen where strangers can reach it, and cannot tell them from others.
    #[error(
        "{service} does not listen on {uri}: its wire cannot tell who speaks, so that it is for loopback, Unix sockets and \
         networks that are trusted; name them with --trust-network 192.168.1.0/24"
    )]
    Exposed {
        /// The service.
        service: String,
        /// The address.
        uri: Box<Uri>,
    },
    /// What the node keeps is not to be had.
    #[error("{0}")]
    Data(String),
    /// The operator's orders cannot be taken where they are wanted.
    #[error("cannot take orders: {0}")]
    Control(#[from] ControlError),
    /// The sockets cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl NodeError {
    /// Whether what the operator typed cannot be, rather than the system refusing it.
    pub fn is_usage(&self) -> bool {
        match self {
            NodeError::Bind(error) => error.is_usage(),
            NodeError::Data(_) | NodeError::Control(_) => false,
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
        let coap_counts = CoapCounts::default();
        let (mut plain, mut chat, mut files) = (Vec::new(), None, None);
        for service in services {
            let is_there = match service.name.as_str() {
                "chat" => chat.replace(ChatPlan::new(service, config)?).is_some(),
                "files" => files.replace(FilesPlan::new(service, config)?).is_some(),
                _ => {
                    plain.push(catalogue::service(service, config, loss.as_ref(), &coap_counts)?);
                    false
                }
            };
            if is_there {
                let needs = "is there once; list its addresses in one on = [...]";
                return Err(NodeError::Incomplete { service: service.name.clone(), needs });
            }
        }
        Ok(Self {
            services: plain,
            chat,
            files,
            data: config.data.clone(),
            settings: Settings::new(config),
            control: config.control.clone().unwrap_or_default(),
            coap_counts,
        })
    }

    /// Stops by itself after this many requests.
    pub fn request_limit(mut self, requests: u64) -> Self {
        self.settings.request_limit = Some(requests);
        self
    }

    /// Tells `observe` what became of each request to which service.
    pub fn on_request(
        mut self,
        observe: impl Fn(&str, &Request<'_>, Verdict) + Send + Sync + 'static,
    ) -> Self {
        self.settings.on_request = Some(Arc::new(observe));
        self
    }

    /// Tells `report` what went wrong without ending the node.
    pub fn on_error(mut self, report: impl Fn(&ServerError) + Send + Sync + 'static) -> Self {
        self.settings.on_error = Some(Arc::new(report));
        self
    }

    /// What its CoAP servers count, to be read while it runs and afterwards.
    pub fn coap_counts(&self) -> CoapCounts {
        self.coap_counts.clone()
    }

    /// Opens all sockets and starts to serve. Does not return in a worker process; see
    /// [`Server::start`](squall::Server::start).
    ///
    /// A chat, and a folder of files, has one owner: with worker processes, that is this process, which serves it beside
    /// them.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start(self) -> Result<RunningNode, NodeError> {
        running::start(self)
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
                if service == "chat" && uri.transport() == Transport::Udp {
                    // What is said there comes back at any time: a client that stays.
                    let hub = std::net::SocketAddr::new(host.parse().ok()?, address.port());
                    return Some(format!("squall chat {hub}"));
                }
                if service == "files" {
                    let to = std::net::SocketAddr::new(host.parse().ok()?, address.port());
                    return Some(format!("echo hello | squall send --plain - {to}"));
                }
                Some(
                    format!("echo {text} | nc {udp}-w1 {host} {}", address.port())
                        .replace("echo  |", "echo |"),
                )
            }
            Transport::Unix if uri.unix()?.as_path().is_some() => {
                let before = if service == "chat" { "nc".to_owned() } else { format!("echo {text} | nc -N") };
                Some(format!("{before} -U {}", uri.unix()?))
            }
            _ => Some(format!("squall ask {uri} {}", if text.is_empty() { "\"\"" } else { text })),
        }
    }
}
