//! The socket of a search: probes out, answers and ICMP messages in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use squall_proto::path_mtu::{Evidence, Matched, Nonce, Recognised};
use squall_socket::errno::{EAGAIN, EINTR, EMSGSIZE, ENOBUFS};
use squall_socket::{
    Family, Kind, PathMtuDiscovery, Poller, QueuedError, ReceiveBatch, Socket, next_quoted_error,
    wait_writable,
};

use super::PathMtuError;
use super::icmp;
use super::report::Complaint;
use crate::clock::seed;

pub(super) const REACH: &str = "reach";

/// A connected socket whose datagrams are not fragmented.
pub(super) struct Link {
    target: SocketAddr,
    socket: Socket,
    poller: Poller,
    ready: Vec<usize>,
    batch: ReceiveBatch,
    nonce: Nonce,
    probe: Vec<u8>,
    complaints: Vec<Complaint>,
}

/// What came of sending.
pub(super) enum Sent {
    /// It left, or was lost in this machine, which is no different.
    Away,
    /// The system did not send it.
    Failed(io::Error),
    /// The kernel knows that it is too long.
    TooLong {
        /// For what, if it says so.
        mtu: Option<u32>,
    },
}

/// What came in.
pub(super) enum Heard {
    Answer { probe: Matched, how: Evidence },
    TooBig { probe: Matched, mtu: u32, router: IpAddr },
}

impl Link {
    pub(super) fn open(target: SocketAddr, mode: PathMtuDiscovery) -> Result<Self, PathMtuError> {
        let reason = match target.ip() {
            ip if ip.is_unspecified() => Some("that is every address of this machine"),
            ip if ip.is_multicast() => Some("a multicast group has a path to each member"),
            IpAddr::V4(ip) if ip.is_broadcast() => Some(BROADCAST),
            _ if target.port() == 0 => Some("no host has port 0"),
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(PathMtuError::NotAHost { target, reason });
        }
        let socket = connected(target).map_err(|error| match error.kind() {
            // Linux's word for a socket without SO_BROADCAST.
            io::ErrorKind::PermissionDenied => PathMtuError::NotAHost { target, reason: BROADCAST },
            _ => system(REACH, target)(error),
        })?;
        let prepare = || {
            socket.set_nonblocking(true)?;
            socket.set_receive_errors(true)?;
            socket.set_path_mtu_discovery(mode)?;
            // One probe must fit, whatever its length.
            socket.set_send_buffer(256 * 1024)?;
            let mut poller = Poller::new()?;
            poller.add(&socket, 0)?;
            Ok(poller)
        };
        let poller = prepare().map_err(system("forbid fragments to", target))?;
        Ok(Self {
            target,
            socket,
            poller,
            ready: Vec::new(),
            batch: ReceiveBatch::new(1, 65_536),
            nonce: Nonce::new(seed()),
            probe: Vec::new(),
            complaints: Vec::new(),
        })
    }

    pub(super) fn local(&self) -> Result<SocketAddr, PathMtuError> {
        let local = self.socket.local_address().map_err(system("tell the local address to", self.target))?;
        Ok(local.ip().unwrap_or(self.target))
    }

    /// What the kernel takes for the path MTU now. Asked of a new socket: a connected one may remember.
    pub(super) fn kernel_mtu(&self) -> Result<u32, PathMtuError> {
        connected(self.target)
            .and_then(|socket| socket.path_mtu())
            .map_err(system("ask the kernel for the MTU to", self.target))
    }

    /// Sends the probe of number `id` with `payload` bytes.
    pub(super) fn send(&mut self, id: u32, payload: usize) -> Result<Sent, PathMtuError> {
        self.probe.resize(payload, 0);
        self.nonce.write(id, &mut self.probe);
        // An error that waits at the socket fails the next call, whatever that is about; taking it from the
        // queue clears it. More cannot come in between than probes were sent.
        let mut tries = 0;
        loop {
            tries += 1;
            let Err(error) = self.socket.send(&self.probe) else { return Ok(Sent::Away) };
            match error.raw_os_error() {
                Some(EMSGSIZE) => match self.local_refusal() {
                    Some(mtu) => return Ok(Sent::TooLong { mtu: Some(mtu).filter(|mtu| *mtu > 0) }),
                    // Longer than the protocol allows: that is not put into the queue.
                    None if payload > u16::MAX as usize => return Ok(Sent::TooLong { mtu: None }),
                    // Nor is what comes when others have filled the receive buffer.
                    None if tries == SEND_TRIES => return Ok(Sent::TooLong { mtu: None }),
                    None => {}
                },
                _ if tries == SEND_TRIES => return Ok(Sent::Failed(error)),
                Some(EAGAIN | ENOBUFS) => {
                    let waited = wait_writable(&self.socket, Duration::from_millis(10));
                    waited.map_err(system("send to", self.target))?;
                }
                Some(EINTR) => {}
                // A waiting error; or else a firewall of this machine, or a network that has gone.
                _ if self.drain_one() => {}
                _ => return Ok(Sent::Failed(error)),
            }
        }
    }

