//! From the senders' queues to all members of a room.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::members::MemberId;
use super::packing::Packed;
use super::rooms::{Batch, LIVE, Room, Rooms, Row};
use super::speak::ACK;
use super::turns::Kind;
use super::{Hub, HubConfig};
use crate::chat::Message;
use crate::chat::wire::{Command, Key, Line, MAX_MEMBER_DATAGRAM, MAX_NAME, Reason, Shape, speaker_key};
use crate::{Outbox, Time};

/// Which rooms have something to do, and how far the present call may go.
#[derive(Debug)]
pub(super) struct Relay {
    active: VecDeque<u16>,
    /// Memory for batches.
    spare: Vec<Batch>,
    /// What may be done in one call, in datagrams written, and what of it is left.
    pub(super) per_call: usize,
    pub(super) round: usize,
    /// Senders of a room that said their share of this turn, and rooms in which all did.
    held: Vec<u32>,
    held_rooms: Vec<u16>,
    /// Whether answers of the history, and readers that are behind, come before rooms in this call.
    readers_first: bool,
    /// How many batches were begun: a sender's texts in the present one are behind its commands' answers.
    fills: u64,
    stopping: bool,
    /// The room that is being looked at.
    visited: Option<u16>,
    /// A message in the form with numbers, while it is written.
    numbered: String,
    /// A line of a command, while it is carried out.
    command: String,
    /// A line of a ring, while it is written.
    pub(super) line: Vec<u8>,
    /// An answer whose datagrams end with line feeds, while it is written.
    pub(super) lines: Packed,
}

/// How a room was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visit {
    /// It has nothing more to do.
    Done,
    /// It goes on when the others were looked at.
    More,
    /// It goes on in the next call: each of its senders said its share.
    Held,
    /// The outbox has no room.
    Blocked,
}

/// Why a text is not relayed.
enum Unfit {
    TooLong { bytes: usize, fit: usize },
    Imitation,
}

