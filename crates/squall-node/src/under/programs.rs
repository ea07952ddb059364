//! The programs on the hosts: started, waited for, ended.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use squall::socket::Poller;
use squall::socket::hosts::{Namespace, SignalQueue};
use squall::socket::process as os;

use super::hosts::{CLIENT, Hosts, SERVER};
use super::{Ready, UnderError};

/// The signals that come while programs run.
pub(super) struct Events {
    signals: SignalQueue,
    poller: Poller,
    ready: Vec<usize>,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A child may have ended.
    Child,
    /// Somebody wants this to end.
    End {
        signal: i32,
        /// Ctrl-C and its like: the terminal told every process in its foreground.
        by_terminal: bool,
    },
}

impl Events {
    /// From now on signals come here. Before any other thread is started.
    pub(super) fn open() -> io::Result<Self> {
        os::heed_children()?;
        let signals = SignalQueue::open(&[os::SIGCHLD, os::SIGINT, os::SIGTERM, os::SIGHUP, os::SIGQUIT])?;
        let mut poller = Poller::new()?;
        poller.add(&signals, 0)?;
        Ok(Self { signals, poller, ready: Vec::new() })
    }

    /// The next one, waited for until `deadline`.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> io::Result<Option<Event>> {
        loop {
            if let Some(came) = self.signals.next()? {
                return Ok(Some(match came.signal {
                    os::SIGCHLD => Event::Child,
                    signal => Event::End { signal, by_terminal: came.by_system },
                }));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            self.poller.wait(&mut self.ready, left)?;
        }
    }
}

/// The server, in a group of its own, that ends when this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) status: Option<ExitStatus>,
}

impl Server {
    /// Starts a shell command in the host that the calling thread is in. What it prints goes to standard
    /// error: standard output is the other command's.
    pub(super) fn start(command: &str, hosts: &Hosts, events: &Events) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).stdin(Stdio::null());
        shell.stdout(io::stderr().as_fd().try_clone_to_owned()?).process_group(0);
        prepare(&mut shell, hosts, events);
        Ok(Self { child: shell.spawn()?, status: None })
    }

    /// Whether it has ended.
    pub(super) fn look(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Lets it end by itself, as one does that has served its client: for so long as what is under way takes to it
    /// and its answer back, and a little more. `delay` tells how long that takes one way.
    pub(super) fn end_by_itself(
        &mut self,
        events: &mut Events,
        delay: impl Fn() -> Duration,
    ) -> io::Result<()> {
        let begin = Instant::now();
        let mut longest = Duration::ZERO;
        while self.look()?.is_none() {
            // What the client sent last may only now be under way.
            longest = longest.max(delay());
            let (now, deadline) = (Instant::now(), begin + (OWN_END + 2 * longest).min(LONGEST_OWN_END));
            if now >= deadline {
                break;
            }
            if let Some(Event::End { .. }) = events.next(Some(deadline.min(now + PAUSE)))? {
                break;
            }
        }
        Ok(())
    }

    /// Asks its group to end, and makes it after a while.
    pub(super) fn end(&mut self, events: &mut Events, host: &Namespace, grace: Duration) -> io::Result<()> {
        if self.look()?.is_some() {
            return Ok(());
        }
        os::signal_group(self.child.id(), os::SIGTERM)?;
        let deadline = Instant::now() + grace;
        while self.look()?.is_none() {
            if events.next(Some(deadline))?.is_none() {
                os::kill_group(self.child.id())?;
                self.status = Some(self.child.wait()?);
            }
        }
        // The shell is gone before what it ran, which was asked as well. Signal 0 only counts.
        let deadline = Instant::now() + grace.min(OWN_END);
        while Instant::now() < deadline && host.signal_processes(0)? > 0 {
            events.next(Some(Instant::now() + PAUSE))?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Nobody is left to tell.
            let _ = os::kill_group(self.child.id());
            let _ = self.child.wait();
        }
    }
}

/// Starts the command in the host that the calling thread is in, with this program's input and output.
pub(super) fn start(words: &[OsString], hosts: &Hosts, events: &Events) -> io::Result<Child> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no command"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    prepare(&mut command, hosts, events);
    command.spawn()
}

