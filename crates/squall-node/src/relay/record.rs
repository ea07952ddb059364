//! What was decided, written down while it runs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use squall::Time;
use squall_weather::{Decision, Direction, Record, Recorder};

use crate::record_file::{empty, open_record};

/// The file of a record. The decisions on both directions go into files of their own as they are made, so
/// that how the directions interleave, which is chance, is not seen in the end: then the second is put behind
/// the first.
#[derive(Debug)]
pub(super) struct RecordFile {
    path: PathBuf,
    spool: PathBuf,
}

/// One direction of a record.
#[derive(Debug)]
pub(super) struct Recording {
    direction: Direction,
    recorder: Recorder,
    out: BufWriter<File>,
    lines: usize,
    /// Decisions that were not written: there were too many, or the file failed.
    left_out: u64,
    failed: Option<io::Error>,
}

impl RecordFile {
    /// A record at `path`, with a file beside it that is removed in the end. What is there stays until the record
    /// [begins](Self::begin).
    pub(super) fn open(path: &Path) -> io::Result<(Self, [Recording; 2])> {
        let file = Self { path: path.to_owned(), spool: Self::spool(path) };
        let up = Recording::new(Direction::Up, &file.path)?;
        let down = Recording::new(Direction::Down, &file.spool)?;
        Ok((file, [up, down]))
    }

    /// The file beside a record.
    pub(super) fn spool(path: &Path) -> PathBuf {
        let mut spool = path.as_os_str().to_owned();
        spool.push(".down");
        spool.into()
    }

    /// Begins the record with `header`, in place of what is there.
    pub(super) fn begin([up, down]: [&mut Recording; 2], header: &str) -> io::Result<()> {
        empty(up.out.get_ref())?;
        empty(down.out.get_ref())?;
        up.out.write_all(header.as_bytes())
    }

    /// Puts the two directions together, and returns how many decisions are not in the record.
    pub(super) fn finish(self, [up, down]: [Recording; 2]) -> io::Result<u64> {
        let left_out = up.left_out + down.left_out;
        let mut whole = up.close()?;
        down.close()?;
        io::copy(&mut File::open(&self.spool)?, &mut whole)?;
        fs::remove_file(&self.spool)?;
        Ok(left_out)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Recording {
    fn new(direction: Direction, path: &Path) -> io::Result<Self> {
        let out = BufWriter::with_capacity(BUFFER, open_record(path)?);
        Ok(Self { direction, recorder: Recorder::default(), out, lines: 0, left_out: 0, failed: None })
    }

    pub(super) fn note(&mut self, now: Time, size: usize, decision: &Decision) {
        if self.lines >= LINES || self.failed.is_some() {
            self.left_out += 1;
            return;
        }
        let entry = self.recorder.entry(self.direction, now, size, decision);
        self.lines += 1;
        self.failed = writeln!(self.out, "{entry}").err();
    }

    fn close(self) -> io::Result<File> {
        match self.failed {
            Some(error) => Err(error),
            None => self.out.into_inner().map_err(io::IntoInnerError::into_error),
        }
    }
}

/// Decisions on one direction: as many as can be played again.
const LINES: usize = Record::MAX / 2;
const BUFFER: usize = 64 * 1024;
