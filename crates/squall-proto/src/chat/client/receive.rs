//! What a hub's lines do to a client.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::event::{Entry, Event, How, State, Why};
use super::link::jittered;
use super::log::{Log, Put};
use super::losses::{MAX_FATES, Window};
use super::recall::{Done, Extent, Purpose};
use super::say::MAX_TEXT;
use super::typed::NOTHING_KEPT;
use super::{Client, Kind};
use crate::chat::history::Recalled;
use crate::chat::wire::{LAST_MAX, Line, MAX_NAME, Me, Member};
use crate::text::clean;
use crate::{Origin, Outbox, Time};

impl Client {
    pub(super) fn is_hub(&self, origin: &Origin) -> bool {
        self.hub.is_some_and(|hub| hub.peer == origin.peer)
    }

    pub(super) fn receive(&mut self, now: Time, payload: &[u8], out: &mut Outbox) {
        for line in payload.split(|&byte| byte == b'\n') {
            // A hub sends clean lines of some length; but what calls itself a hub may be anything.
            let line = clean(&line[..line.len().min(LONGEST)]);
            if line.is_empty() {
                continue;
            }
            self.counts.lines += 1;
            self.line(now, &line, out);
            if matches!(self.state, State::Gone(_)) {
                return;
            }
        }
    }

    fn line(&mut self, now: Time, text: &str, out: &mut Outbox) {
        let line = Line::parse(text);
        if !is_possible(&line) {
            self.tell(Event::Line(text.to_string()));
            return;
        }
        match line {
            Line::Ack(_) => {
                // The hub knows nothing of numbers, so it does not know this client.
                self.counts.unnumbered += 1;
                if self.setup.has_numbers() && !matches!(self.state, State::Connecting { .. }) {
                    self.setup.forget(now);
                    self.probes.next = now;
                }
            }
            Line::Numbered { number, name, text } => self.said(now, number, name, text),
            Line::Bye => self.lose(now, Why::Bye, out),
            Line::Name(name) => {
                self.called(now, name);
                if self.is_curious(Kind::Name, now) {
                    self.notice(now, format!("you are {name}"));
                }
            }
            Line::Joined { room, number, members } => {
                self.setup.is_in(room, now);
                self.enter(now, room, number);
                self.roster.total = members;
            }
            Line::Rooms(rooms) => {
                self.roster.begin_rooms(rooms);
                self.show(Kind::Rooms, text, now);
            }
            Line::Room { room, members, number } => {
                self.roster.room(room, members, number);
                self.tell_once(Event::Roster);
                self.show(Kind::Rooms, text, now);
            }
            Line::MoreRooms(name) => {
                if let Some(command) = self.roster.more_rooms(name) {
                    self.send_commands(&[command], out);
                }
                self.show(Kind::Rooms, "and more", now);
            }
            Line::Who { room, members } => {
                if room == self.log.room {
                    self.roster.begin(room, members);
                }
                self.roster.is_of(room);
                self.show_who(&format!("{members} in {room}"), now);
            }
            Line::Member(member) => {
                self.roster.member(now, &member);
                self.tell_once(Event::Roster);
                self.show_who(&in_words(&member), now);
            }
            Line::More(name) => {
                if let Some(command) = self.roster.more(name) {
                    self.send_commands(&[command], out);
                }
                self.show_who("and more", now);
            }
            Line::Me(me) => self.me(now, &me, text),
            Line::Last { room, messages, after, to } => {
                self.answer(now, room, Extent { messages, after: Some(after), to });
            }
            Line::Found { room, messages } => {
                self.answer(now, room, Extent { messages, after: None, to: u64::MAX })
            }
            Line::Said { number, at, name, text } => self.recalled(now, number, at, name, text),
            Line::Numbers(on) => self.setup.numbers(on, now),
            Line::Lines(_) => {}
            Line::Watch(on) => self.setup.watch(on, now),
            Line::Came(name) => self.came(now, name),
            Line::Went { name, reason } => self.went(now, name, &reason),
            Line::Renamed { old, new } => self.renamed(now, old, new),
            Line::Missed(lines) => {
                self.tell(Event::TooSlow(lines));
                self.look_for_gaps(now, GRACE);
            }
            Line::Refused(reason) => self.refused(now, reason),
            Line::Help(help) => {
                self.tell(Event::Line(text.to_string()));
                self.notice(now, help.to_string());
            }
            Line::Unknown(line) => {
                self.tell(Event::Line(line.to_string()));
                self.notice(now, line.to_string());
            }
        }
    }

