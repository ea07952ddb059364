//! What a sender may say while others speak.
//!
//! A hub is asked to write after each batch of what was received: that is a turn. While others speak, a sender
//! says no more lines in a turn than the others do on average, but eight at least; what is beyond waits for the next
//! turn. The driver receives between two turns, so that others come to word soon however much one sends, and who
//! goes on to send more than its share has a queue that overflows. It is an average and not the most that another
//! said, as of two that flood each would raise what the other may say.

use core::time::Duration;

use crate::Time;

/// What was said lately by senders that do not flood.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// The number of the present turn.
    turn: u32,
    present: Sum,
    /// Of the turn before in which something was said.
    before: Sum,
    /// The member that said a text last, by its number, and when.
    last: Option<(u64, Time)>,
    /// When another one did.
    other: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    lines: u32,
    senders: u32,
}

/// What one sender said in the turn that it spoke in last, and in the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    turn: u32,
    lines: u32,
    before: u32,
}

impl Shares {
    /// A turn begins. One in which nothing was said goes on.
    pub(super) fn begin_turn(&mut self) {
        if self.present.lines > 0 {
            self.before = core::mem::take(&mut self.present);
            self.turn = self.turn.wrapping_add(1);
        }
    }

    /// A line was taken from a sender's queue.
    pub(super) fn take(&mut self, share: &mut Share) {
        *share = self.now(*share);
        self.present.senders += u32::from(share.lines == 0);
        share.lines += 1;
        self.present.lines += 1;
    }

    /// A member said a text.
    pub(super) fn said(&mut self, now: Time, member: u64) {
        if let Some((last, at)) = self.last
            && last != member
        {
            self.other = Some(at);
        }
        self.last = Some((member, now));
    }

    /// Whether somebody other than `member` has said a text within `time`.
    pub(super) fn others_speak(&self, now: Time, member: u64, time: Duration) -> bool {
        let at = match self.last {
            Some((last, at)) if last != member => Some(at),
            _ => self.other,
        };
        at.is_some_and(|at| now.since(at) < time)
    }

    /// Whether a member has said in this turn what it may.
    pub(super) fn is_used_up(&self, now: Time, member: u64, share: Share) -> bool {
        let share = self.now(share);
        if share.lines < LEAST || !self.others_speak(now, member, LATELY) {
            return false;
        }
        // In this turn one line more, so that those who have as much to say as each other go on side by side.
        let present = self.present.of_others(share.lines).saturating_add(1);
        share.lines >= present.max(self.before.of_others(share.before))
    }

    /// A share as it stands in the present turn.
    fn now(&self, share: Share) -> Share {
        match self.turn.wrapping_sub(share.turn) {
            0 => share,
            1 => Share { turn: self.turn, lines: 0, before: share.lines },
            _ => Share { turn: self.turn, lines: 0, before: 0 },
        }
    }
}

impl Sum {
    /// The average of all but one that said `own` lines.
    fn of_others(self, own: u32) -> u32 {
        let senders = self.senders.saturating_sub(u32::from(own > 0));
        self.lines.saturating_sub(own).checked_div(senders).unwrap_or(0)
    }
}

/// Lines that each may say in a turn.
const LEAST: u32 = 8;
/// How long others speak after they said something.
const LATELY: Duration = Duration::from_millis(10);
