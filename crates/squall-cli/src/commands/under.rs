//! `squall under`: any program in bad weather.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use squall_node::under::{
    Carried, Ended, GREATEST_MTU, LEAST_MTU, LEAST_V6_MTU, Outcome, Ready, Under, UnderError, guard_if_asked,
};
use squall_node::{is_same_file, open_record};
use squall_weather::{Direction, Record, RecordError};

use crate::exit::Exit;
use crate::output::{say, write_json};

/// Run any program, TCP too, in bad weather: two hosts of their own with the weather between them.
///
/// COMMAND runs on the client's host, what --server names on the server's; nothing there reaches any other network.
/// Each finds the other's address in SQUALL_SERVER and SQUALL_CLIENT (IPv6: SQUALL_SERVER6 and SQUALL_CLIENT6). COMMAND
/// has this terminal; the server's output goes to standard error, and so does what the weather did, at the end.
/// COMMAND starts when something listens on the server's host, or when the server has ended. When COMMAND has ended, the
/// server may end by itself, for 200 ms and twice the longest delay under way; what still runs then is ended too.
///
/// It takes no root where the system lets users make namespaces (Linux). Programs keep their user, their files and
/// their environment. Without root, other users and groups than one's own show as 65534 and programs like sudo
/// gain nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What the network does: a preset, or delay=25ms,loss=1%,rate=1gbit; up.loss=1% for one direction; or a TOML file
    #[arg(short, long, value_name = "WEATHER", default_value = "clear")]
    weather: String,
    /// A shell command to run on the server's host
    #[arg(short, long, value_name = "COMMAND")]
    server: Option<String>,
    /// Start COMMAND when the server listens on this port, and fail when it does not [default: on any]
    #[arg(long, value_name = "PORT", requires = "server", value_parser = clap::value_parser!(u16).range(1..))]
    server_ready: Option<u16>,
    /// How long to wait for that; 0 starts COMMAND at once
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = squall_node::parse_duration)]
    server_wait: Duration,
    /// Repeat the chances of an earlier run, which told its seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write each decision into this file, a line each
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Decide as the record in this file says, in place of a weather
    #[arg(long, value_name = "FILE", conflicts_with_all = ["weather", "seed"])]
    replay: Option<PathBuf>,
    /// MTU of the hosts' interfaces, in bytes; below 1280 they have no IPv6; mtu=… of the weather is that of a link further on
    #[arg(long, value_name = "BYTES", default_value_t = 1500,
          value_parser = clap::value_parser!(u32).range(i64::from(LEAST_MTU)..=i64::from(GREATEST_MTU)))]
    mtu: u32,
    /// Write what the weather did into this file instead of standard error
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Tell what the weather did as one JSON object
    #[arg(long)]
    json: bool,
    /// Tell more: how the hosts were made, what their interfaces counted
    #[arg(short, long)]
    verbose: bool,
    /// The command, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "Examples:
  squall under --weather delay=25ms,loss=1%,rate=1gbit --server 'iperf3 -s -1' -- sh -c 'iperf3 -c $SQUALL_SERVER'
  squall under --weather lte --server 'python3 -m http.server 80' -- sh -c 'curl -sS http://$SQUALL_SERVER/'
  squall under --weather satellite -- sh -c 'ping -c 3 $SQUALL_SERVER'
  squall under --weather loss=5% --seed 7 --server 'squall serve echo --on udp://:7' -- bash

The exit code is COMMAND's, 128 and its number for a signal that ended it; 127 and 126 when it cannot be found or
executed, 1 when it could not be run under weather, 2 for wrong usage.

JSON: seed, weather, seconds, code, up and down (sent, sent_bytes, arrived, arrived_bytes, dropped by cause, duplicated,
reordered, overtaking, corrupted, fragmented, icmp, overflow, refused), client and server (send_drops,
receive_drops: what their interfaces lost, not the weather), left, user_namespace.";

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match guard_if_asked() {
        Ok(false) => {}
        Ok(true) => return Exit::Done.into(),
        Err(error) => return Exit::Failed.with(error).into(),
    }
    match run_as_asked(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(exit) => exit.into(),
    }
}

