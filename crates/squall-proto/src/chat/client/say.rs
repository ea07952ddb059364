//! What this client says, until its receipt comes.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::Client;
use super::event::{Entry, Event, How, State};
use super::log::Log;
use crate::chat::wire::{MAX_MEMBER_DATAGRAM, Said, Shape, lines};
use crate::text::clean;
use crate::{Outbox, Time};

/// Own messages on their way.
#[derive(Debug, Default)]
pub(super) struct Sayings {
    /// Not sent yet.
    waiting: VecDeque<u64>,
    /// Sent, without a receipt, and until when one is waited for.
    sent: VecDeque<(u64, Time, Time)>,
    /// Given up; a receipt may come after all.
    late: VecDeque<(u64, Time)>,
    /// When the next may be sent by the rate (GCRA's theoretical arrival time).
    paced: Time,
}

/// Why something cannot be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SayError {
    /// Nothing is left once it is clean.
    #[error("there is nothing to say")]
    Empty,
    /// It would not fit a datagram of the hub with the name before it.
    #[error("too long: {len} bytes, {limit} fit")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// How many fit.
        limit: usize,
    },
    /// As a message it has a meaning of its own, or hubs drop it: `quit`, `^hb^`, an `ack` of an `ack`.
    #[error("{0:?} means something else to a hub")]
    Reserved(String),
    /// Too many wait to be sent.
    #[error("{0} messages wait to be sent")]
    Full(usize),
    /// The client has left, or has given up.
    #[error("not connected any more")]
    Gone,
}

/// The longest text that a hub relays, in bytes: that of somebody without a name.
pub(super) const MAX_TEXT: usize = MAX_MEMBER_DATAGRAM - "ack ".len();
/// The most messages that wait to be sent.
pub(super) const MAX_WAITING: usize = 256;
/// The most that are without a receipt.
const MAX_SENT: usize = 64;
const MAX_LATE: usize = 256;

impl Client {
    /// Says a line: its [`Entry::id`]. It is sent once the client is connected and known under its name, and in the order of
    /// the calls. What begins with `/` is said so, and is no command. It is clean afterwards, as
    /// [`clean`] makes it; a line end in it is taken out.
    ///
    /// # Errors
    /// [`SayError`], and nothing is said.
    pub fn say(&mut self, now: Time, text: &str, out: &mut Outbox) -> Result<u64, SayError> {
        let text = clean(text.as_bytes()).into_owned();
        if matches!(self.state, State::Gone(_)) {
            return Err(SayError::Gone);
        }
        if text.is_empty() {
            return Err(SayError::Empty);
        }
        let label = self.setup.name.as_ref().map_or(0, |name| name.as_str().len() + ": ".len());
        let limit = MAX_TEXT - label;
        if text.len() > limit {
            return Err(SayError::TooLong { len: text.len(), limit });
        }
        let sayable = match lines(text.as_bytes()).next() {
            Some(Said::Text { shape, .. }) => shape != Shape::Loop,
            Some(said) => matches!(said, Said::Command(_) | Said::Wrong(_)),
            None => false,
        };
        if !sayable {
            return Err(SayError::Reserved(text));
        }
        if self.sayings.waiting.len() >= MAX_WAITING {
            return Err(SayError::Full(MAX_WAITING));
        }
        let name = self.label.clone().unwrap_or_default();
        let id = self.add(now, None, name, text, How::Pending { sent: false });
        self.sayings.waiting.push_back(id);
        self.flush(now, out);
        Ok(id)
    }

    /// How many of one's own messages have neither a receipt nor been given up.
    pub fn pending(&self) -> usize {
        self.sayings.waiting.len() + self.sayings.sent.len()
    }

    /// Sends what waits, as far as rate and receipts allow; lines share datagrams.
    pub(super) fn flush(&mut self, now: Time, out: &mut Outbox) {
        if !self.may_say() {
            return;
        }
        let receipt = self.config.receipt.max(self.probes.patience());
        let mut datagram = String::new();
        while self.sayings.sent.len() < MAX_SENT
            && self.sayings.may_send(now, self.config.rate, self.config.burst)
        {
            let Some(id) = self.sayings.waiting.pop_front() else { break };
            let Some(entry) = self.log.get_mut(id) else { continue };
            entry.how = How::Pending { sent: true };
            let escape = if entry.text.starts_with('/') { "/" } else { "" };
            if !datagram.is_empty() && datagram.len() + 2 + entry.text.len() > MAX_MEMBER_DATAGRAM {
                let full = core::mem::take(&mut datagram);
                self.send(&full, out);
            }
            let Some(entry) = self.log.get_mut(id) else { continue };
            if !datagram.is_empty() {
                datagram.push('\n');
            }
            datagram.push_str(escape);
            datagram.push_str(&entry.text);
            self.sayings.sent.push_back((id, now, now + receipt));
            self.sayings.pace(now, self.config.rate);
            self.tell(Event::Changed(id));
        }
        if !datagram.is_empty() {
            self.send(&datagram, out);
        }
    }

