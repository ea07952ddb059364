//! `squall receive`: files from another machine.

mod lines;
mod show;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use clap::Args;
use squall::{Transport as Wire, Uri};
use squall_node::files::{FileServer, FileServerError, ReceiveConfig};
use squall_node::secure::{Admission, Identity, PORT, SecureConfig, Token, Transport};

use self::show::Display;
use crate::exit::Exit;
use crate::interrupt::stop_on_signal;
use crate::output::say;

/// Receive files from other machines
///
/// Prints a line to type on the other machine. Listens on every interface, and takes files from those who have the
/// token in that line, which both sides prove and neither sends. Files appear under their names when they are whole,
/// checked and on disk; nothing is ever written outside the directory.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The directory that files go into
    #[arg(default_value = ".")]
    dir: PathBuf,

    /// Listen here instead of on every interface, port 4433: HOST, HOST:PORT or quic://HOST:PORT; repeatable
    #[arg(long, value_name = "URI")]
    on: Vec<String>,

    /// Listen on this port
    #[arg(short, long, value_name = "PORT", default_value_t = PORT, conflicts_with = "on")]
    port: u16,

    /// The token, instead of the one in ~/.config/squall/token
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["token_file", "open"])]
    token: Option<String>,

    /// A file with the token, for its owner alone
    #[arg(long, value_name = "FILE", conflicts_with = "open")]
    token_file: Option<PathBuf>,

    /// Take files from everybody who can reach this machine, without a token; none of them replaces a file
    #[arg(long)]
    open: bool,

    /// The file of this machine's key [default: ~/.config/squall/identity]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,

    /// End when a sender has brought everything it had, and those who came meanwhile have gone
    #[arg(long)]
    once: bool,

    /// Never replace a file, whatever the sender says
    #[arg(long)]
    no_replace: bool,

    /// Take names with control characters
    #[arg(long)]
    any_names: bool,

    /// Take symbolic links that lead out of the directory
    #[arg(long)]
    unsafe_links: bool,

    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,

    /// List each file that is stored
    #[arg(short, long)]
    verbose: bool,
}

const AFTER_HELP: &str = "\
The token is made at the first start and stays, so that a command that stopped half-way works again after a restart \
of this one. Whoever has it can write into the directory, and with --force replace what is there.

What has arrived of files that are not whole is in DIR/.squall-partial, and is not sent again. It may be removed when \
nobody means to resume.

Fields of --json: event, and for listening: dir, on, key, send (the line), note (what the kernel cut; \
null: nothing); came: session, peer; stored: session, path, \
size; refused: session, path, reason, text; went: session, peer, stored, unchanged, refused, withdrawn, bytes, broken \
(null: all was brought); left-out: count (of lines: nobody read them, and 16 MiB waited).

Examples:
  squall receive                       into this directory, from whoever has the token
  squall receive inbox --once          and ends after the first sender
  squall receive --on 192.168.1.5 --on '[fe80::1%eth0]'

Ends with 0 when asked to by SIGINT or SIGTERM. Other exit codes: 1 the directory cannot be used, or the system \
refused an address; 2 wrong usage.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    // Whom the secure tier turns away, and why.
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .without_time()
        .init();
    let admission = admission(arguments)?;
    let path = arguments.identity.clone().unwrap_or_else(Identity::default_path);
    let identity = Identity::load_or_make(&path).map_err(|error| Exit::Failed.with(error))?;
    let key = identity.fingerprint();
    let token = admission.token().cloned();
    let mut secure = SecureConfig::new(identity, admission, Transport::default());
    if arguments.on.is_empty() {
        secure = secure.on(parse(&format!("quic://:{}", arguments.port))?);
    }
    for uri in &arguments.on {
        let uri = parse(uri)?;
        if uri.transport() != Wire::Udp || uri.is_coap() {
            return Err(Exit::Usage.with(format_args!(
                "{uri}: files come over QUIC: write HOST, HOST:PORT or quic://HOST:PORT"
            )));
        }
        secure = secure.on(uri);
    }
    let config = ReceiveConfig::new(&arguments.dir)
        .replaces(!arguments.no_replace && !arguments.open)
        .takes_any_name(arguments.any_names)
        .takes_any_link(arguments.unsafe_links);
    if let Err(problem) = squall::socket::process::raise_descriptor_limit() {
        say(format_args!("squall: cannot raise the limit on open descriptors: {problem}"));
    }
    let display = Arc::new(Display::new(arguments)?);
    let telling = Arc::clone(&display);
    let server = FileServer::start(config, secure, move |event| telling.show(event)).map_err(refuse)?;
    for absent in server.left_out() {
        say(format_args!("squall: left out: {absent}"));
    }
    match display.listening(&server, &key, token.as_ref()) {
        // A reader that has gone has read what is to be typed.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    let (stop, stopped) = mpsc::channel();
    let signalled = stop.clone();
    stop_on_signal(move || {
        let _ = signalled.send(());
    })?;
    if arguments.once {
        server.when_one_is_done(move || {
            let _ = stop.send(());
        });
    }
    let _ = stopped.recv();
    server.stop();
    display.end();
    Ok(Exit::Done)
}

fn admission(arguments: &Arguments) -> Result<Admission, Exit> {
    if arguments.open {
        return Ok(Admission::Open);
    }
    let given = Token::given(arguments.token.as_deref(), arguments.token_file.as_deref());
    let token = match given.map_err(|error| Exit::Usage.with(error))? {
        Some(token) => token,
        None => Token::load_or_make(&Token::default_path()).map_err(|error| Exit::Failed.with(error))?,
    };
    Ok(Admission::Token(token))
}

fn parse(text: &str) -> Result<Uri, Exit> {
    Uri::parse(text, Wire::Udp, Some(PORT)).map_err(|error| Exit::Usage.with(error))
}

fn refuse(problem: FileServerError) -> Exit {
    Exit::Failed.with(problem)
}
