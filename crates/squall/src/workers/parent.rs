//! The parent of worker processes.

use std::env;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use squall_socket::{Kind, Socket, process as os};

use super::VARIABLE;
use super::line::{self, Status};
use crate::control::Control;
use crate::hooks::ServerError;
use crate::server::{Bound, Service};
use crate::stats::{COUNTERS, Counter, SocketStats};

/// What each worker inherits, in order, and where its counts go.
pub(crate) struct Plan {
    workers: Vec<Share>,
}

struct Share {
    sockets: Vec<Inherited>,
}

struct Inherited {
    service: usize,
    transport: &'static str,
    socket: Arc<Socket>,
    stats: Arc<SocketStats>,
}

impl Plan {
    /// Gives each worker its socket of every group, and all workers those that are alone.
    pub(crate) fn new(
        control: &Control,
        services: &[Service],
        bound: &[Bound],
        workers: usize,
        meters: &mut Vec<(Arc<SocketStats>, Arc<Socket>)>,
    ) -> Self {
        let share = |worker: usize| {
            let mut sockets = Vec::new();
            for bound in bound {
                let service = &services[bound.service];
                // A protocol has one owner, and a group one socket for each worker.
                let index = match bound.sockets.len() {
                    1 if service.has_one_owner() && worker > 0 => continue,
                    1 => 0,
                    _ => worker,
                };
                let socket = Arc::clone(&bound.sockets[index]);
                let stats = SocketStats::new(&service.name, bound.uri().to_string(), bound.transport, worker);
                let stats = control.stats.register(stats);
                if bound.sockets.len() > 1 || worker == 0 {
                    meters.push((Arc::clone(&stats), Arc::clone(&socket)));
                }
                let transport = bound.transport.name();
                sockets.push(Inherited { service: bound.service, transport, socket, stats });
            }
            Share { sockets }
        };
        Self { workers: (0..workers).map(share).collect() }
    }
}

/// Keeps a worker running for each share of the plan.
pub(crate) struct Supervisor {
    keepers: Vec<JoinHandle<()>>,
    lines: Vec<Arc<Mutex<Option<Arc<Socket>>>>>,
}

impl Supervisor {
    pub(crate) fn start(control: Arc<Control>, plan: Plan, deadline: Option<Duration>) -> io::Result<Self> {
        let mut supervisor = Self { keepers: Vec::new(), lines: Vec::new() };
        for (worker, share) in plan.workers.into_iter().enumerate() {
            let line = Arc::new(Mutex::new(None));
            supervisor.lines.push(Arc::clone(&line));
            let keeper = Keeper { control: Arc::clone(&control), worker, share, deadline, line };
            let name = format!("squall-keeper-{worker}");
            // The first start is waited for, so that a program that cannot be started is an error.
            let (tell, started) = mpsc::channel();
            let spawned = thread::Builder::new().name(name).spawn(move || keeper.run(&tell));
            let spawned = spawned.map(|keeper| supervisor.keepers.push(keeper));
            let first =
                spawned.and_then(|()| started.recv().unwrap_or_else(|error| Err(io::Error::other(error))));
            if let Err(error) = first {
                control.stop(Some(Duration::ZERO));
                supervisor.finish(&control);
                return Err(error);
            }
        }
        Ok(supervisor)
    }

    /// Tells the workers to stop and waits for them; those that are not done by the deadline are killed.
    pub(crate) fn finish(self, control: &Control) {
        let grace = control.stopping().map_or(Duration::ZERO, |until| until.since(control.now()));
        for line in &self.lines {
            if let Some(line) = &*line.lock().unwrap_or_else(PoisonError::into_inner) {
                // A worker that is ending needs no order.
                let _ = line::order_stop(&**line, grace);
            }
        }
        for keeper in self.keepers {
            let _ = keeper.join();
        }
    }
}

/// Looks after one worker.
struct Keeper {
    control: Arc<Control>,
    worker: usize,
    share: Share,
    deadline: Option<Duration>,
    /// The line to the worker of the moment.
    line: Arc<Mutex<Option<Arc<Socket>>>>,
}

impl Keeper {
    /// Starts the first worker, tells how that went, and looks after it and those that follow. All are
    /// started from this thread: the kernel ends a worker when the thread that started it ends.
    fn run(self, started: &mpsc::Sender<io::Result<()>>) {
        let (told, first) = match start_worker(self.worker, &self.share) {
            Ok(first) => (Ok(()), Some(first)),
            Err(error) => (Err(error), None),
        };
        // Whoever started the server waits for this.
        let _ = started.send(told);
        if let Some(first) = first {
            self.keep(first);
        }
    }

