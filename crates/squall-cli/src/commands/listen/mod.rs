//! `squall listen`: what is sent to this machine, and to all.

mod holder;

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use squall::broadcast::{Absent, Kind, Listen, ListenError, Listener, Waited};
use squall::socket::{Waker, display_address};

use crate::address::{Family, parse_port, unresolved};
use crate::commands::shout::destination;
use crate::exit::Exit;
use crate::heard::{Form, Printer};
use crate::output::say;

/// Print each datagram that comes to a port, with its sender
///
/// Listens on every interface, IPv4 and IPv6, to what is sent to this host, to a network's broadcast address
/// and to everybody. Each datagram is a line: who sent it, for how many it was (unicast, broadcast,
/// multicast), the interface that it came by, and its text.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Listen to what is sent to this address alone: host, host:port, <broadcast>, or a group
    ///
    /// An address of this host hears no broadcast: those are sent to <broadcast>, or to the broadcast address
    /// of a network, which can stand here too. A multicast group is joined.
    address: Option<String>,

    /// The port to listen on; 0 lets the system choose
    #[arg(short, long, value_name = "PORT", default_value = "1060", value_parser = parse_port)]
    port: u16,

    #[command(flatten)]
    family: Family,

    /// Join this multicast group: 239.1.2.3, ff15::1, ff02::1%eth0; repeatable
    #[arg(short, long, value_name = "GROUP")]
    group: Vec<String>,

    /// Only what comes by this interface; repeatable
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,

    /// End after N datagrams
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this time: 500ms, 10s, 1h
    #[arg(long = "for", value_name = "TIME", value_parser = squall_node::parse_time_limit)]
    time: Option<Duration>,

    /// Print a dump of the bytes below each line; with --json hexadecimal digits
    #[arg(long)]
    hex: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Any number of listeners share a port if they all ask for it (SO_REUSEADDR), as this one does: each gets every \
broadcast and multicast, while a datagram for this host alone goes to one of them. Without --group, too, it \
hears the groups that other programs of this machine have joined. A service of `squall \
serve` shares its port with nobody, and a listener is then told who has it.

Text is shown on one line, with everything that would act on a terminal made visible (\\x1b), into a pipe as \
well. Bytes as they are come with --json, as text if they are UTF-8, or with --hex.

Fields of --json: time (when the kernel had it, in seconds since 1970), peer (who sent it), destination (the \
address that it was sent to), interface, kind (unicast, broadcast or multicast), bytes (how many), and text, \
or hex where it is not UTF-8 and with --hex.

Examples:
  squall listen                              port 1060, everything
  squall listen -p 5000 --group 239.1.2.3    a group too, on every interface
  squall listen --group ff02::1%eth0 -6      IPv6 alone, all hosts of a link
  squall listen --interface eth0 --hex
  squall listen '<broadcast>'                nothing but broadcasts to 255.255.255.255
  squall listen --count 1 --for 10s --json   the first datagram within ten seconds

What it is doing, and at the end what it heard and what the kernel had to drop, is told on standard error.

Exit codes: 0 done, also when ended by Ctrl-C or SIGTERM without --count and --for; 1 the system refused; 2 \
wrong usage; 69 fewer than --count came within the time of --for; 130 interrupted before --count or --for were over.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let listen = arguments.listen()?;
    let mut listener = listen.open().map_err(|error| refuse(error, arguments.address.is_none()))?;
    let interrupted = stop_on_signal(listener.waker())?;
    announce(&listener, arguments);
    let (mut out, mut printer) =
        (io::stdout().lock(), Printer::new(Form::new(arguments.json, arguments.hex), true));
    let (mut counts, mut written) = (Counts::default(), Ok(()));
    let begun = Instant::now();
    let waited = listener.receive(arguments.time, |heard| {
        written = printer.print(&mut out, &heard).and_then(|()| out.flush());
        counts.add(heard.kind);
        if written.is_err() || arguments.count == Some(counts.total()) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    let waited = waited.map_err(|error| Exit::Failed.with(format_args!("cannot receive: {error}")))?;
    written?;
    if waited == Waited::Woken && io::stderr().is_terminal() {
        // The terminal shows ^C.
        say("");
    }
    // Whoever asked for some and got them knows it all.
    if waited != Waited::Enough || listener.dropped() + listener.passed_over() > 0 {
        say(counts.summary(&listener, begun.elapsed()));
    }
    Ok(match waited {
        Waited::Enough => Exit::Done,
        Waited::Elapsed if arguments.count.is_some() => Exit::NoAnswer,
        Waited::Elapsed => Exit::Done,
        Waited::Woken if arguments.count.or(arguments.time.map(|_| 0)).is_none() => Exit::Done,
        Waited::Woken => interrupted.exit(),
    })
}

impl Arguments {
    fn listen(&self) -> Result<Listen, Exit> {
        let mut listen = Listen::on_port(self.port);
        let mut groups = self.groups()?;
        if let Some(text) = &self.address {
            for address in resolve(text, self.port, &self.family)? {
                if address.ip().is_multicast() {
                    listen = listen.at(any(address));
                    groups.push(address);
                } else {
                    listen = listen.at(address);
                }
            }
        } else if self.family.get() != squall::IpFamily::Any {
            let any = resolve("", self.port, &self.family)?;
            listen = any.into_iter().fold(listen, Listen::at);
        }
        for group in groups {
            let zone = match group {
                SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
                _ => None,
            };
            listen = listen.group(group.ip(), zone);
        }
        Ok(self.interface.iter().fold(listen, Listen::interface))
    }

    fn groups(&self) -> Result<Vec<SocketAddr>, Exit> {
        let mut groups = Vec::new();
        for text in &self.group {
            // Its port is the listener's, and anything behind it a mistake.
            groups.extend(resolve(text, 0, &self.family)?);
        }
        if let Some(group) = groups.iter().find(|group| group.port() != 0) {
            let error = format!("--group {group}: the port of a group goes behind -p");
            return Err(Exit::Usage.with(error));
        }
        Ok(groups)
    }
}

fn resolve(text: &str, port: u16, family: &Family) -> Result<Vec<SocketAddr>, Exit> {
    let addresses = destination(text, port)?.resolve(family.get());
    let addresses = addresses.map_err(|error| unresolved(&error).with(error))?;
    Ok(addresses.iter().filter_map(squall::socket::Address::ip).collect())
}

/// Every address of the family, with the port.
fn any(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (std::net::Ipv4Addr::UNSPECIFIED, v4.port()).into(),
        SocketAddr::V6(v6) => (std::net::Ipv6Addr::UNSPECIFIED, v6.port()).into(),
    }
}

