//! The services that there are, and where they listen by default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use squall::guard::DEFAULT_PORTS;
use squall::{IpFamily, Model, Service, Transport, Uri, coap};

use super::{CoapCounts, NodeError};
use crate::config::{Config, ServiceConfig};
use crate::lossy::{Loss, Lossy};
use crate::services::{Echo, Exec, ExecMode, FixedReply, Length, Stamp, TimeOfDay, resources};

/// The service that `config` describes.
pub(super) fn service(
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
    Ok(addresses(config)?.add_to(service))
}

/// Where a service listens.
#[derive(Debug)]
pub(crate) enum Addresses {
    /// There alone.
    Said(Vec<Uri>),
    /// There, as far as the machine has these addresses.
    Default(Vec<Uri>),
}

impl Addresses {
    pub(crate) fn uris(&self) -> &[Uri] {
        match self {
            Addresses::Said(uris) | Addresses::Default(uris) => uris,
        }
    }

    pub(crate) fn add_to(&self, service: Service) -> Service {
        match self {
            Addresses::Said(uris) => uris.iter().cloned().fold(service, Service::on),
            Addresses::Default(uris) => uris.iter().cloned().fold(service, Service::on_if_present),
        }
    }
}

/// Whether the service `coap` is, or has, this one.
fn is_resource(name: &str) -> bool {
    !matches!(name, "exec" | "chat" | "files")
}

/// Where the service that `config` describes listens.
pub(crate) fn addresses(config: &ServiceConfig) -> Result<Addresses, NodeError> {
    let name = config.name.as_str();
    let incomplete = |needs| NodeError::Incomplete { service: name.to_owned(), needs };
    if config.on.is_empty() {
        return match default_addresses(name) {
            defaults if defaults.is_empty() => {
                Err(incomplete("has no default address; say where with --on udp://127.0.0.1:PORT"))
            }
            defaults => Ok(Addresses::Default(defaults)),
        };
    }
    let uri = |text: &String| {
        let uri = Uri::parse(text, Transport::Udp, default_port(name))
            .map_err(|source| NodeError::Address { service: name.to_owned(), source })?;
        if uri.is_coap() && !is_resource(name) {
            return Err(incomplete("is not to be had by CoAP: write udp://, tcp://, unix: or unixgram:"));
        }
        if uri.is_quic() && name != "files" {
            return Err(incomplete("is not to be had over QUIC; files is"));
        }
        if uri.is_coap() && name != "coap" {
            return Err(incomplete("is a resource of the service coap: squall serve coap --on coap://host"));
        }
        Ok(if name == "coap" { uri.as_coap() } else { uri })
    };
    config.on.iter().map(uri).collect::<Result<_, _>>().map(Addresses::Said)
}

/// Refuses to let a service whose wire cannot tell who speaks listen where strangers can reach it.
pub(crate) fn refuse_exposed(
    service: &ServiceConfig,
    listen: &Addresses,
    node: &Config,
) -> Result<(), NodeError> {
    if node.trust_networks.is_empty()
        && let Some(uri) = listen.uris().iter().find(|uri| is_exposed(uri))
    {
        return Err(NodeError::Exposed { service: service.name.clone(), uri: Box::new(uri.clone()) });
    }
    Ok(())
}

/// Whether other machines can reach it.
fn is_exposed(uri: &Uri) -> bool {
    if !matches!(uri.transport(), Transport::Udp | Transport::Tcp) {
        return false;
    }
    let Ok(addresses) = uri.resolve(IpFamily::Any) else {
        // What cannot be resolved cannot be bound, and is told then.
        return false;
    };
    addresses
        .iter()
        .filter_map(|address| address.ip())
        .any(|address| !address.ip().to_canonical().is_loopback())
}

/// Loopback, both families.
fn default_addresses(service: &str) -> Vec<Uri> {
    let Some(port) = default_port(service) else { return Vec::new() };
    let transports: &[Transport] = if matches!(service, "stamp" | "chat") {
        &[Transport::Udp, Transport::Tcp]
    } else {
        &[Transport::Udp]
    };
    let uri = |transport: &Transport, host: &str| {
        let uri = Uri::parse(&format!("{transport}://{host}:{port}"), *transport, None).ok()?;
        Some(if service == "coap" { uri.as_coap() } else { uri })
    };
    let plain = transports.iter().flat_map(|transport| HOSTS.map(|host| uri(transport, host))).flatten();
    let secure = HOSTS.iter().filter(|_| service == "files");
    plain.chain(secure.filter_map(|host| format!("quic://{host}").parse().ok())).collect()
}

fn default_port(service: &str) -> Option<u16> {
    let [time, length, stamp, reply, chat, files] = DEFAULT_PORTS;
    match service {
        "time" => Some(time),
        "length" => Some(length),
        "stamp" => Some(stamp),
        "reply" => Some(reply),
        "coap" => Some(coap::PORT),
        "chat" => Some(chat),
        "files" => Some(files),
        _ => None,
    }
}

/// Loopback.
const HOSTS: [&str; 2] = ["127.0.0.1", "[::1]"];
/// The services that there are.
pub(super) const NAMES: [&str; 9] =
    ["time", "length", "stamp", "reply", "echo", "exec", "coap", "chat", "files"];
/// The groups of all CoAP nodes: on IPv4, on a link, and in a site
/// ([RFC 7252 §12.8](https://www.rfc-editor.org/rfc/rfc7252#section-12.8)).
const GROUPS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(224, 0, 1, 187)),
    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd)),
    IpAddr::V6(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xfd)),
];
/// How long a command may run where nothing else is said.
const COMMAND_TIME: Duration = Duration::from_secs(10);
