//! The chat hub beside NATS and a bare loop: how many deliveries a second one processor makes.
//!
//! One member says something, all of them receive it, and a message is done when the last of them has it; so many are
//! in flight at any time. Every byte that a member receives is compared with what it must receive, so that what is
//! counted was delivered whole, in order and once.

pub(crate) mod audience;
mod drive;
pub(crate) mod hub;
mod nats;
pub(crate) mod udp;

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use squall_socket::process::{pin_to_processor, raise_descriptor_limit};

use self::audience::{Audience, Faults};
use self::drive::{Crowd, drive};
use self::hub::Hub;
use self::nats::{MSG, NatsCrowd};
use self::udp::{ACK, UdpCrowd};
use crate::error::{Error, with_causes};
use crate::how::How;
use crate::server::Programs;
use crate::spread::Spread;
use crate::{LOAD_PROCESSOR, SERVER_PROCESSOR, progress};

/// Measures the chat hub beside NATS and a bare loop: one publisher, many members, deliveries a second.
#[derive(clap::Args)]
#[command(after_help = "Without options: 7 rounds of 2 seconds.")]
pub(crate) struct Arguments {
    /// Members of the room, instead of 100 and 1000
    #[arg(long, value_name = "NUMBER", requires = "in_flight",
          value_parser = clap::value_parser!(u32).range(1..=20_000))]
    members: Option<u32>,
    /// Messages in flight, instead of 32 and 8
    #[arg(long, value_name = "NUMBER", requires = "members",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: Option<u32>,
    /// How the UDP publisher hands the kernel what it says at once
    #[arg(long, value_enum, default_value_t = Publisher::Train)]
    publisher: Publisher,
    #[command(flatten)]
    how: How,
}

/// How a burst of datagrams leaves its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Publisher {
    /// As one segmented send
    Train,
    /// Each by itself, many with one call
    Singles,
}

pub(crate) fn compare(arguments: &Arguments) -> Result<(), Error> {
    let how = &arguments.how;
    let (seconds, rounds) = how.times(2000, 7);
    let hubs = how.choose(&Hub::ALL, Hub::label)?;
    let programs = Programs::find(how.squall.as_deref())?;
    let _ = raise_descriptor_limit();
    let loads = match (arguments.members, arguments.in_flight) {
        (Some(members), Some(in_flight)) => vec![(members as usize, in_flight as usize)],
        _ => LOADS.to_vec(),
    };
    for (members, in_flight) in loads {
        let load = Load { members, in_flight, publisher: arguments.publisher, seconds };
        let mut rows: Vec<Row> = hubs.iter().map(|hub| Row::new(*hub)).collect();
        for round in 1..=rounds {
            // Who begins changes, so that what the one leaves behind is not always the other's.
            let turn = |index: usize| if round % 2 == 0 { rows.len() - 1 - index } else { index };
            for index in (0..rows.len()).map(turn).collect::<Vec<_>>() {
                let row = &mut rows[index];
                if row.failure.is_some() {
                    continue;
                }
                progress(&format!("{members} × {in_flight}: round {round} of {rounds}: {}", row.hub.label()));
                match measure(row.hub, &load, &programs) {
                    Ok(sample) => row.samples.push(sample),
                    Err(error) => row.failure = Some(with_causes(&error)),
                }
            }
        }
        progress("");
        print(how.json, &load, &rows).map_err(Error::Print)?;
    }
    Ok(())
}

struct Load {
    members: usize,
    in_flight: usize,
    publisher: Publisher,
    seconds: Duration,
}

struct Row {
    hub: Hub,
    samples: Vec<Sample>,
    /// Why there are no more samples.
    failure: Option<String>,
}

struct Sample {
    deliveries_per_second: f64,
    cpu_ns: f64,
    cpu_percent: f64,
    faults: Faults,
    /// Datagrams, or trains of them, that the kernel dropped between two sockets meanwhile.
    dropped: u64,
    /// The share of the messages that are in the history, in percent.
    kept: Option<f64>,
}

/// Starts the server, has its members join, drives it, ends it.
fn measure(hub: Hub, load: &Load, programs: &Programs) -> Result<Sample, Error> {
    // A child inherits the processor of the thread that starts it.
    pin_to_processor(SERVER_PROCESSOR).map_err(Error::Pin)?;
    let hub_process = hub.start(programs)?;
    pin_to_processor(LOAD_PROCESSOR).map_err(Error::Pin)?;
    let running = &hub_process.running;
    let (mut crowd, frame): (Box<dyn Crowd>, _) = match hub {
        Hub::Nats => (Box::new(NatsCrowd::join(running, load.members)?), MSG),
        _ => (Box::new(UdpCrowd::join(running, load.members, load.publisher)?), ACK),
    };
    let dropped = backlog_drops();
    let mut audience = Audience::new(frame, load.members, load.in_flight);
    drive(&mut *crowd, &mut audience, load.in_flight, load.seconds / 5)?;
    let before = running.processor_time()?;
    let report = drive(&mut *crowd, &mut audience, load.in_flight, load.seconds)?;
    let used = running.processor_time()?.saturating_sub(before);
    Ok(Sample {
        deliveries_per_second: report.deliveries as f64 / report.elapsed.as_secs_f64(),
        cpu_ns: used.as_secs_f64() * 1e9 / report.deliveries.max(1) as f64,
        cpu_percent: 100.0 * used.as_secs_f64() / report.elapsed.as_secs_f64(),
        faults: audience.faults,
        dropped: backlog_drops().saturating_sub(dropped),
        kept: (hub == Hub::SquallHistory).then(|| hub_process.kept(programs)).transpose()?,
    })
}

