//! `squall send`: files to another machine.

mod line;
mod patterns;
mod plain;
mod progress;
mod rate;
mod show;
mod source;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use squall_node::files::{Item, SendConfig, Sender, Upload, UploadEnd};
use squall_node::secure::{
    Alpn, ConnectError, Fingerprint, KnownNodes, SecureClient, Target, Token, Transport, Trust,
};

use self::patterns::Patterns;
use self::show::Display;
use crate::address::Family;
use crate::exit::Exit;
use crate::interrupt::stop_on_signal;

/// Send files and directories to another machine
///
/// The other machine runs `squall receive`, which prints the line to type here. Contents are encrypted, checked by
/// their BLAKE3 hashes, and on the other disk before a file has its name. What stops half-way is resumed by the same
/// command; what is there already is not sent again.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The files and directories, and then the host: HOST, HOST:PORT or quic://HOST:PORT; - is standard input
    #[arg(value_name = "PATH… HOST", num_args = 1.., required = true)]
    arguments: Vec<OsString>,

    /// The token that the receiver shows
    ///
    /// On a machine with other users, SQUALL_TOKEN or --token-file keep it out of the list of processes.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,

    /// A file with the token, for its owner alone
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The receiver's key as it shows it, SHA256:…; no other is accepted
    ///
    /// Without it the key is the one that the host showed first, which is kept in ~/.config/squall/known_nodes.
    #[arg(long, value_name = "KEY")]
    pin: Option<Fingerprint>,

    /// The name of what comes from standard input
    #[arg(long, value_name = "NAME")]
    name: Option<OsString>,

    /// Replace files that are there and differ
    #[arg(short, long)]
    force: bool,

    /// Compare contents also where size and time say that nothing changed
    #[arg(short, long)]
    checksum: bool,

    /// Only list what would be sent, by size and time
    #[arg(short = 'n', long, conflicts_with = "checksum")]
    dry_run: bool,

    /// Leave out what matches, though not what matches an --include; repeatable
    ///
    /// Globs as in .gitignore: without a slash they match a name anywhere, with one the path from the sent directory
    /// on; one that ends with a slash matches directories alone; ** matches any number of directories.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,

    /// Send what matches, whatever --exclude says; repeatable
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,

    /// A rate that is not exceeded: 100mbit, 5MB/s
    #[arg(long, value_name = "RATE", value_parser = parse_limit)]
    limit: Option<u64>,

    /// How long to try again when the connection is lost
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = squall_node::parse_duration)]
    retry: Duration,

    /// Send one file's content to a program that takes bare datagrams, port 7776: without encryption, names or
    /// acknowledgement
    ///
    /// For what older programs speak: datagrams of at most 1024 bytes, then one that says bye, at 16 Mbit/s unless
    /// --limit says otherwise. What is lost on the way is lost, and nobody notices.
    #[arg(long, conflicts_with_all = ["token", "token_file", "pin", "name", "force", "checksum", "dry_run", "exclude", "include", "verbose"])]
    plain: bool,

    #[command(flatten)]
    family: Family,

    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,

    /// List each file that is stored
    #[arg(short, long)]
    verbose: bool,
}

const AFTER_HELP: &str = "\
A directory arrives with its name, in it are files, directories and symbolic links (as links; one that is named on \
the command line is followed), with permissions, times and holes. A file counts as unchanged when size and time are \
the same. A file that is there and differs stays, and that is an error, unless --force says otherwise; it stays then \
too, until the new one is whole.

Fields of --json: event, and for connected: peer, key (pinned, known, new), fingerprint; stored, unchanged, differs: \
path, size; failed: path, reason (exists, other-kind, name, link, space, permission, busy, content, failed), text; \
progress, each second: files, bytes, total_files, total_bytes (null: not known), sent (bytes that were not there \
before), seconds, and what the path is believed to be: bandwidth (bits a second), round_trip_ms (without a queue), queue_ms, loss (0 to 1); lost: text; end: result \
(complete, half-way, broken, stopped, not-begun), text, stored, unchanged, failed, differing, sent, kept, seconds. A path that is no \
UTF-8 has its bytes in path_hex.

Examples:
  squall send report.pdf 192.168.1.5 --token …      a file
  squall send photos music host.example --pin …     two directories
  tar c . | squall send - host.example --name all.tar
  squall send --plain notes.txt 127.0.0.1
  squall send -n --exclude '*.o' --exclude target/ project host.example

Exit codes: 0 everything is on the other disk; 1 some of it is not, or a key or token is wrong; 2 wrong usage; 69 the \
receiver does not answer; 75 it stopped half-way, and the same command resumes it; 130 interrupted, and the same command \
resumes it.";

