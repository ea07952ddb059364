//! `squall ctl`: the operator's side of a running node.

pub(crate) mod show;

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use squall_node::ControlPlace;
use squall_node::chat::control::{Answer, Client, ClientError, Order, StatsView, parse_network};

use crate::exit::Exit;
use crate::output::write_json;

/// Tell a running node what to do: who is in its chat, kick, ban, say, counts, stop.
///
/// A node that runs chat takes orders on a Unix socket that is its user's alone; so does one that was started with
/// --control PATH. Without --socket and --node the only node of this user is meant.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    meant: Meant,
    /// Print what the node answers as JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

/// Which node is meant.
#[derive(Debug, Args)]
struct Which {
    /// The node's control socket
    #[arg(long, value_name = "PATH", global = true, env = "SQUALL_CONTROL")]
    socket: Option<ControlPlace>,
    /// The node with this process number, whatever the environment says
    #[arg(long, value_name = "PID", global = true)]
    node: Option<u32>,
}

/// [`Which`], where a node that is typed is meant rather than the environment's socket; clap's own conflicts do not tell
/// what was typed from what the environment says.
#[derive(Debug)]
struct Meant(Which);

impl Args for Meant {
    fn augment_args(command: clap::Command) -> clap::Command {
        Which::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Which::augment_args_for_update(command)
    }
}

impl FromArgMatches for Meant {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut which = Which::from_arg_matches(matches)?;
        if which.node.is_some() && matches.value_source("socket") == Some(ValueSource::CommandLine) {
            let conflict = "the argument '--socket <PATH>' cannot be used with '--node <PID>'\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, conflict));
        }
        if which.node.is_some() {
            which.socket = None;
        }
        Ok(Self(which))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the members of the chat: since when each is silent, its heartbeats and their loss, how long it may be silent
    Members {
        /// Those of this room alone
        #[arg(long)]
        room: Option<String>,
    },
    /// Take a member out; it may come back
    Kick {
        /// A name, an address, or the number of one without a name
        #[arg(value_name = "NAME|ADDRESS|~NUMBER")]
        who: String,
    },
    /// Take out who is there from a network, and let nobody in
    Ban {
        /// 10.0.0.0/8, or a single address
        #[arg(required_unless_present = "list", value_parser = network)]
        network: Option<String>,
        /// For so long: 10m, 1h [default: until it is lifted]
        #[arg(long = "for", value_name = "TIME", value_parser = squall_node::parse_time_limit)]
        time: Option<Duration>,
        /// List the networks that are banned
        #[arg(long, conflicts_with_all = ["network", "time"])]
        list: bool,
    },
    /// Lift a ban
    Unban {
        /// The network as it was banned
        #[arg(value_parser = network)]
        network: String,
    },
    /// Say something to all members, as operator
    Say {
        /// To those of this room alone
        #[arg(long)]
        room: Option<String>,
        /// The text; several words are joined
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Show what was counted so far
    Stats {
        /// Show each second what came in it, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// End the node in good order, and wait until it has ended
    Stop,
}

const EXAMPLES: &str = "Examples:
  squall ctl members
  squall ctl kick bob                  also: 10.1.2.3, 10.1.2.3:4000, ~17
  squall ctl ban 10.1.2.0/24 --for 1h
  squall ctl ban --list
  squall ctl say --room lobby we restart at noon
  squall ctl stats --watch
  squall ctl stop --node 4711

Exit codes: 0 done; 1 the node refused, and says why; 2 wrong usage, or several nodes run and none is named; 69 no node runs; 130 interrupted.";

/// What the node is told as it was typed, if it is a network.
fn network(text: &str) -> Result<String, String> {
    parse_network(text).map(|network| network.to_string())
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let Meant(Which { socket, node }) = &arguments.meant;
    let mut client = match socket {
        Some(ControlPlace::Path(path)) => Client::connect(path),
        // What keeps a node from taking orders names none to ctl.
        _ => Client::find(*node),
    }
    .map_err(refuse)?;
    let json = arguments.json;
    let order = match &arguments.what {
        What::Members { room } => Order::Members { room: room.clone() },
        What::Kick { who } => Order::Kick { who: who.clone() },
        What::Ban { network: Some(network), time, .. } => {
            Order::Ban { network: network.clone(), seconds: time.map(|time| time.as_secs_f64()) }
        }
        What::Ban { network: None, .. } => Order::Bans,
        What::Unban { network } => Order::Unban { network: network.clone() },
        What::Say { room, text } => Order::Say { room: room.clone(), text: text.join(" ") },
        What::Stats { watch: true } => return watch(&mut client, json),
        What::Stats { watch: false } => Order::Stats,
        What::Stop => Order::Stop,
    };
    give(&mut client, &order, json)?;
    if order == Order::Stop && !client.wait_for_end(END) {
        return Err(Exit::Failed.with(format_args!("the node still runs after {} s", END.as_secs())));
    }
    Ok(Exit::Done)
}

/// Gives an order and prints the answer.
fn give(client: &mut Client, order: &Order, json: bool) -> Result<(), Exit> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut members, mut bans) = (Vec::new(), Vec::new());
    let done = client.give(order, |answer| match answer {
        Answer::Member(row) if json => write_json(&mut out, &row),
        Answer::Ban(row) if json => write_json(&mut out, &row),
        Answer::Stats(stats) if json => write_json(&mut out, &stats),
        Answer::Member(row) => {
            members.push(row);
            Ok(())
        }
        Answer::Ban(row) => {
            bans.push(row);
            Ok(())
        }
        Answer::Stats(stats) => out.write_all(show::stats(&stats).as_bytes()),
        _ => Ok(()),
    });
    let done = done.map_err(refuse)?;
    match order {
        // The objects say it all.
        Order::Members { .. } | Order::Bans | Order::Stats if json => {}
        _ if json => write_json(&mut out, &done)?,
        Order::Members { .. } => out.write_all(show::members(&members).as_bytes())?,
        Order::Bans if !bans.is_empty() => out.write_all(show::bans(&bans).as_bytes())?,
        _ => match show::done(order, &done) {
            text if text.is_empty() => {}
            text => writeln!(out, "{text}")?,
        },
    }
    Ok(out.flush()?)
}

