use std::io;
use std::path::PathBuf;

use squall::load::LoadError;

/// Why the comparison, or one server of it, failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot build {program} with {tool}: {reason}")]
    Build { program: &'static str, tool: String, reason: String },
    #[error("cannot run the tool that builds {program}")]
    Tool { program: &'static str, source: io::Error },
    #[error("cannot find this program's own path")]
    Own(#[source] io::Error),
    #[error("cannot stay on one processor (two are needed: one for the server, one for the load)")]
    Pin(#[source] io::Error),
    #[error("cannot find a free port")]
    Port(#[source] io::Error),
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("it ended at once ({status}): {stderr}")]
    Ended { status: std::process::ExitStatus, stderr: String },
    #[error("it did not answer within {0} s")]
    Silent(u64),
    #[error("cannot ask whether it answers")]
    Probe(#[source] io::Error),
    #[error("cannot read what it used")]
    ProcessorTime(#[source] io::Error),
    #[error("the load failed")]
    Load(#[from] LoadError),
    #[error("cannot serve")]
    Serve(#[source] io::Error),
    #[error(
        "nginx is not there: apt-get install nginx-light libnginx-mod-stream, or leave it out with --server squall"
    )]
    NoNginx,
    #[error(
        "nats-server is not there: apt-get install nats-server, or leave it out with --server squall --server c"
    )]
    NoNats,
    #[error("a member failed")]
    Member(#[source] io::Error),
    #[error("{deaf} of {members} members did not hear the first one within {seconds} s")]
    Deaf { members: usize, deaf: usize, seconds: u64 },
    #[error("no server has a name with {0}: there are {1}")]
    NoServer(String, String),
    #[error("squall ctl did not tell the hub's counts: {0}")]
    Counts(String),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot print")]
    Print(#[source] io::Error),
}

/// The error and its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
