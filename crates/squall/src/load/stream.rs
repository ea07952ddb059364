//! The load on a stream server: connections with one request in flight each.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use squall_socket::Poller;
use squall_socket::process::raise_descriptor_limit;

use super::flight::Flight;
use super::ledger::Ledger;
use super::schedule::Schedule;
use super::tally::Tally;
use super::{Load, LoadError, Matching, Report, token};

/// Puts `load` on its target until it is over or `stop` is set.
pub(super) fn run(load: &Load, stop: &AtomicBool) -> Result<Report, LoadError> {
    let mut driver = Driver::new(load, stop)?;
    let mut ready = Vec::new();
    for number in 0..driver.connections.len() {
        driver.request(number);
    }
    loop {
        let now = driver.now();
        if stop.load(Ordering::Relaxed) {
            driver.schedule.stop(now);
            driver.ledger.tally.stop(now);
        }
        if now >= driver.next_check {
            driver.next_check = now + CHECK.min(driver.timeout / 8);
            driver.give_up(now);
        }
        if driver.schedule.is_over(now) && driver.ledger.flight.is_empty() {
            break;
        }
        let until = if load.busy { 0 } else { driver.next_check.saturating_sub(now) };
        driver
            .poller
            .wait(&mut ready, Some(Duration::from_nanos(until)))
            .map_err(|source| LoadError::Receive { target: load.target, source })?;
        for number in &ready {
            driver.receive(*number);
        }
    }
    let now = driver.now();
    driver.ledger.tally.stop(now);
    Ok(driver.ledger.tally.report(load, false))
}

/// Every connection and the request in flight on it. Times are nanoseconds since `start`.
struct Driver<'a> {
    load: &'a Load,
    start: Instant,
    timeout: u64,
    next_check: u64,
    connections: Vec<Connection>,
    schedule: Schedule,
    ledger: Ledger,
    poller: Poller,
    request: Vec<u8>,
    /// What was read, behind the end of what was read before from the same connection.
    reply: Vec<u8>,
}

struct Connection {
    /// `None` when the server has closed it, or did not read.
    stream: Option<TcpStream>,
    /// When its request was sent, while it waits for the reply.
    since: Option<u64>,
    /// The last bytes of what was read: the first part of a token can be among them.
    tail: [u8; TAIL],
}

impl<'a> Driver<'a> {
    fn new(load: &'a Load, stop: &AtomicBool) -> Result<Self, LoadError> {
        let failed = |number: usize| {
            let Load { peers, target, .. } = *load;
            move |source| LoadError::Connect { number, peers, target, source }
        };
        // Without the limit's full height, connecting fails later and says where.
        let _ = raise_descriptor_limit();
        let mut poller = Poller::new().map_err(failed(1))?;
        let mut connections = Vec::with_capacity(load.peers);
        for number in 0..load.peers {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let stream = connect(load).map_err(failed(number + 1))?;
            poller.add(&stream, number).map_err(failed(number + 1))?;
            connections.push(Connection { stream: Some(stream), since: None, tail: [0; TAIL] });
        }
        let from = load.warm_up.as_nanos() as u64;
        let end = from + load.duration.as_nanos() as u64;
        let mut request = vec![FILL; load.size + 1];
        request[load.size] = b'\n';
        Ok(Self {
            load,
            start: Instant::now(),
            timeout: load.timeout.as_nanos() as u64,
            next_check: 0,
            schedule: Schedule::new(load, end),
            ledger: Ledger::new(
                Flight::new(load.peers, 1, 0),
                Tally::new(from, end),
                (load.matching == Matching::Any).then_some(load.peers),
                None,
            ),
            connections,
            poller,
            request,
            reply: vec![0; TAIL + READ],
        })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Sends the next request of a connection, if there is to be one.
    fn request(&mut self, number: usize) {
        let now = self.now();
        let free = self.ledger.flight.free();
        let connection = &mut self.connections[number];
        let Some(stream) = connection.stream.as_mut().filter(|_| self.schedule.due(now, free) > 0) else {
            return;
        };
        let since = self.schedule.start(now);
        let Some((group, token)) = self.ledger.flight.start(since, now) else { return };
        self.ledger.expect_any(number, group);
        if self.load.size >= token::SIZE {
            self.request[self.load.size - token::SIZE..self.load.size].copy_from_slice(&token::encode(token));
        }
        connection.since = Some(since);
        self.ledger.tally.sent(since, 1);
        // One request in flight does not fill a send buffer, unless the server does not read.
        if !matches!(stream.write(&self.request), Ok(len) if len == self.request.len()) {
            self.ledger.tally.send_errors += 1;
            connection.stream = None;
        }
    }

    /// Takes what has come on a connection, and sends the next request when that was the reply.
    fn receive(&mut self, number: usize) {
        loop {
            let connection = &mut self.connections[number];
            let Some(stream) = &mut connection.stream else { return };
            self.reply[..TAIL].copy_from_slice(&connection.tail);
            match stream.read(&mut self.reply[TAIL..]) {
                Ok(0) => connection.stream = None,
                Ok(len) => {
                    connection.tail.copy_from_slice(&self.reply[len..len + TAIL]);
                    self.take(number, len);
                    if len == READ {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => connection.stream = None,
            }
            return;
        }
    }

    fn take(&mut self, number: usize, len: usize) {
        let now = self.now();
        let Self { ledger, reply, connections, .. } = self;
        let mut complete = false;
        match self.load.matching {
            Matching::Any => complete = connections[number].since.is_some() && ledger.take(number, &[], now),
            Matching::Token => {
                let reply = &reply[..TAIL + len];
                for (offset, _) in token::find(reply) {
                    complete |= ledger.take(number, &reply[offset..offset + token::SIZE], now);
                }
            }
        }
        if complete {
            self.connections[number].since = None;
            // The token is counted; it must not be found in the tail again.
            self.connections[number].tail = [0; TAIL];
            self.request(number);
        }
    }

    /// Gives up requests that have waited too long, and lets their connections go on.
    fn give_up(&mut self, now: u64) {
        let before = now.saturating_sub(self.timeout);
        self.ledger.give_up(before);
        for number in 0..self.connections.len() {
            if self.connections[number].since.is_some_and(|since| since < before) {
                self.connections[number].since = None;
                self.request(number);
            }
        }
    }
}

fn connect(load: &Load) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&load.target, CONNECT)?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A token less one byte.
const TAIL: usize = token::SIZE - 1;
/// Bytes of one read.
const READ: usize = 16_384;
const CONNECT: Duration = Duration::from_secs(5);
/// What stands before the token; no hexadecimal digit.
const FILL: u8 = b'.';
/// Nanoseconds between two looks for what is lost, at most.
const CHECK: u64 = 100_000_000;
