//! What senders said and was not relayed yet.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use super::members::{Member, MemberId};
use super::share::{Share, Shares};
use crate::Time;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Command,
    /// A command that means nothing: the line says why.
    Wrong,
    Quit,
    /// The connection ended behind what it said.
    Closed,
}

/// The lines of one sender, in order.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) member: MemberId,
    /// The sender's name, or `~` and its number.
    pub(super) label: String,
    pub(super) named: bool,
    text: String,
    /// Where the first line begins in the text.
    head: usize,
    lines: VecDeque<(Kind, u16)>,
    /// Whether it stands among the turns of a room.
    pub(super) in_turns: bool,
    /// The batch that it said something in last.
    pub(super) spoke: u64,
    pub(super) flood: Option<Flood>,
}

/// What a flooding sender may say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flood {
    /// In twentieths of a message.
    credit: u64,
    /// What the others had said when it was last given credit.
    seen: u64,
    given: Time,
    /// When it last had more to say than it may.
    busy: Time,
    /// When the driver was last told.
    pub(super) isolated: Time,
    /// Lines that it said without credit since it was last given some.
    free: u64,
}

/// The queues of all senders.
#[derive(Debug, Default)]
pub(super) struct Senders {
    slots: Vec<Sender>,
    free: Vec<u32>,
    /// Bytes that wait.
    pub(super) bytes: usize,
    /// What each says of what all say.
    pub(super) shares: Shares,
    /// Those that flood.
    pub(super) flooders: Vec<u32>,
    /// Messages of senders that do not flood.
    pub(super) others: u64,
    /// When flooders are given credit next.
    pub(super) tick: Option<Time>,
}

impl Senders {
    /// An empty queue for a member.
    pub(super) fn open(&mut self, id: MemberId, member: &Member) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Sender {
                member: id,
                label: String::new(),
                named: false,
                text: String::new(),
                head: 0,
                lines: VecDeque::new(),
                in_turns: false,
                spoke: 0,
                flood: None,
            });
            (self.slots.len() - 1) as u32
        });
        let sender = &mut self.slots[index as usize];
        sender.member = id;
        sender.call(member);
        index
    }

    /// Forgets a queue with all that is in it. One that stands among turns is used again when its turn comes.
    pub(super) fn close(&mut self, index: u32) {
        let sender = &mut self.slots[index as usize];
        self.bytes -= sender.text.len() - sender.head;
        sender.text.clear();
        sender.lines.clear();
        (sender.head, sender.member.number) = (0, NOBODY);
        if sender.text.capacity() > KEPT {
            sender.text = String::new();
        }
        if sender.flood.take().is_some() {
            self.flooders.retain(|other| *other != index);
            self.tick = self.tick.filter(|_| !self.flooders.is_empty());
        }
        if !sender.in_turns {
            self.free.push(index);
        }
    }

    /// The turn of a queue has come: whose it is, `None` if it was forgotten meanwhile.
    pub(super) fn turn(&mut self, index: u32) -> Option<MemberId> {
        let sender = &mut self.slots[index as usize];
        sender.in_turns = false;
        if sender.member.number == NOBODY {
            self.free.push(index);
            return None;
        }
        Some(sender.member)
    }

    /// A queue that may speak, beside what all say.
    pub(super) fn look(&mut self, index: u32, now: Time) -> Option<(&mut Sender, &Shares)> {
        let sender = &mut self.slots[index as usize];
        sender.may_speak(&self.shares, now).then_some((sender, &self.shares))
    }

    /// A line of a queue is relayed or carried out: its sender's part of what is said grows.
    pub(super) fn take(&mut self, index: u32, now: Time, share: &mut Share, text: bool) {
        let sender = &mut self.slots[index as usize];
        if sender.flood.is_some() {
            return sender.pay(&self.shares, now);
        }
        self.shares.take(share);
        if text {
            self.shares.said(now, sender.member.number);
            self.others += 1;
        }
    }

    pub(super) fn get(&self, index: u32) -> &Sender {
        &self.slots[index as usize]
    }

    pub(super) fn get_mut(&mut self, index: u32) -> &mut Sender {
        &mut self.slots[index as usize]
    }

    /// Whether a sender is to be put among the turns of its room: it has something to say, may, and is not there.
    pub(super) fn stand_up(&mut self, index: u32, now: Time) -> bool {
        let sender = &mut self.slots[index as usize];
        let stands_up = !sender.in_turns && sender.may_speak(&self.shares, now);
        sender.in_turns |= stands_up;
        stands_up
    }

    /// Whether nobody but this sender has spoken for a while.
    pub(super) fn is_alone(&self, index: u32, now: Time) -> bool {
        self.slots[index as usize].is_alone(&self.shares, now)
    }

    /// Adds a line behind the others.
    pub(super) fn push(&mut self, index: u32, kind: Kind, line: &str) {
        let sender = &mut self.slots[index as usize];
        if sender.head > 4096 && sender.head > sender.text.len() / 2 {
            sender.text.drain(..sender.head);
            sender.head = 0;
        }
        sender.text.push_str(line);
        sender.lines.push_back((kind, line.len() as u16));
        self.bytes += line.len();
    }

    /// Takes the first line out, once it was looked at.
    pub(super) fn pop(&mut self, index: u32) {
        let sender = &mut self.slots[index as usize];
        if let Some((_, len)) = sender.lines.pop_front() {
            sender.head += usize::from(len);
            self.bytes -= usize::from(len);
            if sender.lines.is_empty() {
                sender.text.clear();
                sender.head = 0;
            }
        }
    }

    /// Begins to count a sender among those that flood.
    pub(super) fn flood(&mut self, index: u32, now: Time) {
        let seen = self.others;
        let sender = &mut self.slots[index as usize];
        sender.flood = Some(Flood { credit: WHOLE, seen, given: now, busy: now, isolated: now, free: 0 });
        self.flooders.push(index);
        self.tick = Some(self.tick.unwrap_or(now + TICK));
    }

    /// Gives those that flood what they may say until the next time. `ready` is called for each that has
    /// something to say and may, `over` for each that floods no more.
    pub(super) fn tick(
        &mut self,
        now: Time,
        mut ready: impl FnMut(&mut Sender, u32),
        mut over: impl FnMut(&Sender),
    ) {
        if self.tick.is_none_or(|tick| tick > now) {
            return;
        }
        let (slots, others, shares) = (&mut self.slots, self.others, &self.shares);
        self.flooders.retain(|index| {
            let sender = &mut slots[*index as usize];
            let idle = sender.lines.is_empty();
            let Some(flood) = &mut sender.flood else { return false };
            let said = others - core::mem::replace(&mut flood.seen, others);
            let waited = now.since(core::mem::replace(&mut flood.given, now));
            let grant =
                said.max(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX).saturating_mul(WHOLE) / 50);
            flood.credit = (flood.credit + grant).min(grant + LEAST * WHOLE);
            if !idle || core::mem::take(&mut flood.free) > FREE {
                flood.busy = now;
            } else if now.since(flood.busy) >= CALM {
                sender.flood = None;
                over(sender);
                return false;
            }
            if !idle && !sender.in_turns && sender.may_speak(shares, now) {
                sender.in_turns = true;
                ready(sender, *index);
            }
            true
        });
        self.tick = (!self.flooders.is_empty()).then(|| now + TICK);
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let waiting = self.slots.iter().map(|sender| sender.text.len() - sender.head).sum::<usize>();
        assert_eq!(self.bytes, waiting);
        for sender in &self.slots {
            let lines: usize = sender.lines.iter().map(|(_, len)| usize::from(*len)).sum();
            assert_eq!(sender.text.len() - sender.head, lines);
            let waits = sender.flood.is_some();
            assert!(sender.lines.is_empty() || sender.in_turns || waits, "a line waits for its turn");
        }
        let flooding = self.slots.iter().filter(|sender| sender.flood.is_some()).count();
        assert_eq!(self.flooders.len(), flooding);
        assert_eq!(self.tick.is_some(), flooding > 0);
    }
}

