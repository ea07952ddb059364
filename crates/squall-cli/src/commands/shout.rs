//! `squall shout`: one datagram for many.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use squall::broadcast::{Sent, Shout, ShoutError, Shouter};
use squall::socket::display_address;
use squall::{Transport, Uri};

use crate::address::{Family, parse_port, unresolved};
use crate::commands::ask::requests::Requests;
use crate::exit::Exit;
use crate::heard::{Form, Printer};
use crate::interrupt::end_on_interrupt;
use crate::output::{say, write_json};

/// Send a datagram to everybody: broadcast and multicast
///
/// Sends TEXT as one datagram to every host of the networks that this machine is on, by each interface that
/// is up and can broadcast. It needs no root.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// What to say; "" is an empty datagram, - all of standard input as one
    ///
    /// Without it each line of standard input is one datagram, without its line end; on a terminal there is a
    /// prompt, which an empty line ends. A TEXT that begins with - goes behind --.
    text: Option<OsString>,

    /// To whom: <broadcast>, a network's broadcast address, a multicast group, or any host; repeatable
    ///
    /// <broadcast> is 255.255.255.255, the limited broadcast, which no router passes on. A group of IPv6 may
    /// name its interface: ff02::1%eth0. A port goes behind it, [ff02::1%eth0]:1060.
    #[arg(long, value_name = "HOST", default_value = BROADCAST)]
    to: Vec<String>,

    /// The port of hosts that name none
    #[arg(short, long, value_name = "PORT", default_value = "1060", value_parser = parse_port)]
    port: u16,

    #[command(flatten)]
    family: Family,

    /// Send by this interface, instead of by all that can; repeatable
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,

    /// How many routers a datagram to a group may pass, 0 to 255: 0 stays on this machine
    #[arg(long, value_name = "HOPS", default_value_t = 1)]
    ttl: u8,

    /// Do not ask for the permission to broadcast (SO_BROADCAST): a broadcast address is then an error
    #[arg(long)]
    no_broadcast: bool,

    /// Wait this long for answers, and print each behind its sender: 500ms, 2s
    #[arg(long, value_name = "TIME", value_parser = squall_node::parse_time_limit)]
    wait: Option<Duration>,

    /// Print answers as a dump of their bytes; with --json as hexadecimal digits
    #[arg(long)]
    hex: bool,

    /// Print one JSON object a line: each sending and each answer
    #[arg(long)]
    json: bool,

    /// Tell on standard error by which interface and from which address each datagram left
    #[arg(short, long)]
    verbose: bool,
}

const AFTER_HELP: &str = "\
A broadcast by the default route alone, as a plain socket sends it, reaches one network; this one goes by \
every interface but loopback that is up, has a link and an IPv4 address. Listeners on this machine hear it \
too, once for each interface. `squall listen` hears it, and so does any program that is bound to the port. \
The services of `squall serve` do not answer a broadcast; other programs may, and --wait shows their answers.

Lines of standard input go out at most a hundred a second: everybody on the network has to take them.

Fields of --json: event (sent or answer); of what was sent: to, bytes, interface and source (where the \
routes or the kernel did not choose them), and error if it did not leave; of an answer: time (seconds since \
1970), peer, destination, interface, kind (unicast), bytes, and text, or hex where it is not UTF-8 and with \
--hex.

Examples:
  squall shout 'anybody there?'                       every network of this machine, port 1060
  squall shout hello --to 192.168.1.255 -p 9000       the network 192.168.1.0/24
  squall shout hello --to 239.1.2.3:5000 --ttl 4      a group, four routers far
  squall shout hello --to ff02::1%eth0                all IPv6 hosts on a link
  squall shout hello --interface eth0 --interface wlan0
  squall shout 'who are you?' --wait 2s --json        who answers within two seconds
  date | squall shout - -v                            one datagram of standard input

Exit codes: 0 sent, and with --wait answered; 1 the system refused one or more; 2 wrong usage; 69 sent, and \
with --wait nobody answered; 130 interrupted.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let targets = arguments.targets()?;
    end_on_interrupt(|| {})
        .map_err(|error| Exit::Failed.with(format!("cannot listen for Ctrl-C: {error}")))?;
    let mut shout = Shout::new().hops(arguments.ttl).broadcast(!arguments.no_broadcast);
    for name in &arguments.interface {
        shout = shout.interface(name);
    }
    let mut shouter = shout.open();
    let text = arguments.text.as_deref();
    let mut requests = match text.filter(|text| *text == OsStr::new("-")) {
        Some(_) => Requests::new(None, true, "sent"),
        None => Requests::new(text, false, "sent"),
    };
    let form = Form::new(arguments.json, arguments.hex);
    let mut printer = Printer::new(form, false);
    let mut out = io::stdout().lock();
    let mut exit = Exit::Done;
    let mut last = None::<Instant>;
    while let Some(payload) = requests.next()? {
        if let Some(last) = last {
            thread::sleep(PACE.saturating_sub(last.elapsed()));
        }
        last = Some(Instant::now());
        let mut left = false;
        for to in &targets {
            let sent = send(&mut shouter, *to, &payload, arguments, &mut out)?;
            left |= sent.1;
            exit = exit.or(sent.0);
        }
        out.flush()?;
        if let Some(wait) = arguments.wait.filter(|_| left) {
            exit = exit.or(answers(&mut shouter, wait, &mut printer, &mut out)?);
        }
    }
    Ok(exit)
}