    /// A message, as it is said.
    fn said(&mut self, now: Time, number: u64, name: &str, text: &str) {
        if !self.joined {
            // Which room it is of is told in a moment, and then it is asked for.
            return;
        }
        self.roster.spoke(now, name);
        if !self.log.is_missing(number) {
            self.counts.duplicates += 1;
            return;
        }
        if let Some(own) = self.claim(name, text) {
            self.probes.losses.receipts.came(own.0, now);
            self.deliver(own, number, name, now);
        } else {
            self.probes.losses.messages.came(number, now);
            self.heard_of(now, name);
            self.add(now, Some(number), name.to_string(), text.to_string(), How::Live);
        }
        self.look_for_gaps(now, GRACE);
    }

    /// A message that is kept.
    fn recalled(&mut self, now: Time, number: u64, at: u64, name: &str, text: &str) {
        let message = Recalled { number, at, name: name.to_string(), text: text.to_string() };
        if matches!(self.recalls.purpose(), Some(Purpose::Fill { .. })) && self.log.is_missing(number) {
            let before = self.log.is_before(number);
            if let Some(own) = self.claim(name, text) {
                self.probes.losses.receipts.lost(own.0, now);
                self.deliver(own, number, name, now);
            } else {
                self.missed(now, number, number);
                let id = self.next_entry;
                self.next_entry += 1;
                let how = if before { How::History } else { How::Missed };
                let (name, text) = (name.to_string(), text.to_string());
                let entry = Entry { id, number: Some(number), at, name, text, how, counts: true, heard: now };
                if self.log.put(entry) == Put::Added {
                    self.tell(Event::Message(id));
                }
            }
            self.counts.recovered += u64::from(!before);
            self.recalls.fruitful();
        }
        self.recalls.said(message);
        self.finish(now);
    }

    fn answer(&mut self, now: Time, room: &str, extent: Extent) {
        if self.joined && room == self.log.room {
            self.recalls.begin(extent);
            self.finish(now);
        }
    }

    /// If the whole answer has come, does what follows from it.
    fn finish(&mut self, now: Time) {
        let Some(Done { purpose, messages: Some(messages) }) = self.recalls.complete() else { return };
        match purpose {
            Purpose::Find(words) => self.tell(Event::Found { words, messages: Some(messages) }),
            Purpose::Reconcile { .. } => {
                self.log.reconcile(&messages, self.last, u64::from(self.config.history));
            }
            Purpose::Fill { after, to } => {
                // What a complete answer passes over is not kept; but the newest may be kept in a moment.
                let full = messages.len() >= LAST_MAX as usize;
                let end = messages.last().map_or(0, |message| message.number);
                let end = if full { end } else { end.max(to) };
                let absent = self.log.first_gap().is_some_and(|gap| gap.from <= end);
                let lost =
                    if absent && self.recalls.fruitless(now) { self.give_up(now, after + 1, end) } else { 0 };
                self.lost(now, lost);
            }
        }
        self.go_on(now);
    }

    /// Gives up what is missing from one number to another: how many messages that are lost.
    fn give_up(&mut self, now: Time, from: u64, to: u64) -> u64 {
        self.missed(now, from, to);
        self.log.give_up(from, to)
    }

    /// What is missing of these numbers did not come as it was said. What was said while the client was away could not.
    fn missed(&mut self, now: Time, from: u64, to: u64) {
        let from = from.max(self.live_from + 1).max(to.saturating_sub(MAX_FATES as u64));
        for number in (from..=to).filter(|number| self.log.is_missing(*number)) {
            self.probes.losses.messages.lost(number, now);
        }
    }

    fn lost(&mut self, now: Time, lost: u64) {
        if lost > 0 {
            self.counts.lost += lost;
            self.tell(Event::Lost(lost));
            let messages = if lost == 1 { "message was" } else { "messages were" };
            self.notice(now, format!("{lost} {messages} missed, and not kept by the hub"));
        }
    }

    /// Asks for the next that is missing.
    fn go_on(&mut self, now: Time) {
        let given_up = core::mem::take(&mut self.log.given_up);
        self.lost(now, given_up);
        if self.recalls.has_searches() && self.recalls.ready.is_none() {
            self.recalls.ready = Some(now);
        }
        self.look_for_gaps(now, Duration::ZERO);
    }

