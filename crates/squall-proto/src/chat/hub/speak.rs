//! What members send, until it waits for its turn.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::Hub;
use super::events::Event;
use super::limits::Over;
use super::members::{Lines, Noisy};
use super::turns::Kind;
use crate::chat::wire::{Line, MAX_MEMBER_DATAGRAM, Reason, Said, Shape, lines};
use crate::{Origin, Outbox, Request, Time};

impl Hub {
    /// A datagram, or a line of a stream.
    pub(super) fn message(&mut self, now: Time, request: &Request<'_>, out: &mut Outbox) {
        self.stats.received += 1;
        let origin = &request.origin;
        let mut member = self.members.find(&self.rooms, origin);
        if let Some(member) = member.and_then(|index| self.members.get_mut(index)) {
            member.liveness.heard(now);
        }
        // Programs that know no commands may end their datagrams so; but who ends a command so is a person.
        let typed = request.payload.ends_with(b"\n") && !origin.transport.is_stream();
        let mut silent = true;
        // No more lines of a datagram are looked at than can wait.
        let floods =
            member.and_then(|index| self.members.get(index)).is_some_and(|member| member.noise.floods(now));
        let mut left = if floods { FLOODING.0 } else { self.config.queue_lines };
        for said in lines(request.payload) {
            silent = false;
            if left == 0 {
                self.stats.shed += 1;
                if let Some(index) = member {
                    self.slow_down(now, origin, index, None, out);
                }
                break;
            }
            left -= 1;
            if member.is_none() {
                // Of a connection there is nothing to be expected that was not opened, or was ended.
                if origin.transport.is_stream() || !said.joins() {
                    self.stats.strangers += 1;
                    continue;
                }
                // Who is turned away is so for the whole datagram: looking again would find the same.
                let Ok(index) = self.join(now, origin) else { return };
                member = Some(index);
            }
            if let Some(index) = member {
                if typed
                    && matches!(said, Said::Command(_) | Said::Wrong(_))
                    && let Some(member) = self.members.get_mut(index)
                    && member.lines == Lines::Unsaid
                {
                    member.lines = Lines::Typed;
                }
                member = self.said(now, origin, index, said, out).then_some(index);
            }
        }
        if silent && member.is_none() && !origin.transport.is_stream() {
            // A newcomer that is turned away is counted there.
            let _ = self.join(now, origin);
        }
    }

