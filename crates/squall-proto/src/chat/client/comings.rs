//! Who comes, goes and is renamed, told once and in few words.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::{Client, Event};
use crate::Time;
use crate::chat::wire::Reason;

/// Members that came without a name. Most have one a moment later, and nobody wants to read of both.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    held: VecDeque<(String, Time)>,
}

impl Newcomers {
    /// Takes one out: whether its coming was not told yet.
    fn take(&mut self, label: &str) -> bool {
        let index = self.held.iter().position(|(held, _)| held == label);
        index.and_then(|index| self.held.remove(index)).is_some()
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.held.front().map(|(_, due)| *due)
    }
}

impl Client {
    pub(super) fn came(&mut self, now: Time, name: &str) {
        // Before the hub has said who this client is, it may be itself; the list of members tells of all others.
        if self.label.as_deref().is_none_or(|label| label == name) {
            return;
        }
        self.roster.came(now, name);
        if !name.starts_with('~') {
            return self.tell_came(now, name);
        }
        self.newcomers.take(name);
        if self.newcomers.held.len() == MAX_HELD {
            self.tell_oldest(now);
        }
        self.newcomers.held.push_back((name.to_string(), now + HELD));
    }

    pub(super) fn went(&mut self, now: Time, name: &str, reason: &Reason<'_>) {
        self.roster.went(name);
        self.setup.is_free(name, now);
        if self.newcomers.take(name) {
            // It only passed through, as on the way to its room, and said nothing.
            return;
        }
        let reason = reason.to_string();
        let how = match &*reason {
            "quit" => "left".to_string(),
            "silent" => "is gone: nothing was heard any more".to_string(),
            "closed" => "is gone: the connection ended".to_string(),
            "kicked" => "was sent away".to_string(),
            other => match other.strip_prefix("joined ") {
                Some(room) => format!("went to {room}"),
                None => format!("is gone: {other}"),
            },
        };
        self.notice(now, format!("{name} {how}"));
        self.tell(Event::Went(name.to_string(), reason));
    }

    pub(super) fn renamed(&mut self, now: Time, old: &str, new: &str) {
        self.roster.renamed(old, new);
        let is_new = self.newcomers.take(old);
        let label = self.label.as_deref();
        if label == Some(old) || label == Some(new) {
            // Of its own name the hub's answer tells. It has the new one already where it came back as another member.
            self.called(now, new);
        } else if is_new {
            self.tell_came(now, new);
        } else {
            self.setup.is_free(old, now);
            self.tell(Event::Renamed(old.to_string(), new.to_string()));
            self.notice(now, format!("{old} is now {new}"));
        }
    }

    /// A member says something: its coming is told before that.
    pub(super) fn heard_of(&mut self, now: Time, name: &str) {
        if self.newcomers.take(name) {
            self.tell_came(now, name);
        }
    }

    /// A newcomer turns out to be this client itself.
    pub(super) fn is_no_newcomer(&mut self, label: &str) {
        if self.newcomers.take(label) {
            self.roster.went(label);
        }
    }

    /// Tells of the members that have no name yet and were waited for long enough.
    pub(super) fn tell_newcomers(&mut self, now: Time) {
        while self.newcomers.poll_timeout().is_some_and(|due| due <= now) {
            self.tell_oldest(now);
        }
    }

    fn tell_oldest(&mut self, now: Time) {
        if let Some((name, _)) = self.newcomers.held.pop_front() {
            self.tell_came(now, &name);
        }
    }

    fn tell_came(&mut self, now: Time, name: &str) {
        self.tell(Event::Came(name.to_string()));
        self.notice(now, format!("{name} came"));
    }
}

/// How long a member without a name is waited for to have one.
const HELD: Duration = Duration::from_secs(2);
/// With one more the oldest is told of.
const MAX_HELD: usize = 64;
