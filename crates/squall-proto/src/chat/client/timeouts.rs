//! What a client does when it is time.

use core::time::Duration;

use super::event::{How, State, Why};
use super::link::{Attempts, LOST, QUIET, jittered};
use super::recall::Purpose;
use super::{Client, Event, Kind};
use crate::chat::wire::Command;
use crate::{Outbox, Time};

impl Client {
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let state = match self.state {
            State::Gone(_) => return None,
            // A stream that is being opened is waited for no longer than a datagram's answer.
            State::Connecting { .. } => [Some(self.attempts.next), None, None, None],
            _ => [
                Some(self.probes.next),
                self.heartbeat.next,
                self.setup.poll_timeout(),
                self.recalls.poll_timeout().into_iter().chain(self.roster_due).min(),
            ],
        };
        let beside = self.sayings_timeout().into_iter().chain(self.newcomers.poll_timeout());
        state.into_iter().flatten().chain(beside).min()
    }

    pub(super) fn on_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.expire_receipts(now);
        self.tell_newcomers(now);
        match self.state {
            State::Gone(_) => return,
            State::Connecting { .. } => self.attempt(now, out),
            _ => self.keep(now, out),
        }
        self.flush(now, out);
    }

    fn attempt(&mut self, now: Time, out: &mut Outbox) {
        if now < self.attempts.next {
            return;
        }
        let State::Connecting { why, .. } = self.state.clone() else { return };
        if self.config.attempts.is_some_and(|attempts| self.attempts.made >= attempts) {
            self.disconnect(out);
            let why = if why == Why::New { Why::Silent } else { why };
            return self.end(now, why);
        }
        self.attempts.make(&self.config, now, &mut self.random);
        let (attempt, next) = (self.attempts.made, self.attempts.next);
        self.set_state(State::Connecting { attempt, next, why });
        if self.stream {
            // One that was opened and does not answer is given up for a new one.
            self.disconnect(out);
            self.connecting = true;
            self.tell(Event::Connect);
        } else {
            self.introduce(now, out);
        }
    }

    /// Tells the hub all that it has to know of this client, and asks whether it is there.
    pub(super) fn introduce(&mut self, now: Time, out: &mut Outbox) {
        self.setup.forget(now);
        let mut commands = self.setup.commands(now);
        commands.push(Command::Me(Some(self.probes.send(&self.config, now, &mut self.random))));
        self.send_commands(&commands, out);
    }

    /// The hub is lost.
    pub(super) fn lose(&mut self, now: Time, why: Why, out: &mut Outbox) {
        self.counts.disconnects += u64::from(!matches!(self.state, State::Connecting { .. }));
        self.disconnect(out);
        self.abandon_recall();
        self.probes.reset(now);
        self.heartbeat.next = None;
        self.roster_due = None;
        if !matches!(self.state, State::Connecting { .. }) {
            self.attempts = Attempts::after_loss(&self.config, now, &mut self.random);
        }
        let (attempt, next) = (self.attempts.made.max(1), self.attempts.next);
        self.set_state(State::Connecting { attempt, next, why });
    }

    /// What is due while the hub is there.
    fn keep(&mut self, now: Time, out: &mut Outbox) {
        let missing = self.probes.missing(now);
        if missing >= LOST {
            return self.lose(now, Why::Silent, out);
        }
        if missing >= QUIET && self.state == State::Online {
            self.set_state(State::Quiet { since: self.probes.heard });
        }
        let mut commands = alloc::vec::Vec::new();
        if self.setup.poll_timeout().is_some_and(|due| due <= now) {
            commands.extend(self.setup.commands(now));
        }
        let lists = self.roster_due.is_some_and(|due| due <= now);
        if lists {
            self.roster.ask();
            self.setup.ask_again(now);
            commands.extend([Command::Who { room: None, after: None }, Command::Rooms(None)]);
            self.roster_due = Some(now + jittered(ROSTER, &mut self.random));
        }
        if self.probes.next <= now {
            // What is unread in other rooms is worth a short list, unless the user is being shown one.
            let has_others = !self.other_logs.is_empty() && self.roster.rooms.len() <= SHORT;
            if has_others && !lists && !self.is_curious(Kind::Rooms, now) {
                commands.push(Command::Rooms(None));
            }
            commands.push(Command::Me(Some(self.probes.send(&self.config, now, &mut self.random))));
        }
        self.send_commands(&commands, out);
        self.send_heartbeat(now, out);
        self.recall(now, out);
    }

    fn send_heartbeat(&mut self, now: Time, out: &mut Outbox) {
        if self.heartbeat.next.is_some_and(|due| due <= now) {
            let line = alloc::format!("^hb^ {}", self.heartbeat.number);
            self.heartbeat.number = self.heartbeat.number.wrapping_add(1);
            self.heartbeat.next = Some(now + jittered(self.config.interval, &mut self.random));
            self.send(&line, out);
        }
    }

    /// Asks the history for what is missing, and again for what has not come.
    pub(super) fn recall(&mut self, now: Time, out: &mut Outbox) {
        let patience = self.probes.patience();
        if !self.recalls.is_idle() {
            let rest = match self.recalls.purpose() {
                Some(Purpose::Fill { .. }) => self.next_fill(),
                _ => None,
            };
            self.recalls.advance(rest);
            match self.recalls.again(now, patience) {
                Some(Ok(command)) => self.send_commands(&[command], out),
                Some(Err(done)) => self.not_found(done),
                None => {}
            }
            return;
        }
        if self.recalls.ready.is_none_or(|ready| now < ready) {
            return;
        }
        self.recalls.ready = None;
        let doubtful = self.log.doubtful.is_some();
        let reconcile = || Purpose::Reconcile { after: self.log.compare_from(self.last) };
        let purpose = if doubtful {
            Some(reconcile())
        } else {
            self.recalls.next_search().or_else(|| self.next_fill())
        };
        if let Some(purpose) = purpose {
            let command = self.recalls.ask(purpose, now, patience);
            self.send_commands(&[command], out);
        }
    }

    fn next_fill(&self) -> Option<Purpose> {
        self.log.first_gap().map(|gap| Purpose::Fill { after: gap.from - 1, to: self.log.highest() })
    }

    /// Whether the user asked for answers of this kind.
    pub(super) fn is_curious(&mut self, kind: Kind, now: Time) -> bool {
        self.curious.retain(|(_, until)| now < *until);
        self.curious.iter().any(|(asked, _)| *asked == kind)
    }

    /// A notice in the list.
    pub(super) fn notice(&mut self, now: Time, text: alloc::string::String) {
        self.add(now, None, alloc::string::String::new(), text, How::Note);
    }
}

/// How often members and rooms are asked for.
const ROSTER: Duration = Duration::from_secs(30);
/// With so many rooms a list of them is short enough to be asked for with each probe: their numbers tell what is unread.
const SHORT: usize = 20;
