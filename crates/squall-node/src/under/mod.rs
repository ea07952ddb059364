//! Any program in bad weather: two hosts of one's own, joined by a link that weather is made on.

mod buffers;
mod forbidden;
mod forward;
mod guard;
mod hosts;
mod icmp;
mod ip;
mod programs;
mod segments;
#[cfg(test)]
mod tests;
mod way;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use squall::socket::hosts::InterfaceCounts;
use squall_weather::{Decider, Direction, Record, Weather};

pub use guard::guard_if_asked;
pub use way::Carried;

use way::Recording;

use forward::Forwarder;
use guard::Guard;
use hosts::Hosts;
use programs::{Event, Events, Server};

/// A command, and perhaps a server that it talks to, each on a host of its own, with weather in between.
///
/// The hosts are network namespaces, made through a user namespace where this process is not privileged.
/// Programs keep their user, their files and their environment, in which the addresses of both hosts are
/// added: `SQUALL_SERVER`, `SQUALL_CLIENT`, and those of IPv6, `SQUALL_SERVER6` and `SQUALL_CLIENT6`. Linux only.
#[derive(Clone, Debug)]
pub struct Under {
    command: Vec<OsString>,
    server: Option<String>,
    weather: Weather,
    seed: u64,
    replay: Option<Record>,
    record: Option<Arc<File>>,
    mtu: u32,
    ready: Ready,
    patience: Duration,
    grace: Duration,
}

/// When a server counts as ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ready {
    /// Some TCP or UDP socket of its host listens. One that does not in time is taken to need none.
    #[default]
    Anything,
    /// One with this port does.
    Port(u16),
}

impl Under {
    /// A command with its arguments.
    pub fn new(command: Vec<OsString>) -> Self {
        Self {
            command,
            server: None,
            weather: Weather::clear(),
            seed: 0,
            replay: None,
            record: None,
            mtu: 1500,
            ready: Ready::default(),
            patience: Duration::from_secs(5),
            grace: Duration::from_secs(2),
        }
    }

    /// A shell command that runs on the server's host, is started first and ended last: once the command has ended,
    /// it may end by itself for 200 ms and twice the longest delay of the packets under way, before it is asked to.
    /// Default: none.
    pub fn server(mut self, command: impl Into<String>) -> Self {
        self.server = Some(command.into());
        self
    }

    /// What the link does. Default: clear.
    pub fn weather(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }

    /// What the weather's chances follow from. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Decides as a record says, in place of the weather. Default: none.
    pub fn replay(mut self, record: Record) -> Self {
        self.replay = Some(record);
        self
    }

    /// Writes each decision to `file`, a line each, in place of what is in it once the first packet comes: see
    /// [`open_record`](crate::open_record). A replay that is recorded has the header of its source. Default: none.
    pub fn record(mut self, file: File) -> Self {
        self.record = Some(Arc::new(file));
        self
    }