    fn keep(self, first: (Child, Socket)) {
        let mut next = Some(first);
        // Ends in a row, each soon after its start.
        let mut failures = 0;
        loop {
            let started = match next.take() {
                Some(first) => Ok(first),
                None if self.control.stopping().is_some() => return,
                None => start_worker(self.worker, &self.share),
            };
            let (mut child, line) = match started {
                Ok(started) => started,
                Err(source) => {
                    self.control.hooks().report(&ServerError::WorkerStart { worker: self.worker, source });
                    failures += 1;
                    self.pause(back_off(failures));
                    continue;
                }
            };
            let line = Arc::new(line);
            *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&line));
            if let Some(until) = self.control.stopping() {
                // The order came before there was a line to give it on; a second one does no harm.
                let _ = line::order_stop(&*line, until.since(self.control.now()));
            }
            let started = Instant::now();
            let verdict = self.follow(&line);
            *self.line.lock().unwrap_or_else(PoisonError::into_inner) = None;
            if verdict.is_some() {
                // Whatever it does, it is over; an error means that it has ended by itself.
                let _ = child.kill();
            }
            let status = child.wait();
            if self.control.stopping().is_some() {
                return;
            }
            let reason = verdict.unwrap_or_else(|| match status {
                Ok(status) => format!("ended ({status})"),
                Err(error) => format!("ended ({error})"),
            });
            failures = if started.elapsed() > STEADY { 1 } else { failures + 1 };
            let delay = back_off(failures);
            if let Some(socket) = self.share.sockets.first() {
                socket.stats.add(Counter::WorkerRestarts, 1);
            }
            let error = ServerError::WorkerEnded { worker: self.worker, reason, delay };
            self.control.hooks().report(&error);
            self.pause(delay);
        }
    }

    /// Takes a worker's status until it ends; says why it must be killed, if it must.
    fn follow(&self, line: &Socket) -> Option<String> {
        let sockets = self.share.sockets.len();
        let mut counted = vec![[0; COUNTERS]; sockets];
        loop {
            let patience = match self.control.stopping() {
                Some(until) => until.since(self.control.now()) + FAREWELL,
                None => SILENCE,
            };
            if let Err(error) = line.set_read_timeout(Some(patience)) {
                return Some(format!("cannot be heard ({error})"));
            }
            let status = match Status::read(line, sockets) {
                Ok(status) => status,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if self.control.stopping().is_some() {
                        self.control.add_unfinished(1);
                        return Some("did not stop in time".into());
                    }
                    return Some(format!("said nothing for {SILENCE:?} and was killed"));
                }
                Err(_) => return None,
            };
            for ((socket, now), before) in self.share.sockets.iter().zip(&status.counts).zip(&mut counted) {
                for (counter, value) in Counter::ALL.iter().zip(now) {
                    socket.stats.add(*counter, value - before[*counter as usize]);
                }
                for (counter, value) in
                    Counter::ALL.iter().zip(now).filter(|(counter, _)| counter.is_handled())
                {
                    self.control.count_handled_elsewhere(value - before[*counter as usize]);
                }
                *before = *now;
            }
            self.control.add_unfinished(status.unfinished);
            if let Some(deadline) = self.deadline
                && status.busy > deadline
                && self.control.stopping().is_none()
            {
                if let Some(socket) = self.share.sockets.first() {
                    socket.stats.add(Counter::Late, 1);
                }
                return Some(format!("was inside one handler for {:?} and was killed", status.busy));
            }
        }
    }

    fn pause(&self, delay: Duration) {
        self.control.wait_for_stop_within(delay);
    }
}

fn start_worker(worker: usize, share: &Share) -> io::Result<(Child, Socket)> {
    let (ours, theirs) = Socket::pair(Kind::Stream)?;
    let mut inheritance = format!("{worker} {}", theirs.as_raw_fd());
    let mut descriptors = vec![theirs.as_fd()];
    for socket in &share.sockets {
        let number = socket.socket.as_raw_fd();
        inheritance += &format!(" {}:{}:{number}", socket.service, socket.transport);
        descriptors.push(socket.socket.as_fd());
    }
    let mut command = Command::new(os::own_program()?);
    let mut arguments = env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(VARIABLE, inheritance).stdin(Stdio::null());
    os::inherit(&mut command, &descriptors);
    Ok((command.spawn()?, ours))
}

/// The pause before the next start: none after the first end, then 100 ms, doubling up to ten seconds.
fn back_off(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_millis(100 << (failures - 2).min(7)).min(Duration::from_secs(10)),
    }
}

/// A worker that served for this long was in order.
const STEADY: Duration = Duration::from_secs(10);
/// A worker tells its status four times a second; one that is silent for so long is not running.
const SILENCE: Duration = Duration::from_secs(10);
/// How long after the deadline a worker may take to say its last counts.
const FAREWELL: Duration = Duration::from_millis(500);
