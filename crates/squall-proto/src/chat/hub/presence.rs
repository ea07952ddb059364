//! Coming, going, and moving from room to room.

use super::Hub;
use super::events::{Event, Refused, Who};
use super::members::{Lines, Member};
use super::remembered::{Left, Settings};
use super::rooms::{LOBBY, Row};
use crate::chat::wire::{Line, Name, Reason, RoomName};
use crate::{Origin, Outbox, Time};
use alloc::boxed::Box;
use alloc::string::{String, ToString};

/// Why a member cannot have what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Taken {
    #[error("{command}: {name} is taken in {room}")]
    Name { command: &'static str, name: String, room: String },
    #[error("join: there are {0} rooms, which is as many as there may be")]
    Rooms(usize),
}

impl Hub {
    /// Makes a member of an address or connection that is none, if it may be one.
    pub(super) fn join(&mut self, now: Time, origin: &Origin) -> Result<u32, Refused> {
        let outcome = self.try_join(now, origin);
        if let Err(reason) = outcome {
            match reason {
                Refused::Full => self.stats.full += 1,
                Refused::Prefix => self.stats.prefix_full += 1,
                Refused::Banned => self.stats.banned += 1,
                Refused::Rate => self.stats.over_rate += 1,
            }
            self.events.push(|| Event::Refused { origin: *origin, reason });
        }
        outcome
    }

    fn try_join(&mut self, now: Time, origin: &Origin) -> Result<u32, Refused> {
        if self.bans.hold(now, origin) {
            return Err(Refused::Banned);
        }
        if self.members.len() >= self.config.members {
            return Err(Refused::Full);
        }
        let counted = self.config.counted(origin);
        if counted.is_some_and(|ip| !self.limits.enter(ip, self.config.members_per_prefix)) {
            return Err(Refused::Prefix);
        }
        // Coming costs an address as much as saying something, or it could make others hear of it without end.
        let hash = self.members.hash_of(origin);
        let owes =
            self.remembered.get(origin, hash).is_some_and(|left| !self.limits.has_paid(now, left.paid));
        if owes || counted.is_some_and(|ip| !self.limits.admit_newcomer(now, ip)) {
            if let Some(ip) = counted {
                self.limits.leave(ip);
            }
            return Err(Refused::Rate);
        }
        let index = self.members.add(now, origin);
        if origin.transport.is_stream() {
            self.rooms.put(&mut self.members, index, *origin, LOBBY, Row::Stream);
        } else {
            let left = self.remembered.take(origin, hash);
            self.settle(now, index, *origin, left);
            if let Some(member) = self.members.get(index) {
                self.wheel.schedule(index, member.liveness.deadline(&self.climate));
            }
        }
        self.stats.came += 1;
        self.enter(index);
        let who = (self.members.get(index)).map(|member| self.who(member));
        if let Some(who) = who {
            self.events.push(|| Event::Came(who));
        }
        Ok(index)
    }

    /// Gives a member that sends datagrams its place, with what is remembered of it as far as that can be had.
    fn settle(&mut self, now: Time, index: u32, origin: Origin, left: Option<Left>) {
        let (paid, told, settings) = match left {
            Some(Left { paid, told, settings, until }) => (paid, told, settings.filter(|_| now <= until)),
            None => (Time::ZERO, None, None),
        };
        let (mut room, mut row) = (LOBBY, Row::Plain);
        if let Some(settings) = &settings {
            room = self.rooms.open(settings.room.clone(), &mut *self.history).unwrap_or(LOBBY);
            row = Row::of_datagrams(settings.numbers, settings.lines == Lines::On);
        }
        self.rooms.put(&mut self.members, index, origin, room, row);
        let (Some(member), Some(place)) = (self.members.get_mut(index), self.rooms.get_mut(room)) else {
            return;
        };
        if paid > now {
            let extra = member.extra_mut();
            (extra.paid, extra.told) = (paid, told);
        }
        let Some(settings) = settings else { return };
        (member.numbers, member.watches, member.lines) = (settings.numbers, settings.watches, settings.lines);
        // What was lost while it was taken for dead is learnt from.
        member.liveness = settings.liveness;
        member.liveness.heard(now);
        if let Some(name) = settings.name {
            let key = name.key();
            if !place.names.contains_key(&key) {
                place.names.insert(key.clone(), index);
                member.extra_mut().name = Some((name, key));
            }
        }
    }

