//! Telling the networks that this machine is on what a node has: DNS-based service discovery
//! ([RFC 6763](https://www.rfc-editor.org/rfc/rfc6763)) over multicast DNS
//! ([RFC 6762](https://www.rfc-editor.org/rfc/rfc6762)).
//!
//! Each service is an instance of `_squall._udp` or `_squall._tcp`, one of CoAP an instance of `_coap._udp`,
//! with the service's port and these TXT keys: `node` (the node's name), `id` (one run of it), `service`,
//! `transport`, and `path` for CoAP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, SystemTime};

use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceInfo};
use squall::socket::names;
use squall::{Local, Transport};

/// Announces services until it is [withdrawn](Self::withdraw) or dropped, on interfaces that come later too.
pub struct Announcer {
    daemon: ServiceDaemon,
    name: String,
    announced: Vec<Announced>,
}

/// A service that is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announced {
    /// The service: `time`.
    pub service: String,
    /// The name of its transport: `udp`, `tcp`, `coap`, `quic`.
    pub transport: &'static str,
    /// Its port.
    pub port: u16,
    /// The name of the instance, with type and domain.
    pub instance: String,
}

/// What happens while services are announced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnnounceNews {
    /// Another host has the name, and another one is used.
    Renamed {
        /// The name that was wanted.
        from: String,
        /// The name that is used.
        to: String,
    },
    /// Something could not be sent or opened. Announcing goes on.
    Trouble(String),
}

/// Why nothing can be announced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// The node's name cannot be one.
    #[error(transparent)]
    Name(#[from] NameProblem),
    /// Multicast DNS does not work here.
    #[error("cannot announce services by multicast DNS: {0}")]
    Daemon(String),
}

/// Why a text is no name of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name for a node: it has 1 to {MAX_NAME} bytes and no control characters")]
pub struct NameProblem {
    text: String,
}

impl Announcer {
    /// Announces those of `locals` that can be reached from another machine: `None` when all are on loopback
    /// or Unix sockets. `name` is the node's name, by default the machine's. `report` is told what happens
    /// meanwhile.
    ///
    /// # Errors
    /// [`AnnounceError`].
    pub fn start(
        locals: &[Local],
        name: Option<&str>,
        report: impl Fn(AnnounceNews) + Send + 'static,
    ) -> Result<Option<Self>, AnnounceError> {
        let name = match name {
            Some(name) => parse_node_name(name)?,
            None => machine_name(),
        };
        let endpoints = endpoints(locals);
        if endpoints.is_empty() {
            return Ok(None);
        }
        let daemon = ServiceDaemon::new().map_err(failed)?;
        // Nobody else hears what is said on loopback, and 127.0.0.1 is another machine to each that hears it.
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6]).map_err(failed)?;
        daemon.set_ip_check_interval(INTERFACE_CHECK_SECONDS).map_err(failed)?;
        let news = daemon.monitor().map_err(failed)?;
        let watch = move || {
            let mut last = String::new();
            for event in news.iter() {
                match event {
                    // What goes on is told once.
                    DaemonEvent::Error(error) if error.to_string() == last => {}
                    DaemonEvent::Error(error) => {
                        last = error.to_string();
                        report(AnnounceNews::Trouble(last.clone()));
                    }
                    DaemonEvent::NameChange(change) => {
                        report(AnnounceNews::Renamed { from: change.original, to: change.new_name });
                    }
                    _ => {}
                }
            }
        };
        let spawned = thread::Builder::new().name("squall-announce".into()).spawn(watch);
        spawned.map_err(|error| AnnounceError::Daemon(error.to_string()))?;
        let mut announcer = Self { daemon, name, announced: Vec::new() };
        let run = Run::new(&announcer.name);
        for (endpoint, places) in &endpoints {
            let info = run.service(endpoint, places, &endpoints)?;
            announcer.announced.push(Announced {
                service: endpoint.service.clone(),
                transport: endpoint.transport,
                port: endpoint.port,
                instance: info.get_fullname().to_owned(),
            });
            announcer.daemon.register(info).map_err(failed)?;
        }
        Ok(Some(announcer))
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is announced.
    pub fn announced(&self) -> &[Announced] {
        &self.announced
    }

    /// Says good-bye for every service, so that nobody waits for their time to run out, and ends. Takes half
    /// a second at most.
    pub fn withdraw(self) {
        // The daemon says good-bye for all that is registered before it ends.
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = ended.recv_timeout(GOODBYE);
        }
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

impl std::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcer").field("name", &self.name).field("announced", &self.announced).finish()
    }
}

/// A node's name: 1 to 40 bytes, so that it fits into the label of an instance beside a service's name
/// ([RFC 6763 §4.1.1](https://www.rfc-editor.org/rfc/rfc6763#section-4.1.1)), without control characters.
///
/// # Errors
/// [`NameProblem`].
pub fn parse_node_name(text: &str) -> Result<String, NameProblem> {
    if text.trim().is_empty() || text.len() > MAX_NAME || text.contains(char::is_control) {
        // Said again in part: it may be of any length.
        return Err(NameProblem { text: cut(text, MAX_NAME) });
    }
    Ok(text.to_owned())
}

