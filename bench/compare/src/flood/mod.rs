//! What a member that floods costs the others.
//!
//! Some members of a room talk; one more sends at full speed, in one run to the hub and in the next to a socket that
//! nobody reads. So it takes the load's processor as much time in both, and what differs is the hub.

mod flooder;
mod talk;

use std::io::{self, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use serde::Serialize;
use squall_socket::process::pin_to_processor;
use squall_socket::{Family, Kind, Socket};

use self::flooder::{Flood, Flooder};
use self::talk::{Heard, LATE, Pace, Talk};
use crate::error::{Error, with_causes};
use crate::fanout::Publisher;
use crate::fanout::hub::Hub;
use crate::fanout::udp::UdpCrowd;
use crate::how::How;
use crate::server::Programs;
use crate::spread::Spread;
use crate::{LOAD_PROCESSOR, SERVER_PROCESSOR, progress};

/// Measures what a member that floods costs the others: the chat hub beside a bare loop.
#[derive(clap::Args)]
#[command(after_help = "Without options: 5 rounds of 2 seconds, each with the flood and without.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    how: How,
}

pub(crate) fn compare(arguments: &Arguments) -> Result<(), Error> {
    let how = &arguments.how;
    let (seconds, rounds) = how.times(2000, 5);
    let hubs = how.choose(&[Hub::Squall, Hub::C], Hub::label)?;
    let programs = Programs::find(how.squall.as_deref())?;
    if !how.json {
        print_head(rounds, seconds).map_err(Error::Print)?;
    }
    for pace in PACES {
        for flood in Flood::ALL {
            let mut rows: Vec<Row> = hubs.iter().map(|hub| Row::new(*hub, pace, flood)).collect();
            for round in 1..=rounds {
                for row in rows.iter_mut().filter(|row| row.failure.is_none()) {
                    progress(&format!(
                        "{}, {pace}, {}: round {round} of {rounds}",
                        row.hub.label(),
                        flood.label()
                    ));
                    // Who begins changes, so that what the one leaves behind is not always the other's.
                    let targets = if round % 2 == 0 {
                        [Target::Hub, Target::Sink]
                    } else {
                        [Target::Sink, Target::Hub]
                    };
                    let measured: Result<Vec<_>, _> =
                        targets.iter().map(|target| measure(row, *target, &programs, seconds)).collect();
                    match measured.as_deref() {
                        Ok([one, other]) if targets[0] == Target::Sink => row.samples.push((*one, *other)),
                        Ok([one, other]) => row.samples.push((*other, *one)),
                        Ok(_) => {}
                        Err(error) => row.failure = Some(with_causes(error)),
                    }
                }
            }
            progress("");
            print(how.json, &rows).map_err(Error::Print)?;
        }
    }
    Ok(())
}

/// Where the flood goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Hub,
    /// A socket that nobody reads.
    Sink,
}

struct Row {
    hub: Hub,
    pace: Pace,
    flood: Flood,
    /// Without the flood and with it, of each round.
    samples: Vec<(Sample, Sample)>,
    /// Why there are no more samples.
    failure: Option<String>,
}

#[derive(Clone, Copy)]
struct Sample {
    heard: Heard,
    seconds: f64,
    /// Messages of the flooder that left it in a second.
    flood_per_second: f64,
}

fn measure(row: &Row, target: Target, programs: &Programs, duration: Duration) -> Result<Sample, Error> {
    // A child inherits the processor of the thread that starts it.
    pin_to_processor(SERVER_PROCESSOR).map_err(Error::Pin)?;
    let hub = row.hub.start(programs)?;
    pin_to_processor(LOAD_PROCESSOR).map_err(Error::Pin)?;
    // The flooder is a member in both runs, so that there are as many to send to.
    let mut crowd = UdpCrowd::join(&hub.running, MEMBERS + 1, Publisher::Singles)?;
    let member = crowd.release_last()?.ok_or(Error::Member(io::ErrorKind::NotFound.into()))?;
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Member)?;
    let mut talk = Talk::new(crowd, MEMBERS, TALKERS);
    let socket = match target {
        Target::Hub => member.try_clone(),
        Target::Sink => to(&sink),
    };
    let flooder = Flooder::start(socket.map_err(Error::Member)?, row.flood)?;
    let measured = talk.run(row.pace, duration / 5).and_then(|_| talk.run(row.pace, duration));
    let sent = flooder.stop()?;
    hub.running.fail_if_it_ended()?;
    let (heard, elapsed) = measured?;
    let flooded = (duration + duration / 5).as_secs_f64();
    Ok(Sample { heard, seconds: elapsed.as_secs_f64(), flood_per_second: sent as f64 / flooded })
}