/// A row each second, until the node ends or Ctrl-C.
fn watch(client: &mut Client, json: bool) -> Result<Exit, Exit> {
    let mut last: Option<StatsView> = None;
    let mut next = Instant::now();
    for row in 0_u64.. {
        let mut now = None;
        let given = client.give(&Order::Stats, |answer| {
            if let Answer::Stats(stats) = answer {
                now = Some(stats);
            }
            Ok(())
        });
        match given {
            // A node that is about to end says so before it hangs up.
            Err(ClientError::Refused(_)) if last.is_some() && client.wait_for_end(END) => {
                return Err(Exit::NoAnswer.with("the node has ended"));
            }
            given => given.map_err(refuse)?,
        };
        let mut out = io::stdout().lock();
        match (last.take(), &now) {
            (_, Some(now)) if json => write_json(&mut out, now)?,
            (Some(last), Some(now)) => {
                if row % HEAD == 1 {
                    writeln!(out, "{}", show::RATES)?;
                }
                writeln!(out, "{}", show::rates(&last, now))?;
            }
            _ => {}
        }
        out.flush()?;
        drop(out);
        last = now;
        next += Duration::from_secs(1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(Exit::Done)
}

fn refuse(problem: ClientError) -> Exit {
    let exit = match &problem {
        ClientError::Told(problem) if problem.kind() == io::ErrorKind::BrokenPipe => return Exit::Done,
        problem if problem.is_absence() => Exit::NoAnswer,
        problem if problem.is_usage() => Exit::Usage,
        _ => Exit::Failed,
    };
    exit.with(problem)
}

/// How long a node may take to end: its grace, and its history's.
const END: Duration = Duration::from_secs(20);
/// Rows between two heads.
const HEAD: u64 = 20;