    /// The MTU of both interfaces, in bytes, from [`LEAST_MTU`] to [`GREATEST_MTU`]; what is beyond is taken to be
    /// the bound. Below 1280 there is no IPv6. An MTU that is part of the weather is another thing: that of a
    /// link which the hosts do not see. Default 1500.
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = bytes.clamp(LEAST_MTU, GREATEST_MTU);
        self
    }

    /// When the server counts as ready, upon which the command is started. Default: when something listens.
    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = ready;
        self
    }

    /// How long the server is waited for, unless it ends. Default 5 s; zero starts the command at once.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long the server may take to its end once it is asked to. Default 2 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Runs the command to its end. Whatever happens, nothing is left behind: what still runs on either host
    /// afterwards is killed.
    ///
    /// It takes this process for itself: it must have no other thread, stays in a namespace of its own
    /// afterwards, and its signals are read here. The program must call [`guard_if_asked`] first of all, for it
    /// is started a second time as a guard.
    ///
    /// # Errors
    /// Where the system does not let it make the hosts, and what forbids that; when the server cannot be
    /// started, ends early or does not get ready; when the command cannot be started.
    pub fn run(&self) -> Result<Outcome, UnderError> {
        let system = |what| move |source| UnderError::System { what, source };
        let mut events = Events::open().map_err(system("reading signals"))?;
        let hosts = Hosts::make(self.mtu)?;
        let guard = Guard::start(&hosts).map_err(system("starting a guard"))?;
        let result = self.run_on(hosts, &mut events);
        let finished = guard.finish().map_err(system("waiting for the guard"));
        result.and_then(|outcome| finished.map(|()| outcome))
    }

    fn run_on(&self, hosts: Hosts, events: &mut Events) -> Result<Outcome, UnderError> {
        let system = |what| move |source| UnderError::System { what, source };
        let mut hosts = hosts;
        let tuns = (Arc::clone(&hosts.client.tun), Arc::clone(&hosts.server.tun));
        let forwarder = Forwarder::start(self.deciders(), self.recording(), tuns.0, tuns.1)
            .map_err(system("starting the link"))?;
        let begin = Instant::now();
        let ended = self.run_programs(&hosts, events, &forwarder);
        // It may have ended early, within a host that is to be emptied.
        hosts.between.enter().map_err(system("leaving a host"))?;
        let mut left = 0;
        for host in [&hosts.client, &hosts.server] {
            left += guard::end_all(&host.namespace).map_err(system("looking for what still runs"))?;
        }
        let elapsed = begin.elapsed();
        let ([up, down], recording) = forwarder.stop().map_err(system("carrying packets"))?;
        if let Some(mut recording) = recording {
            // A run of which no packet came has a record too, but not one that could not start.
            let begun = if ended.is_ok() { recording.begin() } else { Ok(()) };
            begun.and_then(|()| recording.finish()).map_err(system("recording"))?;
        }
        let (ended, server) = ended?;
        let client_counts = hosts.client.counts().map_err(system("reading the client's counts"))?;
        let server_counts = hosts.server.counts().map_err(system("reading the server's counts"))?;
        Ok(Outcome {
            ended,
            server,
            left,
            elapsed,
            user_namespace: hosts.user_namespace,
            up,
            down,
            client: client_counts,
            server_host: server_counts,
        })
    }

    fn recording(&self) -> Option<Recording> {
        let header = match &self.replay {
            Some(record) => record.header().to_owned(),
            None => format!("# seed {}\n# weather {}\n", self.seed, self.weather),
        };
        Some(Recording::new(Arc::clone(self.record.as_ref()?), header))
    }

    fn deciders(&self) -> [Decider; 2] {
        match &self.replay {
            Some(record) => Direction::ALL.map(|direction| record.clone().replay(direction).into()),
            None => Direction::ALL.map(|direction| self.weather.link(direction, self.seed).into()),
        }
    }

    /// Runs them, and has no child left in the end.
    fn run_programs(
        &self,
        hosts: &Hosts,
        events: &mut Events,
        forwarder: &Forwarder,
    ) -> Result<(Ended, Option<ServerEnd>), UnderError> {
        let system = |what| move |source| UnderError::System { what, source };
        let enter = system("entering a host");
        let mut server = None;
        if let Some(command) = &self.server {
            hosts.server.namespace.enter().map_err(enter)?;
            let started = Server::start(command, hosts, events)
                .map_err(|source| UnderError::Start { program: "/bin/sh".into(), source })?;
            let started = server.insert(started);
            if let Some(Event::End { signal, .. }) = programs::wait_until_ready(
                started,
                &hosts.server.namespace,
                &self.ready,
                self.patience,
                events,
            )? {
                return Ok((Ended::Before { signal }, None));
            }
        }
        let listened = programs::listens(&self.ready).unwrap_or(false);
        hosts.client.namespace.enter().map_err(enter)?;
        let started = programs::start(&self.command, hosts, events);
        let mut child = started.map_err(|source| {
            let program = self.command.first().map(|word| word.to_string_lossy().into_owned());
            UnderError::Start { program: program.unwrap_or_default(), source }
        })?;
        let waiting = system("waiting for the command");
        let mut server_died = server.as_ref().and_then(|server| server.status);
        let status = loop {
            if let Some(status) = child.try_wait().map_err(waiting)? {
                break status;
            }
            if let Some(server) = &mut server {
                server_died = server.look().map_err(waiting)?;
            }
            if let Some(Event::End { signal, by_terminal: false }) = events.next(None).map_err(waiting)? {
                programs::pass_on(&child, signal).map_err(waiting)?;
            }
        };
        if let Some(server) = &mut server {
            let ending = system("ending the server");
            server.end_by_itself(events, || forwarder.longest_delay()).map_err(ending)?;
            server.end(events, &hosts.server.namespace, self.grace).map_err(ending)?;
        }
        let server = server.map(|_| ServerEnd { listened, early: server_died });
        Ok((Ended::Status(status), server))
    }
}

