//! Who is in the hub.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashTable;

use super::rooms::{Rooms, Row};
use super::share::Share;
use crate::chat::Liveness;
use crate::chat::wire::{Key, Name};
use crate::guard::hash;
use crate::{Origin, Time};

/// A member. Its address stands in its room alone, where all of them lie side by side.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) liveness: Liveness,
    /// The number that it is called by without a name. No two members of a hub's run have the same.
    pub(super) number: u64,
    /// What only members have that say something.
    pub(super) extra: Option<Box<Extra>>,
    /// The hash of its origin.
    hash: u32,
    /// Where it stands in its row.
    pub(super) place: u32,
    pub(super) room: u16,
    pub(super) row: Row,
    pub(super) numbers: bool,
    pub(super) watches: bool,
    pub(super) lines: Lines,
    pub(super) noise: Noise,
}

/// What a member sends that no queue bounds: heartbeats, and what is dropped as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noise {
    /// In the present second, by its low bits.
    second: u16,
    count: u16,
    /// Whether it was too much when it was counted last, in that second or the one before.
    floods: bool,
}

/// What to do with a line of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noisy {
    /// There is little of it.
    Not,
    /// It begins to be too much.
    Begins,
    /// It goes on so, and was told lately, or is to be told again.
    GoesOn { again: bool },
}

impl Noise {
    /// Whether it is too much.
    pub(super) fn floods(&self, now: Time) -> bool {
        self.floods && Self::second(now).wrapping_sub(self.second) <= 1
    }

    /// By its low bits.
    fn second(now: Time) -> u16 {
        (now.as_nanos() / 1_000_000_000) as u16
    }

    /// Counts a line.
    pub(super) fn count(&mut self, now: Time) -> Noisy {
        let second = Self::second(now);
        if second != self.second {
            self.floods &= self.count > NOISE && second == self.second.wrapping_add(1);
            (self.second, self.count) = (second, 0);
        }
        self.count = self.count.saturating_add(1);
        if self.count <= NOISE {
            return Noisy::Not;
        }
        let again = self.count.is_multiple_of(NOISE) || self.count == NOISE + 1;
        if core::mem::replace(&mut self.floods, true) { Noisy::GoesOn { again } } else { Noisy::Begins }
    }
}

/// Lines a second that cost the others little; no program sends as many heartbeats.
const NOISE: u16 = 1000;

/// Whether a member's datagrams end with line feeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lines {
    /// They do not, and nothing was said of it.
    #[default]
    Unsaid,
    /// They do from its next answer on: it ended a command with a line feed, as a person does.
    Typed,
    On,
    /// They do not, because it said so.
    Off,
}

/// What is known of members that say something.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) name: Option<(Name, Key)>,
    /// Its queue, while it has one.
    pub(super) sender: Option<u32>,
    /// What it said in the present turn.
    pub(super) share: Share,
    /// When what it said will have been paid for.
    pub(super) paid: Time,
    /// When it was last told to slow down.
    pub(super) told: Option<Time>,
    /// Where a reader that is behind goes on.
    pub(super) cursor: super::ring::Cursor,
    /// Whether such a reader takes more now.
    pub(super) catches_up: bool,
}

/// A member at a time: another one in the same place is not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemberId {
    pub(super) index: u32,
    pub(super) number: u64,
}

/// All members: those that left make room for others.
#[derive(Debug)]
pub(super) struct Members {
    slots: Vec<Option<Member>>,
    free: Vec<u32>,
    /// By origin.
    index: HashTable<u32>,
    seed: u64,
    /// Members that ever came.
    came: u64,
    count: u32,
    /// Who spoke last: datagrams of one sender come in rows.
    last: Option<(Origin, u32)>,
}