fn refuse(error: ListenError, everywhere: bool) -> Exit {
    match &error {
        ListenError::InUse { address, holders } => {
            Exit::Failed.with(holder::explain(*address, holders, everywhere))
        }
        _ if error.is_usage() => Exit::Usage.with(error),
        _ => Exit::Failed.with(error),
    }
}

/// Tells where it listens, in one line, and what it does without.
fn announce(listener: &Listener, arguments: &Arguments) {
    let addresses: Vec<String> = listener.addresses().iter().map(display_address).collect();
    let mut line = format!("listening on {}", addresses.join(" and "));
    if !arguments.interface.is_empty() {
        line += &format!(", by {} alone", arguments.interface.join(" and "));
    }
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for membership in listener.memberships() {
        let group = membership.group.to_string();
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, interfaces)) => interfaces.push(&membership.interface),
            None => groups.push((group, vec![&membership.interface])),
        }
    }
    for (group, interfaces) in groups {
        line += &format!("; in group {group} on {}", interfaces.join(" and "));
    }
    let joined = |group: &IpAddr| listener.memberships().iter().any(|known| known.group == *group);
    for group in listener.groups().filter(|group| !joined(group)) {
        line += &format!("; in group {group} once an interface but loopback can multicast");
    }
    say(line);
    for absent in listener.absent() {
        match absent {
            Absent::Group { membership, source } => {
                say(format_args!("not in group {} on {}: {source}", membership.group, membership.interface));
            }
            Absent::Family(address) => say(format_args!("left out {address}: this machine lacks its family")),
            _ => {}
        }
    }
}

/// What a signal ended.
struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// SIGTERM asks a program to end; Ctrl-C breaks it off.
    fn exit(&self) -> Exit {
        if self.0.load(Ordering::Relaxed) { Exit::Interrupted } else { Exit::Done }
    }
}

/// SIGINT and SIGTERM end the wait; a second one ends the program at once.
fn stop_on_signal(waker: Waker) -> Result<Interrupted, Exit> {
    let failed = |error: io::Error| Exit::Failed.with(format_args!("cannot catch signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let by_key = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&by_key);
    let wait = move || {
        for (number, signal) in signals.forever().enumerate() {
            if number > 0 {
                std::process::exit(Exit::Interrupted.code().into());
            }
            told.store(signal == SIGINT, Ordering::Relaxed);
            waker.wake();
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait).map_err(failed)?;
    Ok(Interrupted(by_key))
}

/// What was heard.
#[derive(Debug, Default)]
struct Counts {
    unicast: u64,
    broadcast: u64,
    multicast: u64,
}

impl Counts {
    fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Unicast => self.unicast += 1,
            Kind::Broadcast => self.broadcast += 1,
            Kind::Multicast => self.multicast += 1,
        }
    }

    fn total(&self) -> u64 {
        self.unicast + self.broadcast + self.multicast
    }

    fn summary(&self, listener: &Listener, time: Duration) -> String {
        let mut line = match self.total() {
            1 => "heard 1 datagram".to_owned(),
            total => format!("heard {total} datagrams"),
        };
        let kinds = [(self.unicast, "unicast"), (self.broadcast, "broadcast"), (self.multicast, "multicast")];
        let kinds: Vec<String> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        if !kinds.is_empty() {
            line += &format!(" ({})", kinds.join(", "));
        }
        line += &format!(" in {:.1} s", time.as_secs_f64());
        if listener.passed_over() > 0 {
            line += &format!("; passed over {} that came by other interfaces", listener.passed_over());
        }
        if listener.dropped() > 0 {
            line += &format!("; the kernel dropped {} before they were read", listener.dropped());
        }
        line
    }
}
