//! The way to a hub: datagrams or a stream, opened beside everything else.
//!
//! To a hub, a member over datagrams is an address with a port. So attempts to reach the same address come from the same
//! socket: a hub that only stood still finds one member in what has queued up, and not one for each attempt.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use squall::socket::{Address, Family, Kind, Poller, Socket, Waker};
use squall::{IpFamily, MAX_DATAGRAM, Transport, Uri};

/// A way to a hub, which can be lost and opened again.
#[derive(Debug)]
pub(super) struct Link {
    uri: Uri,
    family: IpFamily,
    state: State,
    /// Sockets for datagrams that were used before, the last one at the end: for when it is their address's turn again.
    aside: Vec<Opened>,
    /// Which of the hub's addresses is tried next.
    turn: usize,
    /// What waits to be written to a stream.
    unsent: Vec<u8>,
    buffer: Vec<u8>,
    waker: Waker,
    token: usize,
}

#[derive(Debug)]
enum State {
    Closed,
    /// A thread resolves and connects.
    Opening(Receiver<Result<Opened, String>>),
    Open(Opened),
}

#[derive(Debug)]
struct Opened {
    socket: Socket,
    /// Between which addresses it sends: the other's, and its own without the port.
    path: (Address, Option<IpAddr>),
    /// How many addresses the hub has.
    addresses: usize,
    /// Whether anything was sent, and came.
    has_sent: bool,
    has_heard: bool,
    /// Whether the hub may take it for a member: something was sent at some time.
    is_known: bool,
    /// Whether the member that it is to the hub has left.
    has_quit: bool,
    /// The system sends nothing through it any more.
    is_spent: bool,
}

impl Opened {
    /// The same socket, as if it had just been opened.
    fn anew(self) -> Self {
        Self { has_sent: false, has_heard: false, has_quit: false, ..self }
    }

    /// Leaves, unless nobody knows of it or it has left: another socket is the member from now on.
    fn quit(&mut self) {
        if self.is_known && !std::mem::replace(&mut self.has_quit, true) {
            // What is lost of it is as if it had been lost on the way.
            let _ = self.socket.send(b"quit");
        }
    }
}

/// What came of looking at a link.
#[derive(Debug)]
pub(super) enum Event {
    Opened,
    /// It could not be opened, or it is no more; why.
    Lost(String),
}

