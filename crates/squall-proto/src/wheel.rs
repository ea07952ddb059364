//! Deadlines of many, where most are moved before they come.

use alloc::vec::Vec;
use core::time::Duration;

use crate::Time;

/// A timer wheel: a deadline for each of many members, by their numbers.
///
/// To move a deadline later costs a write; to find who is due costs nothing for those who are not. A
/// member stands in the slot of an earlier deadline until that slot's time has come, and then moves on.
/// So a deadline that is moved with every sign of life is looked at once in its own length. What is due is
/// told up to one slot late.
///
/// Each member costs 24 bytes.
#[derive(Debug)]
pub struct Wheel {
    width: u64,
    /// First members of the slots' lists.
    slots: Vec<u32>,
    /// A bit for each slot that is not empty.
    taken: Vec<u64>,
    members: Vec<Entry>,
    /// The number of the slot that is looked at next; that of a time is its nanoseconds / width.
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: Time,
    older: u32,
    newer: u32,
    /// The slot that it stands in, or [`NONE`].
    slot: u32,
}

impl Wheel {
    /// A wheel of 1024 slots, each `precision` long (at least a microsecond). Deadlines further away than
    /// all of them are looked at once a turn.
    pub fn new(precision: Duration) -> Self {
        Self {
            width: (precision.as_nanos() as u64).max(1000),
            slots: alloc::vec![NONE; SLOTS],
            taken: alloc::vec![0; SLOTS / 64],
            members: Vec::new(),
            next: 0,
        }
    }

    /// Sets the deadline of `member`, in place of the one that it has.
    pub fn schedule(&mut self, member: u32, deadline: Time) {
        let index = member as usize;
        if index >= self.members.len() {
            let none = Entry { deadline: Time::ZERO, older: NONE, newer: NONE, slot: NONE };
            self.members.resize(index + 1, none);
        }
        let earlier = deadline < self.members[index].deadline;
        self.members[index].deadline = deadline;
        if self.members[index].slot == NONE {
            self.put(member);
        } else if earlier {
            self.take(member);
            self.put(member);
        }
    }

    /// Forgets the deadline of `member`, if it has one.
    pub fn cancel(&mut self, member: u32) {
        if self.members.get(member as usize).is_some_and(|entry| entry.slot != NONE) {
            self.take(member);
        }
    }

    /// The deadline of `member`.
    pub fn deadline(&self, member: u32) -> Option<Time> {
        self.members.get(member as usize).filter(|entry| entry.slot != NONE).map(|entry| entry.deadline)
    }

    /// A member whose deadline has passed, which then has none; `None` when all of them are told. `now` never
    /// goes back.
    pub fn expire(&mut self, now: Time) -> Option<u32> {
        let last = now.as_nanos() / self.width;
        loop {
            // A slot is looked at once it is over: what it holds is then due, or due in a later turn.
            let slot = self.first_taken().filter(|slot| *slot < last);
            let Some(slot) = slot else {
                self.next = self.next.max(last);
                return None;
            };
            self.next = slot;
            let member = self.slots[slot as usize % SLOTS];
            self.take(member);
            if self.members[member as usize].deadline <= now {
                return Some(member);
            }
            self.move_on(member, slot);
        }
    }

    /// When to call [`expire`](Self::expire) next: the time of the first slot that is not empty.
    pub fn poll_timeout(&self) -> Option<Time> {
        // At the end of its slot a deadline has passed.
        self.first_taken().map(|slot| Time::from_nanos((slot + 1).saturating_mul(self.width)))
    }

    /// Puts a member into the slot of its deadline, or the last of this turn.
    fn put(&mut self, member: u32) {
        let slot = self.members[member as usize].deadline.as_nanos() / self.width;
        self.put_into(member, slot.clamp(self.next, self.next + SLOTS as u64 - 1));
    }

    /// Puts a member into a slot after `slot`, whose time has come.
    fn move_on(&mut self, member: u32, slot: u64) {
        let own = self.members[member as usize].deadline.as_nanos() / self.width;
        self.put_into(member, own.clamp(slot + 1, slot + SLOTS as u64 - 1));
    }

    fn put_into(&mut self, member: u32, slot: u64) {
        let slot = slot as usize % SLOTS;
        let first = core::mem::replace(&mut self.slots[slot], member);
        let entry = &mut self.members[member as usize];
        (entry.slot, entry.older, entry.newer) = (slot as u32, first, NONE);
        if first != NONE {
            self.members[first as usize].newer = member;
        }
        self.taken[slot / 64] |= 1 << (slot % 64);
    }

