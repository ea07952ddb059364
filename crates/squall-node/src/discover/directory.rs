//! What was found, put together: services by the node that has them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use squall::socket::display_address;

use super::Event;
use crate::announce::COAP;

/// A node that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundNode {
    /// Its name, as it says itself; the address of one that only CoAP tells of.
    pub name: String,
    /// The name of its host; `None` for one that only CoAP tells of.
    pub host: Option<String>,
    /// Its addresses, those of IPv4 first, link-local ones of IPv6 with their zone.
    pub addresses: Vec<String>,
    /// Its services, by name and port.
    pub services: Vec<FoundService>,
}

/// A service of a node, or a resource of its CoAP server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FoundService {
    /// Its name, or the path of the resource.
    pub name: String,
    /// `udp`, `tcp` or `coap`.
    pub transport: &'static str,
    /// Its port.
    pub port: u16,
    /// Where it is reached, an address for each way there, those of IPv4 first.
    pub uris: Vec<String>,
    /// Who told of it.
    pub by: FoundBy,
}

/// Who told of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FoundBy {
    /// DNS-based service discovery.
    DnsSd,
    /// The answer of a CoAP server to a multicast request.
    Coap,
}

impl FoundBy {
    /// `dns-sd` or `coap`.
    pub fn name(self) -> &'static str {
        match self {
            FoundBy::DnsSd => "dns-sd",
            FoundBy::Coap => "coap",
        }
    }
}

/// A service as DNS-SD tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) fullname: String,
    pub(super) node: String,
    /// Names one run of the node, or its host.
    pub(super) id: String,
    pub(super) host: String,
    pub(super) service: String,
    pub(super) transport: &'static str,
    pub(super) port: u16,
    pub(super) path: Option<String>,
    pub(super) addresses: BTreeSet<SocketAddr>,
}

#[derive(Debug, Default)]
pub(super) struct Directory {
    /// By their names in lower case, as DNS compares them.
    instances: BTreeMap<String, Instance>,
    resources: BTreeMap<SocketAddr, BTreeSet<String>>,
    troubles: BTreeSet<String>,
    left_out: u64,
}

impl Directory {
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Instance(instance) => {
                let key = instance.fullname.to_lowercase();
                if !self.instances.contains_key(&key) && self.is_full() {
                    self.left_out += 1;
                    return;
                }
                match self.instances.get_mut(&key) {
                    // Another interface tells of other addresses of the same run.
                    Some(known) if known.id == instance.id && known.port == instance.port => {
                        for address in instance.addresses {
                            if known.addresses.len() < ADDRESSES || known.addresses.contains(&address) {
                                known.addresses.insert(address);
                            } else {
                                self.left_out += 1;
                            }
                        }
                    }
                    _ => {
                        let mut instance = *instance;
                        while instance.addresses.len() > ADDRESSES {
                            instance.addresses.pop_last();
                            self.left_out += 1;
                        }
                        self.instances.insert(key, instance);
                    }
                }
            }
            Event::Gone(name) => drop(self.instances.remove(&name.to_lowercase())),
            Event::Resources(server, paths) => {
                for path in paths {
                    if self.is_full() {
                        self.left_out += 1;
                    } else {
                        self.resources.entry(server).or_default().insert(path);
                    }
                }
            }
            Event::Trouble(trouble) => {
                if self.troubles.len() < TROUBLES {
                    self.troubles.insert(trouble);
                }
            }
        }
    }

    pub(super) fn troubles(&self) -> &BTreeSet<String> {
        &self.troubles
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn nodes(&self) -> Vec<FoundNode> {
        let mut nodes: BTreeMap<(&str, &str), Draft> = BTreeMap::new();
        for instance in self.instances.values() {
            let draft = nodes.entry((&instance.node, &instance.id)).or_default();
            draft.host.get_or_insert(&instance.host);
            draft.addresses.extend(instance.addresses.iter().map(without_port));
            let path = instance.path.as_deref().filter(|_| instance.transport == COAP).unwrap_or("");
            draft.services.insert(FoundService {
                name: instance.service.clone(),
                transport: instance.transport,
                port: instance.port,
                uris: instance.addresses.iter().map(|at| uri(instance.transport, at, path)).collect(),
                by: FoundBy::DnsSd,
            });
        }
        // A server that answers from an address of a node is that node's.
        let mut strangers: BTreeMap<SocketAddr, Draft> = BTreeMap::new();
        for (server, paths) in &self.resources {
            let ip = without_port(server);
            let draft = match nodes.values_mut().find(|draft| draft.addresses.contains(&ip)) {
                Some(draft) => draft,
                None => strangers.entry(ip).or_default(),
            };
            draft.addresses.insert(ip);
            for path in paths {
                draft.resources.entry((path, server.port())).or_default().insert(*server);
            }
        }
        let known = nodes.into_iter().map(|((name, _), draft)| draft.finish(name.to_owned()));
        let strangers = strangers.into_iter().map(|(ip, draft)| draft.finish(address(&ip)));
        known.chain(strangers).collect()
    }

    fn is_full(&self) -> bool {
        let resources: usize = self.resources.values().map(BTreeSet::len).sum();
        self.instances.len() + resources >= MOST
    }
}

/// A node that is put together.
#[derive(Default)]
struct Draft<'a> {
    host: Option<&'a str>,
    /// With port 0.
    addresses: BTreeSet<SocketAddr>,
    services: BTreeSet<FoundService>,
    resources: BTreeMap<(&'a str, u16), BTreeSet<SocketAddr>>,
}