/// At most `most` characters of a text; what is left out shows as `…`.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The machine's name without its domain.
fn machine_name() -> String {
    let full = names::host_name().unwrap_or_default();
    let short = full.split('.').next().unwrap_or_default();
    let end = (0..=short.len().min(MAX_NAME)).rev().find(|end| short.is_char_boundary(*end)).unwrap_or(0);
    parse_node_name(&short[..end]).unwrap_or_else(|_| "squall".into())
}

/// A service on a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Endpoint {
    service: String,
    transport: &'static str,
    port: u16,
}

/// Where an endpoint can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    /// At every IPv4 address of this machine.
    every_v4: bool,
    /// At every IPv6 address.
    every_v6: bool,
    /// At these addresses besides.
    addresses: Vec<IpAddr>,
}

/// What can be reached from another machine.
fn endpoints(locals: &[Local]) -> BTreeMap<Endpoint, Places> {
    let addresses = locals.iter().filter_map(|local| {
        let transport = match local.uri.transport() {
            Transport::Udp if local.service == COAP => COAP,
            Transport::Udp if local.uri.is_quic() => "quic",
            transport @ (Transport::Udp | Transport::Tcp) => transport.name(),
            _ => return None,
        };
        Some((local.service.as_str(), transport, local.address.ip()?))
    });
    let addresses: Vec<_> = addresses.collect();
    let mut endpoints = BTreeMap::<Endpoint, Places>::new();
    for (service, transport, address) in &addresses {
        if address.ip().is_loopback() {
            continue;
        }
        let endpoint = Endpoint { service: (*service).to_owned(), transport, port: address.port() };
        let places = endpoints.entry(endpoint).or_default();
        match address.ip() {
            IpAddr::V4(v4) if v4.is_unspecified() => places.every_v4 = true,
            IpAddr::V6(v6) if v6.is_unspecified() => {
                places.every_v6 = true;
                // Its socket takes IPv4 too, unless another one of the node has that port.
                places.every_v4 |= !addresses.iter().any(|(_, other, taken)| {
                    other == transport && taken.port() == address.port() && taken.is_ipv4()
                });
            }
            ip if !places.addresses.contains(&ip) => places.addresses.push(ip),
            _ => {}
        }
    }
    endpoints
}

/// One run of a node, with the names that are its own.
struct Run<'a> {
    name: &'a str,
    id: String,
    host: String,
}

impl<'a> Run<'a> {
    fn new(name: &'a str) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let id = format!("{:x}-{:x}", std::process::id(), since.as_millis());
        // A host name of its own: the machine's may be announced by others, and good-byes of one node must
        // not take the addresses of another away.
        let letters: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let letters = letters.trim_matches('-');
        let host = format!("{}-{id}", if letters.is_empty() { "squall" } else { letters });
        Self { name, id, host }
    }

    fn service(
        &self,
        endpoint: &Endpoint,
        places: &Places,
        all: &BTreeMap<Endpoint, Places>,
    ) -> Result<ServiceInfo, AnnounceError> {
        let Endpoint { service, transport, port } = endpoint;
        let (kind, mut instance) = match *transport {
            COAP => ("_coap._udp.local.", self.name.to_owned()),
            "tcp" => ("_squall._tcp.local.", format!("{} {service}", self.name)),
            // Beside the same service over datagrams.
            "quic" => ("_squall._udp.local.", format!("{} {service} quic", self.name)),
            _ => ("_squall._udp.local.", format!("{} {service}", self.name)),
        };
        let twin = |other: &Endpoint| {
            other.service == *service && other.transport == *transport && other.port != *port
        };
        if all.keys().any(twin) {
            instance += &format!(" {port}");
        }
        let mut properties = vec![
            ("node", self.name.to_owned()),
            ("id", self.id.clone()),
            ("service", service.clone()),
            ("transport", (*transport).to_owned()),
        ];
        if *transport == COAP {
            properties.push(("path", "/.well-known/core".into()));
        }
        let mut interfaces = Vec::new();
        interfaces.extend(places.every_v4.then_some(IfKind::IPv4));
        interfaces.extend(places.every_v6.then_some(IfKind::IPv6));
        let every = !interfaces.is_empty();
        // The addresses belong to the name of the host, so that services that are not everywhere have others.
        let host = match (places.every_v4, places.every_v6) {
            (true, true) => format!("{}.local.", self.host),
            (true, false) => format!("{}-4.local.", self.host),
            (false, true) => format!("{}-6.local.", self.host),
            (false, false) => format!("{}-{transport}-{port}.local.", self.host),
        };
        interfaces.extend(places.addresses.iter().filter(|_| !every).map(|ip| IfKind::Addr(*ip)));
        let addresses: &[IpAddr] = if every { &[] } else { &places.addresses };
        let info = ServiceInfo::new(kind, &instance, &host, addresses, *port, &properties[..]);
        let mut info = info.map_err(failed)?;
        if every {
            info = info.enable_addr_auto();
        }
        info.set_interfaces(interfaces);
        Ok(info)
    }
}

