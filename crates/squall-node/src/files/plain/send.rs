//! Sending over the plain wire.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use squall::Time;
use squall::files::plain::{BYE, Cutter, Pace};
use squall::socket::{Family, Kind, Socket};

/// How a file is sent.
#[derive(Clone, Debug)]
pub struct SendConfig {
    bits_per_second: u64,
    wait: Duration,
}

impl SendConfig {
    /// The most bits a second, headers counted: default 16 million, which is 2000 datagrams, at least 1000. Nobody tells the sender
    /// when a receiver has no room: at this rate one may stand still for about 45 ms with the 208 KiB that
    /// Linux gives it. A Squall node asks for 4 MiB, and stands much more.
    pub fn limit(mut self, bits_per_second: u64) -> Self {
        self.bits_per_second = bits_per_second.max(1000);
        self
    }

    /// How long to listen behind `bye` whether somebody says that nobody listens: default 500 ms. Not for loopback, where that is
    /// told at once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

impl Default for SendConfig {
    fn default() -> Self {
        Self { bits_per_second: 16_000_000, wait: Duration::from_millis(500) }
    }
}

/// What was sent. Whether anything of it arrived nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Bytes of content.
    pub bytes: u64,
    /// Datagrams, `bye` among them.
    pub datagrams: u64,
}

