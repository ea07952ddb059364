//! One sender: its streams, what is open with it, and how it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::Connection;
use squall::files::wire::{Closing, Source};
use squall::files::{Ledger, LedgerError};
use squall::secure::Parting;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::commit::{Commit, Committed, Committer};
use super::event::{Counting, ReceiveEvent, SessionCounts, add};
use super::incoming::{Incoming, Next};
use super::opened::Opened;
use super::outlet::{self, Outlet, Say};
use super::plan::Left;
use super::receiver::Receiver;
use super::{compare, content, control, window};
use crate::files::disk::Trouble;
use crate::secure::{Session, close, close_with};

/// An entry that is not settled.
pub(super) enum Entry {
    /// A file that was asked for.
    File(Arc<Incoming>),
    /// A directory that was left; `None` once it waits for the disk.
    Left(Option<Left>),
    /// What waits for the disk.
    Queued,
}

/// What the tasks of a session share.
pub(super) struct Shared {
    pub(super) receiver: Arc<Receiver>,
    pub(super) number: u64,
    pub(super) connection: Connection,
    pub(super) counting: Arc<Counting>,
    pub(super) say: Outlet,
    pub(super) compare: mpsc::UnboundedSender<(u64, Arc<Incoming>)>,
    committer: Committer,
    pub(super) opened: Opened,
    ledger: Mutex<Open>,
    /// Bounds the streams whose content is in memory.
    pub(super) room: Semaphore,
    /// Bounds how many threads hash and write.
    pub(super) workers: Arc<Semaphore>,
    /// Each thread that does something for this session has a permit: a session is over when none is left.
    threads: Arc<Semaphore>,
    is_over: AtomicBool,
    pub(super) is_dry: AtomicBool,
    /// Something of what was offered is here.
    has_taken: AtomicBool,
    fault: Mutex<Option<String>>,
    ended: Notify,
}

/// What is open with a sender.
#[derive(Default)]
struct Open {
    entries: Ledger<Entry>,
    /// All entries below this are settled or wait for the disk.
    queued_below: u64,
    is_end: bool,
}

/// A session, for the next one of the same source.
pub(super) struct Handle {
    connection: Connection,
    is_over: watch::Receiver<bool>,
    is_superseded: AtomicBool,
}

/// The mark of a session's source, and the session that had it before.
pub(super) type Enlisted = (Source, Option<Arc<Handle>>);

impl Handle {
    /// Ends it, as this side does.
    pub(super) fn stop(&self) {
        close(&self.connection, Parting::Stopping);
    }

    /// Ends it, and waits until nothing of it runs.
    pub(super) async fn supersede(&self) {
        self.is_superseded.store(true, Ordering::Relaxed);
        close_with(&self.connection, Closing::Superseded.code(), b"the same sender came again");
        let _ = self.is_over.clone().wait_for(|over| *over).await;
    }
}

/// Runs a session to its end.
pub(super) async fn run(
    receiver: &Arc<Receiver>,
    number: u64,
    counting: Arc<Counting>,
    session: Session,
) -> (SessionCounts, Result<(), String>) {
    let (say, said) = outlet::outlet();
    let (compare, comparisons) = mpsc::unbounded_channel();
    let (over, is_over) = watch::channel(false);
    let connection = session.connection.clone();
    let (done, commits) = mpsc::unbounded_channel();
    let committer = match Committer::start(Arc::clone(&receiver.staging), done) {
        Ok(committer) => committer,
        Err(error) => return (SessionCounts::default(), Err(format!("cannot start a thread: {error}"))),
    };
    let shared = Arc::new(Shared {
        receiver: Arc::clone(receiver),
        number,
        connection: connection.clone(),
        counting,
        say,
        compare,
        committer,
        opened: Opened::new(Arc::clone(&receiver.staging)),
        ledger: Mutex::default(),
        room: Semaphore::new(ROOM),
        workers: Arc::new(Semaphore::new(WORKERS)),
        threads: Arc::new(Semaphore::new(THREADS)),
        is_over: AtomicBool::new(false),
        is_dry: AtomicBool::new(false),
        has_taken: AtomicBool::new(false),
        fault: Mutex::default(),
        ended: Notify::new(),
    });
    let handle = Handle { connection: connection.clone(), is_over, is_superseded: AtomicBool::new(false) };
    let handle = Arc::new(handle);
    let mut tasks = JoinSet::new();
    let source: Arc<Mutex<Option<Enlisted>>> = Arc::default();
    {
        let (shared, handle, source) = (Arc::clone(&shared), Arc::clone(&handle), Arc::clone(&source));
        tasks.spawn(async move {
            let result = control::read(&shared, &handle, &source, session.receive).await;
            shared.end_on(result);
        });
    }
    let settling = tokio::spawn(settle_commits(Arc::clone(&shared), commits));
    {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let result = content::accept(&shared).await;
            shared.end_on(result);
        });
    }
    {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let result = compare::run(&shared, comparisons).await;
            shared.end_on(result);
        });
    }
    let writer = tokio::spawn(outlet::write(shared.say.clone(), said, session.send, connection.clone()));
    tasks.spawn(window::follow(Arc::clone(&shared)));
    // The sender closes when it has read that all is done; or the connection breaks, or somebody breaks the rules.
    let closed = tokio::select! {
        error = connection.closed() => error,
        () = shared.ended.notified() => connection.closed().await,
    };
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    shared.is_over.store(true, Ordering::Relaxed);
    shared.leave().await;
    let _ = shared.threads.acquire_many(THREADS as u32).await;
    // What is whole goes under its name, whether anybody hears of it or not.
    shared.committer.stop().await;
    let _ = settling.await;
    shared.opened.close_all();
    writer.abort();
    let source = source.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((source, earlier)) = source {
        if let Some(earlier) = earlier {
            // Who comes after this one waits for that one too.
            earlier.supersede().await;
        }
        receiver.retire(source, &handle);
    }
    let result = shared.verdict(&closed, handle.is_superseded.load(Ordering::Relaxed));
    shared.open().entries = Ledger::default();
    let _ = over.send(true);
    let has_taken = shared.has_taken.load(Ordering::Relaxed);
    (SessionCounts { is_dry: shared.is_dry(), has_taken, ..shared.counting.counts() }, result)
}

