//! A room's messages in their order, and which are missing.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::event::{Entry, How};
use crate::Time;
use crate::chat::history::Recalled;

/// The messages of one room, as far as this client knows them.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) room: String,
    pub(super) entries: VecDeque<Entry>,
    /// The number that all are known or missing from.
    lowest: u64,
    /// The last number that was told of.
    highest: u64,
    missing: Vec<Gap>,
    /// Since when the hub was started anew, or may have forgotten the room, and whether it counts on is not known.
    pub(super) doubtful: Option<Time>,
    /// Messages that are missing and were given up because there were too many gaps.
    pub(super) given_up: u64,
    limit: usize,
}

/// Numbers that are missing, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Said before the client came, so that nobody wonders where they are.
    pub(super) before: bool,
}

/// What became of a message that was put into a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Added,
    Known,
}

/// With one more the oldest is given up.
const MAX_GAPS: usize = 4096;
/// How many messages are compared with those of a hub that was started anew.
const COMPARED: u64 = 100;

impl Log {
    /// A room whose last message has the number `last`, and of which `history` messages are wanted.
    pub(super) fn new(room: &str, last: u64, history: u64, limit: usize) -> Self {
        let room = room.to_string();
        let mut log = Self {
            room,
            entries: VecDeque::new(),
            lowest: last + 1,
            highest: last,
            missing: Vec::new(),
            doubtful: None,
            given_up: 0,
            limit,
        };
        log.want_older(history);
        log
    }

    /// The first of the messages that are missing.
    pub(super) fn first_gap(&self) -> Option<Gap> {
        self.missing.first().copied()
    }

    /// Whether a message with this number would be new here.
    pub(super) fn is_missing(&self, number: u64) -> bool {
        number > self.highest || self.gap_of(number).is_some()
    }

    /// Whether it was said before the client came.
    pub(super) fn is_before(&self, number: u64) -> bool {
        self.gap_of(number).is_some_and(|index| self.missing[index].before)
    }

    /// From where on a hub that was started anew is asked for what it has, to compare.
    pub(super) fn compare_from(&self, last: u64) -> u64 {
        last.min(self.highest).saturating_sub(COMPARED)
    }

