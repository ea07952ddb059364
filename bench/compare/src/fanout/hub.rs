//! What hands one member's message to all others, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::error::Error;
use crate::process::Running;
use crate::server::Programs;

/// A server that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hub {
    Squall,
    SquallHistory,
    Nats,
    C,
}

impl Hub {
    pub(crate) const ALL: [Hub; 4] = [Hub::Squall, Hub::SquallHistory, Hub::Nats, Hub::C];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Hub::Squall => "Squall",
            Hub::SquallHistory => "Squall, history",
            Hub::Nats => "NATS",
            Hub::C => "C loop",
        }
    }

    /// Starts it on this thread's processor.
    pub(crate) fn start(self, programs: &Programs) -> Result<RunningHub, Error> {
        let data = TempDir::with_prefix("squall-compare-")
            .map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
        let nats = if self == Hub::Nats { nats()? } else { PathBuf::new() };
        let running = Running::start(|port| match self {
            Hub::Squall => programs.chat(port, data.path(), false),
            Hub::SquallHistory => programs.chat(port, data.path(), true),
            Hub::C => programs.c_fanout(port),
            Hub::Nats => {
                let mut command = Command::new(&nats);
                command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
                command
            }
        })?;
        Ok(RunningHub { running, folder: data })
    }
}

/// A server that runs until this is dropped, and a folder of its own that is removed then.
pub(crate) struct RunningHub {
    pub(crate) running: Running,
    folder: TempDir,
}

impl RunningHub {
    /// The share of the messages that its history did not have to leave out, in percent; of a hub with history.
    pub(crate) fn kept(&self, programs: &Programs) -> Result<f64, Error> {
        let counts = programs.chat_counts(self.folder.path())?;
        let count = |name: &str| {
            let missing = || Error::Counts(format!("history has no {name} in {counts}"));
            counts["history"][name].as_f64().ok_or_else(missing)
        };
        let (taken, shed) = (count("kept")?, count("shed")?);
        Ok(100.0 * (taken - count("lost")?) / (taken + shed).max(1.0))
    }
}

fn nats() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian has it where only root looks.
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(Path::new).map(Into::into));
    folders.map(|folder| folder.join("nats-server")).find(|path| path.is_file()).ok_or(Error::NoNats)
}