    /// Tells those that watch its room that a member came; and it watches itself from now on, if it did before.
    fn enter(&mut self, index: u32) {
        let Some(member) = self.members.get(index) else { return };
        let (number, watches) = (member.room, member.watches);
        let Some(room) = self.rooms.get_mut(number) else { return };
        if !room.watchers.is_empty() {
            let label = label(member);
            self.tell(number, &Line::Came(&label));
        }
        if watches && let Some(room) = self.rooms.get_mut(number) {
            room.watchers.insert(index);
        }
    }

    /// Takes a member out.
    pub(super) fn leave(&mut self, now: Time, index: u32, reason: Reason<'static>) {
        self.close_queue_now(index);
        self.wheel.cancel(index);
        let Some(member) = self.members.get(index) else { return };
        let room = member.room;
        match reason {
            Reason::Quit => self.stats.quit += 1,
            Reason::Silent => self.stats.silent += 1,
            Reason::Closed => self.stats.closed += 1,
            _ => self.stats.kicked += 1,
        }
        let origin = *self.rooms.origin(member);
        let (who, stream) = (self.who(member), origin.transport.is_stream());
        let event = Event::Went {
            reason,
            silence: now.since(member.liveness.last_heard()),
            limit: (!stream).then(|| member.liveness.limit_at(now, &self.climate)),
            interval: member.liveness.interval(),
            loss: member.liveness.loss(),
            who,
        };
        if !stream {
            self.remember(now, index, origin, reason == Reason::Silent);
        }
        self.leave_room(index, reason);
        if let Some(ip) = self.config.counted(&origin) {
            self.limits.leave(ip);
        }
        self.members.remove(index);
        self.events.push(|| event);
        self.rooms.close_if_empty(room);
    }

    /// Remembers what a member finds again: what it owes, and after it was evicted all that it had.
    fn remember(&mut self, now: Time, index: u32, origin: Origin, settings: bool) {
        let Some(member) = self.members.get(index) else { return };
        let set = member.numbers || member.watches || member.lines != Lines::Unsaid;
        let differs = set || member.is_named() || member.room != LOBBY || member.liveness.beats();
        let room = self.rooms.get(member.room).filter(|_| settings && differs);
        let settings = room.map(|room| {
            Box::new(Settings {
                name: member.name().cloned(),
                room: room.name.clone(),
                numbers: member.numbers,
                watches: member.watches,
                lines: member.lines,
                liveness: member.liveness,
            })
        });
        let extra = member.extra.as_deref();
        let mut paid = extra.map_or(Time::ZERO, |extra| extra.paid);
        self.limits.charge(now, &mut paid, 1);
        let left = Left {
            settings,
            until: now + self.config.remembered,
            paid,
            told: extra.and_then(|extra| extra.told),
        };
        self.remembered.put(origin, member.hash(), left);
    }

    /// Takes a member out of its room, and tells those that watch.
    fn leave_room(&mut self, index: u32, reason: Reason<'_>) -> Option<Origin> {
        let member = self.members.get(index)?;
        let (number, label) = (member.room, label(member));
        let room = self.rooms.get_mut(number)?;
        if member.watches {
            room.watchers.remove(&index);
        }
        if let Some((_, key)) = member.extra.as_ref().and_then(|extra| extra.name.as_ref()) {
            room.names.remove(key);
        }
        let origin = self.rooms.take(&mut self.members, index);
        self.tell(number, &Line::Went { name: &label, reason });
        origin
    }