    /// Waits for something to come in, `timeout` at most.
    pub(super) fn wait(&mut self, timeout: Duration) -> Result<(), PathMtuError> {
        match self.poller.wait(&mut self.ready, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                Err(system("wait for answers of", self.target)(error))
            }
            _ => Ok(()),
        }
    }

    /// The next thing that came in, if any.
    pub(super) fn hear(&mut self) -> Result<Option<Heard>, PathMtuError> {
        for _ in 0..HEARD_AT_ONCE {
            if let Some((queued, quote)) = self.next_error()? {
                if let Some(heard) = self.judge(&queued, quote) {
                    return Ok(Some(heard));
                }
                continue;
            }
            match self.batch.receive(&self.socket, 1) {
                Ok(_) => {
                    let Some(message) = self.batch.get(0) else { continue };
                    let recognised = self.nonce.recognise(message.payload);
                    let how = match recognised {
                        Recognised::Probe(_) => Evidence::Echo,
                        Recognised::Length(_) => Evidence::Length,
                        Recognised::Nothing => Evidence::Datagram,
                    };
                    return Ok(Some(Heard::Answer { probe: recognised.matched(), how }));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // The error that stands in the queue as well.
                Err(_) => {}
            }
        }
        // A flood is left for the next time, so that the search keeps its time.
        Ok(None)
    }

    /// Whether something was said that leads nowhere.
    pub(super) fn has_complaints(&self) -> bool {
        !self.complaints.is_empty()
    }

    /// What was said that leads nowhere.
    pub(super) fn into_complaints(self) -> Vec<Complaint> {
        self.complaints
    }

    fn judge(&mut self, queued: &QueuedError, quote: Recognised) -> Option<Heard> {
        let error = &queued.error;
        // What this host refused is told where it sent.
        let offender = error.offender?;
        let probe = quote.matched();
        if icmp::is_too_big(&offender, error) {
            return Some(Heard::TooBig { probe, mtu: error.info, router: offender });
        }
        if offender == self.target.ip() && icmp::is_unreachable(&offender, error) {
            return Some(Heard::Answer { probe, how: Evidence::Unreachable });
        }
        self.complain(Some(offender), icmp::words(&offender, error));
        None
    }

    fn next_error(&mut self) -> Result<Option<(QueuedError, Recognised)>, PathMtuError> {
        let mut quoted = [0; QUOTED];
        match next_quoted_error(&self.socket, &mut quoted) {
            Ok(queued) => Ok(Some((queued, self.nonce.recognise(&quoted[..queued.quoted])))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(system("read what the network says of", self.target)(error)),
        }
    }

    /// The MTU for which this host has just refused a datagram: the last such error. What else waits is lost,
    /// and was for a probe that has been given up: at most one is on its way.
    fn local_refusal(&mut self) -> Option<u32> {
        let mut mtu = None;
        while let Ok(Some((queued, _))) = self.next_error() {
            if queued.error.offender.is_none() && queued.error.errno == EMSGSIZE {
                mtu = Some(queued.error.info);
            }
        }
        mtu
    }

    /// Takes an error that belongs to a probe of before.
    fn drain_one(&mut self) -> bool {
        matches!(self.next_error(), Ok(Some(_)))
    }

    /// Remembers what somebody said that leads nowhere.
    pub(super) fn complain(&mut self, from: Option<IpAddr>, words: String) {
        let complaint = Complaint { from, words };
        if self.complaints.len() < COMPLAINTS && !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }
}

fn connected(target: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::open(Family::of(&target.ip()), Kind::Datagram)?;
    socket.connect(target)?;
    Ok(socket)
}

fn system(what: &'static str, target: SocketAddr) -> impl FnOnce(io::Error) -> PathMtuError {
    move |source| PathMtuError::System { what, target, source }
}

const BROADCAST: &str = "a broadcast address is no host";
/// Enough to know a probe by.
const QUOTED: usize = 64;
const SEND_TRIES: usize = 8;
const HEARD_AT_ONCE: usize = 64;
const COMPLAINTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(squall_portable, ignore = "the portable back end has no error queue")]
    fn what_is_too_long_is_known_to_be_also_while_others_fill_the_receive_buffer() {
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = peer.local_addr().unwrap();
        let mut link = Link::open(target, PathMtuDiscovery::Do).unwrap();
        let local = link.local().unwrap();
        // The kernel then has no room to tell of its refusal either.
        while link.socket.memory().unwrap().drops == 0 {
            peer.send_to(&[], local).unwrap();
        }
        // One byte more than an IPv4 packet holds, and fewer than a call refuses by itself.
        assert!(matches!(link.send(0, 65_508).unwrap(), Sent::TooLong { .. }));
    }
}
