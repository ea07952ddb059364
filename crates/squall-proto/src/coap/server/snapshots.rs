//! Answers that are given in blocks, as they were when the first block was given.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::time::Duration;

use super::response::Representation;
use crate::Time;

/// Answers, the oldest first; the newest displaces the oldest.
///
/// A client that fetches the second block shall get one of the same answer as the first. For a request
/// with effect there is no other way; a safe one could be run again for each block, which is what happens
/// where the answer is not here any more, and its ETag tells the client if it has changed.
#[derive(Debug)]
pub(super) struct Snapshots {
    all: VecDeque<Snapshot>,
    bytes: usize,
    max_bytes: usize,
    lifetime: Duration,
}

#[derive(Debug)]
struct Snapshot {
    key: u64,
    what: Representation,
    body: Arc<[u8]>,
    expires: Time,
}

impl Snapshots {
    pub(super) fn new(max_bytes: usize, lifetime: Duration) -> Self {
        Self { all: VecDeque::new(), bytes: 0, max_bytes, lifetime }
    }

    /// Keeps `body` as the answer to `key`; says how many made room for it. One that is over a quarter of
    /// what there is room for is not kept.
    pub(super) fn put(&mut self, now: Time, key: u64, what: Representation, body: &[u8]) -> u64 {
        self.remove(key);
        while self.all.front().is_some_and(|oldest| oldest.expires <= now) {
            self.pop();
        }
        if body.len() > self.max_bytes / 4 {
            return 0;
        }
        let mut dropped = 0;
        while self.all.len() >= MAX_SNAPSHOTS || self.bytes + body.len() > self.max_bytes {
            self.pop();
            dropped += 1;
        }
        self.bytes += body.len();
        self.all.push_back(Snapshot { key, what, body: body.into(), expires: now + self.lifetime });
        dropped
    }

    /// The answer to `key`.
    pub(super) fn get(&self, now: Time, key: u64) -> Option<(Representation, Arc<[u8]>)> {
        let found = self.all.iter().rev().find(|snapshot| snapshot.key == key && snapshot.expires > now)?;
        Some((found.what, found.body.clone()))
    }

    /// Forgets the answer to `key`.
    pub(super) fn remove(&mut self, key: u64) {
        if let Some(index) = self.all.iter().position(|snapshot| snapshot.key == key)
            && let Some(snapshot) = self.all.remove(index)
        {
            self.bytes -= snapshot.body.len();
        }
    }

    /// The bytes that are taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn pop(&mut self) {
        if let Some(oldest) = self.all.pop_front() {
            self.bytes -= oldest.body.len();
        }
    }
}

/// The most answers that are kept.
const MAX_SNAPSHOTS: usize = 512;