fn to(sink: &UdpSocket) -> io::Result<Socket> {
    let socket = Socket::open(Family::V4, Kind::Datagram)?;
    socket.connect(sink.local_addr()?)?;
    Ok(socket)
}

impl Row {
    fn new(hub: Hub, pace: Pace, flood: Flood) -> Self {
        Self { hub, pace, flood, samples: Vec::new(), failure: None }
    }

    /// What is compared: deliveries a second in a closed loop, the share that came in time at a fixed pace.
    fn value(&self, sample: &Sample) -> f64 {
        match self.pace {
            Pace::InFlight(_) => sample.heard.in_time as f64 / sample.seconds,
            Pace::PerSecond(_) => sample.heard.in_time as f64 / sample.heard.expected.max(1) as f64,
        }
    }

    fn spread(&self, value: impl Fn(&(Sample, Sample)) -> f64) -> Spread {
        Spread::of(&self.samples.iter().map(value).collect::<Vec<_>>())
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    server: &'a str,
    pace: String,
    flood: &'a str,
    rounds: usize,
    /// Deliveries a second that came within 100 ms, of the talkers' messages; at a fixed pace their share.
    without: Spread,
    with: Spread,
    /// Of each round by itself.
    ratio: Spread,
    /// What left the flooder, and what of it members received, in messages and deliveries a second.
    flood_per_second: Spread,
    flood_deliveries_per_second: Spread,
    /// Of all rounds with the flood.
    late: u64,
    repeated: u64,
    foreign: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
}

fn print_head(rounds: u32, seconds: Duration) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    writeln!(
        out,
        "{MEMBERS} members, {TALKERS} of them talk; one more sends all it can, to the hub or to nobody ({rounds} × {} s)",
        seconds.as_secs_f64()
    )?;
    writeln!(
        out,
        "{:<10}{:<22}{:<20}{:>12}{:>12}{:>8}{:>16}{:>16}{:>20}{:>8}{:>10}{:>9}",
        "",
        "talkers",
        "flood",
        "without",
        "with",
        "ratio",
        "by round",
        "flood sends/s",
        "flood deliveries/s",
        "late",
        "repeated",
        "foreign"
    )
}

fn print(json: bool, rows: &[Row]) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    for row in rows {
        let sum = |value: fn(&Heard) -> u64| row.samples.iter().map(|(_, with)| value(&with.heard)).sum();
        let it = Summary {
            server: row.hub.label(),
            pace: row.pace.to_string(),
            flood: row.flood.label(),
            rounds: row.samples.len(),
            without: row.spread(|(without, _)| row.value(without)),
            with: row.spread(|(_, with)| row.value(with)),
            ratio: row.spread(|(without, with)| row.value(with) / row.value(without)),
            flood_per_second: row.spread(|(_, with)| with.flood_per_second),
            flood_deliveries_per_second: row.spread(|(_, with)| with.heard.flood as f64 / with.seconds),
            late: sum(|heard| heard.late),
            repeated: sum(|heard| heard.repeated),
            foreign: sum(|heard| heard.foreign),
            failure: row.failure.as_deref(),
        };
        if json {
            serde_json::to_writer(&mut *out, &it)?;
            writeln!(out)?;
            continue;
        }
        if row.samples.is_empty() {
            let failure = it.failure.unwrap_or("not measured");
            writeln!(out, "{:<10}{:<22}{:<20}  {failure}", it.server, it.pace, it.flood)?;
            continue;
        }
        let shown = |value: f64| match row.pace {
            Pace::InFlight(_) => format!("{value:.0}"),
            Pace::PerSecond(_) => format!("{:.2} %", 100.0 * value),
        };
        writeln!(
            out,
            "{:<10}{:<22}{:<20}{:>12}{:>12}{:>8.3}{:>16}{:>16.0}{:>20.0}{:>8}{:>10}{:>9}",
            it.server,
            it.pace,
            it.flood,
            shown(it.without.median),
            shown(it.with.median),
            it.ratio.median,
            format!("{:.3} – {:.3}", it.ratio.lowest, it.ratio.highest),
            it.flood_per_second.median,
            it.flood_deliveries_per_second.median,
            it.late,
            it.repeated,
            it.foreign,
        )?;
        if let Some(failure) = it.failure {
            writeln!(out, "{:<10}  then {failure}", "")?;
        }
    }
    Ok(())
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pace::InFlight(count) => write!(f, "{count} in flight each"),
            Pace::PerSecond(rate) => write!(f, "{rate}/s, in {} ms", LATE.as_millis()),
        }
    }
}

const MEMBERS: usize = 50;
const TALKERS: usize = 10;
const PACES: [Pace; 2] = [Pace::PerSecond(2000), Pace::InFlight(4)];
