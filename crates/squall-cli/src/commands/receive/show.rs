//! What a receiver shows.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use serde_json::{Value, json};
use squall::IpFamily;
use squall::socket::interfaces;
use squall_node::files::{FileServer, ReceiveEvent};
use squall_node::secure::{Fingerprint, PORT, Token};

use super::Arguments;
use super::lines::Lines;
use crate::output::{counted, say, shown, with_path, write_json};

/// Shows what happens: lines for people, or JSON.
pub(super) struct Display {
    json: bool,
    verbose: bool,
    dir: PathBuf,
    lines: Lines,
}

impl Display {
    /// On standard output.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn new(arguments: &Arguments) -> io::Result<Self> {
        let tell = match arguments.json {
            true => |left_out| as_line(&json!({ "event": "left-out", "count": left_out })),
            false => |left_out| format!("{} left out, since nobody read them\n", counted(left_out, "line")),
        };
        let lines = Lines::to(io::stdout(), tell)?;
        Ok(Self { json: arguments.json, verbose: arguments.verbose, dir: arguments.dir.clone(), lines })
    }

    /// Waits until all is written, as long as somebody reads.
    pub(super) fn end(&self) {
        self.lines.end();
    }

    /// Where it listens, and what is to be typed elsewhere.
    pub(super) fn listening(
        &self,
        server: &FileServer,
        key: &Fingerprint,
        token: Option<&Token>,
    ) -> io::Result<()> {
        let note = server.locals().iter().find_map(|(_, buffers)| buffers.note());
        let locals: Vec<_> = server.locals().iter().map(|(uri, _)| uri.to_string()).collect();
        let hosts = hosts(server);
        let token = token.map_or_else(String::new, |token| format!(" --token {}", token.reveal()));
        let line = |host: &str| format!("squall send PATH... {host} --pin {key}{token}");
        let first = hosts.first().map_or("HOST", String::as_str);
        let mut out = io::stdout().lock();
        if self.json {
            let dir = server.receiver().path().to_string_lossy();
            return write_json(
                &mut out,
                &json!({
                    "event": "listening", "dir": dir, "on": locals, "key": key.to_string(), "send": line(first),
                    "note": note,
                }),
            );
        }
        if let Some(note) = note {
            say(format_args!("squall: {note}"));
        }
        let dir = shown(server.receiver().path());
        writeln!(out, "Receiving into {dir} on {}. On the other machine:\n", locals.join(" and "))?;
        writeln!(out, "  {}\n", line(first))?;
        if hosts.len() > 1 {
            writeln!(out, "This machine is also {}.", hosts[1..].join(", "))?;
        }
        out.flush()
    }

    pub(super) fn show(&self, event: &ReceiveEvent) {
        let line = match self.json {
            true => to_json(event).map(|event| as_line(&event)),
            false => self.to_text(event).map(|line| line + "\n"),
        };
        if let Some(line) = line {
            self.lines.print(line);
        }
    }

    fn to_text(&self, event: &ReceiveEvent) -> Option<String> {
        Some(match event {
            ReceiveEvent::Came { peer, .. } => format!("{peer} came"),
            ReceiveEvent::Stored { path, size, .. } if self.verbose => {
                format!("{} ({})", self.within(path), HumanBytes(*size))
            }
            ReceiveEvent::Refused { path, text, .. } => format!("refused {}: {text}", self.within(path)),
            ReceiveEvent::Went { peer, counts, broken, .. } => {
                let mut line = format!("{peer}: {} stored", counts.stored);
                for (count, what) in [
                    (counts.unchanged, "unchanged"),
                    (counts.refused, "refused"),
                    (counts.withdrawn, "unreadable there"),
                ] {
                    if count > 0 {
                        line += &format!(", {count} {what}");
                    }
                }
                line += &format!("; {} came", HumanBytes(counts.bytes));
                if let Some(why) = broken {
                    line += &format!("; stopped half-way: {why}");
                }
                line
            }
            _ => return None,
        })
    }

    /// From the directory on.
    fn within(&self, path: &Path) -> String {
        let dir = std::fs::canonicalize(&self.dir).unwrap_or_default();
        shown(path.strip_prefix(dir).unwrap_or(path))
    }
}

fn as_line(event: &Value) -> String {
    let mut line = Vec::new();
    // Nothing that is written to memory fails.
    let _ = write_json(&mut line, event);
    String::from_utf8_lossy(&line).into_owned()
}

/// What others can reach this machine by.
fn hosts(server: &FileServer) -> Vec<String> {
    let mut hosts = Vec::new();
    for (uri, _) in server.locals() {
        let resolved = uri.resolve(IpFamily::Any).unwrap_or_default();
        let Some(address) = resolved.first().and_then(|address| address.ip()) else { continue };
        let port = if address.port() == PORT { String::new() } else { format!(":{}", address.port()) };
        let addresses = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => own(true, false),
            // It takes IPv4 too, or has a socket for that beside it.
            IpAddr::V6(ip) if ip.is_unspecified() => own(true, true),
            ip => vec![ip],
        };
        for ip in addresses {
            hosts.push(match ip {
                IpAddr::V6(ip) if !port.is_empty() => format!("'[{ip}]{port}'"),
                ip => format!("{ip}{port}"),
            });
        }
    }
    let mut known = std::collections::HashSet::new();
    hosts.retain(|host| known.insert(host.clone()));
    hosts
}

/// The addresses of this machine's interfaces that others may know, of these families; loopback where there are no
/// others.
fn own(ipv4: bool, ipv6: bool) -> Vec<IpAddr> {
    let all = interfaces().unwrap_or_default();
    let known = |is_loopback: bool| {
        let up = all.iter().filter(|one| one.flags.up && one.flags.loopback == is_loopback);
        let addresses = up.flat_map(|one| &one.addresses).map(|one| one.address);
        // A link-local address means something with an interface alone.
        let wanted = |ip: &IpAddr| if ip.is_ipv4() { ipv4 } else { ipv6 };
        let mut known: Vec<_> = addresses.filter(|ip| wanted(ip) && !is_link_local(ip)).collect();
        known.sort_by_key(IpAddr::is_ipv6);
        known
    };
    let others = known(false);
    if others.is_empty() { known(true) } else { others }
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn to_json(event: &ReceiveEvent) -> Option<Value> {
    Some(match event {
        ReceiveEvent::Came { session, peer } => {
            json!({"event": "came", "session": session, "peer": peer.to_string()})
        }
        ReceiveEvent::Stored { session, path, size } => {
            with_path(json!({"event": "stored", "session": session, "size": size}), path)
        }
        ReceiveEvent::Refused { session, path, reason, text } => with_path(
            json!({"event": "refused", "session": session, "reason": reason.name(), "text": text}),
            path,
        ),
        ReceiveEvent::Went { session, peer, counts, broken } => json!({
            "event": "went", "session": session, "peer": peer.to_string(), "stored": counts.stored,
            "unchanged": counts.unchanged, "refused": counts.refused, "withdrawn": counts.withdrawn,
            "bytes": counts.bytes, "broken": broken,
        }),
        _ => return None,
    })
}
