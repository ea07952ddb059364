//! How datagrams that were heard are printed: a line each, or a dump, or JSON.

use std::io::{self, Write};
use std::time::SystemTime;

use serde::Serialize;
use squall::broadcast::Heard;
use squall::socket::{display_address, interface_name};
use squall::text::sanitize;

use crate::output::{hex, write_json};

/// The form of what is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// A line for people.
    Text,
    /// A line, and below it the bytes.
    Dump,
    Json {
        hex: bool,
    },
}

impl Form {
    pub(crate) fn new(json: bool, hex: bool) -> Self {
        match (json, hex) {
            (true, hex) => Form::Json { hex },
            (false, true) => Form::Dump,
            (false, false) => Form::Text,
        }
    }
}

/// Prints datagrams. Remembers the names of interfaces, which every datagram would otherwise be asked for.
#[derive(Debug)]
pub(crate) struct Printer {
    form: Form,
    /// Whether the lines tell of each datagram for how many it was and by which interface it came.
    with_way: bool,
    names: Vec<(u32, String)>,
}

impl Printer {
    pub(crate) fn new(form: Form, with_way: bool) -> Self {
        Self { form, with_way, names: Vec::new() }
    }

    pub(crate) fn print(&mut self, out: &mut impl Write, heard: &Heard<'_>) -> io::Result<()> {
        let peer = display_address(&heard.from);
        let (with_way, bytes) = (self.with_way, heard.payload.len());
        let kind = heard.kind.name();
        match self.form {
            Form::Json { hex: as_hex } => {
                let text = str::from_utf8(heard.payload).ok().filter(|_| !as_hex);
                let record = Record {
                    event: (!with_way).then_some("answer"),
                    time: seconds(heard.time),
                    peer,
                    destination: heard.destination.map(|destination| destination.to_string()),
                    interface: self.name(heard.interface),
                    kind,
                    bytes,
                    text,
                    hex: if text.is_none() { Some(hex(heard.payload)) } else { None },
                };
                write_json(out, &record)
            }
            Form::Dump => {
                write!(out, "{peer} ")?;
                if with_way {
                    write!(out, "{kind} {} ", self.name(heard.interface).unwrap_or("-"))?;
                }
                writeln!(out, "{bytes} bytes")?;
                dump(out, heard.payload)
            }
            Form::Text => {
                write!(out, "{peer}")?;
                if with_way {
                    write!(out, " {kind} {}", self.name(heard.interface).unwrap_or("-"))?;
                }
                // A line end of the sender's is ours already.
                let text = heard.payload.strip_suffix(b"\n").unwrap_or(heard.payload);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                if text.is_empty() { writeln!(out) } else { writeln!(out, " {}", sanitize(text)) }
            }
        }
    }

    fn name(&mut self, index: u32) -> Option<&str> {
        if index == 0 {
            return None;
        }
        let known = self.names.iter().position(|(known, _)| *known == index);
        let place = known.or_else(|| {
            if self.names.len() == NAMES {
                self.names.remove(0);
            }
            self.names.push((index, interface_name(index).ok()?));
            Some(self.names.len() - 1)
        })?;
        Some(&self.names[place].1)
    }
}

/// One line of `--json`, as the help of the commands documents it.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    time: f64,
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'a str>,
    kind: &'static str,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// Since 1970, in whole microseconds, which is what such a number can carry.
fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (since.as_micros() as f64) / 1e6
}

/// Sixteen bytes a line, as `hexdump -C` has them.
fn dump(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    for (number, row) in bytes.chunks(16).enumerate() {
        write!(out, "  {:04x} ", number * 16)?;
        for at in 0..16 {
            let gap = if at == 8 { " " } else { "" };
            match row.get(at) {
                Some(byte) => write!(out, "{gap} {byte:02x}")?,
                None => write!(out, "{gap}   ")?,
            }
        }
        let shown = row.iter().map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' });
        writeln!(out, "  |{}|", shown.collect::<String>())?;
    }
    Ok(())
}

/// Interfaces whose names are remembered.
const NAMES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_offset_bytes_and_what_can_be_shown() {
        let mut out = Vec::new();
        dump(&mut out, b"hello, \x1b[31m w\xf6rld").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "  0000  68 65 6c 6c 6f 2c 20 1b  5b 33 31 6d 20 77 f6 72  |hello, .[31m w.r|\n  \
             0010  6c 64                                             |ld|\n"
        );
        let mut out = Vec::new();
        dump(&mut out, b"").unwrap();
        assert!(out.is_empty());
    }
}