/// Why a file was not sent to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The content cannot be read.
    #[error("cannot read what is to be sent: {source}")]
    Read {
        /// What the system said.
        source: io::Error,
    },
    /// The host has nobody at that port.
    #[error("nobody listens at {to}: its host says so after {sent} bytes")]
    NobodyListens {
        /// The receiver.
        to: SocketAddr,
        /// Bytes of content that were sent until then.
        sent: u64,
    },
    /// The system does not send there.
    #[error("cannot send to {to} after {sent} bytes: {source}")]
    Send {
        /// The receiver.
        to: SocketAddr,
        /// Bytes of content that were sent until then.
        sent: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// Sends `content`, up to its end, to the receiver at `to`, datagram after datagram, and `bye`. Each datagram is told to
/// `progress`. It returns when the last one was sent, and takes as long as its rate says.
///
/// There is no acknowledgement: a datagram that is lost, doubled or overtaken on the way makes another file there, and
/// nobody notices. It comes from a port of its own, so that it is an upload of its own.
///
/// # Errors
/// [`SendError`]: a receiver then has a file that it takes for incomplete, after a while, or none.
pub fn send(
    content: &mut dyn Read,
    to: SocketAddr,
    config: &SendConfig,
    progress: &mut dyn FnMut(Sent),
) -> Result<Sent, SendError> {
    let mut sender = Sender::open(to, config.bits_per_second)?;
    let mut cutter = Cutter::new();
    let mut buffer = vec![0; READ];
    let mut is_read = false;
    while !is_read {
        match content.read(&mut buffer) {
            Ok(0) => {
                cutter.finish();
                is_read = true;
            }
            Ok(len) => cutter.push(&buffer[..len]),
            Err(problem) if problem.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(SendError::Read { source }),
        }
        while let Some(datagram) = cutter.poll_datagram() {
            sender.send(datagram)?;
            progress(sender.sent);
        }
    }
    sender.listen(if to.ip().is_loopback() { Duration::ZERO } else { config.wait })?;
    Ok(sender.sent)
}

struct Sender {
    to: SocketAddr,
    socket: Socket,
    pace: Pace,
    began: Instant,
    sent: Sent,
}

impl Sender {
    fn open(to: SocketAddr, bits_per_second: u64) -> Result<Self, SendError> {
        let open = || {
            let socket = Socket::open(Family::of(&to.ip()), Kind::Datagram)?;
            // Only a connected socket hears that nobody listens.
            socket.connect(to)?;
            Ok(socket)
        };
        let socket = open().map_err(|source| SendError::Send { to, sent: 0, source })?;
        Ok(Self {
            to,
            socket,
            pace: Pace::new(bits_per_second),
            began: Instant::now(),
            sent: Sent::default(),
        })
    }

    fn send(&mut self, datagram: &[u8]) -> Result<(), SendError> {
        let wait = self.pace.wait(Time::from_epoch(self.began.elapsed()), datagram.len());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        let mut attempts = 0;
        loop {
            match self.socket.send(datagram) {
                Ok(_) => break,
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
                // The interface's queue is full: it empties by itself.
                Err(problem) if problem.raw_os_error() == Some(libc::ENOBUFS) && attempts < ATTEMPTS => {
                    attempts += 1;
                    thread::sleep(PAUSE);
                }
                Err(problem) => return Err(self.failure(problem)),
            }
        }
        self.sent.datagrams += 1;
        // No datagram of the content is that.
        if datagram != BYE {
            self.sent.bytes += datagram.len() as u64;
        }
        Ok(())
    }

    /// Waits for word that nobody listens.
    fn listen(&self, time: Duration) -> Result<(), SendError> {
        let result = if time.is_zero() {
            self.socket.take_error().and_then(|problem| problem.map_or(Ok(()), Err))
        } else {
            self.socket.set_read_timeout(Some(time)).and_then(|()| self.socket.recv(&mut [0; 1]).map(drop))
        };
        match result {
            Err(problem) if problem.kind() == io::ErrorKind::ConnectionRefused => Err(self.failure(problem)),
            // Whatever else comes, all was sent.
            _ => Ok(()),
        }
    }

    fn failure(&self, source: io::Error) -> SendError {
        let (to, sent) = (self.to, self.sent.bytes);
        match source.kind() {
            io::ErrorKind::ConnectionRefused => SendError::NobodyListens { to, sent },
            _ => SendError::Send { to, sent, source },
        }
    }
}

/// Bytes that are read at a time.
const READ: usize = 64 * 1024;
/// Attempts to send a datagram for which the interface has no room, and what is between two of them.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_file_arrives_in_pieces_with_bye_behind_them() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let content: Vec<u8> = "an é and 3 bytes: 語 ".repeat(400).into_bytes();
        let mut told = Vec::new();
        let to = receiver.local_addr().unwrap();
        let config = SendConfig::default().limit(1 << 30);
        let sent = send(&mut &content[..], to, &config, &mut |sent| told.push(sent)).unwrap();
        let mut arrived = Vec::new();
        let mut buffer = [0; 2048];
        let mut datagrams = 0;
        loop {
            let len = receiver.recv(&mut buffer).unwrap();
            datagrams += 1;
            if &buffer[..len] == BYE {
                break;
            }
            assert!(len <= 1024 && std::str::from_utf8(&buffer[..len]).is_ok());
            arrived.extend_from_slice(&buffer[..len]);
        }
        assert_eq!(arrived, content);
        assert_eq!((sent.bytes, sent.datagrams), (content.len() as u64, datagrams));
        assert_eq!((told.len() as u64, told.last()), (datagrams, Some(&sent)));
    }

    #[test]
    fn that_nobody_listens_is_told() {
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = closed.local_addr().unwrap();
        drop(closed);
        for content in [&b""[..], &[b'x'; 100_000]] {
            let refused = send(&mut &*content, to, &SendConfig::default(), &mut |_| {}).unwrap_err();
            assert!(matches!(refused, SendError::NobodyListens { .. }), "{refused}");
            assert!(refused.to_string().contains(&to.to_string()));
        }
    }

    #[test]
    fn what_cannot_be_read_ends_without_bye() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::Other.into())
            }
        }
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_nonblocking(true).unwrap();
        let to = receiver.local_addr().unwrap();
        let refused = send(&mut Broken, to, &SendConfig::default(), &mut |_| {}).unwrap_err();
        assert!(matches!(refused, SendError::Read { .. }));
        assert_eq!(receiver.recv(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
