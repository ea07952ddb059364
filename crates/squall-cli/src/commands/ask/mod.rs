//! `squall ask`: a client that asks until it is answered.

mod coap;
pub(crate) mod requests;
mod show;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use squall::client::AskError;
use squall::retry::RetryPolicy;
use squall::socket::Address;
use squall::socket::unix::SocketFile;
use squall::{Client, Transport, Uri};

use self::coap::CoapArguments;
use self::requests::Requests;
use self::show::Show;
use crate::address::{Family, parse_port, peer, unresolved};
use crate::exit::Exit;
use crate::interrupt::end_on_interrupt;

/// Ask a server, again and again until it answers
///
/// Sends TEXT as one datagram and prints the answer. While none comes it asks again, after 0.1 s, then
/// 0.2 s, and so on; when the next wait would be longer than 2 s it gives up, after 5 tries in 3.1 s.
///
/// Over TCP and Unix streams it connects, sends TEXT as it is, closes its sending side, and prints all that
/// comes until the server closes too.
///
/// Of a CoAP server it gets the resource that coap://host/path names, or posts TEXT to it, and says how it went.
/// While nothing comes back it sends its message again, after 2 to 3 s, drawn at random so that clients do not ask in
/// step, and then twice as long each time; after 5 messages in 62 to 93 s it gives up.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Whom to ask: host, host:port, udp://host:port, tcp://host:port, unix:/path, unixgram:/path or coap://host/path
    ///
    /// An IPv6 address with a port stands in brackets, a link-local one has its zone: [fe80::1%eth0]:1060. A port may be
    /// a service's name. Without a transport it is udp.
    address: String,

    /// What to say; "" is an empty datagram
    ///
    /// Without it, and on a terminal, there is a prompt, which an empty line ends. Otherwise each line of
    /// standard input is one request, without its line end. A TEXT that begins with - goes behind --.
    ///
    /// For coap:// addresses standard input is read with --stdin or --payload - alone, and is then one request.
    text: Option<OsString>,

    /// Say what comes on standard input, all of it, as one request
    #[arg(long, conflicts_with = "text")]
    stdin: bool,

    /// Another server, asked in turn while the others are silent; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    also: Vec<String>,

    /// The port of addresses that name none
    ///
    /// Without it 1060, and 5683 for coap.
    #[arg(short, long, value_name = "PORT", value_parser = parse_port)]
    port: Option<u16>,

    #[command(flatten)]
    family: Family,

    /// The address to ask from: an IP address, with or without a port, or unixgram:/path
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,

    /// Ask this often at most, however long the waits become
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tries: Option<u32>,

    /// Give up after this long, however often it has asked: 500ms, 10s
    #[arg(long, value_name = "DURATION", value_parser = squall_node::parse_duration)]
    timeout: Option<Duration>,

    /// Lengthen each wait by up to a half at random, so that many clients do not ask in step; for coap it always is
    #[arg(long)]
    jitter: bool,

    /// Print answers as hexadecimal digits
    #[arg(long)]
    hex: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    /// Tell on standard error from where it asks, how long it waits, and who answered
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    coap: CoapArguments,
}

const AFTER_HELP: &str = "\
On a terminal an answer's control characters are shown as \\x1b. Into a pipe or a file answers go as they \
are, each ended by a newline if it does not end with one; with --stdin, and to a single answer of a CoAP server, \
nothing is added. Links, such as those of /.well-known/core, are shown one a line.

Fields of --json: server (who answered), tries, seconds (from the first try to the answer), and text, or hex \
where the answer is not UTF-8 and with --hex. Without an answer: error, and servers, tries and seconds if \
any was asked. Of a CoAP server: server, code (2.05), messages (how many were sent), seconds, content_format, \
max_age, and text or hex; when it failed, also executed: no, unknown or yes. With code 4.13 limit: how \
many bytes may be sent, where the server tells. With --ping: server, alive and seconds.

A multicast group is asked by every interface but loopback that is up and can, or by those of --interface. Each \
answer stands behind a line that tells who gave it. Where one is long, the rest is fetched from its server; \
what cannot be had within the time of --for (6 s) is told on standard error, and with --json by truncated.

A CoAP request is executed at most once by a server that keeps RFC 7252, however often it is sent. With --also a \
request that may run twice (get, fetch, put, delete, ipatch) goes to the next server while one is silent; post and \
patch go on only from a server that has not executed them.

