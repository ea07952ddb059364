//! `squall serve`: a running node.

mod console;
mod log;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use squall::framing::Framing;
use squall::guard::Network;
use squall::{Model, Offload};
use squall_node::chat::ChatConfig;
use squall_node::chat::history::Place;
use squall_node::files::FilesConfig;
use squall_node::files::SecureFiles;
use squall_node::files::plain::PlainFiles;
use squall_node::{
    AnnounceNews, Announcer, Config, ControlPlace, Node, NodeError, RunningNode, ServiceConfig,
};
use squall_weather::Weather;
use tracing::{debug, info, warn};

use self::console::Console;
use self::log::LogForm;
use crate::exit::Exit;
use crate::interrupt::stop_on_signal;

/// Run services until Ctrl-C: without arguments time, length, stamp, reply, coap, chat and files on loopback.
///
/// A service is one of time (the time of day), length (how long the request was), stamp (the request behind
/// a time stamp), reply (a fixed text), echo (the request), exec (what a command prints), coap (time, length, stamp, reply
/// and echo as CoAP resources, and /scratch/NAME for small values), chat (what one says, all hear) and files (uploads
/// into a folder). Flags win over environment variables, those over the configuration file.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Services to run
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Listen on this address instead of the default: udp://host:port, tcp://host:port, unix:/path,
    /// unixgram:/path, coap://host, quic://host; repeatable, for one service
    #[arg(long, value_name = "URI")]
    on: Vec<String>,
    /// Read this TOML file first
    #[arg(long, value_name = "FILE", env = "SQUALL_CONFIG")]
    config: Option<PathBuf>,
    /// How requests are handled: inline, threads:N or processes:N
    #[arg(long, env = "SQUALL_MODEL", value_parser = squall_node::parse_model)]
    model: Option<Model>,
    /// Time limit of a handler (threads, processes) or command: 250ms, 2s
    #[arg(long, value_name = "TIME", env = "SQUALL_DEADLINE", value_parser = squall_node::parse_time_limit)]
    deadline: Option<Duration>,
    /// Threads that receive datagrams [default: one for each processor]
    #[arg(long, value_name = "N", env = "SQUALL_SHARDS", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    /// Pretend to lose requests (up) and answers (down): 50% of the requests, or a weather that only loses
    #[arg(long, value_name = "WEATHER", env = "SQUALL_DROP", value_parser = squall_node::parse_drop)]
    drop: Option<Weather>,
    /// The number from which the chance of --drop follows [default: chosen, and logged]
    #[arg(long, value_name = "N")]
    drop_seed: Option<u64>,
    /// Cut streams into requests: as-read, lines or length-prefixed [default: as-read]
    #[arg(long, value_parser = squall_node::parse_framing)]
    framing: Option<Framing>,
    /// The answer of reply, and of /reply on coap [default: 你好]
    #[arg(long)]
    text: Option<String>,
    /// The shell command of the service exec
    #[arg(long)]
    command: Option<String>,
    /// Keep N processes of the command, which speak length-prefixed frames
    #[arg(long, value_name = "N")]
    pool: Option<usize>,
    /// The folder of the service files [default: files in the data directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Count addresses of this network as validated, as loopback is: 10.0.0.0/8; repeatable
    #[arg(long, value_name = "NETWORK", env = "SQUALL_TRUST_NETWORK", value_delimiter = ',')]
    trust_network: Vec<Network>,
    /// Join replies into segmented sends: auto, on, off
    #[arg(long, env = "SQUALL_GSO", value_parser = squall_node::parse_offload)]
    gso: Option<Offload>,
    /// Let the kernel merge datagrams on receipt: auto, on, off
    #[arg(long, env = "SQUALL_GRO", value_parser = squall_node::parse_offload)]
    gro: Option<Offload>,
    /// Do not limit the requests of one peer or network (loopback is never limited)
    #[arg(long, env = "SQUALL_NO_RATE_LIMIT")]
    no_rate_limit: bool,
    /// Announce the services that other machines can reach on their networks (DNS-SD), for `squall discover`
    #[arg(long, env = "SQUALL_ANNOUNCE")]
    announce: bool,
    /// The node's name, as it is announced [default: the machine's]
    #[arg(long, env = "SQUALL_NAME", value_parser = squall_node::parse_node_name)]
    name: Option<String>,
    /// Keep what is said in the chat in this file, in memory, or nowhere: FILE, memory, none
    /// [default: chat.db in the data directory]
    #[arg(long, value_name = "PLACE", env = "SQUALL_HISTORY", value_parser = Place::parse)]
    history: Option<Place>,
    /// The directory of what the node keeps [default: that of the user's programs]
    #[arg(long, value_name = "DIR", env = "SQUALL_DATA")]
    data: Option<PathBuf>,
    /// Take the orders of squall ctl on this Unix socket, or nowhere: PATH, none [default: one that ctl finds, if
    /// chat runs]
    #[arg(long, value_name = "PATH", env = "SQUALL_CONTROL")]
    control: Option<ControlPlace>,
    /// Answer one request and end
    #[arg(long)]
    once: bool,
    /// Log each request; twice, what is under the hood as well
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Form of the log on standard error
    #[arg(long, value_enum, default_value_t = LogForm::Text, env = "SQUALL_LOG")]
    log: LogForm,
}

