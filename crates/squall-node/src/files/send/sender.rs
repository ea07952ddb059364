//! Sending a tree over a session.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use squall::files::CHUNK;
use squall::files::wire::{Closing, Options, Source};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::deliver::deliver;
use super::event::{SendCounts, SendEvent, SendFailure};
use super::large::{self, lost};
use super::limit::Limit;
use super::shared::{Job, Offered, Shared, What};
use super::walk::{Filter, Item, Tally};
use super::{offers, small, verdicts, walk};
use crate::files::disk::show;
use crate::secure::{Parting, Session, close_with, part_with};

/// How something is sent.
#[derive(Clone)]
pub struct SendConfig {
    source: Source,
    options: Options,
    limit: Option<u64>,
    filter: Arc<Filter>,
}

impl SendConfig {
    /// Everything, as fast as the path allows. `source` is the same for the same command on the same machine.
    pub fn new(source: Source) -> Self {
        Self { source, options: Options::default(), limit: None, filter: Arc::new(|_: &Path, _| true) }
    }

    /// Replaces files that are there and differ. Default: they stay, and that is a failure.
    pub fn force(mut self, force: bool) -> Self {
        self.options.force = force;
        self
    }

    /// Compares contents also where size and time say that nothing changed. Default: it does not.
    pub fn checksum(mut self, checksum: bool) -> Self {
        self.options.checksum = checksum;
        self
    }

    /// Only asks what would be sent. Default: it sends.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    /// Bytes of content a second at most. Default: no limit.
    pub fn limit(mut self, bytes_per_second: Option<u64>) -> Self {
        self.limit = bytes_per_second;
        self
    }

    /// What is sent of a directory: for the path from the item on, and whether that is a directory. What is in a
    /// directory that is left out is left out too. Default: everything.
    pub fn filter(mut self, filter: impl Fn(&Path, bool) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Arc::new(filter);
        self
    }
}

/// A mark for [`SendConfig::new`] that follows from what makes a command the same.
pub fn sender_mark<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Source {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut mark = Source::default();
    mark.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    mark
}

/// Sends items over sessions, one after the other until one comes to the end.
pub struct Sender {
    items: Vec<Item>,
    config: SendConfig,
}

impl Sender {
    /// Sends these.
    pub fn new(items: Vec<Item>, config: SendConfig) -> Self {
        Self { items, config }
    }

    /// Whether the same can be sent twice: standard input cannot.
    pub(in crate::files) fn is_repeatable(&self) -> bool {
        self.items.iter().all(|item| matches!(item, Item::Path(_)))
    }

    /// Counts what there is to be sent, for a progress. It may take as long as reading all directories does; `go_on`
    /// gets what was counted so far and says whether anybody still wants to know. `None` where standard input is among
    /// it: nobody knows how much that is.
    pub fn tally(&self, go_on: impl Fn(Tally) -> bool) -> Option<Tally> {
        self.is_repeatable().then(|| walk::tally(&self.items, &*self.config.filter, go_on))
    }

    /// Sends over `session` what the receiver does not have.
    ///
    /// # Errors
    /// Why it stopped half-way, beside what was done. Another session resumes it.
    pub async fn run(
        &self,
        session: Session,
        report: impl Fn(&SendEvent) + Send + Sync + 'static,
    ) -> (SendCounts, Result<(), SendFailure>) {
        let Session { connection, send, receive, .. } = session;
        let (words, said) = mpsc::unbounded_channel();
        let config = &self.config;
        let limit = Limit::new(config.limit);
        let is_dry = config.options.dry_run;
        let shared = Arc::new(Shared::new(connection.clone(), is_dry, limit, words, Box::new(report)));
        let (jobs, wanted) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(write_words(said, send));
        {
            let (shared, items, filter) =
                (Arc::clone(&shared), self.items.clone(), Arc::clone(&config.filter));
            let (source, options) = (config.source, config.options);
            tasks.spawn(async move {
                offers::offer_all(&shared, source, options, items, filter).await;
                Ok(())
            });
        }
        {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move { feed(&shared, wanted).await });
        }
        tasks.spawn(watch(Arc::clone(&shared)));
        let mut reading = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { verdicts::read(&shared, receive, jobs).await })
        };
        let result = loop {
            tokio::select! {
                result = &mut reading => break result.unwrap_or_else(|_| Err(came_to_an_end())),
                Some(ended) = tasks.join_next() => match ended {
                    // The others go on until everything is settled.
                    Ok(Ok(())) => {}
                    Ok(Err(failure)) => break Err(failure),
                    Err(_) => break Err(came_to_an_end()),
                },
            }
        };
        reading.abort();
        tasks.shutdown().await;
        let result = result.map_err(|failure| reason_of(&connection, failure));
        let mut counts = shared.counting.counts();
        if result.is_ok() {
            // What was stored has arrived, whether the acknowledgement has come back or not.
            counts.sent = shared.counting.handed.load(Ordering::Relaxed);
        }
        match &result {
            Ok(()) => part_with(&connection, Parting::Done.code(), b"").await,
            Err(failure) => close_with(&connection, Closing::Broken.code(), failure.to_string().as_bytes()),
        }
        (counts, result)
    }
}

