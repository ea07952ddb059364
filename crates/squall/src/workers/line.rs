//! What a worker and its parent say to each other, over a pair of stream sockets.
//!
//! The worker sends its status at intervals; the parent sends one order, to stop. The end of the stream
//! is an end of the other side.

use std::io::{self, Read, Write};
use std::time::Duration;

use crate::stats::{COUNTERS, SocketStats};

/// What a worker tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// For how long it has been inside one handler.
    pub(crate) busy: Duration,
    /// Requests that were taken and not finished, told at its end.
    pub(crate) unfinished: u64,
    /// The counts of each of its sockets since its start.
    pub(crate) counts: Vec<[u64; COUNTERS]>,
}

impl Status {
    pub(crate) fn of<'a>(
        busy: Duration,
        unfinished: u64,
        sockets: impl Iterator<Item = &'a SocketStats>,
    ) -> Self {
        Self { busy, unfinished, counts: sockets.map(SocketStats::counts).collect() }
    }

    pub(crate) fn write(&self, mut to: impl Write) -> io::Result<()> {
        let head = [self.busy.as_nanos() as u64, self.unfinished, self.counts.len() as u64];
        let words = head.iter().chain(self.counts.iter().flatten());
        let bytes: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
        to.write_all(&bytes)
    }

    /// Reads a status of `sockets` sockets.
    ///
    /// # Errors
    /// `UnexpectedEof` at the worker's end, `InvalidData` when it has another number of sockets.
    pub(crate) fn read(mut from: impl Read, sockets: usize) -> io::Result<Self> {
        let (busy, unfinished, count) = (word(&mut from)?, word(&mut from)?, word(&mut from)?);
        if count != sockets as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a worker of another program"));
        }
        let mut counts = vec![[0; COUNTERS]; sockets];
        for value in counts.iter_mut().flatten() {
            *value = word(&mut from)?;
        }
        Ok(Self { busy: Duration::from_nanos(busy), unfinished, counts })
    }
}

/// Tells a worker to stop within `grace`.
pub(crate) fn order_stop(mut to: impl Write, grace: Duration) -> io::Result<()> {
    to.write_all(&(grace.as_nanos() as u64).to_ne_bytes())
}

/// Reads the order to stop: the grace that it gives.
pub(crate) fn read_stop(from: impl Read) -> io::Result<Duration> {
    word(from).map(Duration::from_nanos)
}

fn word(mut from: impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_line() {
        let mut counts = vec![[0; COUNTERS]; 2];
        counts[1][COUNTERS - 1] = 7;
        let status = Status { busy: Duration::from_millis(3), unfinished: 2, counts };
        let mut bytes = Vec::new();
        status.write(&mut bytes).unwrap();
        assert_eq!(Status::read(bytes.as_slice(), 2).unwrap(), status);
        assert_eq!(Status::read(bytes.as_slice(), 3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(Status::read(cut, 2).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
