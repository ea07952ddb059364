//! Asking over a connection: the request as it is, then the end of it, then all of the answer.

use std::io;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use squall_socket::unix::SocketFile;
use squall_socket::{Address, Family, Kind, Socket};

use super::{Answer, AskError, Client, Event, Silence, bind};
use crate::uri::Uri;

/// Asks the servers in turn until one accepts. The request goes out as it is and the sending side is
/// closed behind it, so that a server that reads a chunk answers as well as one that reads a line or all.
pub(super) fn ask(
    client: &mut Client,
    targets: &[(Uri, Address)],
    request: &[u8],
) -> Result<Answer, AskError> {
    client.policy.validate()?;
    let started = Instant::now();
    let deadline = client.policy.total_limit().map(|total| started + total);
    let timeout = client.timeout.unwrap_or(TIMEOUT);
    let mut failure = None;
    for (tries, (server, address)) in (1..).zip(targets) {
        let system = |what: &'static str| {
            let server = server.to_string();
            move |source: io::Error| {
                // A blocking socket with a time-out says `WouldBlock` when it has passed.
                let source = match source.kind() {
                    io::ErrorKind::WouldBlock => io::Error::from(io::ErrorKind::TimedOut),
                    _ => source,
                };
                AskError::System { what, server, source }
            }
        };
        let connected = left(timeout, deadline)
            .map_err(system("connect to"))
            .and_then(|left| connect(server, *address, client.from, left));
        let event = Event::Sent {
            server: server.clone(),
            local: connected.as_ref().ok().and_then(|(socket, _)| socket.local_address().ok()),
            tries,
            wait: timeout,
            error: connected.as_ref().err().map(reason),
        };
        client.tell(event);
        let (_file, socket) = match connected {
            Ok((socket, file)) => (file, socket),
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        let mut payload = Vec::new();
        let (sent, heard) = thread::scope(|scope| {
            // Beside the reading: an echo of more than the buffers hold would wait for us to read it.
            let sent = scope.spawn(|| {
                let sent = socket.send_all(request);
                // A server that has answered and closed already leaves nothing to shut down.
                let _ = socket.shutdown(Shutdown::Write);
                sent
            });
            let heard = hear(&socket, timeout, deadline, &mut payload);
            // Ends the sending too, should the server have fallen silent without reading.
            let _ = socket.shutdown(Shutdown::Both);
            (sent.join(), heard)
        });
        // What came before the connection broke or fell silent is an answer.
        if payload.is_empty() {
            heard.map_err(system("hear"))?;
            if let Ok(sent) = sent {
                sent.map_err(system("send to"))?;
            }
            let (servers, silence) = (vec![server.clone()], Silence::Closed);
            return Err(AskError::NoAnswer { servers, tries, elapsed: started.elapsed(), silence });
        }
        return Ok(Answer { payload, tries, elapsed: started.elapsed(), server: server.clone() });
    }
    Err(failure.unwrap_or(AskError::Servers("no server is named")))
}

fn connect(
    server: &Uri,
    to: Address,
    from: Option<Address>,
    timeout: Duration,
) -> Result<(Socket, Option<SocketFile>), AskError> {
    let failed = |source| AskError::System { what: "connect to", server: server.to_string(), source };
    let family = match to {
        Address::Ip(ip) => Family::of(&ip.ip()),
        _ => Family::Unix,
    };
    let socket = Socket::open(family, Kind::Stream).map_err(failed)?;
    let file = match from {
        Some(from) => bind(&socket, from, false)?,
        None => None,
    };
    socket.connect_timeout(to, timeout).map_err(failed)?;
    socket.set_write_timeout(Some(timeout)).map_err(failed)?;
    Ok((socket, file))
}

/// The system's words alone, for who knows already what was tried.
fn reason(error: &AskError) -> String {
    match error {
        AskError::System { source, .. } | AskError::From { source, .. } => source.to_string(),
        error => error.to_string(),
    }
}

/// Reads until the server closes its side.
fn hear(
    socket: &Socket,
    timeout: Duration,
    deadline: Option<Instant>,
    payload: &mut Vec<u8>,
) -> io::Result<()> {
    let mut part = vec![0; 64 * 1024];
    while payload.len() < MAX_ANSWER {
        socket.set_read_timeout(Some(left(timeout, deadline)?))?;
        match socket.recv(&mut part) {
            Ok(0) => break,
            Ok(len) => payload.extend_from_slice(&part[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How long to wait for the next part.
fn left(timeout: Duration, deadline: Option<Instant>) -> io::Result<Duration> {
    let left = deadline.map_or(timeout, |end| end.saturating_duration_since(Instant::now()).min(timeout));
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// How long a server may take to accept, and between the parts of its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read, in bytes; the rest is left.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