impl Members {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            seed,
            came: 0,
            count: 0,
            last: None,
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.count
    }

    /// The member that speaks from `origin`.
    pub(super) fn find(&mut self, rooms: &Rooms, origin: &Origin) -> Option<u32> {
        if let Some((last, index)) = &self.last
            && last == origin
        {
            return Some(*index);
        }
        let hash = self.hash(origin);
        let slots = &self.slots;
        let found = self.index.find(hash::spread(hash), |index| {
            slots[*index as usize].as_ref().is_some_and(|member| rooms.origin(member) == origin)
        })?;
        let index = *found;
        self.last = Some((*origin, index));
        Some(index)
    }

    /// Adds a member that nobody is yet, for a place in a room that it is given next.
    pub(super) fn add(&mut self, now: Time, origin: &Origin) -> u32 {
        let hash = self.hash(origin);
        self.came += 1;
        let member = Member {
            liveness: Liveness::new(now),
            number: self.came,
            extra: None,
            hash,
            place: 0,
            room: 0,
            row: Row::Gone,
            numbers: false,
            watches: false,
            lines: Lines::Unsaid,
            noise: Noise::default(),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(member);
                index
            }
            None => {
                grow(&mut self.slots);
                self.slots.push(Some(member));
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash::spread(hash), index, |index| {
            hash::spread(slots[*index as usize].as_ref().map_or(0, |member| member.hash))
        });
        self.count += 1;
        self.last = None;
        index
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, index: u32) -> Option<Member> {
        let member = self.slots.get_mut(index as usize)?.take()?;
        if let Ok(entry) = self.index.find_entry(hash::spread(member.hash), |other| *other == index) {
            entry.remove();
        }
        self.free.push(index);
        self.count -= 1;
        self.last = None;
        Some(member)
    }

    pub(super) fn get(&self, index: u32) -> Option<&Member> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Member> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// A member that is still the one that it was.
    pub(super) fn by_id(&self, id: MemberId) -> Option<&Member> {
        self.get(id.index).filter(|member| member.number == id.number)
    }

    /// The same, to be changed.
    pub(super) fn by_id_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.get_mut(id.index).filter(|member| member.number == id.number)
    }

    pub(super) fn id(&self, index: u32) -> Option<MemberId> {
        Some(MemberId { index, number: self.get(index)?.number })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.iter_from(0)
    }

    /// Those from `first` on.
    pub(super) fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &Member)> {
        let slots = self.slots.get(first as usize..).unwrap_or_default();
        (first..).zip(slots).filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    /// The hash of an origin, as [`Member::hash`] gives it.
    pub(super) fn hash_of(&self, origin: &Origin) -> u64 {
        hash::spread(self.hash(origin))
    }

    fn hash(&self, origin: &Origin) -> u32 {
        hash::origin(self.seed, origin)
    }

    #[cfg(test)]
    pub(super) fn check(&mut self, rooms: &Rooms) {
        assert_eq!(self.index.len(), self.count as usize);
        assert_eq!(self.slots.iter().flatten().count(), self.count as usize);
        assert_eq!(self.slots.len(), self.count as usize + self.free.len());
        self.last = None;
        let all: Vec<(u32, Origin)> =
            self.iter().map(|(index, member)| (index, *rooms.origin(member))).collect();
        for (index, origin) in all {
            assert_eq!(self.find(rooms, &origin), Some(index), "{origin:?}");
        }
    }
}

impl Member {
    /// What has to be there to say something.
    pub(super) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(super) fn name(&self) -> Option<&Name> {
        self.extra.as_ref()?.name.as_ref().map(|(name, _)| name)
    }

    /// What its name is unique by.
    pub(super) fn key(&self) -> Option<&Key> {
        self.extra.as_ref()?.name.as_ref().map(|(_, key)| key)
    }

    /// The hash of its origin.
    pub(super) fn hash(&self) -> u64 {
        hash::spread(self.hash)
    }

    pub(super) fn sender(&self) -> Option<u32> {
        self.extra.as_ref()?.sender
    }

    pub(super) fn is_named(&self) -> bool {
        self.name().is_some()
    }
}

/// Makes room for one more by an eighth of what there is: memory for a member is bounded, and still
/// few elements are moved for each that comes.
pub(super) fn grow<T>(elements: &mut Vec<T>) {
    if elements.len() == elements.capacity() {
        elements.reserve_exact((elements.len() / 8).max(16));
    }
}