    fn me(&mut self, now: Time, me: &Me<'_>, line: &str) {
        let unanswered = self.probes.unanswered();
        let Some(sent) =
            me.token.and_then(|token| self.probes.answered(&self.config, now, &token, &mut self.random))
        else {
            // The user's own question, or an answer too late to tell anything.
            if me.token.is_none() {
                self.show(Kind::Me, line, now);
            }
            return;
        };
        let known = !matches!(self.state, State::Connecting { .. });
        // The hub heard this client all the time, and has not taken it out for its silence.
        let was_heard = self.state == State::Online && unanswered <= 1;
        // What is not the same is another member, as behind a router that has begun anew.
        let is_same_peer = self.peer.replace(me.peer.to_string()).is_some_and(|peer| peer == me.peer);
        if self.state != State::Online {
            if !known {
                self.heartbeat.next =
                    (!self.stream).then(|| now + jittered(self.config.interval, &mut self.random));
                self.roster_due = Some(now);
            }
            self.set_state(State::Online);
        }
        let restarted = self.run.is_some_and(|run| run != me.hub);
        if restarted {
            for log in self.other_logs.iter_mut().chain([&mut self.log]) {
                log.doubtful = Some(sent);
            }
            self.abandon_recall();
            self.probes.losses.forgive();
            (self.keeps_nothing, self.told_of_nothing) = (false, false);
            self.tell(Event::HubRestarted);
            self.notice(now, "the hub was started anew".to_string());
        }
        if known && (restarted || self.id.is_some_and(|id| id != me.id)) {
            // It took this client for a new one. (One that introduced itself just now has told all.)
            self.setup.forget(now);
            if !restarted && was_heard && is_same_peer {
                self.tell(Event::Removed);
            }
        }
        if !known || restarted {
            self.live_from = me.number;
        }
        (self.run, self.id) = (Some(me.hub), Some(me.id));
        // What was said before the hub knew the name, after a new start for one, was said under the number.
        self.is_called(&format!("~{}", me.id));
        self.called(now, me.member.name);
        self.setup.is_in(me.room, now);
        if !self.setup.is_moving() {
            self.enter(now, me.room, me.number);
            self.log.last_was(me.number, sent);
            if self.log.doubtful.is_some() {
                self.look_for_gaps(now, Duration::ZERO);
            }
        }
    }

    /// The hub calls this client so.
    pub(super) fn called(&mut self, now: Time, label: &str) {
        if self.setup.is_called(label, now) && !self.is_curious(Kind::Name, now) {
            self.notice(now, format!("you are {label}"));
        }
        self.is_no_newcomer(label);
        if self.label.as_deref() != Some(label) {
            self.label = Some(label.to_string());
            self.tell(Event::Named(label.to_string()));
        }
        self.is_called(label);
    }

    fn is_called(&mut self, label: &str) {
        if self.labels.iter().any(|known| known == label) {
            return;
        }
        if self.labels.len() == 4 {
            self.labels.pop_front();
        }
        self.labels.push_back(label.to_string());
        self.claim_late(label);
    }

    /// The client is in a room whose last message has this number.
    fn enter(&mut self, now: Time, room: &str, number: u64) {
        if !self.joined || self.log.room != room {
            self.abandon_recall();
            // Each room has numbers of its own.
            self.probes.losses.messages = Window::default();
            self.give_up_sayings();
            let index = self.other_logs.iter().position(|log| log.room == room);
            let mut log = index.map(|index| self.other_logs.remove(index)).unwrap_or_else(|| {
                Log::new(room, number, u64::from(self.config.history), self.config.scroll_back)
            });
            if number < log.highest() {
                // The room was empty, and a hub that keeps nothing forgot it with its count.
                log.doubtful = Some(now);
            }
            let mut old = core::mem::replace(&mut self.log, log);
            if self.joined {
                self.move_waiting(&mut old);
                if self.other_logs.len() == MAX_LOGS {
                    self.other_logs.remove(0);
                }
                self.other_logs.push(old);
            } else {
                // What was said and noted before the first room was known.
                old.entries.drain(..).for_each(|entry| {
                    self.log.put(entry);
                });
            }
            self.live_from = number;
            let is_first = !core::mem::replace(&mut self.joined, true);
            self.roster.clear_members();
            self.newcomers.clear();
            self.roster_due = Some(now);
            self.tell(Event::Joined(room.to_string()));
            if !is_first {
                self.notice(now, format!("you are in {room}"));
            }
        }
        self.last = number;
        if self.log.doubtful.is_some() {
            return self.look_for_gaps(now, Duration::ZERO);
        }
        self.log.last_is(number);
        self.look_for_gaps(now, GRACE);
    }

