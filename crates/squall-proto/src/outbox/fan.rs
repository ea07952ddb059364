//! The same for many peers.

use super::{Entry, Outbox};
use crate::{MAX_DATAGRAM, Origin, Refusal};

impl Outbox {
    /// One body for many peers; the bytes are stored once.
    ///
    /// # Errors
    /// [`Refusal::TooLong`] and [`Refusal::Full`], when no peer gets anything of it.
    pub fn to_all(&mut self, peers: &mut dyn Iterator<Item = Origin>, body: &[u8]) -> Result<(), Refusal> {
        self.to_all_rows(peers, body, &[body.len()])
    }

    /// A body for many peers that is cut into a row of datagrams or frames: one ends at each of `ends`, where
    /// the next begins. The bytes are stored once, and each peer's frames follow one another, so that a
    /// driver can send a peer's whole row at once; what lies behind the last end is not sent.
    /// Each peer takes as many of [`frames_left`](Self::frames_left) as there are ends.
    ///
    /// # Errors
    /// [`Refusal::TooLong`] when a frame is longer than a datagram, and [`Refusal::Full`]; no peer gets anything
    /// of it then.
    ///
    /// # Panics
    /// When `ends` go back or point behind the body.
    pub fn to_all_rows(
        &mut self,
        peers: &mut dyn Iterator<Item = Origin>,
        body: &[u8],
        ends: &[usize],
    ) -> Result<(), Refusal> {
        let last = ends.last().copied().unwrap_or(0);
        let body = &body[..last];
        let mut before = 0;
        for end in ends {
            assert!(before <= *end, "a frame of a row ends before it begins");
            if end - before > MAX_DATAGRAM {
                return Err(Refusal::TooLong { limit: MAX_DATAGRAM });
            }
            before = *end;
        }
        if body.len() > self.max_bytes - self.bytes.len() {
            return Err(Refusal::Full);
        }
        let mark = self.mark();
        let base = self.bytes.len() as u32;
        self.bytes.extend_from_slice(body);
        for origin in peers {
            if ends.len() > self.frames_left() {
                self.rewind(mark);
                return Err(Refusal::Full);
            }
            let destination = self.destination(&origin);
            let mut start = base;
            self.frames.extend(ends.iter().map(|end| {
                let entry = Entry { destination, start, end: base + *end as u32 };
                start = entry.end;
                entry
            }));
        }
        Ok(())
    }

    /// How many more frames it takes, where there are bytes for them.
    pub fn frames_left(&self) -> usize {
        self.max_frames - self.frames.len()
    }
}
