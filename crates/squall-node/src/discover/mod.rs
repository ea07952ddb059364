//! Finding nodes and services on the networks that this machine is on: by DNS-SD, as
//! [`Announcer`](crate::Announcer) tells of them, and by asking all CoAP servers what they have
//! ([RFC 7252 §7](https://www.rfc-editor.org/rfc/rfc7252#section-7)).

mod coap;
mod directory;

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use mdns_sd::{DaemonEvent, IfKind, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};
use squall::socket::{Waker, interface_index};

use self::directory::{Directory, Instance};
pub use self::directory::{FoundBy, FoundNode, FoundService};
use crate::announce::COAP;

/// What to look for, and where.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    interfaces: Vec<String>,
}

/// Why nothing can be looked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// An interface that was named is not there.
    #[error("there is no interface {0:?}; see `squall lookup --interfaces`")]
    NoInterface(String),
    /// A thread could not be started, or multicast DNS does not work here.
    #[error("cannot look for services: {0}")]
    Start(String),
}

impl Discovery {
    /// By DNS-SD and CoAP, on all interfaces but loopback.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks on this interface, and on others that are named so, instead of on all.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interfaces.push(name.into());
        self
    }

    /// Begins to look.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub fn start(self) -> Result<Search, DiscoverError> {
        for name in &self.interfaces {
            interface_index(name).map_err(|_| DiscoverError::NoInterface(name.clone()))?;
        }
        let (tell, events) = mpsc::sync_channel(EVENTS);
        let (stop, stopped) = mpsc::channel();
        let mut search =
            Search { daemon: None, coap: None, events, stop, stopped, directory: Directory::default() };
        let daemon = ServiceDaemon::new().map_err(failed)?;
        search.daemon = Some(daemon.clone());
        if self.interfaces.is_empty() {
            daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6]).map_err(failed)?;
        } else {
            daemon.disable_interface(IfKind::All).map_err(failed)?;
            daemon
                .enable_interface(self.interfaces.iter().map(String::as_str).collect::<Vec<_>>())
                .map_err(failed)?;
        }
        let news = daemon.monitor().map_err(failed)?;
        forward(news, tell.clone(), |event| match event {
            DaemonEvent::Error(error) => Some(Event::Trouble(format!("multicast DNS: {error}"))),
            _ => None,
        })?;
        for kind in TYPES {
            let found = daemon.browse(kind).map_err(failed)?;
            forward(found, tell.clone(), |event| match event {
                ServiceEvent::ServiceResolved(service) => Some(Event::Instance(Box::new(instance(&service)))),
                ServiceEvent::ServiceRemoved(_, name) => Some(Event::Gone(name)),
                _ => None,
            })?;
        }
        search.coap =
            coap::start(&self.interfaces, tell).map_err(|error| DiscoverError::Start(error.to_string()))?;
        Ok(search)
    }
}

/// A search that goes on.
pub struct Search {
    daemon: Option<ServiceDaemon>,
    coap: Option<Waker>,
    events: Receiver<Event>,
    stop: Sender<()>,
    stopped: Receiver<()>,
    directory: Directory,
}

/// Ends a [`Search::run`] from another thread.
#[derive(Clone, Debug)]
pub struct SearchStopper(Sender<()>);

impl SearchStopper {
    /// Ends it.
    pub fn stop(&self) {
        // A search that is over needs no end.
        let _ = self.0.send(());
    }
}