    /// One message; whether its sender is still a member.
    fn said(&mut self, now: Time, origin: &Origin, index: u32, said: Said<'_>, out: &mut Outbox) -> bool {
        match said {
            Said::Heartbeat(number) => {
                if !self.is_noise(now, origin, index, out) {
                    self.beat(now, origin, index, number);
                }
            }
            Said::Text { shape: Shape::Loop, .. } if !origin.transport.is_stream() => {
                self.stats.loops += 1;
                self.is_noise(now, origin, index, out);
            }
            Said::Text { text, .. } => self.queue(now, origin, index, Kind::Text, &text, out),
            Said::Command(command) => {
                self.queue(now, origin, index, Kind::Command, &command.to_string(), out);
            }
            Said::Wrong(error) => self.queue(now, origin, index, Kind::Wrong, &error.to_string(), out),
            Said::Quit => {
                let sender = self.members.get(index).and_then(|member| member.sender());
                match sender {
                    // What it said before comes first. It leaves once, however often it says so: these lines have no limit
                    // of their own.
                    Some(sender) if self.senders.get(sender).waiting().0 > 0 => {
                        if self.senders.get(sender).last() != Some(Kind::Quit) {
                            self.senders.push(sender, Kind::Quit, "");
                        }
                    }
                    _ => {
                        self.quit(now, index, out);
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Counts a line that no queue bounds; whether there are so many that it is dropped, and its sender is heard apart.
    fn is_noise(&mut self, now: Time, origin: &Origin, index: u32, out: &mut Outbox) -> bool {
        let Some(member) = self.members.get_mut(index) else { return false };
        let (begins, again) = match member.noise.count(now) {
            Noisy::Not => return false,
            Noisy::Begins => (true, true),
            Noisy::GoesOn { again } => (false, again),
        };
        self.stats.flooded += 1;
        self.stats.floods += u64::from(begins);
        if again && !origin.transport.is_stream() {
            out.isolate(origin);
        }
        if begins && let Some(member) = self.members.get(index) {
            let who = self.who(member);
            self.events.push(|| Event::Flooding(who));
        }
        true
    }

    fn beat(&mut self, now: Time, origin: &Origin, index: u32, number: Option<u32>) {
        self.stats.heartbeats += 1;
        let Some(member) = self.members.get_mut(index) else { return };
        // A connection lives as long as it is open, and loses nothing: it says nothing of the weather.
        if !origin.transport.is_stream() {
            member.liveness.beat(now, number, &mut self.climate);
            self.wheel.schedule(index, member.liveness.deadline(&self.climate));
        }
    }

    /// A member leaves because it said so.
    pub(super) fn quit(&mut self, now: Time, index: u32, out: &mut Outbox) {
        let Some(member) = self.members.get(index) else { return };
        let origin = *self.rooms.origin(member);
        self.leave(now, index, Reason::Quit);
        if origin.transport.is_stream() {
            // Without room the connection stays, and is no member.
            let _ = out.close(&origin);
        }
    }

    /// Puts a line into its sender's queue, if nothing speaks against it.
    fn queue(&mut self, now: Time, origin: &Origin, index: u32, kind: Kind, line: &str, out: &mut Outbox) {
        let Some(member) = self.members.get_mut(index) else { return };
        let room = member.room;
        if line.len() > MAX_MEMBER_DATAGRAM - ACK.len() {
            let fit =
                MAX_MEMBER_DATAGRAM - ACK.len() - member.name().map_or(0, |name| name.as_str().len() + 2);
            self.stats.too_long += 1;
            // In turn and at its rate, as any answer.
            return self.queue(now, origin, index, Kind::Wrong, &too_long(line.len(), fit), out);
        }
        if let Some(ip) = self.config.rated(origin) {
            let paid = &mut member.extra_mut().paid;
            if let Err(over) = self.limits.admit(now, ip, paid) {
                return self.slow_down(now, origin, index, Some(over), out);
            }
        }
        let Some(id) = self.members.id(index) else { return };
        let Some(member) = self.members.get_mut(index) else { return };
        let sender = match member.sender() {
            Some(sender) => sender,
            None => {
                let sender = self.senders.open(id, member);
                member.extra_mut().sender = Some(sender);
                sender
            }
        };
        let queue = self.senders.get(sender);
        let (lines, bytes) = queue.waiting();
        let (max_lines, max_bytes) = match queue.flood {
            Some(_) if !self.senders.is_alone(sender, now) => {
                (FLOODING.0.min(self.config.queue_lines), FLOODING.1.min(self.config.queue_bytes))
            }
            _ => (self.config.queue_lines, self.config.queue_bytes),
        };
        if lines >= max_lines || bytes + line.len() > max_bytes {
            return self.overflow(now, origin, index, sender, out);
        }
        let all = self.senders.bytes + line.len();
        let most = self.config.all_queues;
        if all > most && (lines > 0 || all > most.saturating_mul(2)) {
            self.stats.shed += 1;
            if lines == 0 {
                self.close_queue(index);
            }
            return;
        }
        self.senders.push(sender, kind, line);
        if self.senders.stand_up(sender, now) {
            self.relay.take_turn(&mut self.rooms, room, sender);
        }
    }

    /// A sender says more than is relayed: it floods, unless nobody else speaks.
    fn overflow(&mut self, now: Time, origin: &Origin, index: u32, sender: u32, out: &mut Outbox) {
        if self.senders.is_alone(sender, now) {
            self.stats.shed += 1;
            return self.slow_down(now, origin, index, None, out);
        }
        self.stats.flooded += 1;
        let apart = !origin.transport.is_stream();
        match &mut self.senders.get_mut(sender).flood {
            Some(flood) if now.since(flood.isolated) < ISOLATE_EVERY => {}
            Some(flood) => {
                flood.isolated = now;
                if apart {
                    out.isolate(origin);
                }
            }
            None => {
                self.stats.floods += 1;
                self.senders.flood(sender, now);
                if apart {
                    out.isolate(origin);
                }
                if let Some(member) = self.members.get(index) {
                    let who = self.who(member);
                    self.events.push(|| Event::Flooding(who));
                }
                self.slow_down(now, origin, index, None, out);
            }
        }
    }

    /// Refuses a message that came too soon; its sender is told once a second.
    fn slow_down(&mut self, now: Time, origin: &Origin, index: u32, over: Option<Over>, out: &mut Outbox) {
        self.stats.over_rate += u64::from(over.is_some());
        let Some(member) = self.members.get_mut(index) else { return };
        let told = &mut member.extra_mut().told;
        if told.is_some_and(|told| now.since(told) < TELL_EVERY) {
            return;
        }
        *told = Some(now);
        let reason: Cow<'_, str> = match over {
            Some(Over::Member) => {
                alloc::format!("slow down: {} messages/s", self.config.member_rate.0).into()
            }
            Some(Over::Prefix) => {
                alloc::format!("slow down: {} messages/s for your network", self.config.prefix_rate.0).into()
            }
            None => "slow down: more than is relayed".into(),
        };
        self.refuse(origin, &reason, out);
    }

    pub(super) fn refuse_length(&mut self, origin: &Origin, bytes: usize, fit: usize, out: &mut Outbox) {
        self.stats.too_long += 1;
        self.refuse(origin, &too_long(bytes, fit), out);
    }

    pub(super) fn refuse(&mut self, origin: &Origin, reason: &str, out: &mut Outbox) {
        self.answer.write(&Line::Refused(reason));
        self.send_answer(origin, out);
    }

    /// Sends what was written to `answer` to one, a member or not.
    pub(super) fn send_answer(&mut self, origin: &Origin, out: &mut Outbox) {
        self.answer.seal();
        let member = self.members.find(&self.rooms, origin).and_then(|index| self.members.get(index));
        let answer = if member.is_some_and(|member| member.row.has_line_ends()) {
            self.relay.lines.end_lines_of(&self.answer);
            &self.relay.lines
        } else {
            &self.answer
        };
        let sent = out.to_all_rows(&mut core::iter::once(*origin), answer.body(), answer.ends());
        self.stats.answers_dropped += u64::from(sent.is_err());
        self.answer.clear();
    }

    /// Forgets the queue of a member if it is empty, and the member does not flood.
    pub(super) fn close_queue(&mut self, index: u32) {
        let Some(member) = self.members.get_mut(index) else { return };
        if let Some(extra) = &mut member.extra
            && let Some(sender) = extra.sender
        {
            let queue = self.senders.get(sender);
            if queue.waiting().0 == 0 && queue.flood.is_none() {
                extra.sender = None;
                self.senders.close(sender);
            }
        }
    }

    /// Forgets the queue of a member with what is in it.
    pub(super) fn close_queue_now(&mut self, index: u32) {
        let extra = self.members.get_mut(index).and_then(|member| member.extra.as_mut());
        if let Some(sender) = extra.and_then(|extra| extra.sender.take()) {
            self.senders.close(sender);
        }
    }
}

fn too_long(bytes: usize, fit: usize) -> String {
    alloc::format!("too long: {bytes} bytes, {fit} fit")
}

/// What a message begins with.
pub(super) const ACK: &str = "ack ";
/// Lines and bytes that wait of a sender that floods.
const FLOODING: (usize, usize) = (64, 4096);
/// How often the driver is told of a sender that floods.
const ISOLATE_EVERY: Duration = Duration::from_millis(250);
/// How often a member is told that it is too fast.
const TELL_EVERY: Duration = Duration::from_secs(1);