/// Tells what the path is like, until it is ended.
async fn watch(shared: Arc<Shared>) -> Result<(), SendFailure> {
    loop {
        tokio::time::sleep(TICK).await;
        if let Some(belief) = Session::belief(&shared.connection) {
            shared.report(&SendEvent::Path(belief));
        }
    }
}

/// What the receiver said when it closed, rather than what was noticed of that.
fn reason_of(connection: &quinn::Connection, failure: SendFailure) -> SendFailure {
    match connection.close_reason() {
        Some(quinn::ConnectionError::ApplicationClosed(close)) => {
            let (code, why) = (close.error_code.into_inner(), show(&close.reason));
            if code == u64::from(Closing::Broken.code()) {
                return SendFailure::Refused(why);
            }
            // Each may take the same a moment later; `Done` before all was is that it did not hear this sender any more.
            let is_stopping =
                matches!(Parting::of(code), Some(Parting::Stopping | Parting::Silent | Parting::Done));
            SendFailure::Ended { why, is_stopping }
        }
        Some(error) if matches!(failure, SendFailure::Lost(_)) => lost(error),
        _ => failure,
    }
}

fn came_to_an_end() -> SendFailure {
    SendFailure::Fault("a task came to an end".into())
}

/// Writes what is said on the control stream.
async fn write_words(
    mut said: mpsc::UnboundedReceiver<Vec<u8>>,
    mut stream: quinn::SendStream,
) -> Result<(), SendFailure> {
    // Before content, of which much may wait.
    let _ = stream.set_priority(1);
    let mut waiting = Vec::new();
    while said.recv_many(&mut waiting, 256).await > 0 {
        let bytes = waiting.concat();
        waiting.clear();
        stream.write_all(&bytes).await.map_err(|error| match error {
            quinn::WriteError::ConnectionLost(error) => lost(error),
            error => SendFailure::Fault(error.to_string()),
        })?;
    }
    Ok(())
}

/// Sends what is wanted, in the order in which it is.
async fn feed(shared: &Arc<Shared>, mut wanted: mpsc::UnboundedReceiver<Job>) -> Result<(), SendFailure> {
    let readers = Arc::new(Semaphore::new(READERS));
    let mut packs = JoinSet::new();
    let (mut pack, mut bytes) = (Vec::new(), 0);
    loop {
        let job = if pack.is_empty() {
            tokio::select! {
                job = wanted.recv() => match job {
                    None => break,
                    job => job,
                },
                Some(ended) = packs.join_next() => {
                    ended.map_err(|_| came_to_an_end())??;
                    continue;
                }
            }
        } else {
            // What is wanted already goes with the small files that wait; they wait for nothing else.
            wanted.try_recv().ok()
        };
        let small = match &job {
            Some(Job::All(entry)) => {
                shared.open(*entry).and_then(|file| Some((*entry, small_size(&file)?, file)))
            }
            _ => None,
        };
        let is_small = small.is_some();
        if let Some((entry, size, file)) = small {
            pack.push((entry, file));
            bytes += size;
            if bytes < CHUNK && pack.len() < FILES {
                continue;
            }
        }
        if !pack.is_empty() {
            send_pack(shared, &readers, &mut packs, std::mem::take(&mut pack)).await?;
            bytes = 0;
        }
        match job {
            Some(Job::All(entry)) if !is_small => {
                if let Some(file) = shared.open(entry) {
                    large::send(shared, entry, file, None).await?;
                }
            }
            Some(Job::Difference(entry)) => {
                // They come in the order in which they were said.
                let stream = shared.connection.accept_uni().await.map_err(lost)?;
                if let Some(file) = shared.open(entry) {
                    large::send(shared, entry, file, Some(stream)).await?;
                }
            }
            _ => {}
        }
    }
    while let Some(ended) = packs.join_next().await {
        ended.map_err(|_| came_to_an_end())??;
    }
    Ok(())
}

/// The size of a file that is sent with others.
fn small_size(file: &Offered) -> Option<u64> {
    match file.what {
        What::File(stat) if stat.size <= CHUNK => Some(stat.size),
        _ => None,
    }
}

/// Reads files and sends them, while others are read.
async fn send_pack(
    shared: &Arc<Shared>,
    readers: &Arc<Semaphore>,
    packs: &mut JoinSet<Result<(), SendFailure>>,
    files: Vec<(u64, Offered)>,
) -> Result<(), SendFailure> {
    while let Some(ended) = packs.try_join_next() {
        ended.map_err(|_| came_to_an_end())??;
    }
    let Ok(permit) = Arc::clone(readers).acquire_owned().await else { return Ok(()) };
    let shared = Arc::clone(shared);
    packs.spawn(async move {
        let reading = {
            let shared = Arc::clone(&shared);
            tokio::task::spawn_blocking(move || small::pack(&shared, &files))
        };
        for pack in reading.await.map_err(|_| came_to_an_end())? {
            deliver(&shared, vec![pack.bytes], pack.parts).await.map_err(lost)?;
        }
        drop(permit);
        Ok(())
    });
    Ok(())
}

/// How often it is told what the path is like.
const TICK: Duration = Duration::from_secs(1);
/// Packs that are read at a time.
const READERS: usize = 4;
/// Files of a pack.
const FILES: usize = 256;