fn run_as_asked(arguments: &Arguments) -> Result<u8, Exit> {
    let weather = squall_node::parse_weather(&arguments.weather).map_err(|error| Exit::Usage.with(error))?;
    refuse_same_files(arguments)?;
    // Files come first: one that cannot be opened is told before anything runs.
    let replay = arguments.replay.as_ref().map(read_record).transpose()?;
    let open = |path: &PathBuf, open: fn(&Path) -> io::Result<File>| {
        open(path)
            .map_err(|error| Exit::Failed.with(format_args!("cannot write {}: {error}", path.display())))
    };
    let record = arguments.record.as_ref().map(|path| open(path, open_record)).transpose()?;
    let summary = arguments.summary.as_ref().map(|path| open(path, |path| File::create(path))).transpose()?;
    let seed = arguments.seed.unwrap_or_else(|| squall::seed() >> 32);
    let mut under = Under::new(arguments.command.clone())
        .weather(weather)
        .seed(seed)
        .mtu(arguments.mtu)
        .patience(arguments.server_wait)
        .ready(arguments.server_ready.map_or(Ready::Anything, Ready::Port));
    if let Some(server) = &arguments.server {
        under = under.server(server);
    }
    if let Some(file) = record {
        under = under.record(file);
    }
    if let Some(record) = replay {
        under = under.replay(record);
    }
    if arguments.mtu < LEAST_V6_MTU {
        say(format_args!(
            "squall: --mtu {}: the hosts have IPv4 alone; IPv6 needs {LEAST_V6_MTU}",
            arguments.mtu
        ));
    }
    let outcome = match under.run() {
        Ok(outcome) => outcome,
        Err(error) => return refuse(&error),
    };
    match summary {
        Some(mut file) => tell(&mut file, arguments, seed, &outcome)
            .map_err(|error| Exit::Failed.with(format_args!("--summary: {error}")))?,
        // Nobody is left to tell when standard error is closed.
        None => drop(tell(&mut io::stderr().lock(), arguments, seed, &outcome)),
    }
    Ok(outcome.code())
}

/// A file that is read and written, or written twice, would be destroyed.
fn refuse_same_files(arguments: &Arguments) -> Result<(), Exit> {
    let Arguments { record, replay, summary, .. } = arguments;
    for (one, other, options) in [
        (record, replay, "--record and --replay"),
        (summary, replay, "--summary and --replay"),
        (summary, record, "--summary and --record"),
    ] {
        if let (Some(one), Some(other)) = (one, other)
            && is_same_file(one, other)
        {
            return Err(Exit::Usage.with(format_args!("{options} name the same file: {}", one.display())));
        }
    }
    Ok(())
}

