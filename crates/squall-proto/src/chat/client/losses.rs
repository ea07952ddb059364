//! How much of what was expected lately did not come.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::Time;

/// What was expected of the way to the hub and back: answers to probes, receipts of what was said, others' messages.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// By the probes' tokens.
    pub(super) answers: Window,
    /// By the entries' numbers.
    pub(super) receipts: Window,
    /// By the messages' numbers.
    pub(super) messages: Window,
}

impl Losses {
    /// The share that did not come, from 0 to 1; `None` if nothing was expected.
    pub(super) fn share(&self) -> Option<f32> {
        let windows = [&self.answers, &self.receipts, &self.messages];
        let all: usize = windows.iter().map(|window| window.fates.len()).sum();
        let lost: usize = windows.iter().map(|window| window.lost_count()).sum();
        (all > 0).then(|| lost as f32 / all as f32)
    }

    /// Forgets what is too old to tell of the present.
    pub(super) fn age(&mut self, now: Time) {
        for window in self.windows() {
            window.fates.retain(|fate| now.since(fate.at) <= OLD);
        }
    }

    /// Forgets what did not come: nobody was there to send it.
    pub(super) fn forgive(&mut self) {
        self.windows().into_iter().for_each(|window| window.fates.retain(|fate| fate.came));
    }

    fn windows(&mut self) -> [&mut Window; 3] {
        [&mut self.answers, &mut self.receipts, &mut self.messages]
    }
}

/// The fates of the last things of one kind.
#[derive(Debug, Default)]
pub(super) struct Window {
    fates: VecDeque<Fate>,
}

#[derive(Clone, Copy, Debug)]
struct Fate {
    key: u64,
    at: Time,
    came: bool,
}

impl Window {
    /// It came; if it was given up before, it was only late.
    pub(super) fn came(&mut self, key: u64, now: Time) {
        if !self.came_late(key) {
            self.push(Fate { key, at: now, came: true });
        }
    }

    /// It comes after it was given up, if it was: then it is no loss.
    pub(super) fn came_late(&mut self, key: u64) -> bool {
        let given_up = self.fates.iter_mut().rev().find(|fate| fate.key == key && !fate.came);
        given_up.map(|fate| fate.came = true).is_some()
    }

    /// It did not come.
    pub(super) fn lost(&mut self, key: u64, now: Time) {
        if !self.fates.iter().any(|fate| fate.key == key) {
            self.push(Fate { key, at: now, came: false });
        }
    }

    fn push(&mut self, fate: Fate) {
        if self.fates.len() == MAX_FATES {
            self.fates.pop_front();
        }
        self.fates.push_back(fate);
    }

    fn lost_count(&self) -> usize {
        self.fates.iter().filter(|fate| !fate.came).count()
    }
}

/// The last things of one kind that are remembered.
pub(super) const MAX_FATES: usize = 64;
/// After how long they are forgotten.
const OLD: Duration = Duration::from_secs(300);
