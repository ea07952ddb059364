//! What was said in a room last, for readers of streams that are behind.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Lines in the form that has numbers, oldest out.
#[derive(Debug, Default)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    /// Lengths of the lines.
    lines: VecDeque<u16>,
    /// What went out.
    begin: Cursor,
    end: Cursor,
}

/// A point between two lines: how many lines were before it since the room came to be, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    line: u64,
    byte: u64,
}

impl Ring {
    /// Behind the last line.
    pub(super) fn end(&self) -> Cursor {
        self.end
    }

    /// Adds a line; the oldest go out when there are more than `limit` bytes.
    pub(super) fn push(&mut self, line: &[u8], limit: usize) {
        self.bytes.extend(line);
        self.lines.push_back(line.len() as u16);
        self.end.line += 1;
        self.end.byte += line.len() as u64;
        while self.bytes.len() > limit {
            let Some(len) = self.lines.pop_front() else { break };
            self.bytes.drain(..usize::from(len));
            self.begin.line += 1;
            self.begin.byte += u64::from(len);
        }
    }

    /// Forgets all lines: nobody is behind.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.begin = self.end;
        if self.bytes.capacity() > KEPT {
            self.bytes = VecDeque::new();
        } else {
            self.bytes.clear();
        }
    }

    /// Takes `cursor` to the first line that is there; how many lines it was behind that.
    pub(super) fn catch(&self, cursor: &mut Cursor) -> u64 {
        let missed = self.begin.line.saturating_sub(cursor.line);
        if missed > 0 {
            *cursor = self.begin;
        }
        missed
    }

    /// How many lines are behind `cursor`, those that went out counted.
    pub(super) fn after(&self, cursor: Cursor) -> u64 {
        self.end.line.saturating_sub(cursor.line)
    }

    /// Reads the line behind `cursor` into `line`; false when there is none.
    pub(super) fn read(&self, cursor: &mut Cursor, line: &mut Vec<u8>) -> bool {
        let Some(len) = self.lines.get((cursor.line - self.begin.line) as usize) else { return false };
        let from = (cursor.byte - self.begin.byte) as usize;
        let to = from + usize::from(*len);
        line.clear();
        let (front, back) = self.bytes.as_slices();
        let cut = front.len();
        line.extend_from_slice(&front[from.min(cut)..to.min(cut)]);
        line.extend_from_slice(&back[from.max(cut) - cut..to.max(cut) - cut]);
        cursor.line += 1;
        cursor.byte += u64::from(*len);
        true
    }
}

/// Bytes of memory that stay where nobody is behind: what one batch takes.
const KEPT: usize = 64 * 1024;
