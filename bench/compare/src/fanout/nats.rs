//! Subscribers and a publisher of NATS, by
//! [its protocol](https://docs.nats.io/reference/reference-protocols/nats-protocol), a connection for each.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use squall_socket::{Poller, wait_writable};

use super::audience::{Audience, Frame, TEXT};
use super::drive::Crowd;
use crate::error::Error;
use crate::process::Running;

/// What NATS makes of a message, by the only subscription of a connection.
pub(crate) const MSG: Frame = Frame { before: b"MSG room 1 64\r\n", after: b"\r\n" };

const PUB: &[u8] = b"PUB room 64\r\n";
const PING: &[u8] = b"PING\r\n";

/// Subscribers of one subject.
pub(crate) struct NatsCrowd {
    members: Vec<Subscriber>,
    poller: Poller,
    ready: Vec<usize>,
    buffer: Box<[u8]>,
    publication: Vec<u8>,
}

struct Subscriber {
    stream: TcpStream,
    /// How much of a `PING` has come: the server asks whether its clients live.
    asked: usize,
}

impl NatsCrowd {
    /// Waits until the server is there, and has all members subscribe.
    pub(crate) fn join(server: &Running, members: usize) -> Result<Self, Error> {
        let mut crowd = Self {
            members: Vec::with_capacity(members),
            poller: Poller::new().map_err(Error::Member)?,
            ready: Vec::new(),
            buffer: vec![0; 1 << 16].into(),
            publication: Vec::new(),
        };
        let begin = Instant::now();
        while crowd.members.len() < members {
            server.fail_if_it_ended()?;
            match subscribe(server.address()) {
                Ok(stream) => {
                    crowd.poller.add(&stream, crowd.members.len()).map_err(Error::Member)?;
                    crowd.members.push(Subscriber { stream, asked: 0 });
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    if begin.elapsed() > PATIENCE {
                        return Err(Error::Silent(PATIENCE.as_secs()));
                    }
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(Error::Member(error)),
            }
        }
        Ok(crowd)
    }
}

impl Crowd for NatsCrowd {
    fn receive(&mut self, audience: &mut Audience) -> Result<(), Error> {
        self.poller.wait(&mut self.ready, Some(Duration::ZERO)).map_err(Error::Member)?;
        for &number in &self.ready {
            let member = &mut self.members[number];
            let len = match member.stream.read(&mut self.buffer) {
                Ok(0) => return Err(Error::Member(io::ErrorKind::UnexpectedEof.into())),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(Error::Member(error)),
            };
            let mut bytes = &self.buffer[..len];
            while !bytes.is_empty() {
                let between = if member.asked > 0 { 0 } else { audience.stream(number, bytes) };
                bytes = &bytes[between..];
                let asked =
                    bytes.iter().zip(&PING[member.asked..]).take_while(|(one, other)| one == other).count();
                if asked == 0 && !bytes.is_empty() {
                    let said = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
                    return Err(Error::Member(io::Error::other(format!("it said {said:?}"))));
                }
                bytes = &bytes[asked..];
                member.asked += asked;
                if member.asked == PING.len() {
                    member.asked = 0;
                    write(&mut member.stream, b"PONG\r\n")?;
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, texts: &[u8]) -> Result<(), Error> {
        self.publication.clear();
        for text in texts.chunks(TEXT) {
            self.publication.extend_from_slice(PUB);
            self.publication.extend_from_slice(text);
            self.publication.extend_from_slice(b"\r\n");
        }
        write(&mut self.members[0].stream, &self.publication)
    }
}

fn write(stream: &mut TcpStream, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_writable(&*stream, PAUSE).map_err(Error::Member)?;
            }
            Err(error) => return Err(Error::Member(error)),
        }
    }
    Ok(())
}

/// A connection with its subscription, of which the server has said that it stands.
fn subscribe(server: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB room 1\r\nPING\r\n")?;
    let mut lines = BufReader::new(&stream);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "PONG" => break,
            "PING" => (&stream).write_all(b"PONG\r\n")?,
            line if line.starts_with("INFO ") => {}
            line => return Err(io::Error::other(format!("it said {line:?}"))),
        }
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);
