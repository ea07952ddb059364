//! `squall mtu`: how large a datagram the path to a host carries.

mod progress;
mod show;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use clap::Args;
use squall::path_mtu::{Fate, Outcome, PathMtu, PathMtuError, Report};
use squall::{Transport, Uri};

use self::progress::Display;
use crate::address::{Family, parse_port, peer, unresolved};
use crate::exit::Exit;
use crate::interrupt::end_on_interrupt;
use crate::output::{say, write_json};

/// Find out how large a datagram the path to a host carries
///
/// Sends datagrams that may not be fragmented and looks which ones arrive: RFC 8899. The host need not run
/// Squall. A `length` service answers best; an echo or any other UDP service does; and where nobody listens the
/// host's ICMP "port unreachable" is the answer. Routers that report "too big" make it quick, and black holes,
/// where longer packets vanish without a word, are found too.
///
/// A host with addresses of both families is probed by both. Needs no special rights, and Linux.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The host, as host or host:port
    ///
    /// An IPv6 address with a port stands in brackets, a link-local one has its zone: [fe80::1%eth0]:7. A port may be a
    /// service's name.
    host: String,

    /// Send just one datagram of so many bytes, unfragmented, and tell whether it is too big
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(..=65_507))]
    payload: Option<u32>,

    /// The port to probe, unless HOST names one
    #[arg(short, long, value_name = "PORT", default_value = "1060", value_parser = parse_port)]
    port: u16,

    #[command(flatten)]
    family: Family,

    /// End after this long, finished or not [default: 60s; with --payload 1s]
    #[arg(long, value_name = "DURATION", value_parser = squall_node::parse_duration)]
    timeout: Option<Duration>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// List every probe; with --payload, tell what became of the datagram
    #[arg(short, long)]
    verbose: bool,
}

const AFTER_HELP: &str = "\
An MTU is the size of a whole packet; a UDP payload is 28 bytes shorter over IPv4, 48 over IPv6. An echo sends \
each probe back, so that what it shows is what both ways carry. Hosts send few ICMP errors, Linux one a second: \
where they are the only answers, a search for a black hole takes 13 to 20 seconds, and any search \
shortly after another some seconds more. Paths with losses take longer, \
and so much loss that chance explains everything is told as uncertain.

With --payload one datagram goes and no more. It counts as sent when nothing comes back, which is said on standard \
error: a black hole, a loss and a service that does not answer look the same, and only a search, without --payload, \
tells them apart. What a router says of it, such as that the network is unreachable, is told, with exit code 69.

Fields of --json: host, and paths, one for each family, with family, address, port, mtu, payload, certain, limit \
(first_hop, too_big, black_hole), passes and fails where the search did not end, first_hop, interface, \
kernel_before, kernel_after, answers (echo, length, datagram, port_unreachable), routers (address, mtu), said \
(address, words), sent, lost, seconds, error; and with -v probes (size, at, outcome, seconds, router, mtu). With \
--payload: host, address, port, payload, sent, arrived (null: not known), mtu, router, said (address, \
words), kernel_before, kernel_after, seconds.

Examples:
  squall mtu 192.0.2.1                    a host, by its `length` service or its ICMP errors
  squall mtu example.net:7 -6 -v          an echo, over IPv6, with every probe
  squall mtu 192.0.2.1 --payload 65000    does one datagram of this size leave unfragmented?
  squall mtu 192.0.2.1 --json | jq .paths[0].mtu

Exit codes: 0 found, or sent; 1 not found in time, too big, or the system refused; 2 wrong usage; 69 the host did \
not answer at all, or a router says that it cannot be reached; 130 interrupted.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let uri = peer(&arguments.host, Transport::Udp, arguments.port)?;
    if uri.transport() != Transport::Udp {
        return Err(
            Exit::Usage.with(format!("{uri}: only the paths of UDP datagrams are probed: write udp://"))
        );
    }
    if arguments.timeout.is_some_and(|timeout| timeout < Duration::from_millis(1)) {
        return Err(Exit::Usage.with("--timeout must be at least 1 ms"));
    }
    let addresses = arguments.addresses(&uri)?;
    let interrupt = end_on_interrupt(|| {});
    interrupt.map_err(|error| Exit::Failed.with(format!("cannot listen for Ctrl-C: {error}")))?;
    match arguments.payload {
        Some(payload) => arguments.send(addresses[0], payload),
        None => arguments.search(&addresses),
    }
}