    pub(super) fn lowest(&self) -> u64 {
        self.lowest
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Asks for `count` more from before the first that is known.
    pub(super) fn want_older(&mut self, count: u64) {
        let from = self.lowest.saturating_sub(count.min(self.limit as u64)).max(1);
        if from < self.lowest {
            self.missing.insert(0, Gap { from, to: self.lowest - 1, before: true });
            self.lowest = from;
            self.skip_known();
        }
    }

    /// The hub says that the room's last message has this number. Whether more are missing now.
    pub(super) fn last_is(&mut self, number: u64) -> bool {
        if number <= self.highest {
            return false;
        }
        self.miss(self.highest + 1, number);
        self.highest = number;
        true
    }

    /// What claims to have a higher number than the room's last, and was here before the hub was asked for
    /// that, was said in another room: it was overtaken by the change of rooms. What cannot have been, since it is the
    /// client's own or was kept, shows that the hub has forgotten the room and counts anew.
    pub(super) fn last_was(&mut self, number: u64, asked: Time) {
        if number >= self.highest || self.doubtful.is_some() {
            return;
        }
        let beyond = |entry: &Entry| entry.counts && entry.number > Some(number);
        let are_old = self.entries.iter().filter(|entry| beyond(entry)).all(|entry| entry.heard < asked);
        if !are_old || !self.entries.iter().any(beyond) {
            return;
        }
        if self.entries.iter().any(|entry| beyond(entry) && entry.how != How::Live) {
            self.doubtful = Some(asked);
            return;
        }
        self.entries.retain(|entry| !beyond(entry));
        self.missing.retain_mut(|gap| {
            gap.to = gap.to.min(number);
            gap.from <= gap.to
        });
        self.highest = number;
    }

    /// Puts a message in its place.
    pub(super) fn put(&mut self, entry: Entry) -> Put {
        let Some(number) = entry.number else {
            self.entries.push_back(entry);
            self.trim();
            return Put::Added;
        };
        if number > self.highest {
            self.last_is(number);
        }
        if !self.take_from_missing(number) {
            return Put::Known;
        }
        let place = self.place(number, entry.how == How::History);
        self.entries.insert(place, entry);
        self.trim();
        Put::Added
    }

    /// Takes a message out, to be put elsewhere.
    pub(super) fn take(&mut self, id: u64) -> Option<Entry> {
        let index = self.index(id)?;
        self.entries.remove(index)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        let index = self.index(id)?;
        self.entries.get_mut(index)
    }

    fn index(&self, id: u64) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.id == id)
    }

    /// Gives up what is missing from `from` to `to`: how many of them were not said before the client came.
    pub(super) fn give_up(&mut self, from: u64, to: u64) -> u64 {
        let mut lost = 0;
        let mut left = Vec::with_capacity(self.missing.len());
        for gap in self.missing.drain(..) {
            let (first, last) = (gap.from.max(from), gap.to.min(to));
            if first > last {
                left.push(gap);
                continue;
            }
            if !gap.before {
                lost += last - first + 1;
            }
            if gap.from < first {
                left.push(Gap { to: first - 1, ..gap });
            }
            if last < gap.to {
                left.push(Gap { from: last + 1, ..gap });
            }
        }
        self.missing = left;
        lost
    }

    /// The hub was started anew, and `kept` is what it has of the numbers that are known here. Those that are the same,
    /// up to the first that differs, count on; others of the time before keep their place and count no
    /// more.
    pub(super) fn reconcile(&mut self, kept: &[Recalled], last: u64, history: u64) {
        let Some(since) = self.doubtful.take() else { return };
        let mut common = 0;
        for message in kept {
            let ours =
                |entry: &&Entry| entry.counts && entry.heard < since && entry.number == Some(message.number);
            match self.entries.iter().find(ours) {
                Some(ours) if ours.name == message.name && ours.text == message.text => {
                    common = message.number
                }
                Some(_) => break,
                None => {}
            }
        }
        let old = |entry: &Entry| entry.heard < since;
        for entry in self.entries.iter_mut().filter(|entry| old(entry) && entry.number > Some(common)) {
            entry.counts = false;
        }
        let newest = self.entries.iter().filter(|entry| entry.counts).filter_map(|entry| entry.number).max();
        self.missing.retain_mut(|gap| {
            gap.to = gap.to.min(common);
            gap.from <= gap.to
        });
        self.highest = common;
        if common == 0 {
            // It counts anew: what was said since is missing.
            self.entries.iter_mut().filter(|entry| old(entry)).for_each(|entry| entry.counts = false);
            self.highest = last.saturating_sub(history.max(200));
            self.lowest = self.highest + 1;
        }
        self.last_is(last.max(newest.unwrap_or(0)));
        self.skip_known();
    }

    /// The hub was started anew, and keeps nothing that could be compared.
    pub(super) fn restart(&mut self, last: u64) {
        let Some(since) = self.doubtful.take() else { return };
        self.entries.iter_mut().filter(|entry| entry.heard < since).for_each(|entry| entry.counts = false);
        self.missing.clear();
        let counted = self.entries.iter().filter(|entry| entry.counts).filter_map(|entry| entry.number);
        self.highest = last.max(counted.max().unwrap_or(0));
        self.lowest = self.highest + 1;
    }

    /// Takes out of the gaps what is there: a hub that was started anew can have said it before its count was known.
    fn skip_known(&mut self) {
        let counted = self.entries.iter().filter(|entry| entry.counts).filter_map(|entry| entry.number);
        for number in counted.collect::<Vec<_>>() {
            self.take_from_missing(number);
        }
    }

    fn miss(&mut self, from: u64, to: u64) {
        let full = self.missing.len() >= MAX_GAPS;
        match self.missing.last_mut() {
            Some(last) if !last.before && last.to + 1 == from => last.to = to,
            Some(_) if full => {
                self.given_up +=
                    self.missing.first().map_or(0, |gap| if gap.before { 0 } else { gap.to - gap.from + 1 });
                self.missing.remove(0);
                self.missing.push(Gap { from, to, before: false });
            }
            _ => self.missing.push(Gap { from, to, before: false }),
        }
    }

    fn gap_of(&self, number: u64) -> Option<usize> {
        let index = self.missing.partition_point(|gap| gap.to < number);
        self.missing.get(index).is_some_and(|gap| gap.from <= number).then_some(index)
    }

    fn take_from_missing(&mut self, number: u64) -> bool {
        let Some(index) = self.gap_of(number) else { return false };
        let gap = self.missing[index];
        let halves = [Gap { to: number - 1, ..gap }, Gap { from: number + 1, ..gap }];
        self.missing.splice(index..=index, halves.into_iter().filter(|gap| gap.from <= gap.to));
        true
    }

    /// Where a message with this number belongs: behind the last with a smaller one. The newest goes to the end, but
    /// before the client's own ones that have no receipt yet. What was said before the client came stands above what it
    /// was told since.
    fn place(&self, number: u64, is_history: bool) -> usize {
        let mut place = self.entries.len();
        for (index, entry) in self.entries.iter().enumerate().rev() {
            match entry.number {
                Some(_) if !entry.counts => {}
                Some(its) if its < number => break,
                Some(_) => place = index,
                None if matches!(entry.how, How::Pending { .. }) => place = index,
                None if is_history && entry.how == How::Note => place = index,
                None => {}
            }
        }
        place
    }

    fn trim(&mut self) {
        while self.entries.len() > self.limit {
            let Some(entry) = self.entries.pop_front() else { return };
            let Some(number) = entry.number.filter(|_| entry.counts) else { continue };
            self.lowest = self.lowest.max(number + 1);
            let lowest = self.lowest;
            self.missing.retain_mut(|gap| {
                gap.from = gap.from.max(lowest);
                gap.from <= gap.to
            });
        }
    }
}
