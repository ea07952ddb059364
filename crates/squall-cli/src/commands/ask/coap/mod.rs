//! `squall ask coap://host/path`.

mod show;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use squall::coap::block::BlockSize;
use squall::coap::client::policy;
use squall::coap::content_format;
use squall::coap::transmission::Transmission;
use squall::coap::uri::CoapUri;
use squall::coap::{ClientRequest, CoapClient, CoapError, Settings};
use squall::{Method, UriError};

use self::show::Show;
use super::Arguments;
use super::requests::read_all;
use crate::exit::Exit;
use crate::interrupt::end_on_interrupt;

/// What means something for `coap://` addresses alone.
#[derive(Debug, Args)]
#[command(next_help_heading = "CoAP options, for coap:// addresses")]
pub(super) struct CoapArguments {
    /// What is to be done: get, post, put, delete, fetch, patch or ipatch
    ///
    /// Without it, get; with something to send, post.
    #[arg(long, value_name = "METHOD")]
    method: Option<Method>,

    /// What to send: TEXT, @FILE, or - for standard input
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["text", "stdin"])]
    payload: Option<String>,

    /// Show the resource's state, and each new one, without end or, with --observe=COUNT, so many
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true,
        value_parser = parse_count)]
    observe: Option<Option<u64>>,

    /// Stop observing, or hearing the answers of a multicast group, after this long
    #[arg(long = "for", value_name = "DURATION", value_parser = squall_node::parse_duration)]
    duration: Option<Duration>,

    /// Ask a multicast group by this interface, instead of by all that can; repeatable
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,

    /// Send each message once, and do not have it acknowledged
    #[arg(long)]
    non: bool,

    /// What is sent: a media type such as application/json, or its number
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    content_format: Option<u16>,

    /// What the answer must be: a media type, or its number
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    accept: Option<u16>,

    /// Send and ask in blocks of so many bytes, a power of two from 16 to 1024
    #[arg(long, value_name = "BYTES", value_parser = parse_block_size)]
    block_size: Option<BlockSize>,

    /// Ask only whether a CoAP server is there
    #[arg(long, conflicts_with_all = ["text", "stdin", "payload", "method", "observe", "duration", "interface", "non",
        "content_format", "accept", "block_size"])]
    ping: bool,
}

