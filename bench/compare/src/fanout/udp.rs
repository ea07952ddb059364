//! Plain members: a socket of its own for each, as a client has.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use squall_socket::{Family, Kind, Outgoing, Poller, ReceiveBatch, SendBatch, Socket, wait_writable};

use super::Publisher;
use super::audience::{Audience, Frame, TEXT};
use super::drive::Crowd;
use crate::error::Error;
use crate::process::Running;

/// What the hub and the bare loop make of a text.
pub(crate) const ACK: Frame = Frame { before: b"ack ", after: b"\n" };

/// UDP members, each with an address of its own.
pub(crate) struct UdpCrowd {
    sockets: Vec<Socket>,
    poller: Poller,
    ready: Vec<usize>,
    receiving: ReceiveBatch,
    sending: SendBatch,
    publisher: Publisher,
}

impl UdpCrowd {
    /// Opens the members' sockets, has them join and waits until each of them hears the first.
    pub(crate) fn join(hub: &Running, members: usize, publisher: Publisher) -> Result<Self, Error> {
        let mut crowd = Self {
            sockets: Vec::with_capacity(members),
            poller: Poller::new().map_err(Error::Member)?,
            ready: Vec::new(),
            receiving: ReceiveBatch::new(RECEIVES, 65_536),
            sending: SendBatch::new(SENDS),
            publisher,
        };
        for number in 0..members {
            let socket = member(hub.address(), number).map_err(Error::Member)?;
            crowd.poller.add(&socket, number).map_err(Error::Member)?;
            crowd.sockets.push(socket);
        }
        crowd.until_all_hear(hub)?;
        Ok(crowd)
    }

    /// Lets those that do not hear the first member say something empty, until all of them hear the last probe.
    fn until_all_hear(&mut self, hub: &Running) -> Result<(), Error> {
        let begin = Instant::now();
        let mut deaf: Vec<usize> = (0..self.sockets.len()).collect();
        for probe in 0_u32.. {
            hub.fail_if_it_ended()?;
            // A few at a time, so that nobody's buffer overflows.
            for some in deaf.chunks(SENDS) {
                for member in some {
                    // A refusal says that nobody listens yet.
                    let _ = self.sockets[*member].send(b"");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            let text = format!("can everybody hear? {probe}");
            let _ = self.sockets[0].send(text.as_bytes());
            deaf = self.deaf_to(&format!("ack {text}"))?;
            if deaf.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                break;
            }
        }
        Err(Error::Deaf { members: self.sockets.len(), deaf: deaf.len(), seconds: PATIENCE.as_secs() })
    }

    /// Who does not receive `line`.
    fn deaf_to(&mut self, line: &str) -> Result<Vec<usize>, Error> {
        let begin = Instant::now();
        let mut heard = vec![false; self.sockets.len()];
        while begin.elapsed() < PAUSE && heard.contains(&false) {
            self.poller.wait(&mut self.ready, Some(PAUSE)).map_err(Error::Member)?;
            for &member in &self.ready {
                let received = self.receiving.receive(&self.sockets[member], RECEIVES);
                if received.is_err_and(|error| error.kind() != io::ErrorKind::ConnectionRefused) {
                    continue;
                }
                let mut lines = self
                    .receiving
                    .iter()
                    .flat_map(|it| it.segments())
                    .flat_map(|it| it.split(|b| *b == b'\n'));
                heard[member] |= lines.any(|it| it == line.as_bytes());
            }
        }
        Ok((0..heard.len()).filter(|member| !heard[*member]).collect())
    }
}

impl Crowd for UdpCrowd {
    fn receive(&mut self, audience: &mut Audience) -> Result<(), Error> {
        self.receive_each(&mut |member, datagram| audience.datagram(member, datagram))
    }

    fn publish(&mut self, texts: &[u8]) -> Result<(), Error> {
        self.say(0, texts)
    }
}

impl UdpCrowd {
    /// Hands every datagram that members have to `take`, without waiting for more.
    pub(crate) fn receive_each(&mut self, take: &mut impl FnMut(usize, &[u8])) -> Result<(), Error> {
        self.poller.wait(&mut self.ready, Some(Duration::ZERO)).map_err(Error::Member)?;
        for &member in &self.ready {
            match self.receiving.receive(&self.sockets[member], RECEIVES) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                result => result.map_err(Error::Member)?,
            };
            for message in self.receiving.iter() {
                for datagram in message.segments() {
                    take(member, datagram);
                }
            }
        }
        Ok(())
    }

    /// Has `member` say messages of [`TEXT`] bytes that lie one behind the other.
    pub(crate) fn say(&mut self, member: usize, texts: &[u8]) -> Result<(), Error> {
        say(&self.sockets[member], &mut self.sending, self.publisher, TEXT, texts).map_err(Error::Member)
    }

    /// The socket of the last member, whom nobody looks after any more.
    pub(crate) fn release_last(&mut self) -> Result<Option<Socket>, Error> {
        let last = self.sockets.pop();
        last.map(|socket| self.poller.remove(&socket).map(|()| socket)).transpose().map_err(Error::Member)
    }
}

/// Sends messages of `len` bytes each that lie one behind the other through a connected socket.
pub(crate) fn say(
    socket: &Socket,
    batch: &mut SendBatch,
    publisher: Publisher,
    len: usize,
    texts: &[u8],
) -> io::Result<()> {
    let size = match publisher {
        Publisher::Train => SEGMENTS * len,
        Publisher::Singles => len,
    };
    let mut pieces = texts.chunks(size).map(|payload| Outgoing {
        payload,
        to: None,
        source: None,
        segment_size: (payload.len() > len).then_some(len as u16),
    });
    while pieces.len() > 0 {
        match batch.send(socket, false, pieces.clone()) {
            Ok(count) => drop(pieces.nth(count - 1)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_writable(socket, PAUSE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The socket of a member, as `nc -u` would have it, but for taking joined datagrams.
fn member(hub: SocketAddr, number: usize) -> io::Result<Socket> {
    let [.., second, third, fourth] = u32::try_from(number + 1).unwrap_or(u32::MAX).to_be_bytes();
    let socket = open_away_from(hub, Ipv4Addr::new(127, second + 1, third, fourth))?;
    socket.connect(hub)?;
    socket.set_receive_offload(true)?;
    Ok(socket)
}

/// A socket with a port that is not the hub's: who sends from a port that the hub listens on, at whatever address,
/// could be another hub, and is not heard.
pub(crate) fn open_away_from(hub: SocketAddr, local: Ipv4Addr) -> io::Result<Socket> {
    loop {
        let socket = Socket::open(Family::V4, Kind::Datagram)?;
        socket.bind(SocketAddr::from((local, 0)))?;
        if socket.local_address()?.ip().is_some_and(|own| own.port() != hub.port()) {
            return Ok(socket);
        }
    }
}

/// Datagrams, or trains of them, taken with one call: a hub that joins has one for a member, and another call finds
/// what is left.
const RECEIVES: usize = 4;
pub(crate) const SENDS: usize = 64;
/// Datagrams that a train may have.
pub(crate) const SEGMENTS: usize = 64;
const PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(10);
