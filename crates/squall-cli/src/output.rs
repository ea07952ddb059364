//! How results reach a terminal, a pipe, and a program that reads JSON.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use squall::text::sanitize;

/// Says something beside the results, on standard error.
pub(crate) fn say(text: impl Display) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes what a peer sent for people to read: line by line, with everything else that would act on the
/// terminal made visible.
pub(crate) fn write_text(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for line in bytes.split(|byte| *byte == b'\n') {
        writeln!(out, "{}", sanitize(line.strip_suffix(b"\r").unwrap_or(line)))?;
    }
    Ok(())
}

/// Writes bytes as they are, and ends the line if they do not.
pub(crate) fn write_line(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    if bytes.ends_with(b"\n") { Ok(()) } else { out.write_all(b"\n") }
}

/// Writes a line of one JSON object.
pub(crate) fn write_json(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    let mut line = String::new();
    for character in serde_json::to_string(object)?.chars() {
        if acts_on_a_terminal(character) {
            let mut units = [0; 2];
            line.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// A path, safe for a terminal.
pub(crate) fn shown(path: &Path) -> String {
    sanitize(path.as_os_str().as_bytes()).to_string()
}

/// A number of something: 1 file, 2 files.
pub(crate) fn counted(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// An event with its path as text, and with the bytes of one that is none.
pub(crate) fn with_path(mut event: Value, path: &Path) -> Value {
    event["path"] = Value::from(path.to_string_lossy());
    if path.to_str().is_none() {
        event["path_hex"] = Value::from(hex(path.as_os_str().as_bytes()));
    }
    event
}

/// Two digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON itself escapes the control characters of ASCII alone.
fn acts_on_a_terminal(character: char) -> bool {
    !character.is_ascii_graphic() && character != ' ' && {
        let mut bytes = [0; 4];
        let text = character.encode_utf8(&mut bytes);
        sanitize(text.as_bytes()).to_string() != *text
    }
}

/// Whether whoever runs this wants no colours (<https://no-color.org>).
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_text(&mut out, bytes).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_keeps_its_lines_and_loses_its_powers() {
        assert_eq!(text(b""), "\n");
        assert_eq!(text(b"one"), "one\n");
        assert_eq!(text(b"one\r\ntwo\n"), "one\ntwo\n");
        assert_eq!(text(b"\x1b[2J\r!"), "\\x1b[2J\\x0d!\n");
    }

    #[test]
    fn json_says_the_same_and_shows_nothing_that_acts_on_a_terminal() {
        let peer = "a \u{202e}b\u{9b}c\x7f\x1b 你好🌩";
        let mut out = Vec::new();
        write_json(&mut out, &peer).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line, "\"a \\u202eb\\u009bc\\u007f\\u001b 你好🌩\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), peer);
    }
}