/// Sends one datagram by all its ways; tells how that ends, and whether it left by one of them.
fn send(
    shouter: &mut Shouter,
    to: SocketAddr,
    payload: &[u8],
    arguments: &Arguments,
    out: &mut impl Write,
) -> Result<(Exit, bool), Exit> {
    let bytes = payload.len();
    let sendings = match shouter.send(to, payload) {
        Ok(sendings) => sendings,
        Err(error) if arguments.json => {
            let (exit, error) = (exit_of(&error), advised(&error, arguments.no_broadcast));
            write_json(out, &Record { error: Some(error), ..Record::new(to, bytes) })?;
            return Ok((exit, false));
        }
        Err(error) => return Ok((exit_of(&error).with(advised(&error, arguments.no_broadcast)), false)),
    };
    let (mut exit, mut left) = (Exit::Done, false);
    for Sent { interface, source, result, .. } in sendings {
        left |= result.is_ok();
        let source = source.map(|source| source.to_string());
        if arguments.verbose && result.is_ok() {
            let by = interface.as_ref().map_or_else(String::new, |name| format!(" by {name}"));
            let from = source.as_ref().map_or_else(String::new, |source| format!(" from {source}"));
            say(format_args!("sent {bytes} bytes to {}{by}{from}", display_address(&to)));
        }
        if arguments.json {
            let error = result.as_ref().err().map(|error| advised(error, arguments.no_broadcast));
            write_json(out, &Record { interface, source, error, ..Record::new(to, bytes) })?;
            exit = exit.or(result.map_or_else(|error| exit_of(&error), |()| Exit::Done));
        } else if let Err(error) = result {
            exit = exit.or(exit_of(&error).with(advised(&error, arguments.no_broadcast)));
        }
    }
    Ok((exit, left))
}

/// Prints the answers that come within `wait`.
fn answers(
    shouter: &mut Shouter,
    wait: Duration,
    printer: &mut Printer,
    out: &mut impl Write,
) -> Result<Exit, Exit> {
    let (mut any, mut written) = (false, Ok(()));
    let waited = shouter.receive(Some(wait), |heard| {
        any = true;
        written = printer.print(out, &heard).and_then(|()| out.flush());
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    waited.map_err(|error| Exit::Failed.with(format_args!("cannot receive answers: {error}")))?;
    written?;
    if any {
        return Ok(Exit::Done);
    }
    say(format_args!("squall: nobody answered within {wait:?}"));
    Ok(Exit::NoAnswer)
}

impl Arguments {
    fn targets(&self) -> Result<Vec<SocketAddr>, Exit> {
        self.to.iter().map(|text| self.target(text)).collect()
    }

    fn target(&self, text: &str) -> Result<SocketAddr, Exit> {
        let uri = destination(text, self.port)?;
        if uri.is_wildcard() {
            let error =
                format!("{text:?} is every address of this machine, to listen on; all hosts are {BROADCAST}");
            return Err(Exit::Usage.with(error));
        }
        let addresses = uri.resolve(self.family.get());
        let addresses = addresses.map_err(|error| unresolved(&error).with(error))?;
        match addresses.iter().find_map(squall::socket::Address::ip) {
            Some(address) if address.port() == 0 => {
                Err(Exit::Usage.with(format_args!("{text:?}: nobody listens on port 0")))
            }
            Some(address) => Ok(address),
            None => Err(Exit::Usage.with(format_args!("{text:?} is no IP address"))),
        }
    }
}

/// Reads `<broadcast>`, or what any command takes.
pub(crate) fn destination(text: &str, port: u16) -> Result<Uri, Exit> {
    let written = match text.strip_prefix(BROADCAST) {
        Some(rest) => format!("{}{rest}", Ipv4Addr::BROADCAST),
        None => text.to_owned(),
    };
    let uri = Uri::parse(&written, Transport::Udp, Some(port)).map_err(|error| Exit::Usage.with(error))?;
    if uri.transport() != Transport::Udp {
        let error = format!("{text:?} is {}; broadcast and multicast go by udp alone", uri.transport());
        return Err(Exit::Usage.with(error));
    }
    Ok(uri)
}

/// An error with what can be done about it on this command line.
fn advised(error: &ShoutError, no_broadcast: bool) -> String {
    match error {
        ShoutError::NoPermission { .. } if no_broadcast => {
            format!("{error}: leave out --no-broadcast to ask for it")
        }
        ShoutError::Nowhere { .. } => format!("{error} (--interface lo)"),
        _ => error.to_string(),
    }
}

fn exit_of(error: &ShoutError) -> Exit {
    if error.is_usage() { Exit::Usage } else { Exit::Failed }
}

/// What was sent, for `--json`.
#[derive(Default, Serialize)]
struct Record {
    event: &'static str,
    to: String,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Record {
    fn new(to: SocketAddr, bytes: usize) -> Self {
        Self { event: "sent", to: display_address(&to), bytes, ..Self::default() }
    }
}

/// The limited broadcast, as Python's sockets write it too.
pub(crate) const BROADCAST: &str = "<broadcast>";
/// Between two lines of standard input.
const PACE: Duration = Duration::from_millis(10);
