//! What is printed of CoAP answers, of failures, and of the way to them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;

use serde::Serialize;
use squall::Status;
use squall::coap::link_format::links;
use squall::coap::message::Message;
use squall::coap::options::number;
use squall::coap::{CoapAnswer, CoapError, Direction, Executed, Pong, content_format};
use squall::socket::display_address;
use squall::text::sanitize;

use super::exit_of;
use crate::commands::ask::Arguments;
use crate::exit::Exit;
use crate::output::{hex, say, write_json, write_line, write_text};

/// The form of the results.
pub(super) struct Show {
    uri: String,
    json: bool,
    hex: bool,
    terminal: bool,
}

impl Show {
    pub(super) fn new(arguments: &Arguments, uri: String) -> Self {
        Self { uri, json: arguments.json, hex: arguments.hex, terminal: io::stdout().is_terminal() }
    }

    /// Prints an answer, `one_of_many` or the only one.
    pub(super) fn answer(
        &self,
        out: &mut impl Write,
        answer: &CoapAnswer,
        one_of_many: bool,
    ) -> io::Result<Exit> {
        self.answer_of(&self.uri, out, answer, one_of_many)
    }

    /// Prints the answer of a group's member.
    pub(super) fn member(&self, out: &mut impl Write, answer: &CoapAnswer, is_first: bool) -> io::Result<()> {
        let server = display_address(&answer.server);
        if !self.json && answer.status().is_success() {
            let gap = if is_first { "" } else { "\n" };
            writeln!(out, "{gap}from {server}")?;
        }
        // That of one member is none of the group's.
        self.answer_of(&server, out, answer, true)?;
        if !self.json && answer.truncated {
            out.flush()?;
            say(format_args!("squall: {server}: the rest of this answer did not come in time"));
        }
        Ok(())
    }

    fn answer_of(
        &self,
        name: &str,
        out: &mut impl Write,
        answer: &CoapAnswer,
        one_of_many: bool,
    ) -> io::Result<Exit> {
        let status = answer.status();
        let exit = if status.is_success() { Exit::Done } else { Exit::Failed };
        let payload = answer.payload();
        if self.json {
            let mut record = Record::of(answer, self.hex);
            if exit != Exit::Done {
                record.error = Some(format!("{}: {status}", self.uri));
            }
            write_json(out, &record)?;
            return Ok(exit);
        }
        if exit != Exit::Done {
            // RFC 7252 §5.5.2: for people to read.
            let diagnostic = sanitize(payload.trim_ascii()).max_len(500).to_string();
            // Some servers only say in words what the code says.
            let says_more = !diagnostic.is_empty() && status.name() != Some(&diagnostic);
            let (colon, diagnostic) = if says_more { (": ", diagnostic.as_str()) } else { ("", "") };
            let limit = limit(answer).map_or_else(String::new, |limit| format!(" (at most {limit} bytes)"));
            return Ok(exit.with(format_args!("{name}: {status}{limit}{colon}{diagnostic}")));
        }
        let is_links = answer.response.content_format() == Some(content_format::LINK_FORMAT);
        match str::from_utf8(payload) {
            _ if self.hex => writeln!(out, "{}", hex(payload))?,
            Ok(text) if is_links => write_links(out, text)?,
            _ if self.terminal && payload.is_empty() => {}
            _ if self.terminal => write_text(out, payload)?,
            _ if one_of_many => write_line(out, payload)?,
            _ => out.write_all(payload)?,
        }
        if self.terminal && payload.is_empty() {
            say(format_args!("{status}"));
        }
        Ok(exit)
    }

    pub(super) fn pong(&self, out: &mut impl Write, pong: &Pong) -> io::Result<Exit> {
        let seconds = pong.elapsed.as_secs_f64();
        if self.json {
            let server = Some(format!("coap://{}", pong.server));
            let record = Record { server, alive: Some(true), seconds: Some(seconds), ..Record::default() };
            write_json(out, &record)?;
        } else {
            writeln!(out, "{} is alive, {:.3} ms", self.uri, seconds * 1000.0)?;
        }
        Ok(Exit::Done)
    }

