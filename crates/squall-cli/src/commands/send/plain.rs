//! `squall send --plain`: a file's content in datagrams, to programs that know nothing else.

use std::fs::File;
use std::io::{self, Read, Write};

use indicatif::HumanBytes;
use serde_json::json;
use squall::files::plain::PORT;
use squall::{Transport, Uri};
use squall_node::files::Item;
use squall_node::files::plain::send::{SendConfig, SendError, send};

use super::Arguments;
use crate::exit::Exit;
use crate::output::{counted, write_json};

/// Sends one file, or standard input.
pub(super) fn run(arguments: &Arguments, host: &str, items: &[Item]) -> Result<Exit, Exit> {
    let [item] = items else {
        return Err(Exit::Usage.with("--plain sends one file: the wire has no names"));
    };
    let uri = Uri::parse(host, Transport::Udp, Some(PORT)).map_err(|error| Exit::Usage.with(error))?;
    if uri.transport() != Transport::Udp || uri.is_coap() || uri.is_quic() || uri.is_wildcard() {
        return Err(
            Exit::Usage.with(format_args!("{host}: --plain sends to HOST, HOST:PORT or udp://HOST:PORT"))
        );
    }
    let resolved = uri.resolve(arguments.family.get());
    let addresses = resolved.map_err(|error| crate::address::unresolved(&error).with(error))?;
    let to = addresses.iter().find_map(squall::socket::Address::ip);
    let to = to.ok_or_else(|| Exit::Usage.with(format_args!("{host}: not an IP address")))?;
    let mut content: Box<dyn Read> = match item {
        Item::Path(path) => Box::new(open(path)?),
        _ => Box::new(io::stdin()),
    };
    let mut config = SendConfig::default();
    if let Some(bytes) = arguments.limit {
        config = config.limit(bytes.saturating_mul(8));
    }
    let sent = send(&mut *content, to, &config, &mut |_| {}).map_err(|error| {
        let exit = match error {
            SendError::NobodyListens { .. } => Exit::NoAnswer,
            _ => Exit::Failed,
        };
        exit.with(error)
    })?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let end = json!({"event": "end", "result": "sent", "bytes": sent.bytes, "datagrams": sent.datagrams});
        write_json(&mut out, &end)?;
    } else {
        let (bytes, datagrams) = (HumanBytes(sent.bytes), counted(sent.datagrams, "datagram"));
        writeln!(out, "{bytes} sent to {to} in {datagrams}; nobody says whether they arrived")?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// Opens a file; a directory is none.
fn open(path: &std::path::Path) -> Result<File, Exit> {
    let shown = crate::output::shown(path);
    let failed = |error: io::Error| Exit::Failed.with(format_args!("{shown}: {error}"));
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    let what = match () {
        () if kind.is_file() => return File::open(path).map_err(failed),
        () if kind.is_dir() => "a directory",
        // A pipe may keep who opens it waiting, and a device may never come to an end.
        () => "no file",
    };
    Err(Exit::Usage.with(format_args!("{shown} is {what}; --plain sends one file, or standard input: -")))
}
