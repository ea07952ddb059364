//! Bringing a large file to disk while it arrives.

use std::collections::VecDeque;
use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rustix::fs::Advice;

/// Has the disk begin with what was written, so that the wait at the end is short, and the page cache let go of what is
/// on disk by then. A large file would fill all memory otherwise and push out what others use; and memory that was not
/// in use before is what costs most about a write: a gigabyte took 2.2 s of processor time, and 0.4 s so.
#[derive(Debug, Default)]
pub(super) struct WriteBack {
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// Where the last chunks were written.
    span: Range<u64>,
    chunks: usize,
    /// Those before, which the disk has begun with.
    begun: VecDeque<Range<u64>>,
}

impl WriteBack {
    /// Something was written at `start`.
    pub(super) fn wrote(&self, file: &File, start: u64, length: usize) {
        let due = self.written.lock().unwrap_or_else(PoisonError::into_inner).add(start, length as u64);
        for span in due.into_iter().flatten() {
            let Some(length) = NonZeroU64::new(span.end - span.start) else { continue };
            // What is not on disk yet it writes, and lets go of the rest. It is advice: not every file system takes it.
            let _ = rustix::fs::fadvise(file, span.start, Some(length), Advice::DontNeed);
        }
    }
}

impl Written {
    /// What is to be written now, and what is to be let go of.
    fn add(&mut self, start: u64, length: u64) -> [Option<Range<u64>>; 2] {
        let end = start + length;
        self.span = match self.chunks {
            0 => start..end,
            // In order, but for what was lost on the way: it has few holes.
            _ => self.span.start.min(start)..self.span.end.max(end),
        };
        self.chunks += 1;
        if self.chunks < SPAN {
            return [None, None];
        }
        self.chunks = 0;
        self.begun.push_back(self.span.clone());
        [Some(self.span.clone()), if self.begun.len() > KEPT { self.begun.pop_front() } else { None }]
    }
}

/// Chunks after which the disk begins: 2 MiB. Small writes cost it more.
const SPAN: usize = 16;
/// Spans that stay in the page cache, 32 MiB: more than a disk has on its way.
const KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use squall::files::CHUNK;

    use super::*;

    #[test]
    fn what_is_written_goes_to_disk_span_by_span_and_is_let_go_of_later() {
        let mut written = Written::default();
        let mut begun = Vec::new();
        for index in 0..20 * SPAN as u64 {
            // Each two in the wrong order.
            let [now, later] = written.add((index ^ 1) * CHUNK, CHUNK);
            assert_eq!(now.is_some(), index % SPAN as u64 == SPAN as u64 - 1);
            begun.extend(now);
            assert_eq!(
                later,
                (begun.len() > KEPT && index % 16 == 15).then(|| begun[begun.len() - 1 - KEPT].clone())
            );
        }
        let spans: Vec<_> =
            (0..20).map(|span| span * SPAN as u64 * CHUNK..(span + 1) * SPAN as u64 * CHUNK).collect();
        assert_eq!(begun, spans);
    }
}
