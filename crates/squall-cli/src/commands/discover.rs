//! `squall discover`: who is on the networks of this machine.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use squall::text::sanitize;
use squall_node::{DiscoverError, Discovery, FoundNode, FoundService, SearchStopper};

use crate::exit::Exit;
use crate::output::{say, write_json};

/// List the nodes on the networks of this machine, with their addresses and services
///
/// Finds what `squall serve --announce` and others announce by multicast DNS (DNS-SD: _squall._udp,
/// _squall._tcp and _coap._udp), and asks all CoAP servers what they have.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Look for this long: 500ms, 10s
    #[arg(long = "for", value_name = "TIME", default_value = "6s", value_parser = squall_node::parse_time_limit)]
    time: Duration,

    /// Look on this interface, instead of on all but loopback; repeatable
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,

    /// Print one JSON object a line, for each node
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
A CoAP server takes up to five seconds before it answers what was sent to all, so that not all answer at \
once (RFC 7252, section 8.2); what is announced is there within two (--for 2s). Nodes that announce nothing \
and have no CoAP are not found.

Fields of --json: name (the node's own, or the address of one that only CoAP tells of), host, addresses, and \
services, each with name (of a CoAP resource its path), transport (udp, tcp or coap), port, uris, and by \
(dns-sd or coap): who told of it.

Examples:
  squall discover                       what is there
  squall discover --for 2s --interface eth0
  squall discover --json | jq -r '.services[].uris[0]'

Exit codes: 0 something was found; 1 the system refused; 2 wrong usage; 69 nobody answered; 130 interrupted, \
after what was found until then.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let mut discovery = Discovery::new();
    for name in &arguments.interface {
        discovery = discovery.interface(name);
    }
    let mut search = discovery.start().map_err(|error| match error {
        DiscoverError::NoInterface(_) => Exit::Usage.with(error),
        _ => Exit::Failed.with(error),
    })?;
    stop_on_interrupt(search.stopper())
        .map_err(|error| Exit::Failed.with(format_args!("cannot listen for Ctrl-C: {error}")))?;
    let finished = search.run(arguments.time);
    if !finished && io::stderr().is_terminal() {
        // The terminal shows ^C.
        say("");
    }
    let nodes = search.nodes();
    let mut out = io::stdout().lock();
    for node in &nodes {
        if arguments.json {
            write_json(&mut out, &Record::new(node))?;
        } else {
            write_node(&mut out, node)?;
        }
    }
    out.flush()?;
    for trouble in search.troubles() {
        say(format_args!("squall: {}", sanitize(trouble.as_bytes())));
    }
    if search.left_out() > 0 {
        say(format_args!("squall: {} more services were found than are kept", search.left_out()));
    }
    Ok(match (finished, nodes.is_empty()) {
        (false, _) => Exit::Interrupted,
        (true, false) => Exit::Done,
        (true, true) => Exit::NoAnswer.with(format_args!("found nobody within {:?}", arguments.time)),
    })
}

/// A line for the node, and one for each of its services.
fn write_node(out: &mut impl Write, node: &FoundNode) -> io::Result<()> {
    write!(out, "{}", sanitize(node.name.as_bytes()))?;
    if node.addresses != [node.name.as_str()] {
        write!(out, " ({})", node.addresses.join(", "))?;
    }
    writeln!(out)?;
    let width = node.services.iter().map(|service| shown(service).chars().count()).max().unwrap_or(0);
    for service in &node.services {
        let name = shown(service);
        writeln!(out, "  {name:width$}  {}", sanitize(service.uris.join(" ").as_bytes()))?;
    }
    Ok(())
}

fn shown(service: &FoundService) -> String {
    sanitize(service.name.as_bytes()).to_string()
}

/// Ctrl-C ends the search; a second one ends the program at once.
fn stop_on_interrupt(stopper: SearchStopper) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT])?;
    let wait = move || {
        for (number, _) in signals.forever().enumerate() {
            if number > 0 {
                std::process::exit(Exit::Interrupted.code().into());
            }
            stopper.stop();
        }
    };
    thread::Builder::new().name("interrupt".into()).spawn(wait).map(drop)
}

/// One line of `--json`, as the help of the command documents it.
#[derive(Serialize)]
struct Record<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    addresses: &'a [String],
    services: Vec<Service<'a>>,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    transport: &'a str,
    port: u16,
    uris: &'a [String],
    by: &'a str,
}

impl<'a> Record<'a> {
    fn new(node: &'a FoundNode) -> Self {
        let service = |service: &'a FoundService| Service {
            name: &service.name,
            transport: service.transport,
            port: service.port,
            uris: &service.uris,
            by: service.by.name(),
        };
        Self {
            name: &node.name,
            host: node.host.as_deref(),
            addresses: &node.addresses,
            services: node.services.iter().map(service).collect(),
        }
    }
}