const EXAMPLES: &str = "Examples:
  squall serve                                     the default services
  squall serve stamp --on udp://:9000 -v           every interface, each request logged
  squall serve time --on udp://[::]:20000 --on unixgram:/tmp/t.sock --model threads:8
  squall serve exec --on tcp://127.0.0.1:7000 --command 'wc -c'
  squall serve coap --on coap://                   every interface, port 5683, multicast too
  squall serve time --on udp://:20000 --announce --name kitchen
  squall serve chat --on udp://:9999 --on tcp://:9999 --trust-network 192.168.1.0/24
  squall serve files --dir uploads --on udp://:7776 --trust-network 192.168.1.0/24
  squall serve length --drop 50%                   loses every other request, about
  squall serve length --drop up.loss=30%,down.loss=10% --drop-seed 7

Where chat runs on a terminal, it shows members and rates and takes orders: help tells which.

Ends with 0 when asked to by SIGINT, SIGTERM or SIGHUP; a second one ends it at once with 130. \
Other exit codes: 1 the system refused an address; 2 wrong usage; 69 a name server does not answer.

docs/configuration.md describes the file.";

pub(crate) fn run(arguments: Arguments) -> Result<Exit, Exit> {
    let console = Console::new();
    let _end = console.end_in_any_case();
    log::start(arguments.log, arguments.verbose, &console);
    let (once, verbose, form) = (arguments.once, arguments.verbose, arguments.log);
    // In the environment it may be meant for other nodes.
    let keeps = arguments.history.is_some() && std::env::var_os("SQUALL_HISTORY").is_none();
    let mut config = config(arguments)?;
    let has_chat = config.services.is_empty() || config.services.iter().any(|service| service.name == "chat");
    if keeps && !has_chat {
        return Err(
            Exit::Usage.with("--history is where the chat keeps what is said; chat is none of the services")
        );
    }
    let shares_memory = !matches!(config.model, Some(Model::Processes { .. }));
    if config.drop.is_some() && shares_memory {
        config.drop_seed.get_or_insert_with(|| squall::seed() >> 32);
    }
    let mut node = Node::new(&config).map_err(refuse)?;
    node = node.on_error(|problem| warn!("{problem}"));
    if once {
        node = node.request_limit(1);
    }
    if verbose > 0 {
        node =
            node.on_request(move |service, request, verdict| log::request(form, service, request, verdict));
    }
    if let Err(problem) = squall::socket::process::raise_descriptor_limit() {
        warn!("cannot raise the limit on open descriptors: {problem}");
    }
    let coap = node.coap_counts();
    let running = node.start().map_err(refuse)?;
    let (stopper, ending) = (running.stopper(), Arc::clone(&console));
    // A second signal ends the process at once: the terminal is given back before.
    stop_on_signal(move || {
        ending.end();
        stopper.stop();
    })?;
    for absent in running.left_out() {
        warn!("left out: {absent}");
    }
    for local in running.locals() {
        if let Some(bytes) = local.receive_buffer {
            debug!("{} has {} socket(s) with receive buffers of {bytes} bytes", local.uri, local.sockets);
        }
    }
    if let Some(drop) = &config.drop {
        match config.drop_seed {
            Some(seed) => info!("--drop {drop}: seed {seed}"),
            None => {
                info!("--drop {drop}: each worker process has a seed of its own; --drop-seed gives them one")
            }
        }
    }
    print_table(&running)?;
    if let Some(chat) = running.chat() {
        info!("chat: what is said is kept {}", chat.place());
    }
    let files = running.files();
    let folder = files.secure.as_ref().map(SecureFiles::path);
    if let Some(folder) = folder.or(files.plain.as_ref().map(PlainFiles::path)) {
        info!("files: uploads are kept in {}", folder.display());
    }
    if let Some(secure) = &files.secure {
        let token = secure.token_file().map_or_else(
            || "no token is asked for".into(),
            |path| format!("the token that senders need is in {}", path.display()),
        );
        info!("files: this node's key is {}; {token}", secure.key());
    }
    if let Some(path) = running.control() {
        info!("squall ctl reaches this node at {}", path.display());
    }
    let announcer = announce(&config, &running);
    if running.chat().is_some() {
        console.start(running.operator())?;
    }
    watch(&running, &console, verbose > 0);
    if let Some(announcer) = announcer {
        announcer.withdraw();
    }
    let report = running.wait();
    console.end();
    for socket in report.report.stats.sockets() {
        debug!("{socket}");
    }
    let coap: Vec<String> =
        coap.total().iter().map(|(event, count)| format!("{} {count}", event.name())).collect();
    if !coap.is_empty() {
        info!("coap: {}", coap.join(", "));
    }
    info!("{}", report.summary());
    Ok(Exit::Done)
}