fn prepare(command: &mut Command, hosts: &Hosts, events: &Events) {
    command.env("SQUALL_SERVER", SERVER.0.to_string()).env("SQUALL_CLIENT", CLIENT.0.to_string());
    if hosts.has_v6 {
        command.env("SQUALL_SERVER6", SERVER.1.to_string()).env("SQUALL_CLIENT6", CLIENT.1.to_string());
    } else {
        command.env_remove("SQUALL_SERVER6").env_remove("SQUALL_CLIENT6");
    }
    events.signals.release(command);
    os::end_with_this_process(command);
}

/// Sends a signal on to the command.
pub(super) fn pass_on(child: &Child, signal: i32) -> io::Result<()> {
    os::signal_child(child.id(), signal)
}

/// The exit code that a shell would tell.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Waits until the server listens in the host that the calling thread is in. Returns what ended the wait
/// early, if something did.
pub(super) fn wait_until_ready(
    server: &mut Server,
    host: &Namespace,
    ready: &Ready,
    patience: Duration,
    events: &mut Events,
) -> Result<Option<Event>, UnderError> {
    let failed = |source| UnderError::System { what: "waiting for the server", source };
    let deadline = Instant::now() + patience;
    loop {
        let ended = server.look().map_err(failed)?;
        if let Some(status) = ended
            && !status.success()
        {
            return Err(UnderError::ServerEnded { status });
        }
        if listens(ready).map_err(failed)? {
            return Ok(None);
        }
        if let Some(status) = ended
            // One that goes into the background leaves a process. Signal 0 only counts.
            && host.signal_processes(0).map_err(failed)? == 0
        {
            return match ready {
                Ready::Port(_) => Err(UnderError::ServerEnded { status }),
                Ready::Anything => Ok(None),
            };
        }
        let now = Instant::now();
        if now >= deadline {
            return match ready {
                Ready::Port(port) => Err(UnderError::ServerNotReady { port: *port, patience }),
                Ready::Anything => Ok(None),
            };
        }
        match events.next(Some(deadline.min(now + PAUSE))).map_err(failed)? {
            None | Some(Event::Child) => {}
            end => return Ok(end),
        }
    }
}

/// Whether a socket of the calling thread's network namespace waits for somebody.
pub(super) fn listens(ready: &Ready) -> io::Result<bool> {
    let tables = [("tcp", TCP_LISTEN), ("tcp6", TCP_LISTEN), ("udp", UDP_OPEN), ("udp6", UDP_OPEN)];
    for (table, state) in tables {
        match fs::read_to_string(format!("/proc/thread-self/net/{table}")) {
            Ok(text) if text.lines().skip(1).any(|line| row_listens(line, state, ready)) => return Ok(true),
            Ok(_) => {}
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// `  0: 0100007F:1F90 00000000:0000 0A …`: number, local and remote address, state
/// ([proc_pid_net(5)](https://man7.org/linux/man-pages/man5/proc_pid_net.5.html)).
fn row_listens(line: &str, wanted: &str, ready: &Ready) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let (Some(local), Some(_), Some(state)) = (fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let port = local.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    let is_port = match ready {
        Ready::Anything => port.is_some_and(|port| port != 0),
        Ready::Port(wanted) => port == Some(*wanted),
    };
    state == wanted && is_port
}

/// A TCP socket that accepts connections.
const TCP_LISTEN: &str = "0A";
/// A UDP socket that is not connected.
const UDP_OPEN: &str = "07";
/// How long a server may take to its own end, besides what packets take.
const OWN_END: Duration = Duration::from_millis(200);
/// However long packets take, it is not waited for longer.
const LONGEST_OWN_END: Duration = Duration::from_secs(60);
/// How often it is looked whether the server listens, or has ended.
const PAUSE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_listens_is_told_from_one_that_does_not() {
        let listening =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 1 1";
        let connected =
            "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  0 0 1 1";
        assert!(row_listens(listening, TCP_LISTEN, &Ready::Anything));
        assert!(row_listens(listening, TCP_LISTEN, &Ready::Port(8080)));
        assert!(!row_listens(listening, TCP_LISTEN, &Ready::Port(8081)));
        assert!(!row_listens(connected, TCP_LISTEN, &Ready::Anything));
        assert!(!row_listens("", TCP_LISTEN, &Ready::Anything));
    }

    #[test]
    fn an_exit_code_is_what_a_shell_tells() {
        assert_eq!(code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
    }
}