    /// Moves a member to another room.
    pub(super) fn move_to(&mut self, index: u32, name: RoomName) -> Result<(), Taken> {
        let target = self.rooms.find(&name.key());
        let Some(member) = self.members.get(index) else { return Ok(()) };
        let (old, row) = (member.room, member.row);
        if target == Some(old) {
            return Ok(());
        }
        let key = member.extra.as_ref().and_then(|extra| extra.name.as_ref());
        if let (Some((own, key)), Some(target)) = (key, target.and_then(|target| self.rooms.get(target)))
            && target.names.contains_key(key)
        {
            let room = target.name.to_string();
            return Err(Taken::Name { command: "join", name: own.to_string(), room });
        }
        let shown = name.to_string();
        let Some(new) = self.rooms.open(name, &mut *self.history) else {
            return Err(Taken::Rooms(self.rooms.len()));
        };
        self.miss_rest(index);
        let Some(origin) = self.leave_room(index, Reason::Joined(&shown)) else { return Ok(()) };
        self.rooms.put(&mut self.members, index, origin, new, row);
        if let (Some(member), Some(room)) = (self.members.get_mut(index), self.rooms.get_mut(new))
            && let Some(extra) = &mut member.extra
        {
            extra.cursor = room.ring.end();
            if let Some((_, key)) = &extra.name {
                room.names.insert(key.clone(), index);
            }
        }
        self.rooms.close_if_empty(old);
        self.enter(index);
        Ok(())
    }

    /// Gives a member another name.
    pub(super) fn rename(&mut self, index: u32, name: Name) -> Result<(), Taken> {
        let key = name.key();
        let Some(member) = self.members.get_mut(index) else { return Ok(()) };
        let old = label(member);
        let number = member.room;
        let Some(room) = self.rooms.get_mut(number) else { return Ok(()) };
        if room.names.get(&key).is_some_and(|other| *other != index) {
            let (name, room) = (name.to_string(), room.name.to_string());
            return Err(Taken::Name { command: "name", name, room });
        }
        if old == name.as_str() {
            return Ok(());
        }
        let extra = member.extra_mut();
        if let Some((_, key)) = extra.name.take() {
            room.names.remove(&key);
        }
        room.names.insert(key.clone(), index);
        let new = name.to_string();
        extra.name = Some((name, key));
        if let Some(sender) = extra.sender {
            self.senders.get_mut(sender).call(member);
        }
        self.tell(number, &Line::Renamed { old: &old, new: &new });
        let who = (self.members.get(index)).map(|member| self.who(member));
        if let Some(who) = who {
            self.events.push(|| Event::Renamed { who, old });
        }
        Ok(())
    }

    pub(super) fn who(&self, member: &Member) -> Who {
        let room = self.rooms.get(member.room).map(|room| room.name.to_string()).unwrap_or_default();
        Who { number: member.number, name: label(member), room, origin: *self.rooms.origin(member) }
    }

    /// A connection was accepted: it is a member.
    pub(super) fn opened(&mut self, now: Time, origin: &Origin, out: &mut Outbox) {
        if !origin.transport.is_stream() {
            return;
        }
        // The driver has forgotten an earlier one of this name; what it said last is gone with it.
        if let Some(index) = self.members.find(&self.rooms, origin) {
            self.leave(now, index, Reason::Closed);
        }
        if let Err(reason) = self.join(now, origin) {
            let reason = reason.to_string();
            self.answer.write(&Line::Refused(&reason));
            self.send_answer(origin, out);
            // Without room the connection stays, and is no member.
            let _ = out.close(origin);
        }
    }

    /// A connection ended. What it said before is still relayed.
    pub(super) fn closed(&mut self, now: Time, origin: &Origin) {
        if !origin.transport.is_stream() {
            return;
        }
        let Some(index) = self.members.find(&self.rooms, origin) else { return };
        let Some(member) = self.members.get(index) else { return };
        let waits = member.sender().is_some_and(|sender| self.senders.get(sender).waiting().0 > 0);
        if !waits || member.row == Row::Gone {
            return self.leave(now, index, Reason::Closed);
        }
        let room = member.room;
        if let Some(sender) = member.sender() {
            self.senders.push(sender, super::turns::Kind::Closed, "");
        }
        if let Some(origin) = self.rooms.take(&mut self.members, index) {
            self.rooms.put(&mut self.members, index, origin, room, Row::Gone);
        }
    }
}

/// What a member is called.
pub(super) fn label(member: &Member) -> String {
    match member.name() {
        Some(name) => name.to_string(),
        None => alloc::format!("~{}", member.number),
    }
}
