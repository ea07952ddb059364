//! Rooms, and where their members stand.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use super::members::{Member, Members, grow};
use super::packing::Packed;
use super::ring::{Cursor, Ring};
use super::watchers::Presence;
use crate::Origin;
use crate::chat::History;
use crate::chat::wire::{Key, RoomName};

/// The row that a member of a room stands in: by what it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Row {
    /// Datagrams without numbers.
    Plain,
    /// Datagrams with numbers.
    Numbered,
    /// Datagrams that end with a line feed.
    Lines,
    /// Datagrams with numbers that end with a line feed.
    NumberedLines,
    /// A stream.
    Stream,
    /// A stream that wants numbers.
    NumberedStream,
    /// A stream that is behind: it reads from the ring.
    Behind,
    /// Nothing is written to it any more, though what it said last is still to be relayed.
    Gone,
}

/// The rows that messages are written to as they come.
pub(super) const LIVE: [Row; 6] =
    [Row::Plain, Row::Numbered, Row::Lines, Row::NumberedLines, Row::Stream, Row::NumberedStream];
const ROWS: usize = 8;

impl Row {
    /// The row of a member that sends datagrams.
    pub(super) fn of_datagrams(numbers: bool, lines: bool) -> Self {
        match (numbers, lines) {
            (false, false) => Row::Plain,
            (true, false) => Row::Numbered,
            (false, true) => Row::Lines,
            (true, true) => Row::NumberedLines,
        }
    }

    /// The row of a connection that is not behind.
    pub(super) fn of_streams(numbers: bool) -> Self {
        if numbers { Row::NumberedStream } else { Row::Stream }
    }

    pub(super) fn has_numbers(self) -> bool {
        matches!(self, Row::Numbered | Row::NumberedLines | Row::NumberedStream)
    }

    /// Whether its datagrams end with line feeds.
    pub(super) fn has_line_ends(self) -> bool {
        matches!(self, Row::Lines | Row::NumberedLines)
    }
}

/// Members that are written alike.
#[derive(Debug, Default)]
pub(super) struct Stand {
    pub(super) origins: Vec<Origin>,
    members: Vec<u32>,
    /// The first so many wait for the batch that is under way.
    pub(super) waiting: usize,
}

/// A room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: RoomName,
    key: Key,
    pub(super) rows: [Stand; ROWS],
    /// The number of the last message.
    pub(super) number: u64,
    /// What is being said.
    pub(super) batch: Option<Batch>,
    /// Senders whose lines wait, in turn.
    pub(super) turns: VecDeque<u32>,
    /// Whether it waits to be looked at.
    pub(super) active: bool,
    /// Whether its members were told that the hub stops.
    pub(super) said_bye: bool,
    /// What the operator says.
    pub(super) announcements: VecDeque<String>,
    /// Who came and went, and who reads that.
    pub(super) presence: Presence,
    pub(super) watchers: BTreeSet<u32>,
    pub(super) ring: Ring,
    /// Members by what their names are unique by.
    pub(super) names: BTreeMap<Key, u32>,
}

/// Messages in the forms in which they are written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) plain: Packed,
    pub(super) numbered: Packed,
    /// The same with line feeds at the ends, made of those once they are complete, if there is anyone who reads them.
    lines: Packed,
    numbered_lines: Packed,
    /// Whether the forms with numbers are made.
    pub(super) with_numbers: bool,
    pub(super) messages: u64,
    /// Whether it is being written to members, and takes nothing more.
    pub(super) under_way: bool,
    /// The end of the ring before it.
    pub(super) before: Cursor,
}

impl Batch {
    /// Ends it: it takes nothing more. `is_read` tells whether anybody stands in a row.
    pub(super) fn seal(&mut self, is_read: impl Fn(Row) -> bool) {
        self.plain.seal();
        self.numbered.seal();
        if is_read(Row::Lines) {
            self.lines.end_lines_of(&self.plain);
        }
        if is_read(Row::NumberedLines) {
            self.numbered_lines.end_lines_of(&self.numbered);
        }
        self.under_way = true;
    }