impl Link {
    /// A closed link. `waker` is woken when opening has ended; `token` is what a poller tells of its socket.
    pub(super) fn new(uri: Uri, family: IpFamily, waker: Waker, token: usize) -> Self {
        let buffer = vec![0; MAX_DATAGRAM];
        let (aside, unsent) = (Vec::new(), Vec::new());
        Self { uri, family, state: State::Closed, aside, turn: 0, unsent, buffer, waker, token }
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn is_stream(&self) -> bool {
        self.uri.transport().is_stream()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether nothing was sent since it was opened, or is being opened.
    pub(super) fn is_fresh(&self) -> bool {
        match &self.state {
            State::Closed => false,
            State::Opening(_) => true,
            State::Open(opened) => !opened.has_sent,
        }
    }

    /// Whether bytes wait that the socket did not take.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Begins to open it, anew if it was open: over datagrams with the same socket, if the way is the same.
    ///
    /// # Errors
    /// The system's, if there can be no thread.
    pub(super) fn open(&mut self, poller: &mut Poller) -> io::Result<()> {
        self.close(poller);
        let (tell, told) = sync_channel(1);
        let (uri, family, turn, waker) = (self.uri.clone(), self.family, self.turn, self.waker.clone());
        let connect = move || {
            // Nobody waits for it any more when this fails.
            let _ = tell.send(connect(&uri, family, turn));
            waker.wake();
        };
        thread::Builder::new().name("squall-connect".into()).spawn(connect)?;
        self.state = State::Opening(told);
        Ok(())
    }

    /// Looks whether opening has ended.
    pub(super) fn look(&mut self, poller: &mut Poller) -> Option<Event> {
        let State::Opening(told) = &self.state else { return None };
        let result = match told.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err("the attempt was broken off".to_owned()),
        };
        self.turn = self.turn.wrapping_add(1);
        let chosen = match result {
            Ok(opened) => Ok(self.settle(opened)),
            // The last one may still do, as where the name server is out of reach.
            Err(why) => self.aside.pop_if(|last| !last.is_spent).map(Opened::anew).ok_or(why),
        };
        let added = chosen.and_then(|opened| {
            poller.add(&opened.socket, self.token).map_err(|error| error.to_string())?;
            Ok(opened)
        });
        match added {
            Ok(opened) => {
                self.state = State::Open(opened);
                Some(Event::Opened)
            }
            Err(why) => {
                self.state = State::Closed;
                Some(Event::Lost(why))
            }
        }
    }

    /// Takes the socket of before for this one if it goes the same way; the others leave.
    fn settle(&mut self, opened: Opened) -> Opened {
        let same = |aside: &Opened| aside.path == opened.path && !aside.is_spent;
        let known = self.aside.iter().position(same).map(|index| self.aside.remove(index));
        self.aside.iter_mut().for_each(Opened::quit);
        self.aside.retain(|aside| !aside.is_spent);
        if self.aside.len() > ASIDE {
            self.aside.remove(0);
        }
        match known {
            Some(known) => Opened { addresses: opened.addresses, ..known.anew() },
            None => opened,
        }
    }

    /// Sends a datagram, or bytes of a stream. A datagram that the system does not take is as if it had been lost on the
    /// way.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Option<Event> {
        let is_stream = self.is_stream();
        let State::Open(opened) = &mut self.state else { return None };
        (opened.has_sent, opened.is_known) = (true, true);
        if is_stream {
            if self.unsent.len() + bytes.len() > UNSENT {
                return Some(Event::Lost("the hub reads nothing any more".to_owned()));
            }
            self.unsent.extend_from_slice(bytes);
            return self.flush();
        }
        match opened.socket.send(bytes) {
            // It belongs to a datagram before, and this one did not go.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = opened.socket.send(bytes);
                None
            }
            Err(error) => {
                opened.is_spent |= is_for_good(&error);
                None
            }
            Ok(_) => None,
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> Option<Event> {
        let State::Open(opened) = &mut self.state else { return None };
        while !self.unsent.is_empty() {
            match opened.socket.send(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(Event::Lost(in_words(&error))),
            }
        }
        None
    }

    /// Gives what has come to `take`: one datagram, or what a stream has at once.
    pub(super) fn receive(&mut self, take: impl FnOnce(&[u8])) -> Option<Event> {
        let is_stream = self.is_stream();
        let State::Open(opened) = &mut self.state else { return None };
        match opened.socket.recv(&mut self.buffer) {
            Ok(0) if is_stream => Some(Event::Lost("the hub closed the connection".to_owned())),
            Ok(count) => {
                if !std::mem::replace(&mut opened.has_heard, true) {
                    // This is the way. Nothing has acknowledged that the others left.
                    for mut aside in self.aside.drain(..) {
                        aside.has_quit = false;
                        aside.quit();
                    }
                }
                take(&self.buffer[..count]);
                None
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                None
            }
            Err(error) => Some(Event::Lost(in_words(&error))),
        }
    }

    /// Whether another of the hub's addresses should be tried before waiting: this one refused at once.
    pub(super) fn has_another(&self) -> bool {
        matches!(&self.state, State::Open(opened) if !opened.has_heard && !self.turn.is_multiple_of(opened.addresses))
    }

    /// Forgets the socket, or sets it aside if it sends datagrams. The address that worked is tried first the next time, and
    /// one that took too long is not.
    pub(super) fn close(&mut self, poller: &mut Poller) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(opened) => {
                // It fails for no descriptor that was added.
                let _ = poller.remove(&opened.socket);
                if opened.has_heard {
                    self.turn = self.turn.wrapping_sub(1);
                }
                if !self.is_stream() {
                    self.aside.push(opened);
                }
            }
            State::Opening(_) => self.turn = self.turn.wrapping_add(1),
            State::Closed => {}
        }
        self.unsent.clear();
    }
}

impl Drop for Link {
    /// The member of a socket that was set aside a moment ago has not left yet.
    fn drop(&mut self) {
        self.aside.iter_mut().for_each(Opened::quit);
    }
}

/// Resolves the hub's name, anew each time, and connects to one of its addresses. Of a stream to each in turn.
fn connect(uri: &Uri, family: IpFamily, turn: usize) -> Result<Opened, String> {
    let addresses = uri.resolve(family).map_err(|error| error.to_string())?;
    let count = addresses.len();
    let is_stream = uri.transport().is_stream();
    let mut failure = String::new();
    for place in 0..if is_stream { count } else { 1 } {
        let address = addresses[(turn + place) % count];
        match connect_to(address, is_stream) {
            Ok(socket) => {
                let local = socket.local_address().ok().and_then(|local| local.ip());
                return Ok(Opened {
                    path: (address, local.map(|local| local.ip())),
                    socket,
                    addresses: count,
                    has_sent: false,
                    has_heard: false,
                    is_known: false,
                    has_quit: false,
                    is_spent: false,
                });
            }
            Err(error) => failure = in_words(&error),
        }
    }
    Err(failure)
}

fn connect_to(address: Address, is_stream: bool) -> io::Result<Socket> {
    let family = match address {
        Address::Ip(address) => Family::of(&address.ip()),
        _ => Family::Unix,
    };
    let socket = Socket::open(family, if is_stream { Kind::Stream } else { Kind::Datagram })?;
    socket.connect_timeout(address, CONNECT)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What an error means to somebody who wants to talk to a hub.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "no hub listens there".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the connection was cut".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer".to_owned(),
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no way there".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a socket for datagrams that tells this sends nothing any more, as when it has lost its own address.
fn is_for_good(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, InvalidInput, NotConnected};
    matches!(error.kind(), AddrNotAvailable | InvalidInput | NotConnected)
}