fn read_record(path: &PathBuf) -> Result<Record, Exit> {
    let failed =
        |exit: Exit, error: &dyn Display| exit.with(format_args!("--replay {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(Exit::Failed, &error))?;
    text.parse().map_err(|error: RecordError| failed(Exit::Usage, &error))
}

/// As a shell has it, where the command is not there.
fn refuse(error: &UnderError) -> Result<u8, Exit> {
    let failed = Exit::Failed.with(error);
    match error {
        UnderError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => Ok(127),
        UnderError::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Ok(126),
        _ => Err(failed),
    }
}

fn tell(out: &mut impl Write, arguments: &Arguments, seed: u64, outcome: &Outcome) -> io::Result<()> {
    if arguments.json {
        return write_json(out, &object(arguments, seed, outcome));
    }
    let seconds = outcome.elapsed.as_secs_f64();
    match &arguments.replay {
        Some(path) => writeln!(out, "squall: replay of {} for {seconds:.1} s", path.display())?,
        None => writeln!(out, "squall: {} for {seconds:.1} s, --seed {seed}", arguments.weather)?,
    }
    for direction in Direction::ALL {
        writeln!(out, "{:<6} {}", direction.to_string(), Line(outcome.carried(direction)))?;
    }
    let interfaces = [("client", &outcome.client), ("server", &outcome.server_host)];
    for (name, counts) in interfaces {
        if counts.send_drops + counts.receive_drops > 0 || arguments.verbose {
            writeln!(
                out,
                "{name} lost {} packets before the link and {} after it, in its own interface: not by the weather",
                counts.send_drops, counts.receive_drops
            )?;
        }
    }
    match outcome.server {
        Some(server) if !server.listened => {
            writeln!(out, "server had nothing listening when COMMAND started")?
        }
        _ => {}
    }
    if let Some(status) = outcome.server.and_then(|server| server.early) {
        writeln!(out, "server ended before COMMAND did ({status})")?;
    }
    if let Ended::Before { .. } = outcome.ended {
        writeln!(out, "COMMAND was not started")?;
    }
    if outcome.left > 0 {
        let processes = if outcome.left == 1 { "process that was" } else { "processes that were" };
        writeln!(out, "killed {} {processes} left", outcome.left)?;
    }
    if arguments.verbose {
        let how = if outcome.user_namespace { "a user namespace" } else { "privileges" };
        writeln!(out, "hosts  were made by {how}")?;
    }
    Ok(())
}

/// One direction, for people.
struct Line<'a>(&'a Carried);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Carried { weather, .. } = self.0;
        write!(f, "{} packets ({} bytes) sent", weather.decided(), self.0.sent_bytes)?;
        write!(f, ", {} ({} bytes) arrived", weather.forwarded, weather.bytes)?;
        let dropped = causes(self.0).filter(|(_, count)| *count > 0);
        for (index, (cause, count)) in dropped.enumerate() {
            write!(f, "{} {count} {cause}", if index == 0 { "; dropped:" } else { "," })?;
        }
        let others = [
            (weather.duplicated, "arrived twice"),
            (weather.reordered, "held back"),
            (weather.overtaking, "overtook others"),
            (weather.corrupted, "with a wrong bit"),
            (self.0.fragmented, "cut into fragments"),
            (self.0.icmp, "answered by ICMP"),
            (self.0.overflow, "lost because more were under way than this program holds"),
            (self.0.refused, "not taken by the host"),
        ];
        others
            .iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, what)| write!(f, "; {count} {what}"))
    }
}

fn causes(carried: &Carried) -> impl Iterator<Item = (&'static str, u64)> {
    let weather = &carried.weather;
    [
        ("loss", weather.loss),
        ("burst", weather.burst),
        ("queue", weather.queue),
        ("too_big", weather.too_big),
        ("blackout", weather.blackout),
        ("rule", weather.rule),
    ]
    .into_iter()
}

fn object(arguments: &Arguments, seed: u64, outcome: &Outcome) -> Value {
    let direction = |carried: &Carried| {
        let weather = &carried.weather;
        json!({
            "sent": weather.decided(),
            "sent_bytes": carried.sent_bytes,
            "arrived": weather.forwarded,
            "arrived_bytes": weather.bytes,
            "dropped": causes(carried).map(|(cause, count)| (cause.to_owned(), count.into())).collect::<serde_json::Map<_, _>>(),
            "duplicated": weather.duplicated,
            "reordered": weather.reordered,
            "overtaking": weather.overtaking,
            "corrupted": weather.corrupted,
            "fragmented": carried.fragmented,
            "icmp": carried.icmp,
            "overflow": carried.overflow,
            "refused": carried.refused,
        })
    };
    json!({
        "seed": arguments.replay.is_none().then_some(seed),
        "weather": arguments.replay.is_none().then_some(&arguments.weather),
        "seconds": outcome.elapsed.as_secs_f64(),
        "code": outcome.code(),
        "up": direction(&outcome.up),
        "down": direction(&outcome.down),
        "client": {"send_drops": outcome.client.send_drops, "receive_drops": outcome.client.receive_drops},
        "server": {"send_drops": outcome.server_host.send_drops, "receive_drops": outcome.server_host.receive_drops},
        "left": outcome.left,
        "user_namespace": outcome.user_namespace,
    })
}
