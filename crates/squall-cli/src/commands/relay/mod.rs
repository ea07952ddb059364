//! `squall relay`: weather between a client and its server.

mod orders;
mod show;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use clap::Args;
use squall::{Offload, Transport, Uri};
use squall_node::relay::{Answer, Relay, RelayError, RunningRelay};
use squall_weather::Weather;

use self::orders::Control;
use self::show::Show;
use crate::address::Family;
use crate::exit::Exit;
use crate::interrupt::stop_on_signal;

/// Put weather between clients and a server: loss, delay, duplicates, a narrow road, blackouts.
///
/// Clients ask the relay, which asks the server, each client from a port of its own. Both directions pass through
/// the weather, which all clients share.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Where to listen: udp://host:port or tcp://host:port; port 0 lets the system choose
    #[arg(long, value_name = "URI")]
    on: String,
    /// The server: udp://host:port or tcp://host:port
    #[arg(long, value_name = "URI")]
    to: String,
    /// The weather: a preset, KEY=VALUE,…, both, or a TOML file [default: clear]
    #[arg(short, long, value_name = "WEATHER")]
    weather: Option<String>,
    /// The number from which all chance follows [default: chosen, and told]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Clients at a time; beyond, those silent for long make room for new ones
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    flows: u32,
    /// How long a client may be silent before it is forgotten
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = squall_node::parse_time_limit)]
    idle: Duration,
    /// Mebibytes that may be under way; beyond, datagrams are dropped and connections wait
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    memory: u32,
    /// Write each decision into this file, a line each
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Decide as this file says that was written by --record
    #[arg(long, value_name = "FILE", conflicts_with_all = ["weather", "seed"])]
    replay: Option<PathBuf>,
    /// Take orders on this Unix socket, too: unix:/path
    #[arg(long, value_name = "URI")]
    control: Option<String>,
    /// Join datagrams into segmented sends: auto, on, off
    #[arg(long, default_value = "auto", value_parser = squall_node::parse_offload)]
    gso: Offload,
    #[command(flatten)]
    family: Family,
    /// Print what it does as JSON, one object a second
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  squall relay --on udp://:9000 --to udp://127.0.0.1:20000 --weather half
  squall relay --on udp://127.0.0.1:9000 --to udp://host:5353 --weather lte,loss=2%
  squall relay --on udp://127.0.0.1:9000 --to udp://host:5353 --weather delay=25ms,up.loss=1% --seed 7
  squall relay --on tcp://127.0.0.1:9000 --to tcp://host:80 --weather delay=300ms,rate=1mbit
  echo blackout 10s | nc -U -N /run/relay.sock     where it runs with --control unix:/run/relay.sock";

const AFTER_HELP: &str = "\
Orders, a line each on standard input or on the control socket: loss=5% or up.delay=1s changes the weather, storm \
or lte@10s:storm replaces it, blackout 10s lets nothing pass for so long; weather, counts, quit, help. Orders on standard \
input are answered on standard error, with --json on standard output, an object each. On the control socket the \
answer begins with ok or error:, and the connection is closed when nothing more comes.

Loss, delay, rate and queue count a datagram with its headers of IP and UDP. What is longer than the mtu is \
dropped in silence: no program without privileges can send ICMP's answer.

Over tcp:// bytes are delayed and paced, and stay in order: the weather has delay, jitter, rate and blackouts there, \
and what else it has is refused, since TCP repairs it. Connections are made at once.

A record has all decisions on what clients sent, then all on what the server sent, without points in time: the same seed and the same datagrams give the same file, unless the weather looks at the clock (a rate, blackouts, jitter that keeps the order).

Examples:
  squall relay --on udp://:9000 --to udp://127.0.0.1:20000 --weather half
  squall relay --on udp://127.0.0.1:9000 --to udp://host:5353 --weather lte,loss=2%
  squall relay --on udp://127.0.0.1:9000 --to udp://host:5353 --weather delay=25ms,up.loss=1% --seed 7
  squall relay --on tcp://127.0.0.1:9000 --to tcp://host:80 --weather delay=300ms,rate=1mbit
  echo blackout 10s | nc -U -N /run/relay.sock     where it runs with --control unix:/run/relay.sock

