//! `exec`: what a command prints.

use std::io;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use squall::guard::{Repeats, RepeatsConfig};
use squall::socket::process;
use squall::{AsyncHandler, MAX_DATAGRAM, OwnedRequest, Refusal, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;

use crate::lossy::Loss;

/// How a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecMode {
    /// One process for each request: the request is its standard input, its standard output the reply.
    Each,
    /// This many processes that stay. Each reads frames from its standard input and answers each with
    /// one frame on its standard output; a frame is its length, four bytes in network byte order, and
    /// so many bytes.
    Pool(usize),
}

/// Answers DATA with what a shell command prints.
///
/// The command runs by `/bin/sh -c` with `SQUALL_PEER`, `SQUALL_LOCAL` and `SQUALL_TRANSPORT` in its
/// environment (of a pool, `SQUALL_TRANSPORT` alone is left out as the others are: one process answers many
/// peers). A command that fails, prints more than a datagram holds or takes longer than the time limit gives no
/// answer; in the last case it is killed, with all that it started.
#[derive(Debug)]
pub struct Exec {
    command: String,
    mode: ExecMode,
    time_limit: Duration,
    loss: Option<Loss>,
    repeats: Repeats,
    idle: Mutex<Vec<Worker>>,
    places: Semaphore,
}

/// A process of a pool, between two requests.
#[derive(Debug)]
struct Worker {
    _group: Group,
    input: ChildStdin,
    output: ChildStdout,
}

/// A command and all that it starts. Whatever of it still runs when this is dropped is killed, unless
/// the command itself has ended: what it left behind then, it meant to.
#[derive(Debug)]
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // A child that was not waited for keeps its number, and so its group's.
        if let Some(leader) = self.0.id() {
            let _ = process::kill_group(leader);
        }
    }
}

impl Exec {
    /// Runs `command` for each request, or in a pool, for up to `time_limit` a request.
    pub fn new(command: impl Into<String>, mode: ExecMode, time_limit: Duration, loss: Option<Loss>) -> Self {
        let places = match mode {
            ExecMode::Each => EACH_LIMIT,
            ExecMode::Pool(processes) => processes.max(1),
        };
        Self {
            command: command.into(),
            mode,
            time_limit,
            loss,
            repeats: Repeats::new(&RepeatsConfig::default(), squall::seed()),
            idle: Mutex::new(Vec::new()),
            places: Semaphore::new(places),
        }
    }

    fn start(&self, request: Option<&OwnedRequest>) -> io::Result<Group> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&self.command);
        if let Some(request) = request {
            let origin = &request.origin;
            command
                .env("SQUALL_PEER", origin.peer.to_string())
                .env("SQUALL_LOCAL", origin.local.map(|local| local.to_string()).unwrap_or_default())
                .env("SQUALL_TRANSPORT", origin.transport.name());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
        command.spawn().map(Group)
    }

    async fn answer_each(&self, request: &OwnedRequest) -> io::Result<Vec<u8>> {
        let mut group = self.start(Some(request))?;
        let (mut input, output) = (group.0.stdin.take(), group.0.stdout.take());
        let feed = async {
            if let Some(input) = &mut input {
                // A command that reads nothing, or not all, has closed its end: it may answer all the same.
                let _ = input.write_all(&request.payload).await;
            }
            drop(input.take());
        };
        let mut reply = Vec::new();
        let drain = async {
            match output {
                Some(output) => output.take(MAX_DATAGRAM as u64 + 1).read_to_end(&mut reply).await,
                None => Ok(0),
            }
        };
        let ((), drained) = tokio::join!(feed, drain);
        drained?;
        if reply.len() > MAX_DATAGRAM {
            return Err(io::Error::other("it prints more than a datagram holds"));
        }
        let status = group.0.wait().await?;
        if status.success() { Ok(reply) } else { Err(io::Error::other(format!("it ended with {status}"))) }
    }

    async fn answer_pool(&self, request: &OwnedRequest) -> io::Result<Vec<u8>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => {
                let mut group = self.start(None)?;
                match (group.0.stdin.take(), group.0.stdout.take()) {
                    (Some(input), Some(output)) => Worker { _group: group, input, output },
                    _ => return Err(io::Error::other("it has no standard input and output")),
                }
            }
        };
        // A worker that fails here is dropped, and killed by that; the next request starts another.
        let reply = worker.exchange(&request.payload).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        Ok(reply)
    }
}

impl Worker {
    async fn exchange(&mut self, payload: &[u8]) -> io::Result<Vec<u8>> {
        self.input.write_u32(payload.len() as u32).await?;
        self.input.write_all(payload).await?;
        self.input.flush().await?;
        let len = self.output.read_u32().await? as usize;
        if len > MAX_DATAGRAM {
            return Err(io::Error::other(format!("it announces a frame of {len} bytes")));
        }
        let mut reply = vec![0; len];
        self.output.read_exact(&mut reply).await?;
        Ok(reply)
    }
}

impl AsyncHandler for Exec {
    async fn handle(&self, request: OwnedRequest) -> Result<Vec<Vec<u8>>, Refusal> {
        {
            let request = Request::new(request.now, &request.payload, request.origin);
            self.loss.as_ref().map_or(Ok(()), |loss| loss.check(&request))?;
            super::check_repeats(&self.repeats, &request)?;
        }
        let _place = self.places.acquire().await.map_err(|_| Refusal::Overload("the pool is closed"))?;
        let answer = async {
            match self.mode {
                ExecMode::Each => self.answer_each(&request).await,
                ExecMode::Pool(_) => self.answer_pool(&request).await,
            }
        };
        match tokio::time::timeout(self.time_limit, answer).await {
            Ok(Ok(reply)) => {
                let loss = self.loss.as_ref();
                loss.map_or(Ok(()), |loss| loss.check_answer(request.now, &request.origin, &reply))?;
                Ok(vec![reply])
            }
            Ok(Err(error)) => {
                tracing::warn!(command = %self.command, %error, "the command gave no answer");
                Err(Refusal::Failed("the command failed"))
            }
            Err(_) => {
                tracing::warn!(command = %self.command, limit = ?self.time_limit, "the command was killed");
                Err(Refusal::Failed("the command took too long"))
            }
        }
    }
}

/// Processes at a time where each request has its own; more wait.
const EACH_LIMIT: usize = 64;