impl Draft<'_> {
    fn finish(mut self, name: String) -> FoundNode {
        for ((path, port), servers) in &self.resources {
            self.services.insert(FoundService {
                name: (*path).to_owned(),
                transport: COAP,
                port: *port,
                uris: servers.iter().map(|server| uri(COAP, server, path)).collect(),
                by: FoundBy::Coap,
            });
        }
        FoundNode {
            name,
            host: self.host.map(str::to_owned),
            addresses: self.addresses.iter().map(address).collect(),
            services: self.services.into_iter().collect(),
        }
    }
}

fn without_port(address: &SocketAddr) -> SocketAddr {
    let mut address = *address;
    address.set_port(0);
    address
}

/// An address alone, with its zone if it has one.
fn address(at: &SocketAddr) -> String {
    let shown = display_address(at);
    match at.ip() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(_) => shown.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned(),
    }
}

fn uri(transport: &str, at: &SocketAddr, path: &str) -> String {
    format!("{transport}://{}{path}", display_address(at))
}

/// Services and resources that are kept: a network has fewer.
const MOST: usize = 4096;
/// Addresses of one service that are kept: a host has fewer.
const ADDRESSES: usize = 64;
/// Troubles that are kept.
const TROUBLES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(node: &str, service: &str, transport: &'static str, addresses: &[&str]) -> Event {
        let addresses: BTreeSet<SocketAddr> = addresses.iter().map(|at| at.parse().unwrap()).collect();
        let port = addresses.first().unwrap().port();
        Event::Instance(Box::new(Instance {
            fullname: format!("{node} {service} {port}._squall._udp.local."),
            node: node.into(),
            id: format!("{node}-1"),
            host: format!("{node}-1.local"),
            service: service.into(),
            transport,
            port,
            path: (transport == COAP).then(|| "/.well-known/core".into()),
            addresses,
        }))
    }

    fn resources(server: &str, paths: &[&str]) -> Event {
        Event::Resources(server.parse().unwrap(), paths.iter().map(|path| (*path).to_owned()).collect())
    }

    fn lines(directory: &Directory) -> Vec<String> {
        let line = |node: FoundNode| {
            let services: Vec<String> = node
                .services
                .iter()
                .map(|service| format!("{} [{}] {}", service.name, service.uris.join(" "), service.by.name()))
                .collect();
            format!("{} {}: {}", node.name, node.addresses.join(" "), services.join(", "))
        };
        directory.nodes().into_iter().map(line).collect()
    }

    #[test]
    fn services_of_a_node_stand_together_and_its_resources_with_them() {
        let mut directory = Directory::default();
        directory.take(resources("192.0.2.9:5683", &["/temperature"]));
        directory.take(resources("192.0.2.1:5683", &["/time", "/echo"]));
        directory.take(instance("kitchen", "time", "udp", &["192.0.2.1:20000", "[2001:db8::1]:20000"]));
        directory.take(instance("kitchen", "stamp", "tcp", &["192.0.2.1:21567"]));
        directory.take(instance("attic", "coap", COAP, &["192.0.2.2:5683"]));
        assert_eq!(
            lines(&directory),
            [
                "attic 192.0.2.2: coap [coap://192.0.2.2:5683/.well-known/core] dns-sd",
                "kitchen 192.0.2.1 2001:db8::1: /echo [coap://192.0.2.1:5683/echo] coap, \
                 /time [coap://192.0.2.1:5683/time] coap, stamp [tcp://192.0.2.1:21567] dns-sd, \
                 time [udp://192.0.2.1:20000 udp://[2001:db8::1]:20000] dns-sd",
                "192.0.2.9 192.0.2.9: /temperature [coap://192.0.2.9:5683/temperature] coap",
            ]
        );
    }

    #[test]
    fn what_is_told_twice_is_one_and_what_has_gone_is_none() {
        let mut directory = Directory::default();
        directory.take(instance("kitchen", "time", "udp", &["192.0.2.1:7"]));
        directory.take(instance("kitchen", "time", "udp", &["192.0.3.1:7"]));
        assert_eq!(
            lines(&directory),
            ["kitchen 192.0.2.1 192.0.3.1: time [udp://192.0.2.1:7 udp://192.0.3.1:7] dns-sd"]
        );
        directory.take(Event::Gone("Kitchen time 7._squall._udp.local.".into()));
        assert_eq!(lines(&directory), [""; 0]);
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_counted() {
        let mut directory = Directory::default();
        for number in 0..MOST + 10 {
            directory.take(instance(&format!("n{number}"), "time", "udp", &["192.0.2.1:7"]));
            directory.take(Event::Trouble(number.to_string()));
        }
        directory.take(resources("192.0.2.1:5683", &["/a", "/b"]));
        assert_eq!(directory.nodes().len(), MOST);
        assert_eq!((directory.left_out(), directory.troubles().len()), (12, TROUBLES));
    }

    #[test]
    fn the_addresses_of_one_service_are_bounded_and_counted() {
        let mut directory = Directory::default();
        let addresses: Vec<String> = (0..100).map(|host| format!("192.0.2.{host}:7")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        directory.take(instance("kitchen", "time", "udp", &addresses[..90]));
        directory.take(instance("kitchen", "time", "udp", &addresses[90..]));
        let nodes = directory.nodes();
        assert_eq!((nodes[0].addresses.len(), directory.left_out()), (ADDRESSES, 36));
    }
}
