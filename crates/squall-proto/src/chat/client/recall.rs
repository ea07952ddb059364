//! Asking the hub for what it keeps: one question at a time, asked again until its whole answer is there.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::Time;
use crate::chat::history::Recalled;
use crate::chat::wire::{Command, LAST_MAX, Last};

/// What is asked, and of what has come.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    open: Option<Open>,
    searches: VecDeque<String>,
    /// When the next question may be asked.
    pub(super) ready: Option<Time>,
    /// Complete answers in a row without what was missing.
    fruitless: u32,
    wait: Duration,
}

#[derive(Debug)]
struct Open {
    purpose: Purpose,
    due: Time,
    tries: u32,
    /// What the answer has, once its first line is there.
    extent: Option<Extent>,
    /// Those that came.
    came: BTreeMap<u64, Recalled>,
}

/// What a question is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What is missing behind this number, up to the other.
    Fill { after: u64, to: u64 },
    /// Whether a hub that was started anew counts on.
    Reconcile { after: u64 },
    /// The user's own.
    Find(String),
}

/// What an answer has: so many messages, and for `/last` behind which number and up to which.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) messages: u64,
    pub(super) after: Option<u64>,
    pub(super) to: u64,
}

/// A question that is over.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) purpose: Purpose,
    /// Oldest first; `None` if no answer came.
    pub(super) messages: Option<Vec<Recalled>>,
}

impl Recalls {
    /// Takes a search; one more than fit is none.
    pub(super) fn search(&mut self, words: String) -> bool {
        let fits = self.searches.len() < MAX_SEARCHES;
        if fits {
            self.searches.push_back(words);
        }
        fits
    }

    /// Whether nothing is asked.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_none()
    }

    pub(super) fn has_searches(&self) -> bool {
        !self.searches.is_empty()
    }

    pub(super) fn next_search(&mut self) -> Option<Purpose> {
        self.searches.pop_front().map(Purpose::Find)
    }

    /// Asks `purpose` now.
    pub(super) fn ask(&mut self, purpose: Purpose, now: Time, patience: Duration) -> Command<'static> {
        let command = purpose.command();
        self.open =
            Some(Open { purpose, due: now + patience, tries: 1, extent: None, came: BTreeMap::new() });
        self.ready = None;
        command
    }

    /// Gives up what is asked, and what would be, since the client is in another room or has lost the hub.
    pub(super) fn abandon(&mut self) -> Option<Done> {
        self.fruitless = 0;
        self.wait = Duration::ZERO;
        self.ready = None;
        self.open.take().map(|open| Done { purpose: open.purpose, messages: None })
    }

    pub(super) fn purpose(&self) -> Option<&Purpose> {
        self.open.as_ref().map(|open| &open.purpose)
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        match &self.open {
            Some(open) => Some(open.due),
            None => self.ready,
        }
    }

    /// Asks again if the answer is overdue. A search ends after some tries.
    pub(super) fn again(&mut self, now: Time, patience: Duration) -> Option<Result<Command<'static>, Done>> {
        let open = self.open.as_mut().filter(|open| open.due <= now)?;
        if matches!(open.purpose, Purpose::Find(_)) && open.tries >= SEARCH_TRIES {
            return self.abandon().map(Err);
        }
        open.tries += 1;
        open.extent = None;
        open.came.clear();
        open.due = now + (patience * (1 << open.tries.min(4))).min(LONGEST);
        // What came of the answer before is known; only what is behind it is asked for.
        Some(Ok(open.purpose.command()))
    }

    /// The first line of an answer. One to an earlier question is passed over.
    pub(super) fn begin(&mut self, extent: Extent) {
        let Some(open) = &mut self.open else { return };
        let asked = match open.purpose {
            Purpose::Fill { after, .. } | Purpose::Reconcile { after } => Some(after),
            Purpose::Find(_) => None,
        };
        if extent.after == asked {
            open.extent = Some(extent);
        }
    }

    /// A message of an answer, or of an earlier one that is late.
    pub(super) fn said(&mut self, message: Recalled) {
        if let Some(open) = self.open.as_mut().filter(|open| open.came.len() < MAX_CAME) {
            open.came.insert(message.number, message);
        }
    }

    /// The question, if its whole answer has come.
    pub(super) fn complete(&mut self) -> Option<Done> {
        let open = self.open.take_if(|open| open.extent.is_some_and(|extent| extent.has_all(&open.came)))?;
        let extent = open.extent?;
        let messages = open.came.into_values().filter(|message| extent.contains(message.number)).collect();
        Some(Done { purpose: open.purpose, messages: Some(messages) })
    }

    /// The hub refuses.
    pub(super) fn refused(&mut self) -> Option<Done> {
        self.open.take().map(|open| Done { purpose: open.purpose, messages: None })
    }

    /// Moves the question on: what came of its answer is not asked for again.
    pub(super) fn advance(&mut self, to_fill: Option<Purpose>) {
        if let (Some(open), Some(purpose)) = (&mut self.open, to_fill) {
            open.purpose = purpose;
        }
    }

    /// A complete answer did not have what is missing. Whether to give it up: a hub may keep it a little later.
    pub(super) fn fruitless(&mut self, now: Time) -> bool {
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS {
            self.fruitless = 0;
            return true;
        }
        self.ready = Some(now + LATER);
        false
    }

    pub(super) fn fruitful(&mut self) {
        self.fruitless = 0;
    }
}

impl Extent {
    fn contains(&self, number: u64) -> bool {
        self.after.is_none_or(|after| (after + 1..=self.to).contains(&number))
    }

    fn has_all(&self, came: &BTreeMap<u64, Recalled>) -> bool {
        came.keys().filter(|number| self.contains(**number)).count() as u64 >= self.messages
    }
}

impl Purpose {
    fn command(&self) -> Command<'static> {
        match self {
            Purpose::Fill { after, .. } | Purpose::Reconcile { after } => Command::Last(Last::After(*after)),
            Purpose::Find(words) => Command::Find(words.clone().into()),
        }
    }
}

/// The messages of an answer, and as many that are late.
const MAX_CAME: usize = 2 * LAST_MAX as usize;
const MAX_SEARCHES: usize = 4;
const SEARCH_TRIES: u32 = 4;
/// Complete answers that may be without what is missing.
const FRUITLESS: u32 = 3;
/// How long a hub may take to have what was said in what it keeps.
const LATER: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
