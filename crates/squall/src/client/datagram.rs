//! Asking with datagrams: one connected socket for each server, and the schedule of retries.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use squall_proto::retry::{Schedule, Step};
use squall_proto::{MAX_DATAGRAM, Time, Transport};
use squall_socket::errno::{ECONNREFUSED, ENOENT};
use squall_socket::unix::SocketFile;
use squall_socket::{Address, Family, Kind, Poller, ReceiveBatch, Socket, UnixAddress};

use super::{Answer, AskError, Client, Event, Silence, bind};
use crate::clock::Clock;
use crate::clock::seed;
use crate::uri::Uri;

/// The sockets of a client.
pub(super) struct Link {
    servers: Vec<Server>,
    poller: Poller,
    batch: ReceiveBatch,
}

struct Server {
    uri: Uri,
    /// The return path of a Unix socket, removed with the link, and before the socket is closed.
    _file: Option<SocketFile>,
    socket: Socket,
}

/// What came of a try.
enum Sent {
    Away,
    /// The server's host has refused this request or an earlier one.
    Refused,
    /// The system did not send it.
    Failed(String),
}

pub(super) fn ask(
    client: &mut Client,
    targets: Vec<(Uri, Address)>,
    request: &[u8],
) -> Result<Answer, AskError> {
    if request.len() > MAX_DATAGRAM {
        return Err(AskError::TooLong { len: request.len() });
    }
    let mut link = match client.link.take() {
        Some(link) => link,
        None => Link::open(targets, client.from)?,
    };
    let clock = Clock::new();
    let mut schedule = Schedule::new(&client.policy, link.servers.len() as u32, seed(), clock.now())?;
    let mut refused = false;
    loop {
        let server = schedule.server();
        let sent = link.send(client, &schedule, server, request, clock.now());
        refused |= matches!(sent, Sent::Refused);
        let deadline = schedule.poll_timeout().unwrap_or_else(|| clock.now());
        let (answer, was_refused) = link.receive(client, &clock, deadline)?;
        refused |= was_refused;
        if let Some((payload, server)) = answer {
            let server = link.servers[server].uri.clone();
            let tries = schedule.tries();
            if tries == 1 {
                client.link = Some(link);
            }
            return Ok(Answer { payload, tries, elapsed: clock.now().since(Time::ZERO), server });
        }
        if let Some(Step::GiveUp) = schedule.handle_timeout(clock.now()) {
            let silence = match sent {
                Sent::Failed(reason) => Silence::Unsent(reason),
                _ if refused => Silence::Refused,
                _ => Silence::Nothing,
            };
            return Err(AskError::NoAnswer {
                servers: link.servers.into_iter().map(|server| server.uri).collect(),
                tries: schedule.tries(),
                elapsed: clock.now().since(Time::ZERO),
                silence,
            });
        }
    }
}

impl Link {
    fn open(targets: Vec<(Uri, Address)>, from: Option<Address>) -> Result<Self, AskError> {
        let open = |what: &'static str, server: &Uri| {
            let server = server.to_string();
            move |source| AskError::System { what, server, source }
        };
        let poller = |source| AskError::System { what: "wait for", server: "answers".into(), source };
        let mut link = Self {
            servers: Vec::new(),
            poller: Poller::new().map_err(poller)?,
            batch: ReceiveBatch::new(1, 65_536),
        };
        let mut failure = None;
        for (uri, address) in targets {
            match connect(&uri, address, from, !link.servers.is_empty()) {
                Ok((socket, file)) => {
                    link.poller.add(&socket, link.servers.len()).map_err(open("wait for", &uri))?;
                    link.servers.push(Server { uri, socket, _file: file });
                }
                // A name's other addresses may be of a family that this machine has.
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(failure) if link.servers.is_empty() => Err(failure),
            _ => Ok(link),
        }
    }

