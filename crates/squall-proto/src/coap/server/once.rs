//! At most once: what is remembered of requests with effect.
//!
//! Two memories. A *mark* of 12 bytes for each request, from before it is run until its sender may use
//! its message ID again: a keyed hash of the whole message, of both addresses and the message ID, and a
//! coarse time. The marks lie in pages by message ID and are dropped when their page is looked at after
//! their time. And the *answers*, in rings bounded by bytes, where the newest displaces the oldest. So
//! a repeated request is known for as long as it can come, and gets its answer for as long as that is
//! there.
//!
//! A request that is not repeated is taken for a repeated one with a probability of 2⁻³² for each mark
//! in its page. It then gets no answer, which its sender notices; it is never run twice.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::mac::{self, Mac};
use super::quota::Quotas;
use crate::{Origin, Time};

/// What is remembered; see the module.
#[derive(Debug)]
pub(super) struct Once {
    mac: Mac,
    /// Nothing is allocated before the first request with effect.
    pages: Vec<Vec<Mark>>,
    marks: usize,
    max_marks: usize,
    /// Which page is looked through next, so that none keeps marks whose time is over for ever.
    sweep: usize,
    quotas: Quotas,
    /// For peers that are validated, and for the others.
    rings: [Ring; 2],
}

/// A request, as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    id: u16,
    hash: u32,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    hash: u32,
    /// In [`TICK`]s.
    expires: u32,
    /// Where the answer is, in [`UNIT`]s of its ring; the highest bit says which ring.
    answer: u32,
}

/// What is known of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// It was not seen before.
    New,
    /// It was run, and this was the answer.
    Answered(&'a [u8]),
    /// It was run, and the answer is not here: forgotten, withheld, or not given yet.
    Gone,
}

/// Why a request cannot be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There is no room for another mark.
    Store,
    /// The endpoint, its network, or all that are not validated have their share.
    Quota,
}

impl Once {
    /// Room for `max_marks` requests and `max_bytes` of answers, half of which are for peers that are not
    /// validated. `lifetime` is the longest time that something is remembered.
    pub(super) fn new(key: u128, max_marks: usize, max_bytes: usize, lifetime: Duration) -> Self {
        let max_marks = max_marks.clamp(16, 1 << 26);
        Self {
            mac: Mac::new(key ^ PURPOSE),
            pages: Vec::new(),
            marks: 0,
            max_marks,
            sweep: 0,
            quotas: Quotas::new(max_marks, lifetime, key as u64),
            rings: [Ring::new(max_bytes - max_bytes / 2), Ring::new(max_bytes / 2)],
        }
    }

    /// What the request `datagram` of `origin` with message ID `id` is remembered by.
    pub(super) fn key(&self, origin: &Origin, id: u16, datagram: &[u8]) -> Key {
        Key { id, hash: self.mac.hash(&[&mac::peer(origin), &mac::local(origin), datagram]) as u32 }
    }

    /// What is known of the request.
    pub(super) fn look(&self, now: Time, key: Key) -> Known<'_> {
        let Some(page) = self.pages.get(self.page(key.id)) else { return Known::New };
        let tick = tick(now);
        match page.iter().find(|mark| mark.hash == key.hash && mark.is_live(tick)) {
            None => Known::New,
            Some(mark) => match self.rings[(mark.answer >> 31) as usize].get(mark.answer & !RING, key.hash) {
                Some(answer) => Known::Answered(answer),
                None => Known::Gone,
            },
        }
    }

    /// Remembers the request for `lifetime`, before it is run.
    pub(super) fn insert(
        &mut self,
        now: Time,
        key: Key,
        origin: &Origin,
        validated: bool,
        lifetime: Duration,
    ) -> Result<(), Full> {
        if self.pages.is_empty() {
            let pages = (self.max_marks / 8).next_power_of_two().clamp(1, 1 << 16);
            self.pages = vec![Vec::new(); pages];
        }
        let index = self.page(key.id);
        let tick = tick(now);
        self.expire(index, tick);
        self.sweep_some(tick, 1);
        if self.marks >= self.max_marks {
            self.sweep_some(tick, SWEEP_WHEN_FULL);
        }
        if self.marks >= self.max_marks || self.pages[index].len() >= MAX_PAGE {
            return Err(Full::Store);
        }
        // Nor shall strangers fill the page of a message ID that others will come to.
        if !validated && self.pages[index].len() >= MAX_PAGE / 2 {
            return Err(Full::Quota);
        }
        self.quotas.admit(now, origin, validated, &self.mac).map_err(|_| Full::Quota)?;
        // The tick that has begun counts whole, and one more is for the one it ends in.
        let expires =
            tick.wrapping_add((lifetime.as_nanos().div_ceil(u128::from(TICK)) as u32).saturating_add(1));
        self.pages[index].push(Mark { hash: key.hash, expires, answer: NO_ANSWER });
        self.marks += 1;
        Ok(())
    }

    /// Keeps `answer` for the request, as long as there is room.
    pub(super) fn answer(&mut self, key: Key, validated: bool, answer: &[u8]) {
        let ring = usize::from(!validated);
        let place = self.rings[ring].put(key.hash, answer);
        let page = self.page(key.id);
        let mark = self
            .pages
            .get_mut(page)
            .and_then(|page| page.iter_mut().rev().find(|mark| mark.hash == key.hash));
        if let (Some(mark), Some(place)) = (mark, place) {
            mark.answer = place | (ring as u32) << 31;
        }
    }

    /// How many requests are remembered, those whose time is over and that nobody has looked at included.
    pub(super) fn len(&self) -> usize {
        self.marks
    }

    /// The memory that is taken, in bytes: pages, marks and rings.
    pub(super) fn memory(&self) -> usize {
        let pages = self.pages.capacity() * size_of::<Vec<Mark>>();
        let marks: usize = self.pages.iter().map(|page| page.capacity() * size_of::<Mark>()).sum();
        pages + marks + self.rings.iter().map(|ring| ring.bytes.len()).sum::<usize>()
    }

    fn page(&self, id: u16) -> usize {
        usize::from(id) & self.pages.len().saturating_sub(1)
    }

    fn expire(&mut self, index: usize, tick: u32) {
        let page = &mut self.pages[index];
        let before = page.len();
        page.retain(|mark| mark.is_live(tick));
        self.marks -= before - page.len();
        // Or all pages, each in its turn, would come to keep what a full one needs.
        let kept = page.len().max(SMALLEST_PAGE);
        if page.capacity() > 2 * kept {
            page.shrink_to(kept);
        }
    }

    fn sweep_some(&mut self, tick: u32, pages: usize) {
        for _ in 0..pages.min(self.pages.len()) {
            self.sweep = (self.sweep + 1) & (self.pages.len() - 1);
            self.expire(self.sweep, tick);
        }
    }
}

