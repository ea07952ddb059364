//! What members ask of the history.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

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

#[derive(Debug)]
struct Asked {
    recall: Recall,
    member: MemberId,
    asks: Asks,
    room: String,
}

/// Answers to a member on their way out, one after the other.
#[derive(Debug)]
struct Answer {
    member: MemberId,
    parts: VecDeque<Packed>,
    /// Datagrams of the first that are out.
    sent: usize,
}

/// Questions that wait for the history, and answers that wait for room.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    asked: Vec<Asked>,
    answers: VecDeque<Answer>,
    count: u64,
}

impl Recalls {
    pub(super) fn is_answering(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Asks the history for a member. What it says at once goes to `answer`.
    pub(super) fn ask(
        &mut self,
        history: &mut dyn History,
        member: Option<MemberId>,
        asks: Asks,
        room: &str,
        query: &Query<'_>,
        answer: &mut Packed,
    ) {
        let Some(member) = member else { return };
        let of_member = self.asked.iter().filter(|other| other.member == member).count()
            + self.answers.iter().find(|other| other.member == member).map_or(0, |other| other.parts.len());
        let waiting = self.asked.len() + self.answers.iter().map(|other| other.parts.len()).sum::<usize>();
        if waiting >= MAX_RECALLS || of_member >= MAX_OF_MEMBER {
            return refuse(answer, asks, RecallError::Busy);
        }
        self.count += 1;
        let asked = Asked { recall: Recall(self.count), member, asks, room: room.to_string() };
        match history.ask(asked.recall, query) {
            Err(error) => refuse(answer, asks, error),
            Ok(None) => self.asked.push(asked),
            Ok(Some(found)) => self.found(asked, Ok(found)),
        }
    }

    fn found(
        &mut self,
        Asked { member, asks, room, .. }: Asked,
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
                    packed.write(&Line::Said { number: *number, at: *at, name, text });
                }
            }
        }
        packed.seal();
        // What a member is told must not be mixed up with the answer before it.
        match self.answers.iter_mut().find(|other| other.member == member) {
            Some(answer) => answer.parts.push_back(packed),
            None => self.answers.push_back(Answer { member, parts: VecDeque::from([packed]), sent: 0 }),
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
        if let Some(index) = self.recalls.asked.iter().position(|asked| asked.recall == recall) {
            let asked = self.recalls.asked.remove(index);
            self.recalls.found(asked, outcome);
            self.answer_recalls(out);
        }
    }

    /// Sends what there is room for, a datagram of each answer in turn.
    pub(super) fn answer_recalls(&mut self, out: &mut Outbox) {
        while out.has_room() {
            let Some(mut answer) = self.recalls.answers.pop_front() else { return };
            let Some(member) = self.members.by_id(answer.member) else { continue };
            let origin = *self.rooms.origin(member);
            let Some(packed) = answer.parts.front_mut() else { continue };
            if answer.sent == 0 && member.row.has_line_ends() {
                let mut lines = Packed::default();
                lines.end_lines_of(packed);
                *packed = lines;
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