    /// Sends the request, and tells what came of it.
    fn send(
        &mut self,
        client: &mut Client,
        schedule: &Schedule,
        server: usize,
        request: &[u8],
        now: Time,
    ) -> Sent {
        let Server { uri, socket, .. } = &self.servers[server];
        let mut refused = false;
        let mut sent = socket.send(request);
        if matches!(&sent, Err(error) if error.raw_os_error() == Some(ECONNREFUSED)) {
            // The refusal of an earlier datagram; telling it cleared it. A Unix socket means this one.
            refused = true;
            sent = socket.send(request);
        }
        let error = sent.err();
        refused |= error.as_ref().is_some_and(is_refusal);
        let error = error.filter(|error| !is_refusal(error)).map(|error| error.to_string());
        let event = Event::Sent {
            server: uri.clone(),
            local: socket.local_address().ok(),
            tries: schedule.tries(),
            wait: schedule.poll_timeout().map_or(Duration::ZERO, |deadline| deadline.since(now)),
            error: error.clone(),
        };
        let uri = uri.clone();
        client.tell(event);
        if refused {
            client.tell(Event::Refused { server: uri });
        }
        match error {
            Some(reason) => Sent::Failed(reason),
            None if refused => Sent::Refused,
            None => Sent::Away,
        }
    }

    /// Waits for an answer until `deadline`; the second value tells of a refusal.
    #[expect(clippy::type_complexity, reason = "an answer, and beside it a word")]
    fn receive(
        &mut self,
        client: &mut Client,
        clock: &Clock,
        deadline: Time,
    ) -> Result<(Option<(Vec<u8>, usize)>, bool), AskError> {
        let mut refused = false;
        let mut ready = Vec::new();
        loop {
            let now = clock.now();
            if now >= deadline {
                return Ok((None, refused));
            }
            let waited = self.poller.wait(&mut ready, Some(deadline.since(now)));
            waited.map_err(|source| AskError::System {
                what: "wait for",
                server: "answers".into(),
                source,
            })?;
            for server in ready.drain(..) {
                match self.batch.receive(&self.servers[server].socket, 1) {
                    Ok(_) => {
                        if let Some(message) = self.batch.get(0) {
                            return Ok((Some((message.payload.to_vec(), server)), refused));
                        }
                    }
                    Err(error) if is_refusal(&error) => {
                        refused = true;
                        let server = self.servers[server].uri.clone();
                        client.tell(Event::Refused { server });
                    }
                    // The network's other complaints are no reason to stop asking.
                    Err(_) => {}
                }
            }
        }
    }
}

/// A host that has nobody on the port, or a Unix socket without a server.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ECONNREFUSED | ENOENT))
}

fn connect(
    uri: &Uri,
    to: Address,
    from: Option<Address>,
    join: bool,
) -> Result<(Socket, Option<SocketFile>), AskError> {
    let unreachable = |source| AskError::System { what: "reach", server: uri.to_string(), source };
    let family = match to {
        Address::Ip(ip) => Family::of(&ip.ip()),
        _ => Family::Unix,
    };
    let socket = Socket::open(family, Kind::Datagram).map_err(unreachable)?;
    let file = match from {
        Some(from) => bind(&socket, from, join)?,
        None if uri.transport() == Transport::Unixgram => bind_return_path(&socket).map_err(unreachable)?,
        None => None,
    };
    socket.connect(to).map_err(unreachable)?;
    socket.set_nonblocking(true).map_err(unreachable)?;
    Ok((socket, file))
}

/// Gives a Unix socket a name of its own, which its server can answer to.
fn bind_return_path(socket: &Socket) -> io::Result<Option<SocketFile>> {
    let name = format!("squall-{}-{:016x}", std::process::id(), seed());
    if UnixAddress::HAS_ABSTRACT {
        // The abstract namespace leaves nothing behind, whatever ends this process.
        socket.bind(UnixAddress::from_abstract(name)?)?;
        return Ok(None);
    }
    let path: PathBuf = std::env::temp_dir().join(name);
    socket.bind(UnixAddress::from_path(&path)?)?;
    SocketFile::at(&path).map(Some)
}