impl Mark {
    fn is_live(&self, tick: u32) -> bool {
        // Ticks wrap after 34 years; the half of them that lies ahead is the future.
        self.expires.wrapping_sub(tick) as i32 > 0
    }
}

/// Answers one behind the other; the newest displaces the oldest.
#[derive(Debug)]
struct Ring {
    /// Allocated when the first answer comes.
    bytes: Box<[u8]>,
    units: u32,
    /// Where the next answer goes, in units since the beginning, wrapping at 2³¹.
    head: u32,
    /// How many units have been written, up to all.
    filled: u32,
}

impl Ring {
    fn new(max_bytes: usize) -> Self {
        // A power of two, so that the wrap of the count falls on the ring's end.
        let units = (max_bytes / UNIT).clamp(16, 1 << 28);
        let units = 1_u32 << units.ilog2();
        Self { bytes: Box::default(), units, head: 0, filled: 0 }
    }

    /// Keeps `answer` and says where; `None` for one that would take more than a quarter of the ring.
    fn put(&mut self, hash: u32, answer: &[u8]) -> Option<u32> {
        let needed = u32::try_from((HEADER + answer.len()).div_ceil(UNIT)).ok()?;
        if needed > self.units / 4 {
            return None;
        }
        if self.bytes.is_empty() {
            self.bytes = vec![0; self.units as usize * UNIT].into_boxed_slice();
        }
        let left = self.units - self.head % self.units;
        if needed > left {
            self.advance(left);
        }
        let place = self.head;
        let start = (place % self.units) as usize * UNIT;
        self.bytes[start..start + 4].copy_from_slice(&hash.to_le_bytes());
        self.bytes[start + 4..start + HEADER].copy_from_slice(&(answer.len() as u32).to_le_bytes());
        self.bytes[start + HEADER..start + HEADER + answer.len()].copy_from_slice(answer);
        self.advance(needed);
        Some(place)
    }

    fn get(&self, place: u32, hash: u32) -> Option<&[u8]> {
        let age = self.head.wrapping_sub(place) & !RING;
        if age == 0 || age > self.filled {
            return None;
        }
        let start = (place % self.units) as usize * UNIT;
        let (found, rest) = self.bytes.get(start..)?.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*found) != hash {
            return None;
        }
        rest.get(..u32::from_le_bytes(*length) as usize)
    }

    fn advance(&mut self, units: u32) {
        self.head = self.head.wrapping_add(units) & !RING;
        self.filled = self.filled.saturating_add(units).min(self.units);
    }
}

fn tick(now: Time) -> u32 {
    (now.as_nanos() / TICK) as u32
}

/// Half a second, in nanoseconds: how coarse the times of marks are.
const TICK: u64 = 500_000_000;
/// The most marks of one page, so that looking through it takes less than a microsecond.
const MAX_PAGE: usize = 1024;
/// How many marks a page that was used keeps room for.
const SMALLEST_PAGE: usize = 4;
/// How many pages are looked through to find room.
const SWEEP_WHEN_FULL: usize = 64;
/// Answers begin at multiples of this many bytes.
const UNIT: usize = 8;
/// What stands before an answer: its hash and its length.
const HEADER: usize = 8;
/// The bit of a place that tells the ring.
const RING: u32 = 1 << 31;
/// No place: so old that no ring can hold it, since rings have 2²⁸ units at most.
const NO_ANSWER: u32 = u32::MAX;
/// Keeps these hashes apart from others under the same key.
const PURPOSE: u128 = 0x4f6e_6365;

#[cfg(test)]
#[path = "once/tests.rs"]
mod tests;