/// What the kernel has dropped since it was started because a processor's queue of arriving packets was full
/// (`net.core.netdev_max_backlog`, 1000): on loopback that is where datagrams are lost when something else delays the
/// processor that sends. The second column of `/proc/net/softnet_stat`, a line for each processor.
pub(crate) fn backlog_drops() -> u64 {
    let stat = std::fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    let columns = stat.lines().filter_map(|line| line.split_whitespace().nth(1));
    columns.filter_map(|column| u64::from_str_radix(column, 16).ok()).sum()
}

impl Row {
    fn new(hub: Hub) -> Self {
        Self { hub, samples: Vec::new(), failure: None }
    }

    fn kept(&self) -> Option<f64> {
        let kept: Option<Vec<f64>> = self.samples.iter().map(|sample| sample.kept).collect();
        kept.filter(|kept| !kept.is_empty()).map(|kept| Spread::of(&kept).median)
    }

    fn spread(&self, value: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(&self.samples.iter().map(value).collect::<Vec<_>>())
    }

    /// Its rate by another's, of each round by itself in which both had their turn.
    fn ratio(&self, other: Option<&Row>) -> Option<Spread> {
        let pairs = self.samples.iter().zip(&other?.samples);
        let ratios: Vec<f64> =
            pairs.map(|(own, other)| own.deliveries_per_second / other.deliveries_per_second).collect();
        (!ratios.is_empty()).then(|| Spread::of(&ratios))
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    members: usize,
    in_flight: usize,
    server: &'a str,
    rounds: usize,
    deliveries_per_second: Spread,
    cpu_ns_per_delivery: Spread,
    cpu_percent: f64,
    nats_ratio: Option<Spread>,
    c_ratio: Option<Spread>,
    /// The share of the messages that the history took and did not leave out because it could not keep up.
    kept_percent: Option<f64>,
    /// Of all rounds, warm-ups included.
    lost: u64,
    repeated: u64,
    foreign: u64,
    /// Datagrams, or trains of them, that the kernel dropped before they came to a socket.
    dropped_by_kernel: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
}

fn print(json: bool, load: &Load, rows: &[Row]) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let rounds = rows.iter().map(|row| row.samples.len()).max().unwrap_or(0);
    if !json {
        writeln!(
            out,
            "{} members, {} messages of {} bytes in flight ({rounds} × {} s)",
            load.members,
            load.in_flight,
            audience::TEXT,
            load.seconds.as_secs_f64()
        )?;
        writeln!(
            out,
            "{:<18}{:>14}{:>25}{:>9}{:>7}{:>8}{:>16}{:>8}{:>6}{:>9}{:>9}",
            "",
            "deliveries/s",
            "lowest – highest",
            "CPU ns",
            "CPU %",
            "× NATS",
            "by round",
            "× C",
            "lost",
            "repeated",
            "foreign"
        )?;
    }
    let find = |hub| rows.iter().find(|row| row.hub == hub);
    let (nats, c) = (find(Hub::Nats), find(Hub::C));
    for row in rows {
        let sum = |value: fn(&Faults) -> u64| row.samples.iter().map(|sample| value(&sample.faults)).sum();
        let it = Summary {
            members: load.members,
            in_flight: load.in_flight,
            server: row.hub.label(),
            rounds: row.samples.len(),
            deliveries_per_second: row.spread(|sample| sample.deliveries_per_second),
            cpu_ns_per_delivery: row.spread(|sample| sample.cpu_ns),
            cpu_percent: row.spread(|sample| sample.cpu_percent).median,
            nats_ratio: row.ratio(nats),
            c_ratio: row.ratio(c),
            kept_percent: row.kept(),
            lost: sum(|faults| faults.lost),
            repeated: sum(|faults| faults.repeated),
            foreign: sum(|faults| faults.foreign),
            dropped_by_kernel: row.samples.iter().map(|sample| sample.dropped).sum(),
            failure: row.failure.as_deref(),
        };
        if json {
            serde_json::to_writer(&mut *out, &it)?;
            writeln!(out)?;
            continue;
        }
        if row.samples.is_empty() {
            writeln!(out, "{:<18}  {}", it.server, it.failure.unwrap_or("not measured"))?;
            continue;
        }
        let Spread { median, lowest, highest } = it.deliveries_per_second;
        let ratio = |spread: Option<Spread>| spread.map_or("–".into(), |it| format!("{:.2}", it.median));
        writeln!(
            out,
            "{:<18}{median:>14.0}{:>25}{:>9.1}{:>7.0}{:>8}{:>16}{:>8}{:>6}{:>9}{:>9}",
            it.server,
            format!("{lowest:.0} – {highest:.0}"),
            it.cpu_ns_per_delivery.median,
            it.cpu_percent,
            ratio(it.nats_ratio),
            it.nats_ratio.map_or("–".into(), |it| format!("{:.2} – {:.2}", it.lowest, it.highest)),
            ratio(it.c_ratio),
            it.lost,
            it.repeated,
            it.foreign,
        )?;
        if let Some(kept) = it.kept_percent {
            writeln!(out, "{:<18}  {kept:.1} % of the messages are in its history", "")?;
        }
        if it.dropped_by_kernel > 0 {
            writeln!(
                out,
                "{:<18}  the kernel dropped {} datagrams or trains in its backlog: something else ran",
                "", it.dropped_by_kernel
            )?;
        }
        if let Some(failure) = it.failure {
            writeln!(out, "{:<18}  then {failure}", "")?;
        }
    }
    if json { Ok(()) } else { writeln!(out) }
}

/// Members, and messages in flight.
const LOADS: [(usize, usize); 2] = [(100, 32), (1000, 8)];