    /// Whether what is said can be sent.
    pub(super) fn may_say(&self) -> bool {
        matches!(self.state, State::Online | State::Quiet { .. }) && self.setup.is_ready()
    }

    /// Gives up receipts that are overdue.
    pub(super) fn expire_receipts(&mut self, now: Time) {
        while let Some(&(id, sent, _)) = self.sayings.sent.front().filter(|(_, _, due)| *due <= now) {
            self.sayings.sent.pop_front();
            self.probes.losses.receipts.lost(id, now);
            self.end_wait(id, sent, How::NoReceipt);
        }
    }

    /// Whether a message is the client's own, by its text and name: the oldest such that waits, and since when.
    pub(super) fn claim(&mut self, name: &str, text: &str) -> Option<(u64, Time)> {
        if !self.labels.iter().any(|label| label == name) {
            return None;
        }
        let Self { log, sayings, .. } = self;
        let mut is_it = |id: u64| log.get_mut(id).is_some_and(|entry| entry.text == text);
        if let Some(index) = sayings.late.iter().position(|(id, _)| is_it(*id)) {
            return sayings.late.remove(index);
        }
        let index = sayings.sent.iter().position(|(id, _, _)| is_it(*id))?;
        sayings.sent.remove(index).map(|(id, sent, _)| (id, sent))
    }

    /// The client learns only now that it is called so: what it said came back before that, and is its own.
    pub(super) fn claim_late(&mut self, label: &str) {
        let said: Vec<_> =
            self.log.entries.iter().filter(|entry| !entry.is_own() && entry.name == label).cloned().collect();
        for entry in said {
            if let Some((id, sent)) = self.claim(label, &entry.text) {
                self.log.take(id);
                let Some(copy) = self.log.get_mut(entry.id) else { continue };
                (copy.id, copy.how) = (id, How::Delivered(entry.heard.since(sent)));
                self.tell(Event::Changed(id));
            }
        }
    }

    /// A text was refused: the oldest that waits for its receipt.
    pub(super) fn refuse_oldest(&mut self, reason: &str) {
        if let Some((id, sent, _)) = self.sayings.sent.pop_front() {
            self.end_wait(id, sent, How::Refused(reason.into()));
        }
    }

    /// What was not sent, and what has no receipt, stays so.
    pub(super) fn give_up_sayings(&mut self) {
        while let Some((id, sent, _)) = self.sayings.sent.pop_front() {
            self.end_wait(id, sent, How::NoReceipt);
        }
    }

    fn end_wait(&mut self, id: u64, sent: Time, how: How) {
        let Some(entry) = self.log.get_mut(id) else { return };
        entry.how = how;
        if self.sayings.late.len() == MAX_LATE {
            self.sayings.late.pop_front();
        }
        self.sayings.late.push_back((id, sent));
        self.tell(Event::Changed(id));
    }

    /// Takes what was not sent along to the log of another room.
    pub(super) fn move_waiting(&mut self, from: &mut Log) {
        for id in &self.sayings.waiting {
            if let Some(entry) = from.take(*id) {
                self.log.put(entry);
            }
        }
    }

    /// Puts one's own message, whose receipt came, where its number belongs.
    pub(super) fn deliver(&mut self, (id, sent): (u64, Time), number: u64, name: &str, now: Time) {
        let Some(entry) = self.log.take(id) else { return };
        let how = How::Delivered(now.since(sent));
        let entry = Entry { number: Some(number), name: name.into(), how, counts: true, heard: now, ..entry };
        self.log.put(entry);
        self.tell(Event::Changed(id));
    }

    pub(super) fn sayings_timeout(&self) -> Option<Time> {
        let receipt = self.sayings.sent.front().map(|(_, _, due)| *due);
        let blocked =
            self.sayings.waiting.is_empty() || !self.may_say() || self.sayings.sent.len() >= MAX_SENT;
        let pace = (!blocked).then(|| self.sayings.free_at(self.config.rate, self.config.burst));
        receipt.into_iter().chain(pace).min()
    }
}

impl Sayings {
    fn may_send(&self, now: Time, rate: u32, burst: u32) -> bool {
        self.free_at(rate, burst) <= now
    }

    fn free_at(&self, rate: u32, burst: u32) -> Time {
        if rate == 0 {
            return Time::ZERO;
        }
        let tolerance = Duration::from_secs(1) / rate * (burst - 1);
        Time::from_nanos(self.paced.as_nanos().saturating_sub(Time::from_epoch(tolerance).as_nanos()))
    }

    fn pace(&mut self, now: Time, rate: u32) {
        if rate > 0 {
            self.paced = self.paced.max(now) + Duration::from_secs(1) / rate;
        }
    }
}
