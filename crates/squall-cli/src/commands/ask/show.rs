//! What is printed of answers, of failures, and of the way to them.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use squall::client::{Answer, AskError, Event};

use crate::exit::Exit;
use crate::output::{hex, say, write_json, write_line, write_text};

/// The form of the results.
#[derive(Clone, Copy)]
pub(super) enum Show {
    /// For people.
    Text,
    /// As they are, each on a line.
    Lines,
    /// As they are.
    Bytes,
    Hex,
    Json {
        hex: bool,
    },
}

impl Show {
    pub(super) fn new(json: bool, hex: bool, bytes: bool) -> Self {
        match (json, hex) {
            (true, hex) => Show::Json { hex },
            (false, true) => Show::Hex,
            _ if io::stdout().is_terminal() => Show::Text,
            _ if bytes => Show::Bytes,
            _ => Show::Lines,
        }
    }

    pub(super) fn answer(self, out: &mut impl Write, answer: &Answer) -> io::Result<()> {
        let payload = &answer.payload;
        match self {
            Show::Text => write_text(out, payload),
            Show::Lines => write_line(out, payload),
            Show::Bytes => out.write_all(payload),
            Show::Hex => writeln!(out, "{}", hex(payload)),
            Show::Json { hex: as_hex } => {
                let text = str::from_utf8(payload).ok().filter(|_| !as_hex);
                let record = Record {
                    server: Some(answer.server.to_string()),
                    tries: Some(answer.tries),
                    seconds: Some(answer.elapsed.as_secs_f64()),
                    text,
                    hex: if text.is_none() { Some(hex(payload)) } else { None },
                    ..Record::default()
                };
                write_json(out, &record)
            }
        }
    }

    /// Tells of a failure, for the request on `line` of standard input.
    pub(super) fn failure(
        self,
        out: &mut impl Write,
        error: &AskError,
        line: Option<usize>,
    ) -> io::Result<Exit> {
        let exit = exit(error);
        if let Show::Json { .. } = self {
            let mut record = Record { error: Some(error.to_string()), ..Record::default() };
            if let AskError::NoAnswer { servers, tries, elapsed, .. } = error {
                record.servers = Some(servers.iter().map(ToString::to_string).collect());
                record.tries = Some(*tries);
                record.seconds = Some(elapsed.as_secs_f64());
            }
            write_json(out, &record)?;
            return Ok(exit);
        }
        Ok(match line {
            Some(line) => exit.with(format!("line {line}: {error}")),
            None => exit.with(error),
        })
    }
}

/// What the client does, for `-v`.
pub(super) fn event(event: &Event) {
    match event {
        Event::Sent { server, local, tries, wait, error } => {
            let from = local.map_or(String::new(), |local| format!(" from {local}"));
            match error {
                None => say(format_args!(
                    "try {tries}: asked {server}{from}, waiting {:.2} s",
                    wait.as_secs_f64()
                )),
                Some(error) => say(format_args!(
                    "try {tries}: cannot ask {server}{from}: {error}; waiting {:.2} s",
                    wait.as_secs_f64()
                )),
            }
        }
        Event::Refused { server } => say(format_args!("{server} refused: nobody listens there")),
        _ => {}
    }
}

/// Who answered, for `-v`.
pub(super) fn heard(answer: &Answer) {
    say(format_args!(
        "{} answered try {} with {} bytes after {:.6} s",
        answer.server,
        answer.tries,
        answer.payload.len(),
        answer.elapsed.as_secs_f64()
    ));
}

/// One line of `--json`, as the help of the command documents it.
#[derive(Default, Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn exit(error: &AskError) -> Exit {
    // A name server that is silent is a peer that does not answer.
    let no_name_server = matches!(error, AskError::Address(error) if error.is_temporary());
    if error.is_no_answer() || no_name_server {
        Exit::NoAnswer
    } else if error.is_usage() {
        Exit::Usage
    } else {
        Exit::Failed
    }
}