impl CoapArguments {
    /// The option that means nothing for other addresses, if one was given.
    fn given(&self) -> Option<&'static str> {
        [
            ("--method", self.method.is_some()),
            ("--payload", self.payload.is_some()),
            ("--observe", self.observe.is_some()),
            ("--for", self.duration.is_some()),
            ("--interface", !self.interface.is_empty()),
            ("--non", self.non),
            ("--content-format", self.content_format.is_some()),
            ("--accept", self.accept.is_some()),
            ("--block-size", self.block_size.is_some()),
            ("--ping", self.ping),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// Whether `address` names a CoAP server.
pub(super) fn is_coap(address: &str) -> bool {
    address.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// Refuses options that mean nothing for an address that names no CoAP server.
pub(super) fn refuse_options(arguments: &Arguments) -> Result<(), Exit> {
    if let Some(other) = arguments.also.iter().find(|address| is_coap(address)) {
        return Err(Exit::Usage.with(format!("--also {other}: a CoAP server cannot answer for another one")));
    }
    match arguments.coap.given() {
        Some(option) => {
            let address = &arguments.address;
            Err(Exit::Usage.with(format!("{option} goes with coap:// addresses, and {address:?} is none")))
        }
        None => Ok(()),
    }
}

/// Refuses `--observe 3`: without the sign the number is TEXT, which only FETCH can mean.
fn refuse_count_apart(arguments: &Arguments) -> Result<(), Exit> {
    let number = arguments.text.as_ref().and_then(|text| text.to_str()?.parse::<u64>().ok());
    match (number, arguments.coap.observe, arguments.coap.method) {
        (Some(number), Some(None), method) if method != Some(Method::Fetch) => Err(Exit::Usage.with(
            format!("{number} is what is to be sent; to see {number} states write --observe={number}"),
        )),
        _ => Ok(()),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let coap = &arguments.coap;
    let uri: CoapUri = arguments
        .address
        .parse()
        .map_err(|source| Exit::Usage.with(CoapError::Uri { text: arguments.address.clone(), source }))?;
    refuse_count_apart(arguments)?;
    let mut client = client(arguments)?;
    let payload = payload(arguments)?;
    let method = coap.method.unwrap_or(if payload.is_some() { Method::Post } else { Method::Get });
    if coap.observe.is_some() && !matches!(method, Method::Get | Method::Fetch) {
        return Err(Exit::Usage.with(format!("--observe goes with get and fetch, not with {method}")));
    }
    let show = Show::new(arguments, uri.to_string());
    end_on_interrupt(|| ())
        .map_err(|error| Exit::Failed.with(format!("cannot listen for Ctrl-C: {error}")))?;
    let mut out = io::stdout().lock();
    let exit = ask(arguments, &uri, method, payload, &mut client, &show, &mut out)?;
    out.flush()?;
    Ok(exit)
}

fn ask(
    arguments: &Arguments,
    uri: &CoapUri,
    method: Method,
    payload: Option<Vec<u8>>,
    client: &mut CoapClient,
    show: &Show,
    out: &mut impl Write,
) -> Result<Exit, Exit> {
    let coap = &arguments.coap;
    if coap.ping {
        return match client.ping() {
            Ok(pong) => Ok(show.pong(out, &pong)?),
            Err(error) => Ok(show.failure(out, &error)?),
        };
    }
    let request = request(coap, uri, method, payload.unwrap_or_default());
    let request = request.map_err(|error| Exit::Usage.with(error))?;
    let is_group = match client.is_group() {
        Ok(is_group) => is_group,
        Err(error) => return Ok(show.failure(out, &error)?),
    };
    if is_group {
        if coap.observe.is_some() {
            return Err(Exit::Usage.with("a multicast group cannot be observed"));
        }
        return gather(coap, client, request, show, out);
    }
    if !coap.interface.is_empty() {
        return Err(Exit::Usage.with("--interface goes with multicast addresses"));
    }
    match coap.observe {
        None if coap.duration.is_some() => {
            Err(Exit::Usage.with("--for goes with --observe and with multicast addresses"))
        }
        None => match client.ask(request) {
            Ok(answer) => Ok(show.answer(out, &answer, false)?),
            Err(error) => Ok(show.failure(out, &error)?),
        },
        Some(count) => observe(coap, count, client, request, show, out),
    }
}

fn observe(
    coap: &CoapArguments,
    count: Option<u64>,
    client: &mut CoapClient,
    request: ClientRequest,
    show: &Show,
    out: &mut impl Write,
) -> Result<Exit, Exit> {
    let mut states = match client.observe(request) {
        Ok(states) => states,
        Err(error) => return Ok(show.failure(out, &error)?),
    };
    let started = std::time::Instant::now();
    let mut shown = 0;
    let mut exit = Exit::Done;
    let mut is_short = false;
    while count != Some(shown) {
        let next = match coap.duration {
            None => states.next(),
            Some(duration) => states.next_within(duration.saturating_sub(started.elapsed())),
        };
        match next {
            Some(Ok(answer)) => {
                exit = show.answer(out, &answer, true)?;
                out.flush()?;
                shown += 1;
                if states.is_over() && answer.status().is_success() {
                    show.cannot_be_observed(shown == 1);
                }
            }
            Some(Err(error)) => return Ok(show.failure(out, &error)?),
            None => {
                // Or there are none left to come.
                is_short = !states.is_over();
                break;
            }
        }
    }
    states.end(GOODBYE);
    if shown == 0 {
        // The time that was given was over before the server said anything.
        return Ok(show.nobody(out)?);
    }
    match count {
        Some(count) if is_short && shown < count => Ok(show.too_few(shown, count)),
        _ => Ok(exit),
    }
}

fn gather(
    coap: &CoapArguments,
    client: &mut CoapClient,
    request: ClientRequest,
    show: &Show,
    out: &mut impl Write,
) -> Result<Exit, Exit> {
    let time = coap.duration.unwrap_or(GATHER);
    let mut written = Ok(());
    let mut is_first = true;
    let heard = client.gather(request, time, |answer| {
        if written.is_ok() {
            written = show.member(out, &answer, is_first).and_then(|()| out.flush());
            is_first = false;
        }
    });
    written?;
    match heard {
        Ok(0) => Ok(show.nobody(out)?),
        Ok(_) => Ok(Exit::Done),
        Err(error) => Ok(show.failure(out, &error)?),
    }
}

fn request(
    coap: &CoapArguments,
    uri: &CoapUri,
    method: Method,
    payload: Vec<u8>,
) -> Result<ClientRequest, squall::coap::client::BadOption> {
    let mut request = ClientRequest::new(method).options(uri.to_options())?.payload(payload);
    if let Some(format) = coap.content_format {
        request = request.content_format(format);
    }
    if let Some(format) = coap.accept {
        request = request.accept(format);
    }
    if let Some(size) = coap.block_size {
        request = request.block_size(size);
    }
    if coap.non {
        request = request.non_confirmable();
    }
    Ok(request)
}

/// What is to be sent; `None` for nothing at all.
fn payload(arguments: &Arguments) -> Result<Option<Vec<u8>>, Exit> {
    if let Some(text) = &arguments.text {
        return Ok(Some(text.as_encoded_bytes().to_vec()));
    }
    if arguments.stdin {
        return read_all(io::stdin().lock()).map(Some);
    }
    let Some(payload) = &arguments.coap.payload else { return Ok(None) };
    if payload == "-" {
        return read_all(io::stdin().lock()).map(Some);
    }
    let Some(path) = payload.strip_prefix('@') else { return Ok(Some(payload.clone().into_bytes())) };
    let unreadable = |error| Exit::Usage.with(format!("cannot read {path:?}: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Exit::Usage.with(format!("{path:?} is longer than {} MiB", MAX_FILE >> 20)));
    }
    Ok(Some(bytes))
}

fn client(arguments: &Arguments) -> Result<CoapClient, Exit> {
    let failed =
        |error: CoapError| if error.is_usage() { Exit::Usage.with(error) } else { Exit::Failed.with(error) };
    let mut client = CoapClient::new(&arguments.address).map_err(failed)?;
    for other in &arguments.also {
        client = client.also(other).map_err(failed)?;
    }
    if let Some(port) = arguments.port {
        client = client.port(port);
    }
    if let Some(from) = arguments.from()? {
        let from: SocketAddr = from
            .ip()
            .ok_or_else(|| Exit::Usage.with("--from: a Unix path is no address to ask a CoAP server from"))?;
        client = client.from(from);
    }
    let transmission = Transmission::default();
    let mut retry = policy(&transmission).total(arguments.timeout);
    if arguments.tries.is_some() || arguments.timeout.is_some() {
        // Who says when to give up means it.
        retry = retry.max_wait(Duration::from_secs(3600)).max_tries(arguments.tries);
    }
    let mut settings = Settings::default().retry(retry).max_body(MAX_FILE as usize);
    if let Some(size) = arguments.coap.block_size {
        settings = settings.block_size(size);
    }
    for name in &arguments.coap.interface {
        client = client.interface(name);
    }
    client = client.settings(settings).family(arguments.family.get());
    if arguments.verbose {
        client = client.on_datagram(show::datagram);
    }
    Ok(client)
}

fn parse_format(text: &str) -> Result<u16, String> {
    content_format::number(text)
        .ok_or_else(|| format!("{text:?} is no Content-Format; write its number or a media type"))
}

fn parse_count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("no state is none to wait for; without a COUNT they are shown without end".into()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("{text:?} is no number of states")),
    }
}

fn parse_block_size(text: &str) -> Result<BlockSize, String> {
    let is_size = |bytes: &usize| bytes.is_power_of_two() && (16..=1024).contains(bytes);
    match text.parse().ok().filter(is_size) {
        Some(bytes) => Ok(BlockSize::at_most(bytes)),
        None => Err(format!("{text:?} is no block size; there are 16, 32, 64, 128, 256, 512 and 1024")),
    }
}

/// How an error of the client's ends the program.
fn exit_of(error: &CoapError) -> Exit {
    // A name server that is silent is a peer that does not answer.
    let no_name_server = matches!(error, CoapError::Address(error) if UriError::is_temporary(error));
    if error.is_no_answer() || no_name_server {
        Exit::NoAnswer
    } else if error.is_usage() {
        Exit::Usage
    } else {
        Exit::Failed
    }
}

const SCHEME: &str = "coap:";
/// How long a server may take to hear that it is no longer observed.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long a group's answers are heard: DEFAULT_LEISURE, within which they come, and a round trip.
const GATHER: Duration = Duration::from_secs(6);
/// The longest file that is sent and the longest answer that is taken, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