    fn refused(&mut self, now: Time, reason: &str) {
        let about = |command: &str| reason.strip_prefix(command).is_some_and(|rest| rest.starts_with(": "));
        if about("last") || about("find") {
            return self.recall_refused(now, reason);
        }
        // No text that is said is as long, but a search can be.
        let too_long =
            reason.strip_prefix("too long: ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        if too_long.is_some_and(|bytes: usize| bytes > MAX_TEXT)
            && matches!(self.recalls.purpose(), Some(Purpose::Find(_)))
        {
            return self.recall_refused(now, &format!("find: {reason}"));
        }
        if about("name") {
            let again = now + SOON.mul_f64(1.0 + self.random.unit());
            let name = reason["name: ".len()..].split_once(" is taken").map(|(name, _)| name);
            if !self.setup.name_refused(name, again, now) {
                return;
            }
        } else if about("join") {
            let room = self.joined.then(|| self.log.room.clone());
            self.setup.room_refused(room.as_ref(), now);
        } else if !["who", "me", "rooms", "help", "numbers", "watch"].into_iter().any(about)
            && !reason.starts_with('/')
        {
            self.refuse_oldest(reason);
        }
        self.tell(Event::Refused(reason.to_string()));
        self.notice(now, reason.to_string());
    }

    fn recall_refused(&mut self, now: Time, reason: &str) {
        let Some(done) = self.recalls.refused() else { return };
        if reason.ends_with("too many questions wait; ask again") {
            if let Purpose::Find(words) = done.purpose {
                self.recalls.search(words);
            }
            self.recalls.ready = Some(now + BUSY);
            return;
        }
        let mut missed = 0;
        match &done.purpose {
            Purpose::Find(_) => {
                self.tell(Event::Refused(reason.to_string()));
                self.notice(now, reason.to_string());
                // That is the answer.
                return self.go_on(now);
            }
            Purpose::Reconcile { .. } => self.log.restart(self.last),
            Purpose::Fill { to, .. } => {
                missed = self.give_up(now, 1, *to);
                self.lost(now, missed);
            }
        }
        if reason.ends_with("nothing is kept here") {
            self.keeps_nothing = true;
            // Nobody needs to know of it who misses nothing.
            if missed > 0 && !core::mem::replace(&mut self.told_of_nothing, true) {
                self.tell(Event::NothingKept);
                self.notice(now, format!("{NOTHING_KEPT}: what is missed is lost"));
            } else if missed == 0 && self.is_curious(Kind::Last, now) {
                self.notice(now, NOTHING_KEPT.to_string());
            }
        }
        self.not_found(done);
        self.go_on(now);
    }

    /// Shows an answer to the user who asked for it.
    fn show(&mut self, kind: Kind, line: &str, now: Time) {
        if self.is_curious(kind, now) {
            self.notice(now, line.trim_start_matches("* ").to_string());
        }
    }

    /// Shows a line about members of the room that the user asked about.
    fn show_who(&mut self, line: &str, now: Time) {
        if self.roster.is_wanted {
            self.show(Kind::Who, line, now);
        }
    }

    /// Tells an event that says no more when it is told twice.
    fn tell_once(&mut self, event: Event) {
        if self.events.back() != Some(&event) {
            self.tell(event);
        }
    }
}

/// A member of a list, for people.
fn in_words(member: &Member<'_>) -> String {
    let mut words = format!("{}  {}  heard {} s ago", member.name, member.via, member.idle.as_secs());
    if let Some(loss) = member.loss {
        words += &format!("  {:.1} % lost", loss * 100.0);
    }
    if let Some(limit) = member.limit {
        words += &format!("  may be silent for {} s", limit.as_secs());
    }
    words
}

/// Whether numbers of messages are such as a hub can have come to: a message each nanosecond for a century.
fn is_possible(line: &Line<'_>) -> bool {
    let number = match *line {
        Line::Numbered { number, .. } | Line::Joined { number, .. } | Line::Said { number, .. } => number,
        Line::Me(Me { number, .. }) => number,
        Line::Last { after, to, .. } => after.max(to),
        _ => 0,
    };
    number < 1 << 62
}

/// The longest line that a hub may send, in bytes: a text that fills its datagram as `ack TEXT`, kept, with its number, its
/// time and the longest name before it.
const LONGEST: usize = MAX_TEXT + "* said #18446744073709551615 9999-12-31T23:59:59Z : ".len() + 4 * MAX_NAME;
/// How long what is missing may be only late.
const GRACE: Duration = Duration::from_millis(300);
/// How long a hub is left alone that has too many questions.
const BUSY: Duration = Duration::from_secs(2);
/// The least time before a name is asked for again that this client's own former self may have, and half of the most.
const SOON: Duration = Duration::from_secs(3);
/// The rooms whose messages are kept besides the present one.
const MAX_LOGS: usize = 15;
