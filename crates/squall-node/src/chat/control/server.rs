//! Takes orders on a Unix socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use squall::socket::unix::SocketFile;
use squall::socket::{Socket, process};
use tracing::warn;

use super::place::Listener;
use super::{Answer, Done, Order};

/// Who obeys orders.
pub(crate) trait Obey: Send + Sync + 'static {
    /// Does what `order` says and tells what came of it; the last that is told is done or an error.
    ///
    /// # Errors
    /// Those of `tell`: nobody listens any more.
    fn obey(&self, order: Order, tell: &mut dyn FnMut(Answer) -> io::Result<()>) -> io::Result<()>;

    /// Ends the node.
    fn stop(&self);
}

/// Takes orders until it is dropped.
#[derive(Debug)]
pub(crate) struct ControlServer {
    socket: Arc<Socket>,
    // Dropped before the socket, as its documentation wants.
    file: Option<SocketFile>,
    path: PathBuf,
    has_ended: Arc<AtomicBool>,
}

impl ControlServer {
    /// Takes orders on threads of their own.
    ///
    /// # Errors
    /// The system's, when it has no thread.
    pub(crate) fn start(listener: Listener, operator: Arc<dyn Obey>) -> io::Result<Self> {
        let Listener { socket, file } = listener;
        let (socket, path) = (Arc::new(socket), file.path().to_owned());
        let has_ended = Arc::new(AtomicBool::new(false));
        let (accepting, ended) = (Arc::clone(&socket), Arc::clone(&has_ended));
        let accept = move || accept(&accepting, &ended, &operator);
        thread::Builder::new().name("squall-control".into()).spawn(accept)?;
        Ok(Self { socket, file: Some(file), path, has_ended })
    }

    /// Where it takes them.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.file = None;
        self.has_ended.store(true, Ordering::Release);
        // Ends the wait for connections; where it does not, the process's end will.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn accept(socket: &Socket, has_ended: &AtomicBool, operator: &Arc<dyn Obey>) {
    let busy = Arc::new(AtomicUsize::new(0));
    let mut is_told = false;
    loop {
        let connection = match socket.accept() {
            Ok((connection, _)) => connection,
            Err(_) if has_ended.load(Ordering::Acquire) => return,
            Err(problem) => {
                // Without descriptors the next would fail as well, for as long as none is closed: it is tried again,
                // and told once.
                if !std::mem::replace(&mut is_told, true) {
                    warn!("no orders can be taken now: {problem}");
                }
                thread::sleep(PAUSE);
                continue;
            }
        };
        is_told = false;
        if let Err(reason) = admit(&connection) {
            let _ = send(&connection, &Answer::Error(reason));
            continue;
        }
        if busy.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            busy.fetch_sub(1, Ordering::Relaxed);
            let _ = send(&connection, &Answer::Error("too many connections".into()));
            continue;
        }
        let (operator, own) = (Arc::clone(operator), Arc::clone(&busy));
        let converse = move || {
            // Whoever has gone needs no answer.
            let _ = converse(&connection, &*operator, PATIENCE);
            own.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().name("squall-operator".into()).spawn(converse).is_err() {
            busy.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whether the peer is this node's user, or root.
fn admit(connection: &Socket) -> Result<(), String> {
    connection.set_write_timeout(Some(PATIENCE)).map_err(|problem| problem.to_string())?;
    match connection.peer_credentials() {
        Ok(peer) if peer.user == process::user() || peer.user == 0 => Ok(()),
        Ok(peer) => Err(format!(
            "user {} may give no orders to a node of user {}; sudo can",
            peer.user,
            process::user()
        )),
        // The file's mode says the same, where the system does not tell who it is.
        Err(problem) if problem.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(problem) => Err(format!("who is it? {problem}")),
    }
}

/// Obeys until the operator goes, or is silent for longer than `patience`.
pub(super) fn converse(connection: &Socket, operator: &dyn Obey, patience: Duration) -> io::Result<()> {
    connection.set_read_timeout(Some(patience))?;
    let mut lines = BufReader::new(connection);
    let mut line = Vec::new();
    loop {
        line.clear();
        lines.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
            return send(connection, &Answer::Error(format!("an order has less than {LONGEST} bytes")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Order>(&line) {
            Err(problem) => send(connection, &Answer::Error(format!("this is no order: {problem}")))?,
            Ok(Order::Stop) => {
                send(connection, &Answer::Done(Done::default()))?;
                operator.stop();
                // The connection ends with the process, however long that takes, so that the peer knows when it is over.
                connection.set_read_timeout(None)?;
                return io::copy(&mut lines, &mut io::sink()).map(drop);
            }
            Ok(order) => {
                let mut out = io::BufWriter::with_capacity(BUFFER, connection);
                operator.obey(order, &mut |answer| write(&mut out, &answer))?;
                out.flush()?;
            }
        }
    }
}

fn send(connection: &Socket, answer: &Answer) -> io::Result<()> {
    let mut line = Vec::new();
    write(&mut line, answer)?;
    connection.send_all(&line)
}

fn write(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    out.write_all(b"\n")
}

/// Bytes of an order, its line's end among them.
const LONGEST: u64 = 64 * 1024;
/// Operators at a time.
const CONNECTIONS: usize = 8;
/// How long an operator may be silent, or not read.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a connection is accepted anew that could not be.
const PAUSE: Duration = Duration::from_millis(100);
const BUFFER: usize = 64 * 1024;
