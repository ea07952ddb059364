//! Sockets that hear, and what each datagram came with.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use squall_socket::{Ancillary, Message, Poller, ReceiveBatch, Socket, Waker};

/// How many hosts a datagram was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// This one.
    Unicast,
    /// Every host of a network.
    Broadcast,
    /// The members of a group.
    Multicast,
}

impl Kind {
    /// `unicast`, `broadcast` or `multicast`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unicast => "unicast",
            Kind::Broadcast => "broadcast",
            Kind::Multicast => "multicast",
        }
    }
}

/// A datagram that was heard.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Heard<'a> {
    /// Its bytes.
    pub payload: &'a [u8],
    /// Who sent it.
    pub from: SocketAddr,
    /// The address that it was sent to; `None` where the system does not tell.
    pub destination: Option<IpAddr>,
    /// The number of the interface that it came by; 0 where the system does not tell.
    pub interface: u32,
    /// For how many it was.
    pub kind: Kind,
    /// When it came: by the kernel's clock, where that tells.
    pub time: SystemTime,
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The time is over.
    Elapsed,
    /// The waker was called.
    Woken,
    /// The caller had heard enough.
    Enough,
}

/// Sockets that are waited for together.
pub(super) struct Ear {
    poller: Poller,
    waker: Waker,
    batch: ReceiveBatch,
    ready: Vec<usize>,
}

impl Ear {
    /// Takes up to `batch` datagrams with one call; those behind one that breaks off are lost.
    pub(super) fn new(batch: usize) -> io::Result<Self> {
        let (mut poller, waker) = (Poller::new()?, Waker::new()?);
        poller.add(&waker, WAKE)?;
        Ok(Self { poller, waker, batch: ReceiveBatch::new(batch, DATAGRAM), ready: Vec::new() })
    }

    pub(super) fn poller(&mut self) -> &mut Poller {
        &mut self.poller
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Asks for all that [`Heard`] tells. What a system lacks is then not told.
    pub(super) fn prepare(socket: &Socket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let _ = socket.set_receive_packet_info(true);
        let _ = socket.set_receive_timestamps(true);
        Ok(())
    }

    /// Gives what comes to `each` until that breaks off, the time is over or the waker is called: `None` when
    /// something is ready that is none of the sockets.
    pub(super) fn hear(
        &mut self,
        sockets: &[Socket],
        until: Option<Instant>,
        mut each: impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) -> io::Result<Option<Waited>> {
        loop {
            let wait = until.map(|until| until.saturating_duration_since(Instant::now()));
            self.poller.wait(&mut self.ready, wait)?;
            if self.ready.contains(&WAKE) {
                self.waker.clear();
                return Ok(Some(Waited::Woken));
            }
            let mut other = false;
            for token in &self.ready {
                let Some(socket) = sockets.get(*token) else {
                    other = true;
                    continue;
                };
                match self.batch.receive(socket, usize::MAX) {
                    Ok(_) => {}
                    Err(error) if is_passing(&error) => continue,
                    Err(error) => return Err(error),
                }
                for message in self.batch.iter() {
                    if let Some(heard) = heard(&message)
                        && each(heard).is_break()
                    {
                        return Ok(Some(Waited::Enough));
                    }
                }
            }
            if other {
                return Ok(None);
            }
            // Also when datagrams come without an end.
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(Some(Waited::Elapsed));
            }
        }
    }
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").field("poller", &self.poller).finish_non_exhaustive()
    }
}

/// An error of one datagram, after which others come: an ICMP message about an earlier one, a signal.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | Interrupted | ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}

fn heard<'a>(message: &Message<'a>) -> Option<Heard<'a>> {
    let said = &message.ancillary;
    let time = said.timestamp.map_or_else(SystemTime::now, |since| SystemTime::UNIX_EPOCH + since);
    Some(Heard {
        payload: message.payload,
        from: message.from.ip()?,
        destination: said.destination,
        interface: said.interface,
        kind: kind(said),
        time,
    })
}

/// The kernel answers a broadcast from another address than it was sent to.
fn kind(said: &Ancillary) -> Kind {
    match said.destination {
        Some(destination) if destination.is_multicast() => Kind::Multicast,
        Some(destination) if destination.is_ipv4() && said.source != Some(destination) => Kind::Broadcast,
        _ => Kind::Unicast,
    }
}

/// How long a caller may name to wait: longer is for ever.
pub(super) fn deadline(wait: Option<Duration>) -> Option<Instant> {
    wait.and_then(|wait| Instant::now().checked_add(wait))
}

const WAKE: usize = usize::MAX;
/// Room for every datagram.
const DATAGRAM: usize = 65_536;