    /// What is written to a row.
    pub(super) fn form(&self, row: Row) -> &Packed {
        match row {
            Row::Numbered | Row::NumberedStream => &self.numbered,
            Row::Lines => &self.lines,
            Row::NumberedLines => &self.numbered_lines,
            _ => &self.plain,
        }
    }

    /// Forgets all and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.plain.clear();
        self.numbered.clear();
        self.lines.clear();
        self.numbered_lines.clear();
        (self.with_numbers, self.messages, self.under_way) = (false, 0, false);
    }
}

/// All rooms: those that are empty make room for others, but the first.
#[derive(Debug)]
pub(super) struct Rooms {
    slots: Vec<Option<Room>>,
    free: Vec<u16>,
    by_key: BTreeMap<Key, u16>,
    max: u16,
}

impl Stand {
    pub(super) fn len(&self) -> usize {
        self.origins.len()
    }

    /// Puts a member behind the others; its place.
    fn push(&mut self, member: u32, origin: Origin) -> u32 {
        grow(&mut self.origins);
        grow(&mut self.members);
        self.origins.push(origin);
        self.members.push(member);
        (self.members.len() - 1) as u32
    }

    /// Takes the member at `place` out, and tells who then stands where: others move up, but not between
    /// those that wait and those that do not.
    fn remove(&mut self, place: u32, mut moved: impl FnMut(u32, u32)) -> Origin {
        let mut place = place as usize;
        if place < self.waiting {
            self.waiting -= 1;
            self.origins.swap(place, self.waiting);
            self.members.swap(place, self.waiting);
            if place != self.waiting {
                moved(self.members[place], place as u32);
            }
            place = self.waiting;
        }
        let origin = self.origins.swap_remove(place);
        self.members.swap_remove(place);
        if let Some(member) = self.members.get(place) {
            moved(*member, place as u32);
        }
        origin
    }
}

impl Room {
    fn new(name: RoomName, key: Key, number: u64) -> Self {
        Self {
            name,
            key,
            rows: Default::default(),
            number,
            batch: None,
            turns: VecDeque::new(),
            active: false,
            said_bye: false,
            announcements: VecDeque::new(),
            presence: Presence::default(),
            watchers: BTreeSet::new(),
            ring: Ring::default(),
            names: BTreeMap::new(),
        }
    }

    pub(super) fn row(&self, row: Row) -> &Stand {
        &self.rows[row as usize]
    }

    pub(super) fn row_mut(&mut self, row: Row) -> &mut Stand {
        &mut self.rows[row as usize]
    }

    /// How many members it has.
    pub(super) fn len(&self) -> usize {
        self.rows.iter().map(Stand::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().all(|row| row.len() == 0)
    }

    /// Whether somebody is given numbers, or may be later.
    pub(super) fn wants_numbers(&self) -> bool {
        [Row::Numbered, Row::NumberedLines].iter().any(|row| self.row(*row).len() > 0) || self.has_streams()
    }

    pub(super) fn has_streams(&self) -> bool {
        [Row::Stream, Row::NumberedStream, Row::Behind].iter().any(|row| self.row(*row).len() > 0)
    }

    /// All members of the room.
    pub(super) fn members(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().flat_map(|row| row.members.iter().copied())
    }
}

impl Rooms {
    /// The default room, and room for `max` in all.
    pub(super) fn new(lobby: RoomName, history: &mut dyn History, max: u16) -> Self {
        let mut rooms = Self { slots: Vec::new(), free: Vec::new(), by_key: BTreeMap::new(), max };
        rooms.open(lobby, history);
        rooms
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn find(&self, key: &Key) -> Option<u16> {
        self.by_key.get(key).copied()
    }

    /// The room of this name, which comes to be if it is not there, as the history knows it; `None` when there are too many.
    pub(super) fn open(&mut self, name: RoomName, history: &mut dyn History) -> Option<u16> {
        let key = name.key();
        if let Some(room) = self.find(&key) {
            return Some(room);
        }
        if self.len() >= usize::from(self.max) {
            return None;
        }
        let name = history.spelling(&name).filter(|kept| kept.key() == key).unwrap_or(name);
        let number = history.last_number(name.as_str());
        let room = Room::new(name, key.clone(), number);
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[usize::from(index)] = Some(room);
                index
            }
            None => {
                self.slots.push(Some(room));
                (self.slots.len() - 1) as u16
            }
        };
        self.by_key.insert(key, index);
        Some(index)
    }

