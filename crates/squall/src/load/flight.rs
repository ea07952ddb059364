//! The requests that wait for their replies.

/// The most requests in flight.
pub(super) const LIMIT: usize = 1 << SLOT_BITS;

/// Requests in flight, in groups that are sent together. Times are nanoseconds since the driver's start.
///
/// A token is a place in this table and a sequence number, so that a reply finds its request without a search.
pub(super) struct Flight {
    /// The token of each request that waits, 0 where none does.
    waiting: Box<[u64]>,
    /// The token that was given up last in each place: its reply may still come.
    given_up: Box<[u64]>,
    groups: Box<[Group]>,
    free: Vec<u32>,
    group_size: usize,
    sequence: u64,
}

#[derive(Clone, Copy, Default)]
struct Group {
    /// What latency counts from.
    since: u64,
    /// What the timeout counts from.
    sent: u64,
    remaining: u32,
}

/// What a token in a reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The reply to a request that was sent, or should have been, at this time.
    Answer {
        /// The request's time.
        since: u64,
    },
    /// The reply to a request that was given up.
    Late,
    /// Another reply to a request that has one.
    Duplicate,
    /// No token of this run.
    Foreign,
}

impl Flight {
    /// Room for `groups` groups of `group_size` requests, [`LIMIT`] requests at most. The first sequence number is
    /// made of `seed`, so that a reply to an earlier run is not taken for one to this.
    pub(super) fn new(groups: usize, group_size: usize, seed: u64) -> Self {
        let slots = groups * group_size;
        assert!(slots <= LIMIT, "{slots} requests in flight");
        Self {
            waiting: vec![0; slots].into_boxed_slice(),
            given_up: vec![0; slots].into_boxed_slice(),
            groups: vec![Group::default(); groups].into_boxed_slice(),
            free: (0..groups as u32).rev().collect(),
            group_size,
            // Half of the sequence numbers remain: enough for days.
            sequence: 1 + (seed & (u64::MAX >> (SLOT_BITS + 1))),
        }
    }

    /// How many groups can be started now.
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Whether nothing waits for a reply.
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.groups.len()
    }

    /// Starts a group of requests that were due at `since` and are sent at `sent`, and returns its number and its first token; the others follow it,
    /// each [`next`] of the one before. `None` when all groups are in flight.
    pub(super) fn start(&mut self, since: u64, sent: u64) -> Option<(u32, u64)> {
        let group = self.free.pop()?;
        self.groups[group as usize] = Group { since, sent, remaining: self.group_size as u32 };
        let first = group as usize * self.group_size;
        let token = self.sequence << SLOT_BITS | first as u64;
        let mut each = token;
        for slot in &mut self.waiting[first..first + self.group_size] {
            *slot = each;
            each = next(each);
        }
        self.sequence += self.group_size as u64;
        Some((group, token))
    }

    /// Says what a reply with `token` is, and notes that the request has it.
    pub(super) fn finish(&mut self, token: u64) -> Match {
        let slot = (token & (LIMIT as u64 - 1)) as usize;
        let sequence = token >> SLOT_BITS;
        if sequence == 0 || sequence >= self.sequence {
            return Match::Foreign;
        }
        match self.waiting.get(slot) {
            Some(waiting) if *waiting == token => Match::Answer { since: self.release(slot) },
            Some(_) if self.given_up[slot] == token => {
                self.given_up[slot] = 0;
                Match::Late
            }
            Some(_) => Match::Duplicate,
            None => Match::Foreign,
        }
    }

    /// Takes the first waiting request of `group` as answered: for replies that carry no token.
    pub(super) fn finish_any(&mut self, group: u32) -> Option<u64> {
        let first = group as usize * self.group_size;
        let slot = (first..first + self.group_size).find(|slot| self.waiting[*slot] != 0)?;
        Some(self.release(slot))
    }

    /// How many requests of `group` wait.
    pub(super) fn remaining(&self, group: u32) -> usize {
        self.groups[group as usize].remaining as usize
    }

    /// Gives up the requests that were sent before `time`, and tells for each group that had any its number, its time and
    /// how many they are.
    pub(super) fn expire(&mut self, time: u64, mut lost: impl FnMut(u32, u64, u64)) {
        for group in 0..self.groups.len() {
            let Group { since, sent, remaining } = self.groups[group];
            if remaining == 0 || sent >= time {
                continue;
            }
            let first = group * self.group_size;
            for slot in first..first + self.group_size {
                if self.waiting[slot] != 0 {
                    self.given_up[slot] = std::mem::take(&mut self.waiting[slot]);
                }
            }
            self.groups[group].remaining = 0;
            self.free.push(group as u32);
            lost(group as u32, since, remaining.into());
        }
    }

    fn release(&mut self, slot: usize) -> u64 {
        self.waiting[slot] = 0;
        let number = slot / self.group_size;
        let group = &mut self.groups[number];
        group.remaining -= 1;
        if group.remaining == 0 {
            self.free.push(number as u32);
        }
        group.since
    }
}

/// The token behind `token` in its group: the next place and the next sequence number.
pub(super) fn next(token: u64) -> u64 {
    token + (1 << SLOT_BITS) + 1
}

const SLOT_BITS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_counted_once_and_its_group_is_free_when_all_have_come() {
        let mut flight = Flight::new(2, 2, 0);
        let (_, first) = flight.start(7, 7).unwrap();
        let second = next(first);
        assert_eq!(flight.finish(second), Match::Answer { since: 7 });
        assert_eq!(flight.free(), 1);
        assert_eq!(flight.finish(second), Match::Duplicate);
        assert_eq!(flight.finish(first), Match::Answer { since: 7 });
        assert!(flight.is_empty());
        let (_, again) = flight.start(8, 8).unwrap();
        assert!(again != first && again != second);
        assert_eq!(flight.finish(first), Match::Duplicate, "of the place's earlier request");
    }

    #[test]
    fn what_no_request_carried_is_foreign() {
        let mut flight = Flight::new(1, 1, 3);
        assert_eq!(flight.finish(u64::MAX), Match::Foreign);
        assert_eq!(flight.finish(0), Match::Foreign);
        assert_eq!(flight.finish(1 << 60), Match::Foreign);
    }

    #[test]
    fn a_request_that_is_given_up_frees_its_group_and_its_reply_is_late() {
        let mut flight = Flight::new(1, 2, u64::MAX);
        let (group, token) = flight.start(60, 100).unwrap();
        assert!(flight.start(60, 100).is_none(), "the window is full");
        flight.finish(token);
        flight.expire(100, |_, _, _| panic!("not yet"));
        let mut lost = Vec::new();
        flight.expire(101, |group, since, count| lost.push((group, since, count)));
        assert_eq!(lost, [(group, 60, 1)]);
        assert!(flight.is_empty());
        assert_eq!(flight.finish(next(token)), Match::Late);
        assert_eq!(flight.finish(next(token)), Match::Duplicate);
    }

    #[test]
    fn replies_without_a_token_are_taken_in_the_order_of_their_requests() {
        let mut flight = Flight::new(1, 2, 0);
        let (group, _) = flight.start(5, 5).unwrap();
        assert_eq!(flight.finish_any(group), Some(5));
        assert_eq!(flight.remaining(group), 1);
        assert_eq!(flight.finish_any(group), Some(5));
        assert_eq!(flight.finish_any(group), None);
    }
}
