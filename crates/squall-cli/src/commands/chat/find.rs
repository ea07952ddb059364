//! Which hub, when none was named: the one of this machine, or those that announce themselves.

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use squall::text::sanitize;
use squall::{IpFamily, Transport, Uri};
use squall_node::Discovery;

use crate::exit::Exit;
use crate::output::say;

/// A hub that announces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hub {
    name: String,
    uris: Vec<String>,
}

/// The hub of this machine, or the only one that is announced, or the one that the user chooses.
/// Those that `family` cannot reach are passed over.
pub(super) fn hub(port: u16, family: IpFamily, may_ask: bool) -> Result<Uri, Exit> {
    let local: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for ip in local.into_iter().filter(|ip| family.has(ip)) {
        let address = SocketAddr::new(ip, port);
        if answers(address).unwrap_or(false) {
            return Ok(Uri::of(Transport::Udp, address.into()));
        }
    }
    if may_ask {
        say(format_args!("no hub on this machine; looking for others…"));
    }
    let hubs = announced(family)?;
    let chosen = match hubs.as_slice() {
        [] => {
            let error = format_args!(
                "found no hub: none answers on port {port} of this machine, and none is announced. Start one with \
                 `squall serve chat` (with --announce others find it), or name one: squall chat HOST"
            );
            return Err(Exit::NoAnswer.with(error));
        }
        [hub] => hub,
        several if may_ask => choose(several)?,
        several => {
            let names: Vec<String> = several.iter().map(Hub::line).collect();
            let error = format_args!("found {} hubs; name one of them: {}", several.len(), names.join(", "));
            return Err(Exit::Usage.with(error));
        }
    };
    Uri::parse(&chosen.uris[0], Transport::Udp, Some(port)).map_err(|error| Exit::Failed.with(error))
}

impl Hub {
    fn line(&self) -> String {
        let line = format!("{} ({})", self.uris.first().map_or("", String::as_str), self.name);
        sanitize(line.as_bytes()).to_string()
    }
}

/// Whether a hub answers there. It asks for something that is its own, and leaves again.
fn answers(address: SocketAddr) -> io::Result<bool> {
    let socket = UdpSocket::bind(SocketAddr::new(
        if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() },
        0,
    ))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(HERE))?;
    socket.send(b"/me")?;
    let mut answer = [0; 2048];
    let length = socket.recv(&mut answer);
    socket.send(b"quit")?;
    Ok(answer[..length?].starts_with(b"* me "))
}

/// Looks for hubs on the networks of this machine. Once there is one, others have half a second more.
fn announced(family: IpFamily) -> Result<Vec<Hub>, Exit> {
    let mut search = Discovery::new().start().map_err(|error| Exit::Failed.with(error))?;
    let mut until = Instant::now() + ANNOUNCED;
    let mut has_found = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let goes_on = !left.is_zero() && search.run(left.min(LOOK));
        let hubs = hubs(&search.nodes(), family);
        if !goes_on {
            return Ok(hubs);
        }
        if !hubs.is_empty() && !has_found {
            has_found = true;
            until = until.min(Instant::now() + OTHERS);
        }
    }
}

/// The hubs among what was found: of each node one, by datagrams where it can be had.
fn hubs(nodes: &[squall_node::FoundNode], family: IpFamily) -> Vec<Hub> {
    let is_reached =
        |uri: &&String| Uri::parse(uri, Transport::Udp, None).is_ok_and(|uri| uri.resolve(family).is_ok());
    let mut hubs = Vec::new();
    for node in nodes {
        let mut services: Vec<_> = node
            .services
            .iter()
            .filter(|service| service.name == "chat" && matches!(service.transport, "udp" | "tcp"))
            .map(|service| (service, service.uris.iter().filter(is_reached).cloned().collect::<Vec<_>>()))
            .filter(|(_, uris)| !uris.is_empty())
            .collect();
        services.sort_by_key(|(service, _)| (service.transport != "udp", service.port));
        if let Some((_, uris)) = services.into_iter().next() {
            hubs.push(Hub { name: node.name.clone(), uris });
        }
    }
    hubs
}

/// Asks on the terminal.
fn choose(hubs: &[Hub]) -> Result<&Hub, Exit> {
    for (number, hub) in (1..).zip(hubs) {
        say(format_args!("{number:>3}  {}", hub.line()));
    }
    let mut input = io::stdin().lock();
    loop {
        // Nobody is left to tell when standard error is closed.
        let _ = write!(io::stderr(), "Which? [1] ");
        let mut line = String::new();
        let length = input.read_line(&mut line).map_err(|error| Exit::Failed.with(error))?;
        if length == 0 {
            say("");
            return Err(Exit::Done);
        }
        let line = line.trim();
        let number = if line.is_empty() { Ok(1) } else { line.parse::<usize>() };
        let chosen = number.ok().and_then(|number| hubs.get(number.checked_sub(1)?));
        match chosen {
            Some(hub) => return Ok(hub),
            None => say(format_args!("a number from 1 to {}", hubs.len())),
        }
    }
}

/// How long a hub on this machine may take to answer.
const HERE: Duration = Duration::from_millis(300);
/// How long announced hubs are looked for, how long once there is one, and how often it is looked at.
const ANNOUNCED: Duration = Duration::from_secs(6);
const OTHERS: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(100);