impl Sender {
    /// How many lines and bytes wait.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.lines.len(), self.text.len() - self.head)
    }

    pub(super) fn first(&self) -> Option<(Kind, &str)> {
        let (kind, len) = *self.lines.front()?;
        Some((kind, &self.text[self.head..self.head + usize::from(len)]))
    }

    /// What the last line is.
    pub(super) fn last(&self) -> Option<Kind> {
        self.lines.back().map(|(kind, _)| *kind)
    }

    /// Calls the sender by its member's name.
    pub(super) fn call(&mut self, member: &Member) {
        self.label.clear();
        self.named = member.is_named();
        match member.name() {
            Some(name) => self.label.push_str(name.as_str()),
            // Writing to a string does not fail.
            None => drop(write!(self.label, "~{}", member.number)),
        }
    }

    /// Whether it does not flood, has credit left, or floods nobody.
    pub(super) fn may_speak(&self, shares: &Shares, now: Time) -> bool {
        self.flood.is_none_or(|flood| flood.credit >= WHOLE) || self.is_alone(shares, now)
    }

    /// Whether nobody else has spoken for a while: what it says is at nobody's cost.
    fn is_alone(&self, shares: &Shares, now: Time) -> bool {
        !shares.others_speak(now, self.member.number, ALONE)
    }

    /// A flooding sender pays for a line, if it is at others' cost.
    pub(super) fn pay(&mut self, shares: &Shares, now: Time) {
        let alone = self.is_alone(shares, now);
        match &mut self.flood {
            Some(flood) if alone => flood.free += 1,
            // It was looked at before whether it may.
            Some(flood) => flood.credit = flood.credit.saturating_sub(WHOLE),
            None => {}
        }
    }
}

/// No member has this number.
const NOBODY: u64 = 0;
/// A message, in twentieths.
const WHOLE: u64 = 20;
/// Messages that a flooding sender can save up.
const LEAST: u64 = 1;
/// How often flooding senders are given credit.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// Lines that a flooding sender may say between two of these times, while nobody else speaks, and be thought calm.
const FREE: u64 = 2;
/// After how long without others' texts a sender is alone.
const ALONE: Duration = Duration::from_secs(1);
/// How long a queue must have been empty for its sender to flood no more.
const CALM: Duration = Duration::from_secs(1);
/// Bytes of memory that a queue keeps for the next sender.
const KEPT: usize = 4096;
