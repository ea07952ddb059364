//! What members ask for.

use alloc::collections::BinaryHeap;
use alloc::string::{String, ToString};
use core::ops::Bound;

use super::Hub;
use super::members::{Lines, Member, MemberId};
use super::presence::label;
use super::recall::{Asked, Asks};
use super::rooms::Row;
use crate::chat::Query;
use crate::chat::wire::{self, Command, Key, LAST_MAX, Last, Line, Me, RoomName, Token};
use crate::{Outbox, Time};

impl Hub {
    /// Carries out a command and answers it.
    pub(super) fn command(&mut self, now: Time, index: u32, command: Command<'_>, out: &mut Outbox) {
        let Some(member) = self.members.get(index) else { return };
        let origin = *self.rooms.origin(member);
        self.stats.commands += 1;
        match command {
            Command::Help => {
                for line in HELP {
                    self.answer.write(&Line::Help(line));
                }
            }
            Command::Name(None) => self.answer.write(&Line::Name(&label(member))),
            Command::Name(Some(name)) => {
                let shown = name.to_string();
                match self.rename(index, name) {
                    Ok(()) => self.answer.write(&Line::Name(&shown)),
                    Err(taken) => self.answer.write(&Line::Refused(&taken.to_string())),
                }
            }
            Command::Join(room) => match self.move_to(index, room) {
                Ok(()) => self.tell_joined(index),
                Err(taken) => self.answer.write(&Line::Refused(&taken.to_string())),
            },
            Command::Rooms(after) => self.tell_rooms(after.as_ref()),
            Command::Who { room, after } => self.tell_who(now, index, room.as_ref(), after.as_deref()),
            Command::Me(token) => self.tell_me(now, index, token),
            Command::Last(last) => {
                let Some(room) = self.rooms.get(member.room) else { return };
                let room = room.name.as_str();
                let (query, after) = match last {
                    Last::Count(count) => (Query::Last { room, count }, None),
                    Last::After(number) => (Query::Since { room, number, count: LAST_MAX }, Some(number)),
                };
                let asked = self.asked(now, index, member, Asks::Last { after }, room);
                self.recalls.ask(&mut *self.history, asked, &query, &mut self.answer);
            }
            Command::Find(words) => {
                let Some(room) = self.rooms.get(member.room) else { return };
                let room = room.name.as_str();
                let query = Query::Find { room, words: &words, count: FOUND };
                let asked = self.asked(now, index, member, Asks::Find, room);
                self.recalls.ask(&mut *self.history, asked, &query, &mut self.answer);
            }
            Command::Numbers(on) => {
                self.set_numbers(index, on);
                self.answer.write(&Line::Numbers(on));
            }
            Command::Lines(on) => match self.set_lines(index, on) {
                Ok(()) => self.answer.write(&Line::Lines(on)),
                Err(reason) => self.answer.write(&Line::Refused(reason)),
            },
            Command::Watch(on) => {
                self.set_watch(index, on);
                self.answer.write(&Line::Watch(on));
            }
        }
        self.send_answer(&origin, out);
    }

    /// A question to the history.
    fn asked(&self, now: Time, index: u32, member: &Member, asks: Asks, room: &str) -> Asked {
        let id = MemberId { index, number: member.number };
        Asked { member: id, asks, room: room.to_string(), whole: member.numbers, at: now }
    }

    /// Tells a member what is wrong with its command.
    pub(super) fn tell_wrong(&mut self, index: u32, reason: &str, out: &mut Outbox) {
        let Some(member) = self.members.get(index) else { return };
        let origin = *self.rooms.origin(member);
        self.refuse(&origin, reason, out);
    }

    fn tell_joined(&mut self, index: u32) {
        if let Some(member) = self.members.get(index)
            && let Some(room) = self.rooms.get(member.room)
        {
            let members = room.len() as u64;
            self.answer.write(&Line::Joined { room: room.name.as_str(), members, number: room.number });
        }
    }

    fn set_numbers(&mut self, index: u32, on: bool) {
        let Some(member) = self.members.get_mut(index) else { return };
        member.numbers = on;
        self.line_up(index);
    }

