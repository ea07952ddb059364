//! What a worker and its parent say to each other, over a pair of stream sockets.
//!
//! The worker sends its status at intervals; the parent sends one order, to stop. The end of the stream
//! is an end of the other side.

use std::io::{self, Read, Write};
use std::time::Duration;

use crate::stats::{COUNTERS, SocketStats};

/// What a worker tells; all of it counts from its start.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// For how long it has been inside one handler.
    pub(crate) busy: Duration,
    /// Requests that were taken and not finished.
    pub(crate) unfinished: u64,
    /// The counts of each of its sockets.
    pub(crate) sockets: Vec<Counts>,
}

/// The counts of one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) counts: [u64; COUNTERS],
    /// Failed sends by error number, of those that occurred.
    pub(crate) send_errors: Vec<(i32, u64)>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { counts: [0; COUNTERS], send_errors: Vec::new() }
    }
}

impl Status {
    pub(crate) fn of<'a>(
        busy: Duration,
        unfinished: u64,
        sockets: impl Iterator<Item = &'a SocketStats>,
    ) -> Self {
        let counts = |socket: &SocketStats| Counts {
            counts: socket.counts(),
            send_errors: socket.send_errors().collect(),
        };
        Self { busy, unfinished, sockets: sockets.map(counts).collect() }
    }

    /// Writes words of eight bytes: how many follow, the head, and for each socket its counts, the number
    /// of its errors, and these.
    pub(crate) fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut words = vec![0, self.busy.as_nanos() as u64, self.unfinished, self.sockets.len() as u64];
        for socket in &self.sockets {
            words.extend(socket.counts);
            words.push(socket.send_errors.len() as u64);
            words.extend(socket.send_errors.iter().flat_map(|(errno, count)| [*errno as u64, *count]));
        }
        words[0] = words.len() as u64 - 1;
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        to.write_all(&bytes)
    }

    /// The status in `words`, if they are one of `sockets` sockets.
    fn parse(mut words: impl Iterator<Item = u64>, sockets: usize) -> Option<Self> {
        let (busy, unfinished) = (Duration::from_nanos(words.next()?), words.next()?);
        if words.next()? != sockets as u64 {
            return None;
        }
        let mut all = vec![Counts::default(); sockets];
        for socket in &mut all {
            for count in &mut socket.counts {
                *count = words.next()?;
            }
            for _ in 0..words.next()? {
                socket.send_errors.push((i32::try_from(words.next()?).ok()?, words.next()?));
            }
        }
        words.next().is_none().then_some(Self { busy, unfinished, sockets: all })
    }
}

/// Puts the statuses of a worker together, of whatever pieces arrive.
pub(crate) struct Statuses {
    sockets: usize,
    bytes: Vec<u8>,
    piece: Box<[u8]>,
}

impl Statuses {
    /// Of a worker with `sockets` sockets.
    pub(crate) fn new(sockets: usize) -> Self {
        Self { sockets, bytes: Vec::new(), piece: vec![0; 16_384].into() }
    }

    /// Reads once.
    ///
    /// # Errors
    /// `UnexpectedEof` at the worker's end.
    pub(crate) fn fill(&mut self, mut from: impl Read) -> io::Result<()> {
        match from.read(&mut self.piece) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.bytes.extend_from_slice(&self.piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next status, if all of it is there.
    ///
    /// # Errors
    /// `InvalidData` when the worker has another number of sockets.
    pub(crate) fn next(&mut self) -> io::Result<Option<Status>> {
        let mut words = self.bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word));
        let Some(count) = words.next() else { return Ok(None) };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > words.len() {
            return Ok(None);
        }
        let status = Status::parse(words.take(count), self.sockets);
        self.bytes.drain(..(1 + count) * 8);
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "a worker of another program");
        status.ok_or_else(bad).map(Some)
    }
}

/// Tells a worker to stop within `grace`.
pub(crate) fn order_stop(mut to: impl Write, grace: Duration) -> io::Result<()> {
    to.write_all(&(grace.as_nanos() as u64).to_ne_bytes())
}

/// Reads the order to stop: the grace that it gives.
pub(crate) fn read_stop(mut from: impl Read) -> io::Result<Duration> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(Duration::from_nanos(u64::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let mut sockets = vec![Counts::default(); 2];
        sockets[0].send_errors = vec![(1, 3), (101, 4)];
        sockets[1].counts[COUNTERS - 1] = 7;
        Status { busy: Duration::from_millis(3), unfinished: 2, sockets }
    }

    #[test]
    fn statuses_survive_the_line_in_whatever_pieces_they_arrive() {
        let mut bytes = Vec::new();
        for _ in 0..3 {
            status().write(&mut bytes).unwrap();
        }
        for size in [1, 7, 8, 300, bytes.len() - 1, bytes.len()] {
            let (mut statuses, mut heard) = (Statuses::new(2), 0);
            for piece in bytes.chunks(size) {
                statuses.fill(piece).unwrap();
                while let Some(next) = statuses.next().unwrap() {
                    assert_eq!(next, status());
                    heard += 1;
                }
            }
            assert_eq!(heard, 3, "in pieces of {size}");
            assert_eq!(statuses.fill(io::empty()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_worker_of_another_program_is_told_by_its_sockets() {
        let mut bytes = Vec::new();
        status().write(&mut bytes).unwrap();
        for sockets in [0, 1, 3] {
            let mut statuses = Statuses::new(sockets);
            statuses.fill(bytes.as_slice()).unwrap();
            assert_eq!(statuses.next().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
