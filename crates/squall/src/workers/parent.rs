//! The parent of worker processes.

use std::env;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use squall_proto::Time;
use squall_socket::{Kind, Poller, Socket, Waker, process as os};

use super::VARIABLE;
use super::line::{self, Counts, Status, Statuses};
use crate::control::Control;
use crate::hooks::ServerError;
use crate::server::{Bound, Service};
use crate::stats::{Counter, SocketStats};

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
}

impl Supervisor {
    pub(crate) fn start(control: Arc<Control>, plan: Plan, deadline: Option<Duration>) -> io::Result<Self> {
        let mut supervisor = Self { keepers: Vec::new() };
        for (worker, share) in plan.workers.into_iter().enumerate() {
            let keeper = Keeper::new(Arc::clone(&control), worker, share, deadline)?;
            let name = format!("squall-keeper-{worker}");
            // The first start is waited for, so that a program that cannot be started is an error.
            let (tell, started) = mpsc::channel();
            let spawned = thread::Builder::new().name(name).spawn(move || keeper.run(&tell));
            let spawned = spawned.map(|keeper| supervisor.keepers.push(keeper));
            let first =
                spawned.and_then(|()| started.recv().unwrap_or_else(|error| Err(io::Error::other(error))));
            if let Err(error) = first {
                control.stop(Some(Duration::ZERO));
                supervisor.finish();
                return Err(error);
            }
        }
        Ok(supervisor)
    }

    /// Waits for the workers, once the server stops; those that are not done by the deadline are killed.
    pub(crate) fn finish(self) {
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
    poller: Poller,
    /// Woken by an order to stop.
    waker: Waker,
}

impl Keeper {
    fn new(
        control: Arc<Control>,
        worker: usize,
        share: Share,
        deadline: Option<Duration>,
    ) -> io::Result<Self> {
        let (mut poller, waker) = (Poller::new()?, Waker::new()?);
        poller.add(&waker, ORDER)?;
        control.add_waker(waker.clone());
        Ok(Self { control, worker, share, deadline, poller, waker })
    }

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

