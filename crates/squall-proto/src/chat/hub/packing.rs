//! Lines packed into datagrams.

use alloc::string::String;
use alloc::vec::Vec;

use crate::chat::wire::{Line, MAX_MEMBER_DATAGRAM};

/// Lines in a row of datagrams, one behind the other. Lines of one datagram have a line feed between
/// them, none at the end.
#[derive(Debug, Default)]
pub(super) struct Packed {
    body: Vec<u8>,
    /// Where datagrams end, but for the last.
    ends: Vec<usize>,
    /// Where the last datagram begins.
    begin: usize,
    /// Whether the last datagram has a line.
    open: bool,
    /// A line while it is written.
    line: String,
}

impl Packed {
    /// Adds the line that `parts` make.
    pub(super) fn push(&mut self, parts: &[&str]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.make_room(len);
        for part in parts {
            self.body.extend_from_slice(part.as_bytes());
        }
    }

    /// Adds a line.
    pub(super) fn write(&mut self, line: &Line<'_>) {
        self.write_within(line, usize::MAX);
    }

    /// Adds a line, of which at most a datagram is shown, and where that is so.
    pub(super) fn write_cut(&mut self, line: &Line<'_>) {
        self.write_within(line, MAX_MEMBER_DATAGRAM - "\n".len());
    }

    fn write_within(&mut self, line: &Line<'_>, most: usize) {
        let mut text = core::mem::take(&mut self.line);
        text.clear();
        // Writing to a string does not fail.
        let _ = line.write(&mut text);
        if text.len() > most {
            let end = (0..=most - CUT.len()).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            text.push_str(CUT);
        }
        self.push(&[&text]);
        self.line = text;
    }

    /// Ends the last datagram. The next line begins another.
    pub(super) fn seal(&mut self) {
        if self.open {
            self.ends.push(self.body.len());
            self.begin = self.body.len();
            self.open = false;
        }
    }

    /// Makes this the lines of `other` with a line feed behind each, so that the datagrams end with one. Only a line
    /// that fills a datagram by itself has none.
    pub(super) fn end_lines_of(&mut self, other: &Packed) {
        self.clear();
        for line in other.lines() {
            let end: &[u8] = if line.len() < MAX_MEMBER_DATAGRAM { b"\n" } else { b"" };
            if self.open && self.body.len() - self.begin + line.len() + end.len() > MAX_MEMBER_DATAGRAM {
                self.seal();
            }
            self.body.extend_from_slice(line);
            self.body.extend_from_slice(end);
            self.open = true;
        }
        self.seal();
    }

    /// How many datagrams there are.
    pub(super) fn datagrams(&self) -> usize {
        self.ends.len() + usize::from(self.open)
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.datagrams() == 0
    }

    /// The datagrams that are ended, one behind the other.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Where they end.
    pub(super) fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// All lines, in order.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let begins = core::iter::once(0).chain(self.ends.iter().copied());
        let datagrams = begins.zip(&self.ends).map(|(begin, end)| &self.body[begin..*end]);
        datagrams.flat_map(|datagram| datagram.split(|byte| *byte == b'\n'))
    }

    /// Forgets all and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.body.clear();
        self.ends.clear();
        (self.begin, self.open) = (0, false);
    }

    fn make_room(&mut self, len: usize) {
        if self.open {
            if self.body.len() - self.begin + 1 + len <= MAX_MEMBER_DATAGRAM {
                self.body.push(b'\n');
                return;
            }
            self.seal();
        }
        self.open = true;
    }
}

/// Says that a line had more.
const CUT: &str = "…";
