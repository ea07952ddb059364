//! Lines for people, or a JSON object each.

use std::io::{self, Stdout, Write};

use serde::Serialize;
use squall::chat::client::{Entry, Event, How, State};
use squall::text::sanitize;

use super::words::{self, REMOVED};
use crate::output::{say, write_json};

/// Prints what comes.
pub(super) struct Printer {
    out: io::BufWriter<Stdout>,
    json: bool,
    echo: bool,
    was_online: bool,
    is_connected: bool,
}

impl Printer {
    /// `echo`: own messages too, once their copies are back.
    pub(super) fn new(json: bool, echo: bool) -> Self {
        Self { out: io::BufWriter::new(io::stdout()), json, echo, was_online: false, is_connected: false }
    }

    /// A message of somebody.
    pub(super) fn message(&mut self, room: &str, message: &Entry) -> io::Result<()> {
        if !self.json {
            let name = sanitize(message.name.as_bytes());
            return writeln!(self.out, "{name}: {}", sanitize(message.text.as_bytes()));
        }
        self.object(&Object::Message {
            room,
            number: message.number,
            time: message.at as f64 / 1e3,
            name: &message.name,
            text: &message.text,
            own: message.is_own(),
            missed: message.how == How::Missed,
        })
    }

    /// What became of an own message; `is_late` where it was told before that it has no receipt.
    pub(super) fn receipt(&mut self, room: &str, message: &Entry, is_late: bool) -> io::Result<()> {
        let text = &message.text;
        let (state, reason, seconds) = match &message.how {
            How::Delivered(time) => ("delivered", None, Some(time.as_secs_f64())),
            How::NoReceipt => ("missing", None, None),
            How::Refused(why) => ("refused", Some(why.as_str()), None),
            _ => return Ok(()),
        };
        if seconds.is_some() && self.echo {
            self.message(room, message)?;
        }
        if self.json {
            return self.object(&Object::Receipt { text, state, reason, seconds, late: is_late });
        }
        let text = sanitize(text.as_bytes()).max_len(60);
        match reason {
            Some(reason) => say(format_args!("squall: not said: {text}: {}", sanitize(reason.as_bytes()))),
            None if seconds.is_none() => say(format_args!("squall: no receipt: {text}")),
            None if is_late => say(format_args!("squall: the receipt came late: {text}")),
            None => {}
        }
        Ok(())
    }

    /// What the hub or the client answers to a command.
    pub(super) fn answer(&mut self, line: &str) -> io::Result<()> {
        if self.json {
            return self.object(&Object::Answer { line });
        }
        writeln!(self.out, "{}", sanitize(line.as_bytes()))
    }

    /// What was typed cannot be done.
    pub(super) fn trouble(&mut self, why: &str) -> io::Result<()> {
        if self.json {
            return self.object(&Object::Refused { reason: why });
        }
        say(format_args!("squall: {}", sanitize(why.as_bytes())));
        Ok(())
    }

    /// What else has happened.
    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        let (was_online, is_connected) = (self.was_online, self.is_connected);
        match event {
            Event::State(State::Online) => (self.was_online, self.is_connected) = (true, true),
            Event::State(State::Connecting { .. }) => self.is_connected = false,
            _ => {}
        }
        if self.json {
            return self.event_object(event);
        }
        let line = match event {
            Event::State(State::Online) if was_online && !is_connected => "back again".to_owned(),
            Event::State(State::Quiet { .. }) => "the hub is quiet".to_owned(),
            Event::State(State::Connecting { why, .. }) if is_connected => {
                format!("{}; trying again", words::why(why))
            }
            Event::Lost(1) => "1 message was missed, and nobody keeps it".to_owned(),
            Event::Lost(count) => format!("{count} messages were missed, and nobody keeps them"),
            Event::HubRestarted => "the hub was started anew".to_owned(),
            // Of what was said a receipt tells.
            Event::Refused(why)
                if ["name:", "join:", "find:", "who:"].iter().any(|about| why.starts_with(about)) =>
            {
                why.clone()
            }
            Event::Removed => REMOVED.to_owned(),
            Event::NothingKept => "this hub keeps no messages".to_owned(),
            _ => return Ok(()),
        };
        say(format_args!("squall: {}", sanitize(line.as_bytes())));
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn event_object(&mut self, event: &Event) -> io::Result<()> {
        let member = |change, name, to, reason| Object::Member { change, name, to, reason };
        let object = match event {
            Event::State(State::Online) => Object::State { state: "online", reason: None },
            Event::State(State::Quiet { .. }) => Object::State { state: "quiet", reason: None },
            Event::State(State::Connecting { why, .. }) => {
                return self.object(&Object::State { state: "connecting", reason: Some(words::why(why)) });
            }
            Event::State(State::Gone(why)) => {
                return self.object(&Object::State { state: "gone", reason: Some(words::why(why)) });
            }
            Event::Came(name) => member("came", name, None, None),
            Event::Went(name, reason) => member("went", name, None, Some(reason.as_str())),
            Event::Renamed(name, to) => member("renamed", name, Some(to.as_str()), None),
            Event::Named(name) => Object::Named { name },
            Event::Joined(room) => Object::Joined { room },
            Event::Lost(messages) => Object::Lost { messages: *messages },
            Event::HubRestarted => Object::Restarted,
            Event::Removed => Object::Removed,
            Event::Refused(reason) => Object::Refused { reason },
            _ => return Ok(()),
        };
        self.object(&object)
    }

    fn object(&mut self, object: &Object<'_>) -> io::Result<()> {
        write_json(&mut self.out, object)
    }
}

/// One line of `--json`, as the help of the command documents it.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Object<'a> {
    Message {
        room: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        time: f64,
        name: &'a str,
        text: &'a str,
        own: bool,
        missed: bool,
    },
    Receipt {
        text: &'a str,
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
        #[serde(skip_serializing_if = "is_false")]
        late: bool,
    },
    Member {
        change: &'static str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Named {
        name: &'a str,
    },
    Joined {
        room: &'a str,
    },
    State {
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Answer {
        line: &'a str,
    },
    Lost {
        messages: u64,
    },
    Refused {
        reason: &'a str,
    },
    Restarted,
    Removed,
}

fn is_false(value: &bool) -> bool {
    !value
}
