//! Asking over a connection: the request as it is, then the end of it, then all of the answer.

use std::io::{self, Read};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use squall_socket::{Address, Family, Kind, Socket};

use super::{Answer, AskError, Client, Event};
use crate::uri::Uri;

/// Asks the servers in turn until one accepts. The request goes out as it is and the sending side is
/// closed behind it, so that a server that reads a chunk answers as well as one that reads a line or all.
pub(super) fn ask(
    client: &mut Client,
    targets: &[(Uri, Address)],
    request: &[u8],
) -> Result<Answer, AskError> {
    let started = Instant::now();
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
        let connected = connect(client.from, *address, timeout);
        let event = Event::Sent {
            server: server.clone(),
            local: connected.as_ref().ok().and_then(|socket| socket.local_address().ok()),
            tries,
            wait: timeout,
            error: connected.as_ref().err().map(io::Error::to_string),
        };
        client.tell(event);
        let socket = match connected {
            Ok(socket) => socket,
            Err(error) => {
                failure = Some(system("connect to")(error));
                continue;
            }
        };
        socket.send_all(request).map_err(system("send to"))?;
        // A server that has answered and closed already leaves nothing to shut down.
        let _ = socket.shutdown(Shutdown::Write);
        let mut payload = Vec::new();
        let answer = (&socket).take(MAX_ANSWER).read_to_end(&mut payload);
        match answer {
            // What came before the connection broke or fell silent is an answer.
            Err(error) if payload.is_empty() => return Err(system("hear")(error)),
            _ => {}
        }
        if payload.is_empty() {
            let servers = vec![server.clone()];
            return Err(AskError::NoAnswer { servers, tries, elapsed: started.elapsed(), refused: false });
        }
        return Ok(Answer { payload, tries, elapsed: started.elapsed(), server: server.clone() });
    }
    Err(failure.unwrap_or(AskError::Servers("no server is named")))
}

fn connect(from: Option<Address>, to: Address, timeout: Duration) -> io::Result<Socket> {
    let family = match to {
        Address::Ip(ip) => Family::of(&ip.ip()),
        _ => Family::Unix,
    };
    let socket = Socket::open(family, Kind::Stream)?;
    if let Some(from) = from {
        socket.bind(from)?;
    }
    socket.connect_timeout(to, timeout)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))?;
    Ok(socket)
}

/// How long a server may take to accept, and between the parts of its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
