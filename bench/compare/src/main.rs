//! Squall beside other datagram servers: each is started on one processor and driven from another, in turn, in
//! several rounds of one run. `docs/benchmarks.md` says how to read what it prints.
#![forbid(unsafe_code)]

mod echo;
mod error;
mod fanout;
mod flood;
mod heartbeats;
mod how;
mod process;
mod relay;
mod scenario;
mod server;
mod spread;
mod table;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use squall::load::{Report, plot};
use squall_socket::process::pin_to_processor;

use crate::error::Error;
use crate::how::How;
use crate::process::Running;
use crate::scenario::{Name, Scenario};
use crate::server::{Programs, Server};
use crate::table::{Row, Sample};

/// Measures Squall beside other datagram servers.
#[derive(Parser)]
#[command(name = "squall-compare", version, args_conflicts_with_subcommands = true, after_help = DEFAULTS)]
struct Arguments {
    /// Something else than servers
    #[command(subcommand)]
    mode: Option<Mode>,
    /// Only this scenario; may be given several times
    #[arg(long, value_enum)]
    only: Vec<Name>,
    #[command(flatten)]
    how: How,
    /// Requests in flight, instead of the scenario's own number
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: Option<u32>,
    /// A picture of the latencies of each scenario's last round, as DIRECTORY/SCENARIO.svg
    #[arg(long, value_name = "DIRECTORY")]
    plot: Option<PathBuf>,
    /// Is an echo server itself
    #[arg(long, hide = true, requires = "on")]
    serve: Option<echo::Kind>,
    /// Where that server listens
    #[arg(long, hide = true)]
    on: Option<SocketAddr>,
}

#[derive(clap::Subcommand)]
enum Mode {
    Relay(relay::Arguments),
    Fanout(fanout::Arguments),
    Flood(flood::Arguments),
    Heartbeats(heartbeats::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match (arguments.serve, arguments.on, &arguments.mode) {
        (Some(kind), Some(address), _) => echo::serve(kind, address).map_err(Error::Serve),
        (_, _, Some(Mode::Relay(relay))) => relay::compare(relay),
        (_, _, Some(Mode::Fanout(fanout))) => fanout::compare(fanout),
        (_, _, Some(Mode::Flood(flood))) => flood::compare(flood),
        (_, _, Some(Mode::Heartbeats(heartbeats))) => heartbeats::measure(heartbeats),
        _ => compare(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("squall-compare: {}", error::with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<(), Error> {
    let how = &arguments.how;
    let (seconds, rounds) = how.times(2000, 5);
    if let Some(directory) = &arguments.plot {
        std::fs::create_dir_all(directory)
            .map_err(|source| Error::Write { path: directory.clone(), source })?;
    }
    let programs = Programs::find(how.squall.as_deref())?;
    for name in Name::ALL {
        if !arguments.only.is_empty() && !arguments.only.contains(&name) {
            continue;
        }
        let scenario = Scenario::of(name);
        let wanted = |server: &Server| server.is_squall() || how.wants(server.label());
        let servers: Vec<Server> = scenario.servers.iter().copied().filter(wanted).collect();
        let mut rows: Vec<Row> = servers.iter().map(|server| Row::new(server.label())).collect();
        for round in 1..=rounds {
            for (server, row) in servers.iter().zip(&mut rows) {
                // What failed once fails again, and need not be waited for again.
                if row.failure.is_some() {
                    continue;
                }
                progress(&format!("{}: round {round} of {rounds}: {}", scenario.name(), row.label));
                match measure(&scenario, *server, &programs, arguments, seconds) {
                    Ok((sample, report)) => {
                        row.samples.push(sample);
                        row.last = Some(report);
                    }
                    Err(error) => row.failure = Some(error::with_causes(&error)),
                }
            }
        }
        if let Some(directory) = &arguments.plot {
            let series: Vec<_> =
                rows.iter().filter_map(|row| Some((row.label, row.last.as_ref()?))).take(PLOTTED).collect();
            let path = directory.join(format!("{}.svg", scenario.name()));
            std::fs::write(&path, plot(scenario.about, &series))
                .map_err(|source| Error::Write { path, source })?;
        }
        progress("");
        if how.json {
            table::print_json(&scenario, &rows).map_err(Error::Print)?;
        } else {
            table::print(&scenario, seconds, &rows).map_err(Error::Print)?;
        }
    }
    Ok(())
}

/// Starts the server, drives it, ends it.
fn measure(
    scenario: &Scenario,
    server: Server,
    programs: &Programs,
    arguments: &Arguments,
    seconds: Duration,
) -> Result<(Sample, Report), Error> {
    // A child inherits the processor of the thread that starts it.
    pin_to_processor(SERVER_PROCESSOR).map_err(Error::Pin)?;
    let running = Running::start(|port| server.command(programs, port))?;
    pin_to_processor(LOAD_PROCESSOR).map_err(Error::Pin)?;
    running.wait_until_it_answers(server.is_coap())?;

    let seconds = if server.is_slow() { seconds.min(SLOW) } else { seconds };
    let mut load = (scenario.load)(running.address())?.duration(seconds).timeout(Duration::from_millis(500));
    if let Some(requests) = arguments.in_flight {
        load = load.in_flight(requests as usize);
    }
    load.clone().duration(seconds / 5).run()?;
    let before = running.processor_time()?;
    let report = load.run()?;
    let used = running.processor_time()?.saturating_sub(before);
    Ok((Sample::new(&report, used, running.peak_memory()?), report))
}

/// Shows what is done now, in place of what was shown before; on a terminal only.
fn progress(text: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }
}

const SERVER_PROCESSOR: usize = 0;
const LOAD_PROCESSOR: usize = 1;
const DEFAULTS: &str =
    "Without options: 5 rounds of 2 seconds, of all scenarios. Squall is always among the servers.";
/// Series that a plot can tell apart.
const PLOTTED: usize = 7;
/// How long servers are measured that answer so little that more time tells no more.
const SLOW: Duration = Duration::from_secs(1);