fn config(arguments: Arguments) -> Result<Config, Exit> {
    let Arguments { services, on, framing, text, command, pool, dir, .. } = arguments;
    let special = !on.is_empty()
        || framing.is_some()
        || text.is_some()
        || command.is_some()
        || pool.is_some()
        || dir.is_some();
    if special && services.len() != 1 {
        return Err(Exit::Usage.with(
            "--on, --framing, --text, --command, --pool and --dir go with one service; several with addresses of their own go into a file (--config)",
        ));
    }
    if let Some(twice) = services.iter().enumerate().find(|(index, name)| services[..*index].contains(name)) {
        return Err(Exit::Usage.with(format_args!("service {} is named twice", twice.1)));
    }
    if dir.is_some() && services.iter().any(|service| service != "files") {
        return Err(Exit::Usage.with("--dir is the folder of uploads; only files has one"));
    }
    let service = |name| ServiceConfig {
        name,
        on: on.clone(),
        framing,
        text: text.clone(),
        command: command.clone(),
        pool,
        chat: ChatConfig::default(),
        files: FilesConfig { dir: dir.clone(), ..FilesConfig::default() },
    };
    let flags = Config {
        services: services.into_iter().map(service).collect(),
        model: arguments.model,
        deadline: arguments.deadline,
        shards: arguments.shards.map(usize::from),
        drop: arguments.drop,
        drop_seed: arguments.drop_seed,
        trust_networks: arguments.trust_network,
        gso: arguments.gso,
        gro: arguments.gro,
        rate_limit: arguments.no_rate_limit.then_some(false),
        announce: arguments.announce.then_some(true),
        name: arguments.name,
        data: arguments.data,
        control: arguments.control,
        history: arguments.history,
        ..Config::default()
    };
    match arguments.config {
        None => Ok(flags),
        Some(path) => match Config::from_file(&path) {
            Ok(file) => {
                let mut merged = flags.or(file.clone());
                if !special {
                    // A name alone means what the file says of it.
                    let named = merged.services.iter().flat_map(|service| {
                        let own: Vec<_> = file
                            .services
                            .iter()
                            .filter(|other| other.name == service.name)
                            .cloned()
                            .collect();
                        if own.is_empty() { vec![service.clone()] } else { own }
                    });
                    merged.services = named.collect();
                }
                Ok(merged)
            }
            Err(problem) => Err(Exit::Usage.with(problem)),
        },
    }
}

