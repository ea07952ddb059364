//! How far the searches have come, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use squall::path_mtu::Progress;

/// One line on standard error that is written anew with each probe.
#[derive(Clone)]
pub(super) struct Display {
    lines: Option<Arc<Mutex<Lines>>>,
}

type Lines = Vec<(SocketAddr, Option<Progress>)>;

impl Display {
    /// Shows nothing where no terminal is, nor beside JSON.
    pub(super) fn new(addresses: &[SocketAddr], json: bool) -> Self {
        let lines = addresses.iter().map(|address| (*address, None)).collect();
        let is_seen = !json && io::stderr().is_terminal();
        Self { lines: is_seen.then(|| Arc::new(Mutex::new(lines))) }
    }

    pub(super) fn show(&self, address: SocketAddr, progress: &Progress) {
        let Some(lines) = &self.lines else { return };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        for (known, line) in lines.iter_mut() {
            if *known == address {
                *line = Some(*progress);
            }
        }
        let text: Vec<String> =
            lines.iter().filter_map(|(address, line)| line.map(|line| words(address, &line))).collect();
        write(&text.join("; "));
    }

    pub(super) fn clear(&self) {
        if self.lines.is_some() {
            write("");
        }
    }
}

fn words(address: &SocketAddr, progress: &Progress) -> String {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let Progress { passes, asks, probes, .. } = progress;
    match passes {
        0 => format!("{family}: probe {probes}, no answer yet"),
        _ => format!("{family}: {passes} pass, probe {probes} asks {asks}"),
    }
}

/// The line begins anew and what is behind its end is erased.
fn write(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = write!(io::stderr(), "\r{text}\x1b[K");
}