    fn take(&mut self, member: u32) {
        let entry = &mut self.members[member as usize];
        let (slot, older, newer) = (entry.slot as usize, entry.older, entry.newer);
        entry.slot = NONE;
        if older != NONE {
            self.members[older as usize].newer = newer;
        }
        if newer != NONE {
            self.members[newer as usize].older = older;
        } else {
            self.slots[slot] = older;
            if older == NONE {
                self.taken[slot / 64] &= !(1 << (slot % 64));
            }
        }
    }

    /// The number of the first slot, from `next` on, that is not empty.
    fn first_taken(&self) -> Option<u64> {
        let start = self.next as usize % SLOTS;
        let words = self.taken.len();
        for step in 0..=words {
            let index = (start / 64 + step) % words;
            let mut word = self.taken[index];
            if step == 0 {
                word &= u64::MAX << (start % 64);
            } else if step == words {
                word &= !(u64::MAX << (start % 64));
            }
            if word != 0 {
                let slot = index * 64 + word.trailing_zeros() as usize;
                return Some(self.next + ((slot + SLOTS - start) % SLOTS) as u64);
            }
        }
        None
    }
}

const SLOTS: usize = 1024;
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOT: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn expired(wheel: &mut Wheel, now: Time) -> Vec<u32> {
        let mut all: Vec<u32> = core::iter::from_fn(|| wheel.expire(now)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn members_expire_once_their_deadline_has_passed() {
        let mut wheel = Wheel::new(SLOT);
        wheel.schedule(0, at(1000));
        wheel.schedule(1, at(500));
        wheel.schedule(7, at(300_000));
        assert_eq!(wheel.poll_timeout(), Some(at(600)));
        assert_eq!(expired(&mut wheel, at(499)), [0; 0]);
        assert_eq!(expired(&mut wheel, at(600)), [1]);
        assert_eq!(expired(&mut wheel, at(1100)), [0]);
        assert_eq!(wheel.deadline(0), None);
        assert_eq!(expired(&mut wheel, at(299_999)), [0; 0], "further away than a turn");
        assert_eq!(expired(&mut wheel, at(300_100)), [7]);
        assert_eq!(wheel.poll_timeout(), None);
    }

    #[test]
    fn a_deadline_moves_both_ways() {
        let mut wheel = Wheel::new(SLOT);
        wheel.schedule(3, at(1000));
        wheel.schedule(3, at(5000));
        assert_eq!(expired(&mut wheel, at(2000)), [0; 0]);
        wheel.schedule(3, at(3000));
        assert_eq!(wheel.poll_timeout(), Some(at(3100)));
        assert_eq!(expired(&mut wheel, at(3100)), [3]);
        wheel.schedule(3, at(3000));
        assert_eq!(expired(&mut wheel, at(3200)), [3], "a deadline in the past");
        wheel.schedule(3, at(4000));
        wheel.cancel(3);
        assert_eq!((wheel.poll_timeout(), wheel.deadline(3)), (None, None));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_list(
            steps in prop::collection::vec((0u32..20, 0u64..400_000, 0u64..30_000, 0u8..10), 1..200)
        ) {
            let mut wheel = Wheel::new(SLOT);
            let mut plain = alloc::collections::BTreeMap::new();
            let mut now = 0;
            for (member, ahead, passes, action) in steps {
                match action {
                    0 => {
                        wheel.cancel(member);
                        plain.remove(&member);
                    }
                    _ => {
                        wheel.schedule(member, at(now + ahead));
                        plain.insert(member, now + ahead);
                    }
                }
                now += passes;
                let told = expired(&mut wheel, at(now));
                for member in &told {
                    let deadline = plain.remove(member);
                    prop_assert!(deadline.is_some_and(|deadline| deadline <= now), "{member} is not due");
                }
                prop_assert!(plain.values().all(|deadline| deadline + 100 > now), "one is late");
                let next = plain.values().min();
                prop_assert_eq!(wheel.poll_timeout().is_some(), next.is_some());
                prop_assert!(wheel.poll_timeout().is_none_or(|told| next.is_some_and(|next| told <= at(next + 100))));
            }
        }
    }
}