pub(crate) fn run(arguments: Arguments) -> Result<Exit, Exit> {
    let (host, items) = split(&arguments)?;
    if arguments.plain {
        return plain::run(&arguments, &host, &items);
    }
    let target = target(&host)?.family(arguments.family.get());
    let given = Token::given(arguments.token.as_deref(), arguments.token_file.as_deref());
    let token = given.map_err(|error| Exit::Usage.with(error))?;
    let trust = match arguments.pin {
        Some(fingerprint) => Trust::Pinned(fingerprint),
        None => Trust::Known(KnownNodes::at(KnownNodes::default_path())),
    };
    let patterns =
        Patterns::new(&arguments.include, &arguments.exclude).map_err(|error| Exit::Usage.with(error))?;
    let config = SendConfig::new(source::of(&items, &host))
        .force(arguments.force)
        .checksum(arguments.checksum)
        .dry_run(arguments.dry_run)
        .limit(arguments.limit)
        .filter(move |path, is_directory| patterns.takes(path, is_directory));
    let client = SecureClient::new(Alpn::FILES, trust, Transport::default()).token(token);
    let upload = Upload::new(client, target, Sender::new(items, config)).patience(arguments.retry);
    let display = Arc::new(Display::new(&arguments, &host));
    let stopper = upload.stopper();
    // The receiver hears of it, so that others may send what this one was about to.
    stop_on_signal(move || stopper.stop())?;
    let telling = Arc::clone(&display);
    let uploaded = std::thread::scope(|scope| {
        let counting = display.wants_total().then(|| {
            scope.spawn(|| {
                if let Some(tally) = upload.sender().tally(|_| !display.is_over()) {
                    display.total(tally);
                }
            })
        });
        let uploaded = upload.run(move |event| telling.show(event));
        display.over();
        drop(counting);
        uploaded
    });
    let uploaded =
        uploaded.map_err(|error| Exit::Failed.with(format_args!("cannot start threads: {error}")))?;
    display.end(&uploaded)?;
    let resume = match arguments.name {
        Some(_) => "the same command resumes it, if it reads the same again",
        None => "the same command resumes it",
    };
    Ok(match &uploaded.end {
        UploadEnd::Complete if uploaded.counts.failed == 0 => Exit::Done,
        UploadEnd::Complete => Exit::Failed,
        UploadEnd::Broken(why) => Exit::Failed.with(why),
        UploadEnd::HalfWay(why) if arguments.dry_run => Exit::Failed.with(why),
        UploadEnd::HalfWay(why) => Exit::HalfWay.with(format_args!("stopped half-way: {why}; {resume}")),
        UploadEnd::Stopped if arguments.dry_run => Exit::Interrupted,
        UploadEnd::Stopped => Exit::Interrupted.with(format_args!("interrupted; {resume}")),
        UploadEnd::NotBegun(error) => exit_of(error).with(error),
        _ => Exit::Failed,
    })
}

/// The host, and what goes there.
fn split(arguments: &Arguments) -> Result<(String, Vec<Item>), Exit> {
    let (host, paths) = match arguments.arguments.split_last() {
        Some((host, paths)) if !paths.is_empty() => (host, paths),
        _ => return Err(Exit::Usage.with("name what is sent, and behind it the host that it goes to")),
    };
    let host = host.to_str().ok_or_else(|| Exit::Usage.with("the host, which comes last, is no text"))?;
    let inputs = paths.iter().filter(|path| *path == "-").count();
    match (inputs, &arguments.name) {
        (0, Some(_)) => return Err(Exit::Usage.with("--name is for what comes from standard input, -")),
        (1, None) if !arguments.plain => {
            return Err(Exit::Usage.with("standard input needs a name: --name NAME"));
        }
        (2.., _) => return Err(Exit::Usage.with("standard input can be sent once")),
        _ => {}
    }
    if paths.iter().any(|path| path == "PATH..." && !std::path::Path::new(path).exists()) {
        return Err(Exit::Usage.with("write what is to be sent in the place of PATH..."));
    }
    let items: Vec<_> = paths
        .iter()
        .map(|path| match &arguments.name {
            Some(name) if path == "-" => Item::Input(name.clone()),
            None if path == "-" => Item::Input("-".into()),
            _ => Item::Path(path.into()),
        })
        .collect();
    let mut names: Vec<_> = items.iter().filter_map(Item::name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let name = crate::output::shown(twice[0].as_ref());
        return Err(Exit::Usage.with(format_args!(
            "two of what is sent are called {name}, and only one can have the name there"
        )));
    }
    Ok((host.into(), items))
}

/// Where it goes. What other programs take there, and what was forgotten, is told from a host before name servers hear
/// of it.
fn target(host: &str) -> Result<Target, Exit> {
    let alone = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let alone =
        alone.split_once(":/").filter(|(_, path)| !path.starts_with('/')).map_or(alone, |(host, _)| host);
    let hint = if host.parse::<Token>().is_ok() {
        Some("the last word is a token and not a host; write --token before it".into())
    } else if alone != host {
        Some(format!(
            "the receiver asks for a token and no user, and says where files go (squall receive DIR); write {alone} alone"
        ))
    } else {
        None
    };
    match hint {
        Some(hint) => Err(Exit::Usage.with(hint)),
        None => Target::parse(host).map_err(|error| Exit::Usage.with(error)),
    }
}

fn exit_of(error: &ConnectError) -> Exit {
    if error.is_usage() {
        Exit::Usage
    } else if error.is_no_answer() || matches!(error, ConnectError::Address(_)) {
        Exit::NoAnswer
    } else {
        Exit::Failed
    }
}

/// Bytes a second.
fn parse_limit(text: &str) -> Result<u64, String> {
    match squall_weather::parse_rate(text) {
        Some(bits @ 8..) => Ok(bits / 8),
        _ => Err(format!("{text:?} is no rate; write 100mbit or 5MB/s")),
    }
}