Examples:
  squall ask localhost:20000 \"\"                 the time, from `squall serve`
  squall ask localhost \"how long am I\"          the length of a text
  squall ask tcp://localhost:21567 hello        the same text with the time before it
  squall ask unixgram:/run/time.sock \"\"         over a Unix socket
  squall ask 192.0.2.1 --also 192.0.2.2 hello   two servers in turn
  printf '\\001\\002' | squall ask host --stdin --hex   bytes as bytes
  squall ask host --json < questions            one request for each line
  squall ask coap://host/time                   a CoAP resource
  squall ask coap://host/time --observe=5       its next five states
  squall ask coap://host/scratch/a --method put --payload @file   a file, in blocks
  squall ask coap://host/.well-known/core       what a CoAP server has
  squall ask coap://224.0.1.187/.well-known/core   who is there

Exit codes: 0 answered; 1 the system refused, or a CoAP server answered 4.xx or 5.xx; 2 wrong usage; 69 no answer to one request or more, \
or fewer states than --observe=COUNT within the time of --for; 130 interrupted.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    if coap::is_coap(&arguments.address) {
        return coap::run(arguments);
    }
    coap::refuse_options(arguments)?;
    let from = arguments.from()?;
    let show = Show::new(arguments.json, arguments.hex, arguments.stdin);
    let mut client = arguments.client(from)?;
    let is_bound = Arc::new(AtomicBool::new(false));
    let verbose = arguments.verbose;
    client = client.on_event({
        let is_bound = is_bound.clone();
        move |event| {
            is_bound.store(true, Ordering::Relaxed);
            if verbose {
                show::event(event);
            }
        }
    });
    let return_path = from.and_then(|from| match from {
        Address::Unix(from) => from.as_path().map(PathBuf::from),
        _ => None,
    });
    let interrupt = end_on_interrupt(move || {
        if let Some(path) = return_path.filter(|_| is_bound.load(Ordering::Relaxed)) {
            let _ = SocketFile::at(path).and_then(SocketFile::remove);
        }
    });
    interrupt.map_err(|error| Exit::Failed.with(format!("cannot listen for Ctrl-C: {error}")))?;

    let mut requests = Requests::new(arguments.text.as_deref(), arguments.stdin, "asked");
    let mut out = io::stdout().lock();
    let mut exit = Exit::Done;
    while let Some(request) = requests.next()? {
        match client.ask(&request) {
            Ok(answer) => {
                if verbose {
                    show::heard(&answer);
                }
                show.answer(&mut out, &answer)?;
            }
            Err(error) => {
                let failed = show.failure(&mut out, &error, requests.line())?;
                if concerns_all_requests(&error) {
                    return Err(failed);
                }
                exit = exit.or(failed);
            }
        }
        out.flush()?;
    }
    Ok(exit)
}

impl Arguments {
    fn client(&self, from: Option<Address>) -> Result<Client, Exit> {
        let servers: Vec<Uri> = std::iter::once(&self.address)
            .chain(&self.also)
            .map(|address| peer(address, Transport::Udp, self.port.unwrap_or(USUAL_PORT)))
            .collect::<Result<_, _>>()?;
        let mut policy = RetryPolicy::default().max_tries(self.tries).total(self.timeout);
        if !self.jitter {
            policy = policy.jitter(0.0);
        }
        if self.tries.is_some() || self.timeout.is_some() {
            // Who says when to give up means it.
            policy = policy.max_wait(Duration::from_secs(3600));
        }
        let mut client = Client::new(servers).retry(policy).family(self.family.get());
        if let Some(timeout) = self.timeout {
            client = client.timeout(timeout);
        }
        Ok(match from {
            Some(from) => client.from(from),
            None => client,
        })
    }

    fn from(&self) -> Result<Option<Address>, Exit> {
        let Some(text) = &self.from else { return Ok(None) };
        let addresses = Uri::parse(text, Transport::Udp, Some(0))
            .and_then(|from| from.resolve(self.family.get()))
            .map_err(|error| unresolved(&error).with(format!("--from {error}")))?;
        Ok(addresses.first().copied())
    }
}

/// The port of addresses that name none.
const USUAL_PORT: u16 = 1060;

/// Whether the next request would meet the same error.
fn concerns_all_requests(error: &AskError) -> bool {
    !error.is_no_answer() && !matches!(error, AskError::TooLong { .. })
}
