//! Bodies that arrive in blocks ([RFC 7959 §2.5](https://www.rfc-editor.org/rfc/rfc7959#section-2.5)).

use alloc::vec::Vec;
use core::time::Duration;

use crate::Time;
use crate::coap::block::Block;

/// The bodies that have begun and not ended, bounded in bytes and in number: of each peer to a quarter,
/// of all that are not validated to half, and of all.
#[derive(Debug)]
pub(super) struct Uploads {
    bodies: Vec<Upload>,
    bytes: usize,
    strange_bytes: usize,
    max_bytes: usize,
    max_body: usize,
    lifetime: Duration,
    dropped: u64,
}

#[derive(Debug)]
struct Upload {
    key: u64,
    peer: u64,
    validated: bool,
    body: Vec<u8>,
    expires: Time,
}

/// A block, and who sent it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived<'a> {
    /// What the body is known by: its peer, method, path and Request-Tag.
    pub(super) key: u64,
    pub(super) peer: u64,
    pub(super) validated: bool,
    pub(super) block: Block,
    pub(super) payload: &'a [u8],
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The next one is awaited.
    Continue,
    /// It is the last, and all before it are there; [`Uploads::finish`] gives the body.
    Last,
    /// Blocks before it are missing.
    Incomplete,
    /// It is not as long as its size says.
    Malformed,
    /// The body is longer than bodies may be.
    TooLarge,
    /// There is no room for another body.
    Full,
}

impl Uploads {
    pub(super) fn new(max_bytes: usize, max_body: usize, lifetime: Duration) -> Self {
        Self { bodies: Vec::new(), bytes: 0, strange_bytes: 0, max_bytes, max_body, lifetime, dropped: 0 }
    }

    /// Takes a block; one that has been taken before is passed over, but for the first, which begins anew.
    pub(super) fn take(&mut self, now: Time, arrived: &Arrived<'_>) -> Taken {
        let Arrived { key, block, payload, .. } = *arrived;
        if block.more() && payload.len() != block.size().bytes() || payload.len() > block.size().bytes() {
            return Taken::Malformed;
        }
        self.expire(now);
        let offset = block.offset();
        if offset.saturating_add(payload.len()) > self.max_body {
            self.remove(key);
            return Taken::TooLarge;
        }
        let found = self.bodies.iter().position(|upload| upload.key == key);
        let index = match found {
            Some(index) => {
                let upload = &self.bodies[index];
                let known = upload.body.get(offset..offset + payload.len()) == Some(payload);
                if block.number() == 0 {
                    // A new body in the place of one that was not finished: a copy of the first block does
                    // not come here.
                    self.remove(key);
                    return self.begin(now, arrived);
                }
                if block.more() && known {
                    self.bodies[index].expires = now + self.lifetime;
                    return Taken::Continue;
                }
                index
            }
            None if block.number() == 0 => return self.begin(now, arrived),
            None => return Taken::Incomplete,
        };
        if self.bodies[index].body.len() != offset {
            return Taken::Incomplete;
        }
        if !block.more() {
            return Taken::Last;
        }
        self.append(now, index, payload)
    }

    /// The body that `last` completes, after [`Taken::Last`].
    pub(super) fn finish(&mut self, last: &Arrived<'_>) -> Option<Vec<u8>> {
        let mut body = self.remove(last.key)?;
        body.extend_from_slice(last.payload);
        Some(body)
    }

    /// How many bodies were given up before they were complete, since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        core::mem::take(&mut self.dropped)
    }

    /// The bytes that are taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn begin(&mut self, now: Time, arrived: &Arrived<'_>) -> Taken {
        let Arrived { key, peer, validated, .. } = *arrived;
        let count = |of: &dyn Fn(&Upload) -> bool| self.bodies.iter().filter(|upload| of(upload)).count();
        let is_full = self.bodies.len() >= MAX_UPLOADS
            || count(&|upload| upload.peer == peer) >= MAX_UPLOADS / 4
            || !validated && count(&|upload| !upload.validated) >= MAX_UPLOADS / 2;
        if is_full {
            return Taken::Full;
        }
        let upload = Upload { key, peer, validated, body: Vec::new(), expires: now + self.lifetime };
        self.bodies.push(upload);
        let taken = self.append(now, self.bodies.len() - 1, arrived.payload);
        if taken == Taken::Full {
            self.bodies.pop();
        }
        taken
    }

    fn append(&mut self, now: Time, index: usize, payload: &[u8]) -> Taken {
        let Upload { peer, validated, ref body, .. } = self.bodies[index];
        let missing = (body.len() + payload.len()).saturating_sub(body.capacity());
        if missing > 0 {
            let more = missing.max(body.len() / 2).max(SMALLEST_GROWTH).min(self.max_body.max(missing));
            let of_peer: usize =
                self.bodies.iter().filter(|upload| upload.peer == peer).map(Upload::room).sum();
            let is_full = self.bytes + more > self.max_bytes
                || of_peer + more > self.max_bytes / 4
                || !validated && self.strange_bytes + more > self.max_bytes / 2;
            if is_full {
                return Taken::Full;
            }
            let body = &mut self.bodies[index].body;
            let before = body.capacity();
            body.reserve_exact(body.capacity() - body.len() + more);
            let grown = body.capacity() - before;
            self.bytes += grown;
            self.strange_bytes += if validated { 0 } else { grown };
        }
        let upload = &mut self.bodies[index];
        upload.body.extend_from_slice(payload);
        upload.expires = now + self.lifetime;
        Taken::Continue
    }

    fn expire(&mut self, now: Time) {
        while let Some(index) = self.bodies.iter().position(|upload| upload.expires <= now) {
            self.dropped += 1;
            self.remove_at(index);
        }
    }

    fn remove(&mut self, key: u64) -> Option<Vec<u8>> {
        let index = self.bodies.iter().position(|upload| upload.key == key)?;
        Some(self.remove_at(index))
    }

    fn remove_at(&mut self, index: usize) -> Vec<u8> {
        let upload = self.bodies.swap_remove(index);
        self.bytes -= upload.room();
        self.strange_bytes -= if upload.validated { 0 } else { upload.room() };
        upload.body
    }
}

impl Upload {
    fn room(&self) -> usize {
        self.body.capacity()
    }
}

/// The most bodies that may have begun at once.
const MAX_UPLOADS: usize = 512;
/// A body grows by this many bytes at least, or by a half.
const SMALLEST_GROWTH: usize = 2048;
