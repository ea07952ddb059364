//! `squall bench`: load on a server, and what it makes of it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use squall::load::{Load, LoadError, Matching, plot};
use squall::{IpFamily, Transport, Uri};

use crate::address::unresolved;
use crate::exit::Exit;

/// Put load on a server: replies a second, latency, losses.
///
/// Keeps a number of requests in flight, or with --rate sends so many a second whatever comes back. Each request
/// holds a token, by which its reply is found; --any takes any reply, for servers that return nothing of the request.
/// Towards 127.0.0.0/8 each peer is an address of its own. Use it on servers that are yours.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The server: host:port, udp://host:port or tcp://host:port
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// How many peers the server sees; over TCP each is a connection
    #[arg(long, value_name = "N", default_value_t = 1)]
    peers: usize,
    /// Requests in flight, over all peers [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    window: Option<usize>,
    /// Requests a second, whatever comes back
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Bytes of each request
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// Datagrams that one peer sends at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    burst: usize,
    /// How long to measure: 10s, 500ms
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = squall_node::parse_duration)]
    seconds: Duration,
    /// How long to make the same load before measuring
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = squall_node::parse_duration)]
    warm_up: Duration,
    /// When a request without a reply counts as lost
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = squall_node::parse_duration)]
    timeout: Duration,
    /// Take any reply for the answer to the peer's oldest request
    #[arg(long)]
    any: bool,
    /// Look for replies without sleeping: takes a whole processor and spares the server's
    #[arg(long)]
    busy: bool,
    /// Keep to this processor, counted from 0
    #[arg(long, value_name = "CPU")]
    pin: Option<usize>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Draw the latency by percentile into this SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  squall bench 127.0.0.1:21567 --peers 256 --window 128
  squall bench udp://127.0.0.1:7 --burst 32 --window 256 --seconds 5s --plot latency.svg
  squall bench tcp://127.0.0.1:21567 --peers 10000 --json
  squall bench 127.0.0.1:20000 --any --rate 1000

JSON: sent, replies, lost, late, duplicates, refused, seconds, replies_per_second and latency_us by percentile, among
others; `squall bench … --json | python3 -m json.tool` shows them all.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let (uri, target) = target(&arguments.address)?;
    if let Some(processor) = arguments.pin {
        squall::socket::process::pin_to_processor(processor)
            .map_err(|problem| Exit::Usage.with(format_args!("--pin {processor}: {problem}")))?;
    }
    // A peer elsewhere than on loopback, and every connection, needs a descriptor.
    let _ = squall::socket::process::raise_descriptor_limit();
    let mut load = match uri.transport() {
        Transport::Tcp => Load::tcp(target),
        _ => Load::udp(target),
    };
    load = load
        .peers(arguments.peers)
        .size(arguments.size)
        .burst(arguments.burst)
        .busy(arguments.busy)
        .duration(arguments.seconds)
        .warm_up(arguments.warm_up)
        .timeout(arguments.timeout);
    load = match (arguments.rate, arguments.window) {
        (Some(rate), _) => load.rate(rate),
        (None, window) => load.in_flight(window.unwrap_or(1)),
    };
    if arguments.any {
        load = load.matching(Matching::Any);
    }
    let stop = stop_on_signal()?;
    let report = load.run_until(&stop).map_err(|problem| {
        let exit = match problem {
            LoadError::Settings(_) => Exit::Usage,
            LoadError::Connect { .. } => Exit::NoAnswer,
            _ => Exit::Failed,
        };
        let reason =
            std::error::Error::source(&problem).map(|source| format!(": {source}")).unwrap_or_default();
        exit.with(format_args!("{problem}{reason}"))
    })?;
    if let Some(path) = &arguments.plot {
        let picture = plot(&uri.to_string(), &[(&uri.to_string(), &report)]);
        std::fs::write(path, picture).map_err(|problem| {
            Exit::Failed.with(format_args!("cannot write {}: {problem}", path.display()))
        })?;
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        writeln!(out, "{}", report.to_string().trim_end())?;
    }
    if report.replies == 0 && report.strays > 0 {
        return Err(Exit::Failed
            .with(format_args!("{} replies came without their requests' tokens: try --any", report.strays)));
    }
    if report.replies == 0 && report.refused > 0 {
        return Err(Exit::NoAnswer
            .with(format_args!("no answer from {uri}; its host says that nobody listens there")));
    }
    if report.replies == 0 {
        return Err(Exit::NoAnswer.with(format_args!("no answer from {uri}; the server may be down")));
    }
    Ok(Exit::Done)
}

fn target(text: &str) -> Result<(Uri, SocketAddr), Exit> {
    let uri = Uri::parse(text, Transport::Udp, None).map_err(|problem| Exit::Usage.with(problem))?;
    let addresses = uri.resolve(IpFamily::Any).map_err(|problem| unresolved(&problem).with(problem))?;
    match addresses.iter().find_map(squall::socket::Address::ip) {
        Some(address) => Ok((uri, address)),
        None => Err(Exit::Usage.with(format_args!("{uri}: load goes to udp:// and tcp:// addresses"))),
    }
}

/// Ctrl-C ends the measurement early; what was measured is told.
fn stop_on_signal() -> Result<Arc<AtomicBool>, Exit> {
    let failed = |problem: io::Error| Exit::Failed.with(format_args!("cannot catch signals: {problem}"));
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let told = Arc::clone(&stop);
    let wait = move || {
        for _ in signals.forever() {
            if told.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        }
    };
    thread::Builder::new().name("squall-signals".into()).spawn(wait).map_err(failed)?;
    Ok(stop)
}