/// Tells the sender what is on disk.
async fn settle_commits(shared: Arc<Shared>, mut commits: mpsc::UnboundedReceiver<Committed>) {
    while let Some((entry, result)) = commits.recv().await {
        match result {
            Ok(commit) => {
                if let Commit::File { incoming, size, .. } = &commit {
                    shared.stored(incoming.path(), *size);
                }
                if let Commit::Link { path, .. } = &commit {
                    shared.stored(path.clone(), 0);
                }
                if let Commit::Left(left) = &commit {
                    shared.opened.close(&left.key, &left.folder);
                }
                shared.settle(entry, Say::Stored(entry));
            }
            Err((commit, trouble)) => {
                if let Commit::File { incoming, .. } = &commit {
                    incoming.doubt();
                }
                if let Some(path) = commit.path() {
                    shared.refused(&path, &trouble);
                }
                shared.settle(entry, Say::Refused(entry, trouble));
            }
        }
    }
}

impl Shared {
    /// Ends the work on files that are not whole, so that no thread goes on for nobody, and brings to disk what came of
    /// them.
    async fn leave(self: &Arc<Self>) {
        let of = |entry: &Entry| match entry {
            Entry::File(incoming) => Some(Arc::clone(incoming)),
            _ => None,
        };
        let begun: Vec<_> = self.open().entries.open().filter_map(of).collect();
        if !begun.is_empty() {
            let _ = self.spawn(move || begun.iter().for_each(|incoming| incoming.leave())).await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an entry in.
    pub(super) fn offer(&self, entry: Entry) -> Result<u64, LedgerError> {
        let number = self.open().entries.offer(entry)?;
        self.queue_left();
        Ok(number)
    }

    /// A file that is open; `None` for what is settled or is none.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`].
    pub(super) fn file(&self, entry: u64) -> Result<Option<Arc<Incoming>>, LedgerError> {
        match self.open().entries.get_mut(entry) {
            Ok(Entry::File(incoming)) => Ok(Some(Arc::clone(incoming))),
            Ok(_) | Err(LedgerError::Settled(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An entry is settled: says so.
    pub(super) fn settle(&self, entry: u64, say: Say) {
        {
            let mut open = self.open();
            let Ok(settled) = open.entries.settle(entry) else { return };
            if let Entry::File(incoming) = settled {
                incoming.settle();
            }
            if matches!(say, Say::Stored(_) | Say::Unchanged(_)) {
                self.has_taken.store(true, Ordering::Relaxed);
            }
            // Within the lock: that all is done is said last.
            self.say.send(say);
            self.complete(&open);
        }
        self.queue_left();
    }

    /// Nothing more is offered.
    pub(super) fn end(&self) {
        let mut open = self.open();
        open.is_end = true;
        self.complete(&open);
    }

    fn complete(&self, open: &Open) {
        if open.is_end && open.entries.is_empty() {
            self.say.send(Say::Complete);
        }
    }

    /// Runs something that waits for disks, in a thread that the end of the session waits for.
    pub(super) fn spawn<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> tokio::task::JoinHandle<R> {
        // There are always enough: one task plans, one compares, and workers have a bound of their own.
        let permit = Arc::clone(&self.threads).try_acquire_owned();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
    }

    /// Whether nobody waits for anything any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn is_ended(&self) -> bool {
        self.open().is_end
    }

    /// What waits for the disk.
    pub(super) fn commit(&self, entry: u64, commit: Commit) {
        {
            let mut open = self.open();
            let Ok(present) = open.entries.get_mut(entry) else { return };
            if let Entry::File(incoming) = std::mem::replace(present, Entry::Queued) {
                incoming.settle();
            }
            // Within the lock: a directory that was left must not come before what is in it.
            self.committer.queue(entry, commit);
        }
        self.queue_left();
    }

    /// Does what follows from something that came for a file.
    pub(super) fn act(&self, entry: u64, incoming: &Arc<Incoming>, next: Next) {
        match next {
            Next::Compare => {
                let _ = self.compare.send((entry, Arc::clone(incoming)));
            }
            Next::Commit(ready) => {
                let incoming = Arc::clone(incoming);
                let (file, temporary, size) = (ready.file, ready.name, ready.size);
                self.commit(entry, Commit::File { incoming, file, temporary, size });
            }
            Next::Unchanged => {
                add(&self.counting.unchanged, 1);
                self.settle(entry, Say::Unchanged(entry));
            }
            // Of several chunks that do not fit, the first tells it.
            Next::Refuse(trouble) if incoming.settle() => {
                self.refused(&incoming.path(), &trouble);
                self.settle(entry, Say::Refused(entry, trouble));
            }
            Next::Wait | Next::Refuse(_) => {}
        }
    }

    /// Directories that were left get their times when nothing before them is still to come: whatever is made in them
    /// changes these.
    fn queue_left(&self) {
        let mut open = self.open();
        loop {
            let number = open.queued_below;
            match open.entries.get_mut(number) {
                Ok(Entry::Left(left @ Some(_))) => {
                    if let Some(left) = left.take() {
                        self.committer.queue(number, Commit::Left(left));
                    }
                }
                Ok(Entry::Left(None) | Entry::Queued) | Err(LedgerError::Settled(_)) => {}
                Ok(Entry::File(_)) | Err(_) => return,
            }
            open.queued_below += 1;
        }
    }

    fn stored(&self, path: std::path::PathBuf, size: u64) {
        add(&self.counting.stored, 1);
        self.receiver.report(&ReceiveEvent::Stored { session: self.number, path, size });
    }

    pub(super) fn refused(&self, path: &std::path::Path, trouble: &Trouble) {
        add(&self.counting.refused, 1);
        self.receiver.report(&ReceiveEvent::Refused {
            session: self.number,
            path: path.into(),
            reason: trouble.reason,
            text: trouble.text.clone(),
        });
    }

    /// Closes the connection when a task found that it cannot go on.
    fn end_on(&self, result: Result<(), String>) {
        if let Err(why) = result {
            let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            close_with(&self.connection, Closing::Broken.code(), why.as_bytes());
            fault.get_or_insert(why);
            self.ended.notify_one();
        }
    }

    /// How it ended.
    fn verdict(&self, closed: &quinn::ConnectionError, is_superseded: bool) -> Result<(), String> {
        if let Some(fault) = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(fault);
        }
        let open = self.open();
        if open.is_end && open.entries.is_empty() {
            return Ok(());
        }
        Err(match closed {
            quinn::ConnectionError::ApplicationClosed(close) if close.reason.is_empty() => {
                "the sender stopped".into()
            }
            quinn::ConnectionError::ApplicationClosed(close) => {
                format!("the sender stopped: {}", crate::files::disk::show(&close.reason))
            }
            quinn::ConnectionError::TimedOut => {
                format!("nothing came from the sender for {} s", IDLE.as_secs())
            }
            quinn::ConnectionError::LocallyClosed if is_superseded => "the same sender came again".into(),
            quinn::ConnectionError::LocallyClosed => "it was ended here".into(),
            quinn::ConnectionError::Reset => "the sender does not know the connection any more".into(),
            other => crate::files::disk::show(other.to_string().as_bytes()),
        })
    }

    pub(super) fn is_dry(&self) -> bool {
        self.is_dry.load(Ordering::Relaxed)
    }
}

/// Streams of a sender whose content is in memory: 4 MiB.
const ROOM: usize = 32;
/// Threads that do anything for a sender.
const THREADS: usize = 64;
/// Threads that hash and write for a sender.
const WORKERS: usize = 2;
/// As the transport has it.
const IDLE: Duration = Duration::from_secs(30);