fn failed(error: mdns_sd::Error) -> AnnounceError {
    AnnounceError::Daemon(error.to_string())
}

/// The service of CoAP resources, by which its endpoints are known, and its transport's name.
pub(crate) const COAP: &str = "coap";
/// How long a node's name may be, in bytes: an instance's label has 63, and holds a service and a port too.
const MAX_NAME: usize = 40;
/// How often new interfaces are looked for.
const INTERFACE_CHECK_SECONDS: u32 = 2;
/// How long good-byes may take.
const GOODBYE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn local(service: &str, uri: &str) -> Local {
        let uri: squall::Uri = uri.parse().unwrap();
        let address = uri.resolve(squall::IpFamily::Any).unwrap()[0];
        Local { service: service.into(), uri, address, receive_buffer: None, sockets: 1 }
    }

    fn found(locals: &[(&str, &str)]) -> Vec<String> {
        let locals: Vec<Local> = locals.iter().map(|(service, uri)| local(service, uri)).collect();
        let line = |(endpoint, places): (&Endpoint, &Places)| {
            let Endpoint { service, transport, port } = endpoint;
            let Places { every_v4, every_v6, addresses } = places;
            let all = format!("{}{}", if *every_v4 { "4" } else { "" }, if *every_v6 { "6" } else { "" });
            format!("{service} {transport} {port} {all} {addresses:?}")
        };
        endpoints(&locals).iter().map(line).collect()
    }

    #[test]
    fn what_is_on_loopback_or_a_unix_socket_is_not_announced() {
        let local = ["udp://127.0.0.1:20000", "udp://[::1]:20000", "tcp://127.1.2.3:1", "unix:/tmp/x"];
        assert_eq!(found(&local.map(|uri| ("time", uri))), [""; 0]);
        let started = Announcer::start(&[super::tests::local("time", local[0])], Some("x"), |_| {});
        assert!(started.unwrap().is_none());
    }

    #[test]
    fn a_service_on_one_port_is_one_endpoint_wherever_it_is_reached() {
        assert_eq!(
            found(&[
                ("time", "udp://[::]:9"),
                ("stamp", "udp://192.0.2.1:7"),
                ("stamp", "udp://[2001:db8::1]:7"),
                ("stamp", "tcp://0.0.0.0:7"),
                ("coap", "udp://[::]:5683"),
                ("coap", "udp://0.0.0.0:5683"),
            ]),
            [
                "coap coap 5683 46 []",
                "stamp tcp 7 4 []",
                "stamp udp 7  [192.0.2.1, 2001:db8::1]",
                "time udp 9 46 []",
            ]
        );
        assert_eq!(
            found(&[("time", "udp://[::]:9"), ("length", "udp://0.0.0.0:9")]),
            ["length udp 9 4 []", "time udp 9 6 []"],
            "two services share a number"
        );
    }

    #[test]
    fn instances_hosts_and_keys_are_as_documented() {
        let run = Run { name: "Küche 1", id: "2a".into(), host: "k-che-1-2a".into() };
        let locals = [
            local("time", "udp://[::]:9"),
            local("time", "udp://0.0.0.0:10"),
            local("coap", "udp://192.0.2.1:5683"),
        ];
        let all = endpoints(&locals);
        let infos: Vec<ServiceInfo> =
            all.iter().map(|(endpoint, places)| run.service(endpoint, places, &all).unwrap()).collect();
        let names: Vec<_> = infos.iter().map(|info| (info.get_fullname(), info.get_hostname())).collect();
        assert_eq!(
            names,
            [
                ("Küche 1._coap._udp.local.", "k-che-1-2a-coap-5683.local."),
                ("Küche 1 time 9._squall._udp.local.", "k-che-1-2a.local."),
                ("Küche 1 time 10._squall._udp.local.", "k-che-1-2a-4.local."),
            ]
        );
        let keys = |info: &ServiceInfo| {
            ["node", "id", "service", "transport", "path"]
                .map(|key| info.get_property_val_str(key).unwrap_or("-").to_owned())
        };
        assert_eq!(keys(&infos[0]), ["Küche 1", "2a", "coap", "coap", "/.well-known/core"]);
        assert_eq!(keys(&infos[1]), ["Küche 1", "2a", "time", "udp", "-"]);
        assert!(infos[1].is_addr_auto() && !infos[0].is_addr_auto());
    }

    #[test]
    fn the_longest_names_fit_into_their_labels() {
        let long = "é".repeat(MAX_NAME / 2);
        assert_eq!(parse_node_name(&long).as_deref(), Ok(long.as_str()));
        let run = Run::new(&long);
        assert!(run.host.len() + "-coap-65535".len() <= 63, "{}", run.host);
        for text in ["", " ", "a\nb", &"x".repeat(MAX_NAME + 1)] {
            let error = parse_node_name(text).unwrap_err().to_string();
            assert!(error.contains("is no name for a node"), "{error}");
        }
        let error = parse_node_name(&"é".repeat(300)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("\"{}…\" is no name", "é".repeat(MAX_NAME))), "{error}");
        assert!(parse_node_name(&machine_name()).is_ok());
    }
}