impl Arguments {
    /// One address of each family, as the resolver prefers them.
    fn addresses(&self, uri: &Uri) -> Result<Vec<SocketAddr>, Exit> {
        let all = uri.resolve(self.family.get()).map_err(|error| unresolved(&error).with(error))?;
        let mut chosen: Vec<SocketAddr> = Vec::new();
        for address in all.iter().filter_map(squall::socket::Address::ip) {
            if chosen.iter().all(|known| known.is_ipv4() != address.is_ipv4()) {
                chosen.push(address);
            }
        }
        match chosen.first() {
            Some(_) => Ok(chosen),
            None => Err(Exit::Usage.with(format!("{uri}: not an IP address"))),
        }
    }

    fn probe(&self, address: SocketAddr) -> PathMtu {
        let probe = PathMtu::to(address);
        match self.timeout {
            Some(timeout) => probe.total(timeout),
            None => probe,
        }
    }

    fn send(&self, address: SocketAddr, payload: u32) -> Result<Exit, Exit> {
        let single =
            self.probe(address).send(payload as usize).map_err(|error| exit_of(&error).with(error))?;
        let exit = match single.fate {
            Fate::TooBig { .. } => Exit::Failed,
            _ if single.complaint.is_some() => Exit::NoAnswer,
            _ => Exit::Done,
        };
        let mut out = io::stdout().lock();
        if self.json {
            write_json(&mut out, &show::SingleRecord::new(&self.host, &single))?;
        } else {
            writeln!(out, "{}", show::single(&single))?;
        }
        out.flush()?;
        if self.verbose {
            say(show::fate(&single));
        } else if let Some(doubt) = show::doubt(&single).filter(|_| !self.json) {
            say(format_args!("squall: {doubt}"));
        }
        Ok(exit)
    }

    fn search(&self, addresses: &[SocketAddr]) -> Result<Exit, Exit> {
        let display = Display::new(addresses, self.json);
        let results: Vec<(SocketAddr, Result<Report, PathMtuError>)> = thread::scope(|scope| {
            let searches: Vec<_> = addresses
                .iter()
                .map(|address| {
                    let display = display.clone();
                    let mut probe = self.probe(*address).on_progress({
                        let address = *address;
                        move |progress| display.show(address, progress)
                    });
                    (*address, scope.spawn(move || probe.search()))
                })
                .collect();
            let joined = searches.into_iter().map(|(address, search)| match search.join() {
                Ok(result) => (address, result),
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect()
        });
        display.clear();
        let mut out = io::stdout().lock();
        if self.json {
            write_json(&mut out, &show::SearchRecord::new(&self.host, &results, self.verbose))?;
        }
        for (address, result) in &results {
            match result {
                Ok(_) if self.json => {}
                Ok(report) => {
                    if report.outcome == Outcome::Silent {
                        Exit::NoAnswer.with(show::silence(report));
                        if !self.verbose {
                            continue;
                        }
                    }
                    for line in show::report(report, self.verbose) {
                        writeln!(out, "{line}")?;
                    }
                }
                // With JSON, too: it says what the exit code means.
                Err(error) if results.len() > 1 && error.is_no_route() => {
                    say(format_args!("squall: no route to {}", address.ip()));
                }
                Err(error) => {
                    exit_of(error).with(error);
                }
            }
        }
        out.flush()?;
        let exit = |result: &Result<Report, PathMtuError>| match result {
            Ok(report) => match report.outcome {
                Outcome::Found { .. } => Exit::Done,
                Outcome::Silent => Exit::NoAnswer,
                _ => Exit::Failed,
            },
            Err(error) => exit_of(error),
        };
        Ok(combine(results.iter().map(|(_, result)| exit(result))))
    }
}

/// One family's answer is an answer; then what failed for another reason than silence is told.
fn combine(exits: impl Iterator<Item = Exit>) -> Exit {
    let rank = |exit: &Exit| match exit {
        Exit::Done => 0,
        Exit::NoAnswer => 1,
        _ => 2,
    };
    exits.min_by_key(rank).unwrap_or(Exit::NoAnswer)
}

fn exit_of(error: &PathMtuError) -> Exit {
    match error {
        PathMtuError::NotAHost { .. } => Exit::Usage,
        _ => Exit::Failed,
    }
}