JSON: first listening, to, weather and seed; then each second, and with final at the end, elapsed, flows, blackout (seconds that one goes on for), and for \
up and down what was received, sent and dropped, by cause.

Ends with 0 when asked to by SIGINT, SIGTERM or quit; a second signal ends it at once with 130. Other exit codes: 1 \
the system refused an address; 2 wrong usage; 69 a name server does not answer.";

/// What the command waits for.
enum Event {
    /// A signal, or the end of a terminal's input.
    End,
    /// An order that was given on standard input.
    Line(String),
    /// One that cannot be read.
    BadLine(&'static str),
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let address = |text: &str| Uri::parse(text, Transport::Udp, None).map_err(|e| Exit::Usage.with(e));
    let (on, to) = (address(&arguments.on)?, address(&arguments.to)?);
    let weather = match &arguments.weather {
        Some(text) => squall_node::parse_weather(text).map_err(|e| Exit::Usage.with(e))?,
        None => Weather::clear(),
    };
    let seed = arguments.seed.unwrap_or_else(chosen_seed);
    // Each client takes a descriptor; where the limit stays, the kernel refuses the last ones.
    let _ = squall::socket::process::raise_descriptor_limit();
    let mut relay = Relay::new(on, to)
        .weather(weather)
        .seed(seed)
        .flows(arguments.flows as usize)
        .idle(arguments.idle)
        .memory((arguments.memory as usize) << 20)
        .family(arguments.family.get())
        .gso(arguments.gso);
    if let Some(path) = &arguments.record {
        relay = relay.record(path);
    }
    if let Some(path) = &arguments.replay {
        relay = relay.replay(path);
    }
    let control = arguments.control.as_deref().map(Control::bind).transpose()?;
    let running = relay.start().map_err(refuse)?;
    let (give, events) = sync_channel(EVENTS);
    let end = give.clone();
    stop_on_signal(move || {
        // Nobody listens any more when the relay ends already.
        let _ = end.send(Event::End);
    })?;
    let typed = io::stdin().is_terminal();
    let serve = |control: Control| control.serve(running.handle(), give.clone());
    let _control = control.map(serve).transpose()?;
    orders::read_stdin(give, typed)?;

    let mut show = Show::new(arguments.json, typed);
    show.start(&running, arguments.replay.as_deref())?;
    watch(&running, &events, &mut show)?;
    running.handle().stop();
    let result = running.wait();
    if let Ok(counts) = &result {
        show.end(counts)?;
    }
    if let Err(RelayError::Ended { counts, .. }) = &result {
        show.end(counts)?;
    }
    result.map(|_| Exit::Done).map_err(refuse)
}

/// Shows what happens and obeys, until the relay shall end or has ended.
fn watch(running: &RunningRelay, events: &Receiver<Event>, show: &mut Show) -> Result<(), Exit> {
    let handle = running.handle();
    let mut next = Instant::now() + TICK;
    loop {
        match events.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Event::End) => return Ok(()),
            Ok(Event::Line(line)) => {
                let answer = handle.obey(&line);
                show.answer(&line, &answer)?;
                if answer == Ok(Answer::Ending) {
                    return Ok(());
                }
            }
            Ok(Event::BadLine(reason)) => show.answer("", &Err(reason.to_owned()))?,
            Err(RecvTimeoutError::Timeout) => {
                next += TICK;
                // A relay that has ended, by an order or by an error, tells why when it is waited for.
                let Some(counts) = handle.counts() else { return Ok(()) };
                show.tick(&counts)?;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn refuse(problem: RelayError) -> Exit {
    let exit = match &problem {
        problem if problem.is_temporary() => Exit::NoAnswer,
        problem if problem.is_usage() => Exit::Usage,
        _ => Exit::Failed,
    };
    exit.with(problem)
}

/// A seed that nobody chose, short enough to be typed again.
fn chosen_seed() -> u64 {
    squall::seed() % 1_000_000_000
}

/// How often it shows what it does.
const TICK: Duration = Duration::from_secs(1);
/// Events that wait.
const EVENTS: usize = 16;