fn refuse(problem: NodeError) -> Exit {
    let exit = match &problem {
        problem if problem.is_temporary() => Exit::NoAnswer,
        problem if problem.is_usage() => Exit::Usage,
        _ => Exit::Failed,
    };
    exit.with(problem)
}

fn print_table(running: &RunningNode) -> Result<(), Exit> {
    let rows: Vec<(String, String, String)> = running
        .locals()
        .iter()
        .map(|local| {
            let line = match &running.files().secure {
                Some(files) if local.uri.is_quic() => files.try_line(&local.uri),
                _ => Node::try_line(&local.service, &local.uri),
            };
            let line = line.unwrap_or_default();
            (local.service.clone(), local.uri.to_string(), line)
        })
        .collect();
    let width = |column: fn(&(String, String, String)) -> &String, least: usize| {
        rows.iter().map(|row| column(row).len()).max().unwrap_or(0).max(least)
    };
    let (first, second) = (width(|row| &row.0, 7), width(|row| &row.1, 10));
    let mut table = format!("{:first$}  {:second$}  TRY\n", "SERVICE", "LISTENS ON");
    for (service, uri, line) in &rows {
        table += format!("{service:first$}  {uri:second$}  {line}").trim_end();
        table.push('\n');
    }
    // In one piece, so that a program that reads it knows where it ends.
    let mut out = io::stdout().lock();
    let written = out.write_all(table.as_bytes()).and_then(|()| out.flush());
    match written {
        // Nobody reads the table; the node serves all the same.
        Err(problem) if problem.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Announces the services if the configuration says so. A node that cannot serves all the same.
fn announce(config: &Config, running: &RunningNode) -> Option<Announcer> {
    if config.announce != Some(true) {
        return None;
    }
    let report = |news| match news {
        AnnounceNews::Renamed { from, to } => warn!("announced as {to}: another host has the name {from}"),
        AnnounceNews::Trouble(trouble) => warn!("announcing: {trouble}"),
        _ => {}
    };
    match Announcer::start(running.locals(), config.name.as_deref(), report) {
        Ok(Some(announcer)) => {
            let services: Vec<String> = announcer
                .announced()
                .iter()
                .map(|known| format!("{} ({} {})", known.service, known.transport, known.port))
                .collect();
            info!("announced as {:?}: {}", announcer.name(), services.join(", "));
            Some(announcer)
        }
        Ok(None) => {
            warn!(
                "nothing to announce: every service listens on loopback; --on udp://:PORT is every interface"
            );
            None
        }
        Err(problem) => {
            warn!("{problem}");
            None
        }
    }
}

/// Waits until the node is told to stop; meanwhile shows what it does, and says when a handler does not come
/// back.
fn watch(running: &RunningNode, console: &Console, verbose: bool) {
    let tick = if verbose || console.is_live() { TICK } else { Duration::MAX };
    while !running.wait_for_stop_within(tick) {
        console.tick();
        if !verbose {
            continue;
        }
        for (thread, busy) in running.busy().into_iter().enumerate() {
            if busy > Duration::from_secs(1) {
                warn!(
                    "receiving thread {thread} has been inside its handlers for {:.0} s",
                    busy.as_secs_f64()
                );
            }
        }
    }
}

/// How often it looks at what the node does.
const TICK: Duration = Duration::from_secs(1);