/// How it went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How the command ended.
    pub ended: Ended,
    /// About the server, if there was one to the end.
    pub server: Option<ServerEnd>,
    /// How many processes still ran on the hosts when command and server had ended; they were killed.
    pub left: usize,
    /// How long the link was there.
    pub elapsed: Duration,
    /// Whether it took a user namespace.
    pub user_namespace: bool,
    /// What went from the client to the server.
    pub up: Carried,
    /// What went from the server to the client.
    pub down: Carried,
    /// What the client's interface counted. What it could not send was lost before it met the weather.
    pub client: InterfaceCounts,
    /// What the server's interface counted.
    pub server_host: InterfaceCounts,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself or by a signal.
    Status(ExitStatus),
    /// It was not started: a signal came while the server was waited for.
    Before {
        /// The signal's number.
        signal: i32,
    },
}

/// About a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerEnd {
    /// Whether it listened when the command was started.
    pub listened: bool,
    /// How it ended, if it did before the command.
    pub early: Option<ExitStatus>,
}

impl Outcome {
    /// What one direction carried.
    pub fn carried(&self, direction: Direction) -> &Carried {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// The exit code as a shell tells it: the command's own, or 128 and the number of the signal that
    /// ended it.
    pub fn code(&self) -> u8 {
        match self.ended {
            Ended::Status(status) => programs::code(status),
            Ended::Before { signal } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

/// Why a command could not be run under weather.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnderError {
    /// The system does not allow it.
    #[error("{what} is not allowed here: {source}{}{why}", if why.is_empty() { "" } else { "; " })]
    Forbidden {
        /// What was asked for.
        what: &'static str,
        /// What forbids it and how that is changed, as far as it can be seen.
        why: String,
        /// The system's error.
        source: io::Error,
    },
    /// A host could not be set up.
    #[error("cannot set up {host}: {what}: {source}")]
    Host {
        /// Which one.
        host: &'static str,
        /// What failed.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program:?}: {source}")]
    Start {
        /// Its name.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// The server ended before it listened.
    #[error("the server ended before it listened ({status})")]
    ServerEnded {
        /// How.
        status: ExitStatus,
    },
    /// The server did not listen in time.
    #[error("the server does not listen on port {port} after {patience:?}")]
    ServerNotReady {
        /// Where it was expected to.
        port: u16,
        /// How long it was waited for.
        patience: Duration,
    },
    /// Something else failed.
    #[error("{what} failed: {source}")]
    System {
        /// What.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// The least MTU: that of IPv4 (RFC 791).
pub const LEAST_MTU: u32 = 68;
/// The least MTU with which the hosts have IPv6 addresses ([RFC 8200 §5](https://www.rfc-editor.org/rfc/rfc8200#section-5)).
pub const LEAST_V6_MTU: u32 = 1280;
/// The greatest one: the longest IPv4 packet.
pub const GREATEST_MTU: u32 = 65_535;
