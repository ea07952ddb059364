//! Makes files of what was written: first it is on disk, then it has a name, then the name is on disk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Receiver;
use std::thread;

use squall::files::plain::{End, Ended};
use tracing::{error, info, warn};

use super::name::{Facts, INCOMPLETE};
use super::outcome::Outcome;
use super::shared::{Shared, add};
use super::store::write_unfinished;

/// An upload that has ended, and all of whose bytes were written that will be.
pub(super) struct Finish {
    pub(super) ended: Ended,
    pub(super) facts: Facts,
    /// Its temporary name.
    pub(super) name: String,
    pub(super) file: Option<File>,
    /// What was written of it.
    pub(super) bytes: u64,
    pub(super) failure: Option<io::Error>,
    /// The datagrams that the kernel dropped while it was under way, of this upload or another.
    pub(super) kernel_drops: u64,
    /// Whether its content is on disk.
    pub(super) is_synced: bool,
}

impl Finish {
    fn sync(&mut self, failures: &AtomicU64) {
        if !self.is_synced
            && let Some(file) = &self.file
            && let Err(problem) = file.sync_all()
        {
            add(failures, 1);
            self.failure.get_or_insert(problem);
        }
        self.is_synced = true;
    }
}

/// Names uploads.
pub(super) struct Finisher {
    shared: Arc<Shared>,
    /// The number behind the last name of its kind, so that a thousand uploads in a second do not try a thousand names
    /// each.
    numbers: HashMap<String, u32>,
    /// Whose uploads were broken off.
    broken_off: Vec<SocketAddr>,
}

impl Finisher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, numbers: HashMap::new(), broken_off: Vec::new() }
    }

    /// Works until nothing comes any more.
    pub(super) fn run(mut self, finished: &Receiver<Finish>) {
        while let Ok(first) = finished.recv() {
            let batch: Vec<Finish> =
                std::iter::once(first).chain(finished.try_iter()).take(WAITING).collect();
            self.finish(batch);
        }
        if !self.broken_off.is_empty()
            && let Err(problem) = write_unfinished(&self.shared.folder, &self.broken_off)
        {
            warn!(
                "files: whoever goes on sending after a restart makes a file without its beginning, since \
                 the broken-off uploads cannot be noted: {problem}"
            );
        }
        // Whoever waits for the end may open it at once.
        self.shared.folder.release();
        self.shared.tell_done();
    }

    /// Finishes a batch, whose names are brought to disk together before they are told.
    fn finish(&mut self, mut batch: Vec<Finish>) {
        sync(&mut batch, &self.shared.counts.failures);
        let mut outcomes: Vec<Outcome> = batch.into_iter().map(|finish| self.keep(finish)).collect();
        if let Err(problem) = self.shared.folder.sync() {
            add(&self.shared.counts.failures, 1);
            error!("files: names in {} may not be on disk: {problem}", self.shared.folder.path().display());
        }
        // What went wrong first: it is what there has to be a line of.
        outcomes.sort_by_key(Outcome::is_whole);
        for outcome in outcomes.iter().take(LINES) {
            if outcome.is_whole() {
                info!("{outcome}");
            } else {
                warn!("{outcome}");
            }
        }
        if outcomes.len() > LINES {
            info!("files: {} more uploads ended at the same time", outcomes.len() - LINES);
        }
    }

    fn keep(&mut self, finish: Finish) -> Outcome {
        let Finish { ended, facts, name, file, bytes, mut failure, kernel_drops, .. } = finish;
        let shared = Arc::clone(&self.shared);
        let counts = &shared.counts;
        if ended.end == End::Stopped
            && let Some(peer) = ended.origin.peer.ip()
        {
            self.broken_off.push(peer);
        }
        let mut kept = None;
        if let Some(file) = file {
            drop(file);
            let is_whole = ended.is_whole() && kernel_drops == 0 && failure.is_none();
            if bytes == 0 && (failure.is_some() || !ended.is_whole()) {
                // Nothing of it is there to be kept.
                let _ = self.shared.folder.remove(&name);
            } else {
                let ending = if is_whole { "" } else { INCOMPLETE };
                match self.name(&name, &facts, ending) {
                    Ok(name) => kept = Some(name),
                    Err(problem) => {
                        add(&counts.failures, 1);
                        failure = Some(problem);
                    }
                }
            }
        }
        let outcome = Outcome { ended, bytes, kept, failure, kernel_drops };
        add(
            match (&outcome.kept, outcome.is_whole()) {
                (Some(_), true) => &counts.files,
                (Some(_), false) => &counts.incomplete,
                (None, _) => &counts.lost,
            },
            1,
        );
        outcome
    }

    /// Gives the file its name, which nothing has yet.
    fn name(&mut self, temporary: &str, facts: &Facts, ending: &str) -> io::Result<String> {
        let wanted = self.shared.config.pattern.name(facts);
        let key = format!("{wanted}{ending}");
        let first = self.numbers.get(&key).map_or(1, |last| last + 1);
        let (name, number) =
            unique(&wanted, ending, first, |name| self.shared.folder.rename(temporary, name))?;
        if self.numbers.len() >= NUMBERS {
            self.numbers.clear();
        }
        self.numbers.insert(key, number);
        Ok(name)
    }
}

/// Brings the content of uploads to disk, many at a time: what waits for a disk together is written together. A file after the
/// other took ten times as long for a thousand small ones.
fn sync(batch: &mut [Finish], failures: &AtomicU64) {
    if batch.len() > 1 {
        let each = batch.len().div_ceil(SYNCS);
        thread::scope(|scope| {
            for part in batch.chunks_mut(each) {
                // Where the system gives no thread, they are written one after the other below.
                let _ = thread::Builder::new()
                    .name("squall-sync".into())
                    .spawn_scoped(scope, || part.iter_mut().for_each(|finish| finish.sync(failures)));
            }
        });
    }
    batch.iter_mut().for_each(|finish| finish.sync(failures));
}

/// Tries `wanted`, `wanted-2`, … with `ending` behind them, from number `first` on, until `take` finds one free. Returns the
/// name and its number.
pub(super) fn unique(
    wanted: &str,
    ending: &str,
    first: u32,
    mut take: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<(String, u32)> {
    for number in (first..).take(NAMES) {
        let name =
            if number == 1 { format!("{wanted}{ending}") } else { format!("{wanted}-{number}{ending}") };
        match take(&name) {
            Ok(()) => return Ok((name, number)),
            Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("all of {NAMES} names like {wanted} are taken")))
}

/// Uploads that wait to be finished at most. Each has an open file.
pub(super) const WAITING: usize = 256;
/// Files that are brought to disk at a time.
const SYNCS: usize = 16;
/// Lines of the log for what ended at a time.
const LINES: usize = 20;
/// Names whose numbers are remembered.
const NUMBERS: usize = 4096;
/// Names that are tried.
const NAMES: usize = 100_000;
