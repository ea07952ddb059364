//! Decisions that were made before.

use alloc::boxed::Box;
use alloc::vec::Vec;

use squall_time::Time;

use crate::counts::Counts;
use crate::decision::{Copies, Copy, Decision, Packet};
use crate::link::Link;
use crate::record::{Outcome, Record};
use crate::weather::Direction;

/// One direction of a [`Record`] that is played again: the first datagram meets what the first one met, and so
/// on. After the last one, all that comes is forwarded at once and counted.
#[derive(Clone, Debug)]
pub struct Replay {
    outcomes: Vec<(usize, Outcome)>,
    next: usize,
    counts: Counts,
    beyond: u64,
    different: u64,
}

impl Record {
    /// The two directions, up and down, ready to be played again.
    pub fn replays(self) -> (Replay, Replay) {
        (Replay::new(self.up), Replay::new(self.down))
    }

    /// One direction, ready to be played again.
    pub fn replay(self, direction: Direction) -> Replay {
        match direction {
            Direction::Up => Replay::new(self.up),
            Direction::Down => Replay::new(self.down),
        }
    }
}

impl Replay {
    fn new(outcomes: Vec<(usize, Outcome)>) -> Self {
        Self { outcomes, next: 0, counts: Counts::default(), beyond: 0, different: 0 }
    }

    /// What becomes of the next datagram. Does not allocate.
    pub fn decide(&mut self, now: Time, packet: &Packet<'_>) -> Decision {
        let decision = match self.outcomes.get(self.next) {
            Some((size, outcome)) => {
                self.next += 1;
                self.different += u64::from(*size != packet.size);
                outcome.decision(now)
            }
            None => {
                self.beyond += 1;
                Decision::Delivered(Copies::new(Copy { at: now, corruption: None }, None))
            }
        };
        self.counts.decision(packet.size, &decision);
        decision
    }

    /// What it did so far. What was reordered is not told apart.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many datagrams of the record have not come yet.
    pub fn remaining(&self) -> usize {
        self.outcomes.len() - self.next
    }

    /// How many datagrams came after the record's last one.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// How many datagrams had another size than the recorded one, a sign that it is not the same run.
    pub fn different(&self) -> u64 {
        self.different
    }
}

/// What decides on one direction: a link, or a record of one.
#[derive(Clone, Debug)]
pub enum Decider {
    /// By conditions and a seed.
    Link(Box<Link>),
    /// As it was recorded.
    Replay(Replay),
}

impl Decider {
    /// What becomes of a datagram that is sent `now`. Does not allocate.
    pub fn decide(&mut self, now: Time, packet: &Packet<'_>) -> Decision {
        match self {
            Decider::Link(link) => link.decide(now, packet),
            Decider::Replay(replay) => replay.decide(now, packet),
        }
    }

    /// What it did so far.
    pub fn counts(&self) -> &Counts {
        match self {
            Decider::Link(link) => link.counts(),
            Decider::Replay(replay) => replay.counts(),
        }
    }
}

impl From<Link> for Decider {
    fn from(link: Link) -> Self {
        Decider::Link(Box::new(link))
    }
}

impl From<Replay> for Decider {
    fn from(replay: Replay) -> Self {
        Decider::Replay(replay)
    }
}
