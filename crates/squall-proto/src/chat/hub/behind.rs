//! Readers of streams that read more slowly than is said.

use super::Hub;
use super::relay::{COMMAND, MAX_DATAGRAMS};
use super::rooms::Row;
use super::speak::ACK;
use crate::chat::wire::Line;
use crate::{Origin, Outbox};

impl Hub {
    /// A reader's queue is full: it goes on from the ring.
    pub(super) fn full(&mut self, origin: &Origin) {
        if !origin.transport.is_stream() {
            return;
        }
        let Some(index) = self.members.find(&self.rooms, origin) else { return };
        let Some(member) = self.members.get_mut(index) else { return };
        let (room, row, place) = (member.room, member.row, member.place as usize);
        match row {
            Row::Gone => return,
            Row::Behind => {
                member.extra_mut().catches_up = false;
                return;
            }
            _ => {}
        }
        let Some(stand) = self.rooms.get(room) else { return };
        let waits = place < stand.row(row).waiting;
        let before = stand.batch.as_ref().filter(|_| waits).map(|batch| batch.before);
        let extra = member.extra_mut();
        extra.cursor = before.unwrap_or(stand.ring.end());
        extra.catches_up = false;
        if let Some(origin) = self.rooms.take(&mut self.members, index) {
            self.rooms.put(&mut self.members, index, origin, room, Row::Behind);
        }
    }

    /// A reader takes more.
    pub(super) fn writable(&mut self, origin: &Origin) {
        let Some(index) = self.members.find(&self.rooms, origin) else { return };
        let Some(id) = self.members.id(index) else { return };
        if let Some(member) = self.members.get_mut(index)
            && member.row == Row::Behind
        {
            let extra = member.extra_mut();
            if !core::mem::replace(&mut extra.catches_up, true) {
                self.behind.push_back(id);
            }
        }
    }

    /// Gives readers that are behind what they missed, and those that are no more their place back.
    pub(super) fn catch_up(&mut self, out: &mut Outbox) {
        for _ in 0..self.behind.len() {
            if !out.has_room() || self.relay.round == 0 {
                return;
            }
            self.relay.round = self.relay.round.saturating_sub(COMMAND);
            let Some(id) = self.behind.pop_front() else { return };
            let Some(member) = self.members.by_id(id) else { continue };
            if member.row != Row::Behind || !member.extra.as_ref().is_some_and(|extra| extra.catches_up) {
                continue;
            }
            let (origin, number, numbers) = (*self.rooms.origin(member), member.room, member.numbers);
            let mut cursor = member.extra.as_ref().map(|extra| extra.cursor).unwrap_or_default();
            let Some(room) = self.rooms.get(number) else { continue };
            let missed = room.ring.catch(&mut cursor);
            if missed > 0 {
                self.stats.missed += missed;
                self.answer.write(&Line::Missed(missed));
            }
            let mut line = core::mem::take(&mut self.relay.line);
            let mut more = true;
            while more && self.answer.datagrams() < MAX_DATAGRAMS {
                more = room.ring.read(&mut cursor, &mut line);
                if more {
                    let line = core::str::from_utf8(&line).unwrap_or_default();
                    match line.split_once(' ').and_then(|(_, rest)| rest.split_once(' ')) {
                        Some((_, rest)) if !numbers => match rest.split_once(": ") {
                            Some((name, text)) if name.starts_with('~') => self.answer.push(&[ACK, text]),
                            _ => self.answer.push(&[ACK, rest]),
                        },
                        _ => self.answer.push(&[line]),
                    }
                    self.stats.deliveries += 1;
                }
            }
            self.relay.line = line;
            self.send_answer(&origin, out);
            if let Some(member) = self.members.get_mut(id.index) {
                member.extra_mut().cursor = cursor;
            }
            if more {
                self.behind.push_back(id);
            } else {
                self.return_to_live(id.index);
            }
        }
    }

    /// Gives a reader that is no more behind its place among the others.
    fn return_to_live(&mut self, index: u32) {
        let Some(member) = self.members.get_mut(index) else { return };
        let (room, numbers) = (member.room, member.numbers);
        member.extra_mut().catches_up = false;
        if let Some(origin) = self.rooms.take(&mut self.members, index) {
            self.rooms.put(&mut self.members, index, origin, room, Row::of_streams(numbers));
        }
    }

    /// Counts what a reader has not read of its room as missed: it leaves it.
    pub(super) fn miss_rest(&mut self, index: u32) {
        let Some(member) = self.members.get(index) else { return };
        if member.row == Row::Behind
            && let (Some(extra), Some(room)) = (&member.extra, self.rooms.get(member.room))
        {
            let missed = room.ring.after(extra.cursor);
            if missed > 0 {
                self.stats.missed += missed;
                self.answer.write(&Line::Missed(missed));
            }
        }
    }
}