impl Search {
    /// Collects what is found for `time`; false when it was stopped before.
    pub fn run(&mut self, time: Duration) -> bool {
        let until = Instant::now().checked_add(time);
        loop {
            if self.stopped.try_recv().is_ok() {
                // What has come is shown.
                self.events.try_iter().for_each(|event| self.directory.take(event));
                return false;
            }
            let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return true;
            }
            match self.events.recv_timeout(left.min(LOOK)) {
                Ok(event) => self.directory.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                // All threads have ended: nothing more comes, and nobody is to wait for it.
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
    }

    /// What was found up to now, by name; services by name and port.
    pub fn nodes(&self) -> Vec<FoundNode> {
        self.directory.nodes()
    }

    /// What went wrong meanwhile: a network that could not be asked.
    pub fn troubles(&self) -> &BTreeSet<String> {
        self.directory.troubles()
    }

    /// Services and resources beyond the 4096 that are kept, and addresses beyond the 64 of each.
    pub fn left_out(&self) -> u64 {
        self.directory.left_out()
    }

    /// Something to end [`run`](Self::run) with.
    pub fn stopper(&self) -> SearchStopper {
        SearchStopper(self.stop.clone())
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        // Its threads end with the channels.
        if let Some(daemon) = &self.daemon {
            let _ = daemon.shutdown();
        }
        if let Some(waker) = &self.coap {
            waker.wake();
        }
    }
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// What the threads of a search tell.
#[derive(Debug)]
enum Event {
    Instance(Box<Instance>),
    Gone(String),
    /// What a CoAP server has: paths.
    Resources(SocketAddr, Vec<String>),
    Trouble(String),
}

/// Gives what of `from` is an event to `to`, on a thread of its own, until one of them ends.
fn forward<T: Send + 'static>(
    from: mdns_sd::Receiver<T>,
    to: SyncSender<Event>,
    event: impl Fn(T) -> Option<Event> + Send + 'static,
) -> Result<(), DiscoverError> {
    let run = move || {
        for item in from.iter() {
            if let Some(event) = event(item)
                && to.send(event).is_err()
            {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("squall-discover".into()).spawn(run);
    thread.map(drop).map_err(|error| DiscoverError::Start(error.to_string()))
}

fn instance(service: &ResolvedService) -> Instance {
    let text = |key| service.get_property_val_str(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let is_coap = service.ty_domain.starts_with("_coap.");
    let usual = if service.ty_domain.contains("._tcp.") { "tcp" } else { "udp" };
    let label = service.fullname.strip_suffix(&service.ty_domain).unwrap_or(&service.fullname);
    let label = unescaped(label.strip_suffix('.').unwrap_or(label));
    let address = |ip: &ScopedIp| match ip {
        ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.addr(), service.port, 0, v6.scope_id().index).into()
        }
        ip => SocketAddr::new(ip.to_ip_addr(), service.port),
    };
    Instance {
        fullname: service.fullname.clone(),
        node: text("node").unwrap_or_else(|| label.clone()),
        id: text("id").unwrap_or_else(|| service.host.clone()),
        host: service.host.trim_end_matches('.').to_owned(),
        service: text("service").unwrap_or_else(|| if is_coap { COAP.into() } else { label }),
        transport: if is_coap { COAP } else { usual },
        port: service.port,
        path: text("path").map(|path| if path.starts_with('/') { path } else { format!("/{path}") }),
        addresses: service.addresses.iter().map(address).collect(),
    }
}

/// The label of an instance, in which dots and backslashes stand behind a backslash
/// ([RFC 6763 §4.3](https://www.rfc-editor.org/rfc/rfc6763#section-4.3)).
fn unescaped(label: &str) -> String {
    let mut plain = String::with_capacity(label.len());
    let mut characters = label.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

fn failed(error: mdns_sd::Error) -> DiscoverError {
    DiscoverError::Start(error.to_string())
}

/// The types of services that are looked for.
const TYPES: [&str; 3] = ["_squall._udp.local.", "_squall._tcp.local.", "_coap._udp.local."];
/// News that wait to be taken; those who bring more wait, too.
const EVENTS: usize = 256;
/// How soon a stop is seen.
const LOOK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_as_it_was_meant() {
        for (escaped, plain) in [("lamp", "lamp"), (r"my\.lamp\\", r"my.lamp\"), (r"cut\", r"cut\"), ("", "")]
        {
            assert_eq!(unescaped(escaped), plain);
        }
    }

    #[test]
    fn an_interface_that_is_not_there_is_named_before_anything_is_sent() {
        let error = Discovery::new().interface("no-such0").start().unwrap_err();
        assert!(matches!(error, DiscoverError::NoInterface(name) if name == "no-such0"));
    }
}