    fn keep(mut self, first: (Child, Socket)) {
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
            let started = Instant::now();
            let verdict = self.follow(&line);
            // Whatever it does, it is over. One that has ended by itself keeps its status.
            let _ = child.kill();
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

    /// Takes a worker's status until it ends, and passes the order to stop on; says why it must be killed,
    /// if it must.
    fn follow(&mut self, line: &Socket) -> Option<String> {
        if let Err(error) = self.poller.add(line, STATUS) {
            return Some(format!("cannot be heard ({error})"));
        }
        let verdict = self.listen(line);
        // It was added, and the worker's end does not remove it.
        let _ = self.poller.remove(line);
        match verdict {
            Ok(reason) => Some(reason),
            // A line is reset when the worker ends with an order unread.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
            {
                None
            }
            Err(error) => Some(format!("cannot be heard ({error})")),
        }
    }

    fn listen(&mut self, line: &Socket) -> io::Result<String> {
        let mut statuses = Statuses::new(self.share.sockets.len());
        let mut told =
            Status { sockets: vec![Counts::default(); self.share.sockets.len()], ..Status::default() };
        let mut patience = Patience { started: self.control.now(), heard: None, stopping: None };
        let mut ready = Vec::new();
        loop {
            let stopping = self.control.stopping();
            if let Some(until) = stopping
                && stopping != patience.stopping
            {
                // A worker that is ending needs no order.
                let _ = line::order_stop(line, until.since(self.control.now()));
                patience.stopping = stopping;
            }
            let left = patience.until().since(self.control.now());
            self.poller.wait(&mut ready, Some(left))?;
            if ready.contains(&ORDER) {
                self.waker.clear();
            }
            if ready.contains(&STATUS) {
                statuses.fill(line)?;
                while let Some(status) = statuses.next()? {
                    patience.heard = Some(self.control.now());
                    self.take(&status, &mut told);
                    if let Some(reason) = self.overdue(&status) {
                        return Ok(reason);
                    }
                }
            } else if ready.is_empty() && self.control.now() >= patience.until() {
                if patience.stopping.is_some() && patience.heard.is_some() {
                    self.control.add_unfinished(1);
                }
                return Ok(patience.reason());
            }
        }
    }

    /// Adds what came since `told` to the server's counts.
    fn take(&self, status: &Status, told: &mut Status) {
        let sockets = self.share.sockets.iter().zip(&status.sockets).zip(&mut told.sockets);
        for ((socket, now), before) in sockets {
            for counter in Counter::ALL {
                let count = now.counts[*counter as usize] - before.counts[*counter as usize];
                socket.stats.add(*counter, count);
                if counter.is_handled() {
                    self.control.count_handled_elsewhere(count);
                }
            }
            for (errno, count) in &now.send_errors {
                let known = before.send_errors.iter().find(|(before, _)| before == errno);
                socket.stats.add_send_errors(*errno, count - known.map_or(0, |(_, count)| *count));
            }
            before.clone_from(now);
        }
        self.control.add_unfinished(status.unfinished - told.unfinished);
        told.unfinished = status.unfinished;
    }

    /// Why a worker must be killed that is inside a handler for too long.
    fn overdue(&self, status: &Status) -> Option<String> {
        if self.deadline.is_none_or(|deadline| status.busy <= deadline) || self.control.stopping().is_some() {
            return None;
        }
        if let Some(socket) = self.share.sockets.first() {
            socket.stats.add(Counter::Late, 1);
        }
        Some(format!("was inside one handler for {:?} and was killed", status.busy))
    }

    fn pause(&self, delay: Duration) {
        self.control.wait_for_stop_within(delay);
    }
}

/// How long a worker is waited for.
struct Patience {
    started: Time,
    /// When it last told its status.
    heard: Option<Time>,
    /// By when it was told to have stopped.
    stopping: Option<Time>,
}

impl Patience {
    fn until(&self) -> Time {
        match (self.stopping, self.heard) {
            (Some(until), _) => until + FAREWELL,
            (None, Some(heard)) => heard + SILENCE,
            (None, None) => self.started + START,
        }
    }

    fn reason(&self) -> String {
        match (self.stopping, self.heard) {
            (Some(_), _) => "did not stop in time".into(),
            (None, Some(_)) => format!("said nothing for {SILENCE:?} and was killed"),
            (None, None) => format!("did not start its server within {START:?} and was killed"),
        }
    }
}

fn start_worker(worker: usize, share: &Share) -> io::Result<(Child, Socket)> {
    let (ours, theirs) = Socket::pair(Kind::Stream)?;
    let mut inheritance = format!("{} {worker} {}", process::id(), theirs.as_raw_fd());
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
    // One that begins without its parent would take itself for a server of its own.
    os::end_with_this_process(&mut command);
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
/// How long a program may take to its `Server::start`; it says nothing before.
const START: Duration = Duration::from_secs(60);
/// How long after the deadline a worker may take to say its last counts.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a keeper's poller tells.
const STATUS: usize = 0;
const ORDER: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_waited_for_as_long_as_its_part_takes() {
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        let patience = |heard, stopping| Patience { started: at(100), heard, stopping }.until();
        assert_eq!(patience(None, None), at(160), "the program begins");
        assert_eq!(patience(Some(at(120)), None), at(130), "it serves");
        // Work that the grace allows goes on, and what hangs is not waited for longer than that.
        assert_eq!(patience(Some(at(120)), Some(at(150))), at(150) + FAREWELL);
        assert_eq!(patience(Some(at(120)), Some(at(121))), at(121) + FAREWELL);
        assert_eq!(patience(None, Some(at(121))), at(121) + FAREWELL);
    }
}