impl Relay {
    pub(super) fn new() -> Self {
        Self {
            active: VecDeque::new(),
            spare: Vec::new(),
            per_call: PER_CALL,
            round: 0,
            held: Vec::new(),
            held_rooms: Vec::new(),
            readers_first: false,
            fills: 0,
            stopping: false,
            visited: None,
            numbered: String::new(),
            command: String::new(),
            line: Vec::new(),
            lines: Packed::default(),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Has a room looked at.
    pub(super) fn wake(&mut self, rooms: &mut Rooms, index: u16) {
        if let Some(room) = rooms.get_mut(index)
            && !room.active
        {
            room.active = true;
            self.active.push_back(index);
        }
    }

    /// Counts what a command looks through in what may be done in this call.
    pub(super) fn look_through(&mut self, elements: usize) {
        self.round = self.round.saturating_sub(elements / LOOKS);
    }

    /// Counts members that were told something in what may be done in this call; the room at hand is still served.
    pub(super) fn told(&mut self, members: usize) {
        self.round = self.round.saturating_sub(members).max(1);
    }

    /// Puts a sender behind the others of its room.
    pub(super) fn take_turn(&mut self, rooms: &mut Rooms, index: u16, sender: u32) {
        if let Some(room) = rooms.get_mut(index) {
            room.turns.push_back(sender);
        }
        self.wake(rooms, index);
    }

    /// Adds the room's last message to its batch.
    pub(super) fn add(&mut self, room: &mut Room, label: &str, named: bool, text: &str) {
        let wants_numbers = room.batch.is_none() && room.wants_numbers();
        let batch = room.batch.get_or_insert_with(|| self.spare.pop().unwrap_or_default());
        batch.with_numbers |= wants_numbers;
        batch.messages += 1;
        if named {
            batch.plain.push(&[ACK, label, ": ", text]);
        } else {
            batch.plain.push(&[ACK, text]);
        }
        if batch.with_numbers {
            self.numbered.clear();
            // Writing to a string does not fail.
            let _ = write!(self.numbered, "{ACK}#{} {label}: ", room.number);
            batch.numbered.push(&[&self.numbered, text]);
        }
    }
}

impl Hub {
    /// Whether anything waits to be written.
    pub(super) fn is_busy(&self) -> bool {
        !self.relay.active.is_empty() || !self.behind.is_empty() || self.is_answering()
    }

    /// Whether a datagram of an answer is due.
    fn is_answering(&self) -> bool {
        self.recalls.due().is_some_and(|due| due <= self.now || self.relay.stopping)
    }

    /// Writes what waits, as far as the outbox and the round go.
    pub(super) fn pump(&mut self, now: Time, out: &mut Outbox) {
        self.relay.round = self.relay.per_call;
        self.senders.shares.begin_turn();
        if let Some(index) = self.relay.visited.take()
            && let Some(room) = self.rooms.get_mut(index)
        {
            // Something panicked there, which its driver has told; the others in it are heard again.
            room.active = false;
            self.relay.wake(&mut self.rooms, index);
        }
        // In turn, or those that read would wait for as long as others speak.
        self.relay.readers_first = !self.relay.readers_first;
        if self.relay.readers_first {
            self.answer_recalls(now, out);
            self.catch_up(out);
        }
        while self.relay.round > 0 && self.has_room(out) {
            let Some(index) = self.relay.active.pop_front() else { break };
            self.relay.visited = Some(index);
            let visit = self.visit(now, index, out);
            self.relay.visited = None;
            self.relay.round = self.relay.round.saturating_sub(1);
            match visit {
                Visit::Done => {
                    if let Some(room) = self.rooms.get_mut(index) {
                        room.active = false;
                    }
                    self.rooms.close_if_empty(index);
                }
                Visit::More => self.relay.active.push_back(index),
                Visit::Held => self.relay.held_rooms.push(index),
                Visit::Blocked => {
                    self.relay.active.push_front(index);
                    break;
                }
            }
        }
        self.relay.active.extend(self.relay.held_rooms.drain(..));
        if !self.relay.readers_first {
            self.answer_recalls(now, out);
            self.catch_up(out);
        }
    }

    /// At the end nothing is held back for others.
    fn has_room(&self, out: &Outbox) -> bool {
        if self.relay.stopping { out.frames_left() > 0 } else { out.has_room() }
    }

    /// The driver is about to stop.
    pub(super) fn stop(&mut self, now: Time, out: &mut Outbox) {
        self.relay.stopping = true;
        let rooms: Vec<u16> = self.rooms.iter().map(|(index, _)| index).collect();
        for index in rooms {
            self.relay.wake(&mut self.rooms, index);
        }
        self.relay.per_call = usize::MAX;
        self.pump(now, out);
    }

    fn visit(&mut self, now: Time, index: u16, out: &mut Outbox) -> Visit {
        if !self.tell_watchers(index, out) {
            return Visit::Blocked;
        }
        let Some(room) = self.rooms.get(index) else { return Visit::Done };
        if !room.batch.as_ref().is_some_and(|batch| batch.under_way) {
            let held = !self.fill(now, index, out);
            self.begin(index);
            let waits = |room: &Room| room.batch.is_none() && !room.turns.is_empty();
            if held && self.rooms.get(index).is_some_and(waits) {
                return Visit::Held;
            }
        }
        let Some(room) = self.rooms.get(index) else { return Visit::Done };
        if room.batch.as_ref().is_some_and(|batch| batch.under_way) {
            match self.deliver(index, out) {
                Visit::Done => {}
                visit => return visit,
            }
        }
        let Some(room) = self.rooms.get(index) else { return Visit::Done };
        let waits = !room.turns.is_empty() || !room.announcements.is_empty() || !room.presence.is_empty();
        if waits || (self.relay.stopping && !room.said_bye) { Visit::More } else { Visit::Done }
    }

    /// Makes a batch of what the room's senders say; whether it took a line, or nobody was held back.
    fn fill(&mut self, now: Time, index: u16, out: &mut Outbox) -> bool {
        self.relay.fills += 1;
        self.announce(now, index);
        let taken = self.take_lines(now, index, out);
        let held = !self.relay.held.is_empty();
        if let Some(room) = self.rooms.get_mut(index) {
            // They are the first in the next turn. A room that is being looked at does not go.
            self.relay.held.drain(..).rev().for_each(|sender| room.turns.push_front(sender));
            if self.relay.stopping && room.batch.is_none() && !room.said_bye && room.turns.is_empty() {
                room.said_bye = true;
                let batch = room.batch.insert(self.relay.spare.pop().unwrap_or_default());
                for packed in [&mut batch.plain, &mut batch.numbered] {
                    packed.write(&Line::Bye);
                }
                batch.with_numbers = true;
            }
        }
        taken > 0 || !held
    }

    /// Takes lines of the room's senders in turn, until a batch is full or must end; how many.
    fn take_lines(&mut self, now: Time, index: u16, out: &mut Outbox) -> usize {
        let mut taken = 0;
        loop {
            let has_room = self.has_room(out);
            let Some(room) = self.rooms.get_mut(index) else { return taken };
            let full = |batch: &Batch| batch.plain.datagrams() >= MAX_DATAGRAMS;
            if room.batch.as_ref().is_some_and(full) || self.relay.round == 0 {
                return taken;
            }
            let Some(sender) = room.turns.pop_front() else { return taken };
            let Some(id) = self.senders.turn(sender) else { continue };
            let share = self.members.get_mut(id.index).map(|member| &mut member.extra_mut().share);
            let (Some(share), Some((queue, shares))) = (share, self.senders.look(sender, now)) else {
                continue;
            };
            let Some((kind, line)) = queue.first() else { continue };
            if !self.relay.stopping && queue.flood.is_none() && shares.is_used_up(now, id.number, *share) {
                queue.in_turns = true;
                self.relay.held.push(sender);
                continue;
            }
            let said = match kind {
                Kind::Text => {
                    queue.spoke = self.relay.fills;
                    self.senders.take(sender, now, share, true);
                    taken += 1;
                    self.speak(now, index, sender)
                }
                _ => {
                    // Its own texts come before what it is told next, and who is moved gets all or nothing of a batch.
                    let moves =
                        kind == Kind::Command && (line.starts_with("/join") || line.starts_with("/numbers"));
                    let begun = room.batch.as_ref().is_some_and(|batch| batch.messages > 0);
                    let first = begun && (moves || queue.spoke == self.relay.fills);
                    if first || !has_room {
                        queue.in_turns = true;
                        room.turns.push_front(sender);
                        return taken;
                    }
                    self.senders.take(sender, now, share, false);
                    taken += 1;
                    self.relay.round = self.relay.round.saturating_sub(COMMAND);
                    self.obey(now, sender, kind, out);
                    continue;
                }
            };
            if let Err(unfit) = said {
                self.unfit(id, &unfit, out);
                // It is not written to anybody, which would bound what one call does.
                self.relay.round = self.relay.round.saturating_sub(COMMAND);
            }
            self.senders.pop(sender);
            self.next_turn(now, sender, id);
        }
    }

    /// Puts a sender behind the others if it has more to say, or forgets its queue.
    fn next_turn(&mut self, now: Time, sender: u32, id: MemberId) {
        let Some(member) = self.members.by_id(id) else { return };
        if self.senders.get(sender).waiting().0 == 0 {
            self.close_queue(id.index);
        } else if self.senders.stand_up(sender, now) {
            let room = member.room;
            self.relay.take_turn(&mut self.rooms, room, sender);
        }
    }

    /// Adds the first text of a sender to the room's batch.
    fn speak(&mut self, now: Time, index: u16, sender: u32) -> Result<(), Unfit> {
        let queue = self.senders.get(sender);
        let Some((_, text)) = queue.first() else { return Ok(()) };
        let (name, colon) = if queue.named { (queue.label.as_str(), ": ") } else { ("", "") };
        let fit = MAX_MEMBER_DATAGRAM - ACK.len() - name.len() - colon.len();
        if text.len() > fit {
            return Err(Unfit::TooLong { bytes: text.len(), fit });
        }
        let Some(room) = self.rooms.get_mut(index) else { return Ok(()) };
        if !queue.named && may_imitate(text) && imitates(text, &room.names, &self.operator) {
            return Err(Unfit::Imitation);
        }
        let (named, label) = (queue.named, queue.label.as_str());
        room.number += 1;
        self.relay.add(room, label, named, text);
        self.stats.messages += 1;
        self.history.keep(&Message {
            room: room.name.as_str(),
            number: room.number,
            at: epoch_millis(&self.config, now),
            name: label,
            text,
        });
        Ok(())
    }

    fn unfit(&mut self, id: MemberId, unfit: &Unfit, out: &mut Outbox) {
        let Some(member) = self.members.by_id(id) else { return };
        let origin = *self.rooms.origin(member);
        match unfit {
            Unfit::TooLong { bytes, fit } => self.refuse_length(&origin, *bytes, *fit, out),
            Unfit::Imitation => {
                self.stats.imitations += 1;
                self.refuse(&origin, "that looks like another member's; say who you are: /name NAME", out);
            }
        }
    }

    /// Carries out the first line of a sender, which is no text.
    fn obey(&mut self, now: Time, sender: u32, kind: Kind, out: &mut Outbox) {
        let queue = self.senders.get(sender);
        let id = queue.member;
        let mut line = core::mem::take(&mut self.relay.command);
        line.clear();
        line.push_str(queue.first().map_or("", |(_, line)| line));
        self.senders.pop(sender);
        if matches!(kind, Kind::Command | Kind::Wrong) {
            self.begin_lines(id.index);
        }
        match kind {
            Kind::Text => {}
            Kind::Command => match Command::parse(line.as_str().into()) {
                Ok(command) => self.command(now, id.index, command, out),
                Err(error) => self.tell_wrong(id.index, &alloc::string::ToString::to_string(&error), out),
            },
            Kind::Wrong => self.tell_wrong(id.index, &line, out),
            Kind::Quit => self.quit_in_turn(now, sender, id, out),
            Kind::Closed => self.leave(now, id.index, Reason::Closed),
        }
        self.relay.command = line;
        // A member that left has no queue any more, or it is another one's.
        if self.senders.get(sender).member == id {
            self.next_turn(now, sender, id);
        }
    }

    /// A member leaves by a line that waited. If it said more behind that, it comes again.
    fn quit_in_turn(&mut self, now: Time, sender: u32, id: MemberId, out: &mut Outbox) {
        let Some(member) = self.members.get_mut(id.index) else { return };
        // What hubs send makes no member here either.
        let joins = |(kind, line): (Kind, &str)| kind != Kind::Text || Shape::of(line) == Shape::Text;
        let more = self.senders.get(sender).first().is_some_and(joins);
        let origin = *self.rooms.origin(member);
        if !more || origin.transport.is_stream() {
            return self.quit(now, id.index, out);
        }
        let extra = member.extra_mut();
        // It takes its queue along, and what it said of its share.
        extra.sender = None;
        let share = extra.share;
        self.leave(now, id.index, Reason::Quit);
        let came = self.join(now, &origin).ok();
        let heir = came.and_then(|index| Some((self.members.id(index)?, self.members.get_mut(index)?)));
        match heir {
            Some((id, member)) => {
                let queue = self.senders.get_mut(sender);
                queue.member = id;
                queue.call(member);
                let extra = member.extra_mut();
                (extra.sender, extra.share) = (Some(sender), share);
                self.next_turn(now, sender, id);
            }
            None => self.senders.close(sender),
        }
    }

    /// Has the room's batch written to those that are there now.
    fn begin(&mut self, index: u16) {
        let limit = self.config.ring;
        let Some(room) = self.rooms.get_mut(index) else { return };
        let streams = room.has_streams();
        let someone_behind = room.row(Row::Behind).len() > 0;
        let Some(batch) = &mut room.batch else { return };
        if batch.plain.is_empty() {
            return;
        }
        let rows = &room.rows;
        batch.seal(|row| rows[row as usize].len() > 0);
        if !someone_behind {
            room.ring.clear();
        }
        batch.before = room.ring.end();
        if streams && batch.with_numbers && batch.messages > 0 {
            batch.numbered.lines().for_each(|line| room.ring.push(line, limit));
        }
        let with_numbers = batch.with_numbers;
        for row in LIVE {
            if with_numbers || !row.has_numbers() {
                let stand = room.row_mut(row);
                stand.waiting = stand.len();
            }
        }
    }

    /// Writes a batch that is under way to as many members as can be.
    fn deliver(&mut self, index: u16, out: &mut Outbox) -> Visit {
        let Some(room) = self.rooms.get_mut(index) else { return Visit::Done };
        let Some(batch) = &room.batch else { return Visit::Done };
        for row in LIVE {
            let packed = batch.form(row);
            let stand = &mut room.rows[row as usize];
            while stand.waiting > 0 {
                if self.relay.round == 0 {
                    return Visit::More;
                }
                let frames = packed.ends().len().max(1);
                let fit = (out.frames_left() / frames).min(self.relay.round.div_ceil(frames));
                let count = stand.waiting.min(fit);
                let from = stand.waiting - count;
                let mut peers = stand.origins[from..stand.waiting].iter().copied();
                if count > 0 && out.to_all_rows(&mut peers, packed.body(), packed.ends()).is_ok() {
                    stand.waiting = from;
                    self.stats.deliveries += count as u64 * batch.messages;
                    self.relay.round = self.relay.round.saturating_sub(count * frames);
                } else if out.is_empty() {
                    // It will never fit this outbox.
                    stand.waiting = 0;
                } else {
                    return Visit::Blocked;
                }
            }
        }
        if let Some(mut batch) = room.batch.take() {
            batch.clear();
            self.relay.spare.push(batch);
        }
        Visit::Done
    }
}

/// Whether a text may begin with what looks like a name and a colon. Looking closely is much more work, and most
/// texts have no colon so early, or one behind several words: no name has a space.
fn may_imitate(text: &str) -> bool {
    let mut seen = 0;
    let end = text.bytes().position(|byte| {
        seen += usize::from(byte != b' ');
        byte == b':' || byte >= 0x80 || seen > 4 * (MAX_NAME + 2)
    });
    let Some((begin, rest)) = end.map(|end| text.as_bytes().split_at(end)) else { return false };
    match rest[0] {
        b':' => begin.first() == Some(&b'#') || !begin.trim_ascii().contains(&b' '),
        byte => byte >= 0x80,
    }
}

/// Whether a text of who has no name looks as if somebody else had said it: one of `names`, the operator, another of
/// the nameless, or anybody in the form with numbers.
fn imitates(text: &str, names: &BTreeMap<Key, u32>, operator: &Key) -> bool {
    if text.starts_with('#') && matches!(Line::parse(&alloc::format!("{ACK}{text}")), Line::Numbered { .. }) {
        return true;
    }
    let is_nameless = |key: &Key| key.as_str().starts_with('~') && key.as_str().len() > 1;
    speaker_key(text).is_some_and(|key| names.contains_key(&key) || key == *operator || is_nameless(&key))
}

/// The date of `now`, in milliseconds since 1970-01-01T00:00Z.
pub(super) fn epoch_millis(config: &HubConfig, now: Time) -> u64 {
    config.epoch_millis.saturating_add(now.as_nanos() / 1_000_000)
}

/// Datagrams that are written in one call, and as many as one member gets of a batch.
const PER_CALL: usize = 1024;
/// What a command costs of it.
pub(super) const COMMAND: usize = 16;
/// Members that can be looked at in the time that one datagram takes to write.
const LOOKS: usize = 64;
/// Datagrams of one batch: they go to each member as one segmented send where they are of one size.
pub(super) const MAX_DATAGRAMS: usize = 32;