    /// Forgets a room that has no members and waits for nothing, but never the first.
    pub(super) fn close_if_empty(&mut self, index: u16) {
        let Some(room) = self.get(index) else { return };
        if index != LOBBY && !room.active && room.is_empty() {
            if let Some(room) = self.slots[usize::from(index)].take() {
                self.by_key.remove(&room.key);
            }
            self.free.push(index);
        }
    }

    pub(super) fn get(&self, index: u16) -> Option<&Room> {
        self.slots.get(usize::from(index))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u16) -> Option<&mut Room> {
        self.slots.get_mut(usize::from(index))?.as_mut()
    }

    /// In the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &Room)> {
        self.by_key.values().filter_map(|index| Some((*index, self.get(*index)?)))
    }

    /// Those behind a key, in the order of their keys.
    pub(super) fn after(&self, key: Option<&Key>) -> impl Iterator<Item = &Room> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_key.range::<Key, _>((from, Bound::Unbounded)).filter_map(|(_, index)| self.get(*index))
    }

    /// Where a member speaks from.
    ///
    /// # Panics
    /// When it stands in no room.
    pub(super) fn origin(&self, member: &Member) -> &Origin {
        let room = self.slots[usize::from(member.room)].as_ref();
        &room.expect("a member's room is there").row(member.row).origins[member.place as usize]
    }

    /// Puts a member into a row of a room.
    pub(super) fn put(&mut self, members: &mut Members, index: u32, origin: Origin, room: u16, row: Row) {
        if let (Some(member), Some(place)) = (members.get_mut(index), self.get_mut(room)) {
            (member.room, member.row) = (room, row);
            member.place = place.row_mut(row).push(index, origin);
        }
    }

    /// Takes a member out of its row; where it speaks from.
    pub(super) fn take(&mut self, members: &mut Members, index: u32) -> Option<Origin> {
        let member = members.get(index)?;
        let (room, row, place) = (member.room, member.row, member.place);
        let stand = self.get_mut(room)?.row_mut(row);
        Some(stand.remove(place, |index, place| {
            if let Some(member) = members.get_mut(index) {
                member.place = place;
            }
        }))
    }

    #[cfg(test)]
    pub(super) fn check(&self, members: &Members) {
        let mut count = 0;
        for (index, room) in self.iter() {
            for (row, stand) in room.rows.iter().enumerate() {
                assert_eq!(stand.origins.len(), stand.members.len());
                assert!(stand.waiting <= stand.len());
                assert!(stand.waiting == 0 || room.batch.as_ref().is_some_and(|batch| batch.under_way));
                for (place, member) in stand.members.iter().enumerate() {
                    let member = members.get(*member).expect("who stands in a row is a member");
                    assert_eq!(
                        (member.room, member.row as usize, member.place as usize),
                        (index, row, place)
                    );
                    count += 1;
                }
            }
            let named = room.members().filter(|member| members.get(*member).unwrap().is_named()).count();
            assert_eq!(room.names.len(), named);
            for (key, member) in &room.names {
                let name = &members.get(*member).unwrap().extra.as_ref().unwrap().name;
                assert_eq!(&name.as_ref().unwrap().1, key);
            }
            let watching = room.members().filter(|member| members.get(*member).unwrap().watches).count();
            assert_eq!(room.watchers.len(), watching);
            assert!(index == LOBBY || room.active || !room.is_empty());
        }
        assert_eq!(count, members.len());
    }
}

/// The default room's number.
pub(super) const LOBBY: u16 = 0;