/// Checks that a hub can be talked to by this transport.
pub(super) fn is_usable(uri: &Uri) -> bool {
    !uri.is_coap() && uri.transport() != Transport::Unixgram
}

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes that wait for a hub that does not read, at most.
const UNSENT: usize = 256 * 1024;
/// Sockets that are set aside: of more addresses than that no hub is expected.
const ASIDE: usize = 4;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn an_attempt_that_takes_too_long_is_given_up_for_one_at_the_next_address() {
        let uri = Uri::parse("tcp://127.0.0.1:1", Transport::Tcp, None).unwrap();
        let mut poller = Poller::new().unwrap();
        let mut link = Link::new(uri, IpFamily::Any, Waker::new().unwrap(), 0);
        for turn in 0..3 {
            // Nobody has looked whether the last one has ended.
            link.open(&mut poller).unwrap();
            assert_eq!(link.turn, turn);
        }
    }

    /// A socket that hears what a hub would.
    fn hub() -> (UdpSocket, Uri) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let uri = Uri::parse(&socket.local_addr().unwrap().to_string(), Transport::Udp, None).unwrap();
        (socket, uri)
    }

    /// What comes next, and from which port.
    fn heard(hub: &UdpSocket) -> (String, u16) {
        let mut buffer = [0; 100];
        let (count, from) = hub.recv_from(&mut buffer).unwrap();
        (String::from_utf8_lossy(&buffer[..count]).into_owned(), from.port())
    }

    fn open(link: &mut Link, poller: &mut Poller) {
        link.open(poller).unwrap();
        while !link.is_open() {
            poller.wait(&mut Vec::new(), None).unwrap();
            assert!(!matches!(link.look(poller), Some(Event::Lost(_))));
        }
    }

    fn link(uri: Uri) -> (Link, Poller) {
        let waker = Waker::new().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(&waker, 1).unwrap();
        (Link::new(uri, IpFamily::Any, waker, 0), poller)
    }

    #[test]
    fn attempts_to_reach_the_same_address_come_from_the_same_port() {
        let (hub, uri) = hub();
        let (mut link, mut poller) = link(uri);
        let ports: Vec<u16> = (0..3)
            .map(|_| {
                open(&mut link, &mut poller);
                assert!(link.is_fresh());
                link.send(b"attempt");
                heard(&hub).1
            })
            .collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }

    #[test]
    fn a_socket_that_is_given_up_for_another_address_leaves_and_is_taken_again_if_that_has_its_turn() {
        let ((one, first), (two, second)) = (hub(), hub());
        let (mut link, mut poller) = link(first.clone());
        open(&mut link, &mut poller);
        link.send(b"attempt");
        let port = heard(&one).1;
        link.uri = second;
        open(&mut link, &mut poller);
        link.send(b"attempt");
        let (attempt, other) = heard(&two);
        assert_eq!((heard(&one), attempt.as_str()), (("quit".into(), port), "attempt"));
        link.uri = first;
        open(&mut link, &mut poller);
        link.send(b"attempt");
        assert_eq!(heard(&one), ("attempt".into(), port));
        assert_eq!(heard(&two), ("quit".into(), other));
        // Once there is an answer, the other is told once more, and no more than that.
        one.send_to(b"answer", ("127.0.0.1", port)).unwrap();
        poller.wait(&mut Vec::new(), None).unwrap();
        link.receive(|_| {});
        assert_eq!(heard(&two), ("quit".into(), other));
        assert!(link.aside.is_empty());
    }

    #[test]
    fn a_socket_that_is_taken_again_for_want_of_another_leaves_once_more() {
        let (hub, uri) = hub();
        let (mut link, mut poller) = link(uri);
        open(&mut link, &mut poller);
        link.send(b"attempt");
        let (_, port) = heard(&hub);
        link.close(&mut poller);
        link.aside.iter_mut().for_each(Opened::quit);
        assert_eq!(heard(&hub), ("quit".into(), port));
        let (tell, told) = sync_channel(1);
        tell.send(Err("the name server is out of reach".to_owned())).unwrap();
        link.state = State::Opening(told);
        assert!(matches!(link.look(&mut poller), Some(Event::Opened)));
        assert!(link.is_fresh());
        link.send(b"attempt");
        assert_eq!(heard(&hub), ("attempt".into(), port));
        link.close(&mut poller);
        drop(link);
        assert_eq!(heard(&hub), ("quit".into(), port));
    }

    #[test]
    fn a_socket_through_which_nothing_was_sent_does_not_leave() {
        let (hub, uri) = hub();
        let (mut link, mut poller) = link(uri);
        open(&mut link, &mut poller);
        link.close(&mut poller);
        drop(link);
        let end = UdpSocket::bind("127.0.0.1:0").unwrap();
        end.send_to(b"the end", hub.local_addr().unwrap()).unwrap();
        assert_eq!(heard(&hub).0, "the end");
    }

    #[test]
    fn a_link_that_ends_while_it_is_being_opened_anew_leaves() {
        let (hub, uri) = hub();
        let (mut link, mut poller) = link(uri);
        open(&mut link, &mut poller);
        link.send(b"attempt");
        let (_, port) = heard(&hub);
        link.open(&mut poller).unwrap();
        drop(link);
        assert_eq!(heard(&hub), ("quit".into(), port));
    }
}