    /// Tells of a failure.
    pub(super) fn failure(&self, out: &mut impl Write, error: &CoapError) -> io::Result<Exit> {
        let exit = exit_of(error);
        if !self.json {
            return Ok(exit.with(error));
        }
        let mut record = Record { error: Some(error.to_string()), ..Record::default() };
        if let CoapError::Failed { servers, failure, elapsed, .. } = error {
            record.servers = Some(servers.iter().map(|server| format!("coap://{server}")).collect());
            record.messages = Some(failure.messages);
            record.seconds = Some(elapsed.as_secs_f64());
            record.executed = Some(match failure.executed {
                Executed::No => "no",
                Executed::Unknown => "unknown",
                Executed::Yes => "yes",
            });
        }
        write_json(out, &record)?;
        Ok(exit)
    }

    /// Tells that nobody answered in the time that the user gave.
    pub(super) fn nobody(&self, out: &mut impl Write) -> io::Result<Exit> {
        let error = format!("no answer from {} in the time given", self.uri);
        if self.json {
            write_json(out, &Record { error: Some(error), ..Record::default() })?;
            return Ok(Exit::NoAnswer);
        }
        Ok(Exit::NoAnswer.with(error))
    }

    /// Tells that the time was over before all states that were asked for had come.
    pub(super) fn too_few(&self, shown: u64, count: u64) -> Exit {
        say(format_args!("squall: {shown} of {count} states of {} came in the time given", self.uri));
        Exit::NoAnswer
    }

    /// Tells that no state will follow.
    pub(super) fn cannot_be_observed(&self, at_all: bool) {
        let what = if at_all { "cannot be observed" } else { "can no longer be observed" };
        say(format_args!("squall: {} {what}; this is its present state", self.uri));
    }
}

/// Tells of a datagram, for `-v`.
pub(super) fn datagram(direction: Direction, peer: SocketAddr, datagram: &[u8]) {
    let arrow = match direction {
        Direction::Sent => "to",
        Direction::Received => "from",
    };
    let Ok(message) = Message::parse(datagram) else {
        return say(format_args!("{arrow} {peer}: {} bytes that are no CoAP message", datagram.len()));
    };
    say(format_args!("{arrow} {peer}: {message}"));
}

/// Links, one a line; a list that is not well-formed as it is.
fn write_links(out: &mut impl Write, text: &str) -> io::Result<()> {
    let Ok(all) = links(text).collect::<Result<Vec<_>, _>>() else {
        return write_text(out, text.as_bytes());
    };
    let width = all.iter().map(|link| link.target().chars().count()).max().unwrap_or_default();
    for link in all {
        let mut line = format!("{:width$}", link.target());
        for attribute in link.attributes() {
            let _ = match attribute.value() {
                None => write!(line, "  {}", attribute.name()),
                Some(value) => write!(line, "  {}={value}", attribute.name()),
            };
        }
        writeln!(out, "{}", sanitize(line.as_bytes()))?;
    }
    Ok(())
}

/// How many bytes may be sent, where more were
/// ([RFC 7959 §2.9.3](https://www.rfc-editor.org/rfc/rfc7959#section-2.9.3)).
fn limit(answer: &CoapAnswer) -> Option<u32> {
    let is_too_large = answer.status() == Status::REQUEST_ENTITY_TOO_LARGE;
    answer.response.options().uint(number::SIZE1).filter(|_| is_too_large)
}

/// One line of `--json`, as the help of the command documents it.
#[derive(Default, Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_format: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executed: Option<&'static str>,
}

impl<'a> Record<'a> {
    fn of(answer: &'a CoapAnswer, as_hex: bool) -> Self {
        let (status, response) = (answer.status(), &answer.response);
        let text = str::from_utf8(answer.payload()).ok().filter(|_| !as_hex);
        Self {
            server: Some(format!("coap://{}", answer.server)),
            code: Some(format!("{}.{:02}", status.class(), status.detail())),
            messages: Some(answer.messages),
            seconds: Some(answer.elapsed.as_secs_f64()),
            content_format: response.content_format(),
            max_age: response.options().uint(number::MAX_AGE),
            text,
            hex: if text.is_none() { Some(hex(answer.payload())) } else { None },
            limit: limit(answer),
            truncated: answer.truncated.then_some(true),
            ..Self::default()
        }
    }
}
