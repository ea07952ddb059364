//! Orders to a running relay: lines on standard input and on a Unix socket.

use std::io::{self, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use squall::socket::unix::{self, SocketFile};
use squall::socket::{Kind, Socket};
use squall::{Transport, Uri};
use squall_node::relay::{Answer, RelayHandle};

use super::{Event, show};
use crate::exit::Exit;
use crate::input::line;

/// Reads orders from standard input on a thread of its own. Its end is the relay's end on a terminal alone.
pub(super) fn read_stdin(events: SyncSender<Event>, typed: bool) -> Result<(), Exit> {
    // A relay in the background must not be stopped for wanting to read.
    let _ = squall::socket::process::ignore_background_reads();
    let read = move || {
        let mut stdin = io::stdin().lock();
        loop {
            let event = match line(&mut stdin) {
                Ok(Some(Ok(line))) => Event::Line(line),
                Ok(Some(Err(reason))) => Event::BadLine(reason),
                Ok(None) if typed => Event::End,
                // In the background a terminal cannot be read.
                Ok(None) | Err(_) => return,
            };
            let ends = matches!(event, Event::End);
            if events.send(event).is_err() || ends {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("squall-orders".into()).spawn(read);
    thread.map_err(|problem| Exit::Failed.with(format_args!("cannot read orders: {problem}")))?;
    Ok(())
}

/// A Unix socket on which orders are taken.
pub(super) struct Control {
    socket: Socket,
    file: SocketFile,
}

impl Control {
    pub(super) fn bind(text: &str) -> Result<Self, Exit> {
        let uri: Uri = text.parse().map_err(|error| Exit::Usage.with(format_args!("--control: {error}")))?;
        let path = uri.unix().filter(|_| uri.transport() == Transport::Unix);
        let path = path.and_then(|address| address.as_path().map(ToOwned::to_owned));
        let Some(path) = path else {
            return Err(Exit::Usage.with(format_args!("--control {text}: orders are taken on unix:/path")));
        };
        let failed = |problem: &dyn std::fmt::Display| {
            Exit::Failed.with(format_args!("cannot take orders on {uri}: {problem}"))
        };
        let (socket, file) = unix::bind(path, Kind::Stream).map_err(|problem| failed(&problem))?;
        socket.listen(BACKLOG).map_err(|problem| failed(&problem))?;
        Ok(Self { socket, file })
    }

    /// Takes orders on threads of their own; the socket's file stays until the returned guard is dropped.
    pub(super) fn serve(self, handle: RelayHandle, events: SyncSender<Event>) -> Result<SocketFile, Exit> {
        let socket = self.socket;
        let busy = Arc::new(AtomicUsize::new(0));
        let accept = move || {
            while let Ok((connection, _)) = socket.accept() {
                if busy.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                    busy.fetch_sub(1, Ordering::Relaxed);
                    let _ = connection.send_all(b"error: too many connections\n");
                    continue;
                }
                let (handle, own, events) = (handle.clone(), busy.clone(), events.clone());
                let converse = move || {
                    // Whoever has gone needs no answer.
                    if matches!(converse(&connection, &handle), Ok(true)) {
                        let _ = events.send(Event::End);
                    }
                    own.fetch_sub(1, Ordering::Relaxed);
                };
                if thread::Builder::new().name("squall-control".into()).spawn(converse).is_err() {
                    busy.fetch_sub(1, Ordering::Relaxed);
                }
            }
        };
        let thread = thread::Builder::new().name("squall-control".into()).spawn(accept);
        thread.map_err(|problem| Exit::Failed.with(format_args!("cannot take orders: {problem}")))?;
        Ok(self.file)
    }
}

/// Answers each line, and tells whether the relay shall end. Who says nothing for a while after an answer has said all: `nc` keeps its side open.
fn converse(connection: &Socket, handle: &RelayHandle) -> io::Result<bool> {
    connection.set_read_timeout(Some(FIRST))?;
    connection.set_write_timeout(Some(FIRST))?;
    let mut lines = BufReader::new(connection);
    while let Some(line) = line(&mut lines)? {
        let answer = line.map_err(ToOwned::to_owned).and_then(|line| handle.obey(&line));
        let mut said = match &answer {
            Ok(Answer::Nothing) => continue,
            Ok(Answer::Weather(weather)) => format!("ok {weather}"),
            Ok(Answer::Counts(counts)) => format!("ok {}", show::json(counts)),
            Ok(Answer::Help(help)) => format!("ok\n{help}"),
            Ok(_) => "ok".to_owned(),
            Err(reason) => format!("error: {reason}"),
        };
        said.push('\n');
        let mut writer = connection;
        writer.write_all(said.as_bytes())?;
        if answer == Ok(Answer::Ending) {
            return Ok(true);
        }
        connection.set_read_timeout(Some(MORE))?;
    }
    Ok(false)
}

/// Connections of the control socket.
const CONNECTIONS: usize = 8;
const BACKLOG: u32 = 16;
/// How long a connection may take for its first order.
const FIRST: Duration = Duration::from_secs(10);
/// How long it may take for another one.
const MORE: Duration = Duration::from_millis(300);