    /// A connection's lines have their ends, whatever it wants.
    fn set_lines(&mut self, index: u32, on: bool) -> Result<(), &'static str> {
        let Some(member) = self.members.get_mut(index) else { return Ok(()) };
        if self.rooms.origin(member).transport.is_stream() {
            return if on { Ok(()) } else { Err("lines: each line of a connection has its end") };
        }
        member.lines = if on { Lines::On } else { Lines::Off };
        self.line_up(index);
        Ok(())
    }

    /// The datagrams of a member that ended its command with a line feed end with one from now on.
    pub(super) fn begin_lines(&mut self, index: u32) {
        if let Some(member) = self.members.get_mut(index)
            && member.lines == Lines::Typed
        {
            member.lines = Lines::On;
            self.line_up(index);
        }
    }

    /// Puts a member into the row of what it asked for.
    fn line_up(&mut self, index: u32) {
        let Some(member) = self.members.get(index) else { return };
        let (room, old) = (member.room, member.row);
        let new = match old {
            Row::Plain | Row::Numbered | Row::Lines | Row::NumberedLines => {
                Row::of_datagrams(member.numbers, member.lines == Lines::On)
            }
            Row::Stream | Row::NumberedStream => Row::of_streams(member.numbers),
            Row::Behind | Row::Gone => return,
        };
        if new != old
            && let Some(origin) = self.rooms.take(&mut self.members, index)
        {
            self.rooms.put(&mut self.members, index, origin, room, new);
        }
    }

    fn set_watch(&mut self, index: u32, on: bool) {
        let Some(member) = self.members.get_mut(index) else { return };
        if core::mem::replace(&mut member.watches, on) != on
            && let Some(room) = self.rooms.get_mut(member.room)
        {
            if on {
                room.watchers.insert(index);
            } else {
                room.watchers.remove(&index);
            }
        }
    }

    /// By what their names are unique by.
    fn tell_rooms(&mut self, after: Option<&RoomName>) {
        self.answer.write(&Line::Rooms(self.rooms.len() as u64));
        let mut last = None;
        for (count, room) in self.rooms.after(after.map(RoomName::key).as_ref()).enumerate() {
            if count == ROOMS {
                return self.answer.write(&Line::MoreRooms(last.unwrap_or_default()));
            }
            let name = room.name.as_str();
            self.answer.write(&Line::Room { room: name, members: room.len() as u64, number: room.number });
            last = Some(name);
        }
    }

    /// Members with names come first, by what their names are unique by; then the others, by their numbers.
    fn tell_who(&mut self, now: Time, index: u32, name: Option<&RoomName>, after: Option<&str>) {
        let own = self.members.get(index).map(|member| member.room);
        let found = name.map_or(own, |name| self.rooms.find(&name.key()));
        let Some(room) = found.and_then(|room| self.rooms.get(room)) else {
            let name = name.map_or("", RoomName::as_str);
            let reason = alloc::format!("who: there is no room {name}");
            return self.answer.write(&Line::Refused(&reason));
        };
        self.answer.write(&Line::Who { room: room.name.as_str(), members: room.len() as u64 });
        let number =
            after.and_then(|after| after.strip_prefix('~')).and_then(|number| number.parse::<u64>().ok());
        let key = after.filter(|_| number.is_none()).map(Key::of);
        let bound = key.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut left = WHO;
        let mut last = None;
        if number.is_none() {
            for index in room.names.range((bound, Bound::Unbounded)).map(|(_, index)| *index) {
                let Some(member) = self.members.get(index) else { continue };
                if left == 0 {
                    return self.answer.write(&Line::More(&last.map(label).unwrap_or_default()));
                }
                self.answer.write(&Line::Member(self.view(now, member, &label(member))));
                (left, last) = (left - 1, Some(member));
            }
        }
        self.relay.look_through(room.len());
        // The least of all that come after, and one more to know that there are more.
        let mut least = BinaryHeap::new();
        for index in room.members() {
            let Some(member) = self.members.get(index) else { continue };
            if !member.is_named() && member.number > number.unwrap_or(0) {
                least.push((member.number, index));
                if least.len() > left + 1 {
                    least.pop();
                }
            }
        }
        for (number, index) in least.into_sorted_vec() {
            let Some(member) = self.members.get(index) else { continue };
            if left == 0 {
                return self.answer.write(&Line::More(&last.map(label).unwrap_or_default()));
            }
            self.answer.write(&Line::Member(self.view(now, member, &alloc::format!("~{number}"))));
            (left, last) = (left - 1, Some(member));
        }
    }

    fn tell_me(&mut self, now: Time, index: u32, token: Option<Token>) {
        let Some(member) = self.members.get(index) else { return };
        let Some(room) = self.rooms.get(member.room) else { return };
        let peer: String = self.rooms.origin(member).peer.to_string();
        let name = label(member);
        self.answer.write(&Line::Me(Me {
            member: self.view(now, member, &name),
            room: room.name.as_str(),
            number: room.number,
            id: member.number,
            peer: &peer,
            hub: self.run(),
            token,
        }));
    }

    /// What is told of a member.
    fn view<'a>(&self, now: Time, member: &Member, name: &'a str) -> wire::Member<'a> {
        let via = self.rooms.origin(member).transport;
        wire::Member {
            name,
            via,
            idle: now.since(member.liveness.last_heard()),
            every: member.liveness.interval(),
            loss: member.liveness.loss(),
            limit: (!via.is_stream()).then(|| member.liveness.limit(&self.climate)),
        }
    }
}

const HELP: [&str; 11] = [
    "TEXT goes to all in your room; //TEXT says /TEXT; quit leaves",
    "/name NAME: what you are called",
    "/join ROOM: go to another room",
    "/rooms [AFTER]: which there are",
    "/who [ROOM [AFTER]]: who is there",
    "/me: what is known of you",
    "/last [N] or /last #NUMBER: what was said",
    "/find WORDS: what was said with all of these words",
    "/numbers on|off: messages with their numbers and names",
    "/lines on|off: each datagram ends with a line feed, for nc -u",
    "/watch on|off: who comes and goes",
];
/// Members, and rooms, told at once.
const WHO: usize = 100;
const ROOMS: usize = 100;
/// Messages that are found at most.
const FOUND: u32 = 50;
