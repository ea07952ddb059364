//! What members ask of the history.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::Hub;
use super::members::MemberId;
use super::packing::Packed;
use crate::chat::wire::Line;
use crate::chat::{History, Query, Recall, RecallError, Recalled};
use crate::{Outbox, Time};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// With the number that all of the answer come after, where that was asked.
    Last {
        after: Option<u64>,
    },
    Find,
}

/// What a member waits for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) member: MemberId,
    pub(super) asks: Asks,
    pub(super) room: String,
    /// Whether it is given lines that are longer than a datagram to a plain member: it asked for numbers, which
    /// make lines as long, and can read them.
    pub(super) whole: bool,
    pub(super) at: Time,
}

/// Answers to a member on their way out, one after the other.
#[derive(Debug)]
struct Answer {
    member: MemberId,
    parts: VecDeque<Packed>,
    /// Datagrams of the first that are out.
    sent: usize,
    /// Datagrams since it rested, and until when it rests.
    burst: usize,
    due: Time,
}

/// Questions that wait for the history, and answers that wait for room.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    asked: Vec<(Recall, Asked)>,
    answers: VecDeque<Answer>,
    count: u64,
}

impl Recalls {
    /// When the next datagram of an answer is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.answers.iter().map(|answer| answer.due).min()
    }

    /// Asks the history for a member. What it says at once goes to `answer`.
    pub(super) fn ask(
        &mut self,
        history: &mut dyn History,
        asked: Asked,
        query: &Query<'_>,
        answer: &mut Packed,
    ) {
        let (member, now) = (asked.member, asked.at);
        // What a history forgets to answer must not count for ever.
        self.asked.retain(|(_, other)| now.since(other.at) < FORGOTTEN);
        let of_member = self.asked.iter().filter(|(_, other)| other.member == member).count()
            + self.answers.iter().find(|other| other.member == member).map_or(0, |other| other.parts.len());
        let waiting = self.asked.len() + self.answers.iter().map(|other| other.parts.len()).sum::<usize>();
        if waiting >= MAX_RECALLS || of_member >= MAX_OF_MEMBER {
            return refuse(answer, asked.asks, RecallError::Busy);
        }
        self.count += 1;
        let recall = Recall(self.count);
        match history.ask(recall, query) {
            Err(error) => refuse(answer, asked.asks, error),
            Ok(None) => self.asked.push((recall, asked)),
            Ok(Some(found)) => self.found(asked, Ok(found)),
        }
    }

    fn found(
        &mut self,
        Asked { member, asks, room, whole, at }: Asked,
        outcome: Result<Vec<Recalled>, RecallError>,
    ) {
        let mut packed = Packed::default();
        match outcome {
            Err(error) => refuse(&mut packed, asks, error),
            Ok(found) => {
                let (room, messages) = (room.as_str(), found.len() as u64);
                packed.write(&match asks {
                    Asks::Last { after } => {
                        let before = found.first().map_or(0, |first| first.number.saturating_sub(1));
                        let after = after.unwrap_or(before);
                        let to = found.last().map_or(after, |last| last.number);
                        Line::Last { room, messages, after, to }
                    }
                    Asks::Find => Line::Found { room, messages },
                });
                for Recalled { number, at, name, text } in &found {
                    let line = Line::Said { number: *number, at: *at, name, text };
                    if whole { packed.write(&line) } else { packed.write_cut(&line) }
                }
            }
        }
        packed.seal();
        // What a member is told must not be mixed up with the answer before it.
        match self.answers.iter_mut().find(|other| other.member == member) {
            Some(answer) => answer.parts.push_back(packed),
            None => self.answers.push_back(Answer {
                member,
                parts: VecDeque::from([packed]),
                sent: 0,
                burst: 0,
                due: at,
            }),
        }
    }
}

impl Hub {
    /// The history's answer to a question ([`History::ask`]) that it did not answer at once. It goes to who asked, if that
    /// member is still there.
    pub fn recall(
        &mut self,
        now: Time,
        recall: Recall,
        outcome: Result<Vec<Recalled>, RecallError>,
        out: &mut Outbox,
    ) {
        self.now = self.now.max(now);
        if let Some(index) = self.recalls.asked.iter().position(|(other, _)| *other == recall) {
            let (_, asked) = self.recalls.asked.remove(index);
            self.recalls.found(asked, outcome);
            self.answer_recalls(self.now, out);
        }
    }

    /// Sends what there is room for, a datagram of each answer in turn. Members that get datagrams rest between
    /// bursts, so that what they receive by has room for all of it.
    pub(super) fn answer_recalls(&mut self, now: Time, out: &mut Outbox) {
        let mut resting = 0;
        while out.has_room() && resting < self.recalls.answers.len() {
            let Some(mut answer) = self.recalls.answers.pop_front() else { return };
            if answer.due > now && !self.relay.is_stopping() {
                resting += 1;
                self.recalls.answers.push_back(answer);
                continue;
            }
            resting = 0;
            let Some(member) = self.members.by_id_mut(answer.member) else { continue };
            let origin = *self.rooms.origin(member);
            let Some(packed) = answer.parts.front_mut() else { continue };
            if answer.sent == 0 {
                if member.row.has_line_ends() {
                    let mut lines = Packed::default();
                    lines.end_lines_of(packed);
                    *packed = lines;
                }
                if self.config.rated(&origin).is_some() {
                    let messages = packed.ends().len() / DATAGRAMS_PER_MESSAGE;
                    self.limits.charge(now, &mut member.extra_mut().paid, messages);
                }
            }
            let ends = packed.ends();
            let from = answer.sent.checked_sub(1).map_or(0, |before| ends[before]);
            let datagram = &packed.body()[from..ends[answer.sent]];
            let sent = out.to_all(&mut core::iter::once(origin), datagram);
            self.stats.answers_dropped += u64::from(sent.is_err());
            answer.sent += 1;
            if answer.sent == ends.len() {
                answer.sent = 0;
                answer.parts.pop_front();
            }
            answer.burst += 1;
            if answer.burst == BURST && !origin.transport.is_stream() {
                (answer.burst, answer.due) = (0, now + REST);
            }
            if !answer.parts.is_empty() {
                self.recalls.answers.push_back(answer);
            }
        }
    }
}

fn refuse(answer: &mut Packed, asks: Asks, error: RecallError) {
    let command = match asks {
        Asks::Last { .. } => "last",
        Asks::Find => "find",
    };
    answer.write(&Line::Refused(&alloc::format!("{command}: {error}")));
}

/// Questions and answers that wait at most, and those of one member: a few may come in one datagram.
const MAX_RECALLS: usize = 256;
const MAX_OF_MEMBER: usize = 4;
/// After how long a question is taken for forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Datagrams that a member gets at once, and how long it rests behind them.
const BURST: usize = 16;
const REST: Duration = Duration::from_millis(10);
/// How many datagrams of an answer cost a member's rate a message more.
const DATAGRAMS_PER_MESSAGE: usize = 4;
