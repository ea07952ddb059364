//! From a temporary name to its own, when it is on disk: many at a time, as waiting for the disk is what costs.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::io::Errno;
use squall::files::wire::{Modified, Reason};
use squall::files::{CHUNK, Name};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::incoming::Incoming;
use super::plan::Left;
use crate::files::disk::{Folder, Trouble};

/// Something that is to be on disk.
pub(super) enum Commit {
    /// A file that is whole.
    File {
        incoming: Arc<Incoming>,
        file: OwnedFd,
        /// What it is called until then.
        temporary: String,
        size: u64,
    },
    /// A symbolic link that is to be made.
    Link {
        folder: Arc<Folder>,
        name: Box<[u8]>,
        target: Box<[u8]>,
        modified: Modified,
        replaces: bool,
        key: String,
        path: PathBuf,
    },
    /// A directory in which everything is that is to be.
    Left(Left),
}

/// What became of it. One that was not brought to disk comes with why.
pub(super) type Committed = (u64, Result<Commit, (Commit, Trouble)>);

impl Commit {
    /// Where it goes, for people.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Commit::File { incoming, .. } => Some(incoming.path()),
            Commit::Link { path, .. } => Some(path.clone()),
            Commit::Left(_) => None,
        }
    }
}

/// A thread that brings files under their names.
pub(super) struct Committer {
    queue: Mutex<Option<UnboundedSender<(u64, Commit)>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

/// Where results go, each when it is on disk.
pub(super) type Done = UnboundedSender<Committed>;

impl Committer {
    /// Starts it, for files in `staging`. What waits is bounded by the window of entries.
    pub(super) fn start(staging: Arc<Folder>, done: Done) -> io::Result<Self> {
        let (queue, waiting) = unbounded_channel();
        let (end, ended) = oneshot::channel();
        // One of its own: it lives as long as the session, and the runtime's threads are for what comes to an end.
        thread::Builder::new().name("squall-files-disk".into()).spawn(move || {
            work(&staging, waiting, &done);
            let _ = end.send(());
        })?;
        Ok(Self { queue: Mutex::new(Some(queue)), ended: Mutex::new(Some(ended)) })
    }

    pub(super) fn queue(&self, entry: u64, commit: Commit) {
        if let Some(queue) = &*self.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = queue.send((entry, commit));
        }
    }

    /// Waits until everything that waits is on disk, and ends.
    pub(super) async fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }
}

/// What waits while a batch is written is the next batch: the slower the disk, the larger they are.
fn work(staging: &Folder, mut waiting: UnboundedReceiver<(u64, Commit)>, done: &Done) {
    // A descriptor of its own: each is told once of what a file system could not write (syncfs(2)).
    let disk = staging.again();
    let mut failed = disk.as_ref().err().copied();
    let mut batch = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let sync = || match (&disk, failed) {
            (Ok(disk), None) => disk.sync_all(),
            (_, failed) => Err(failed.unwrap_or(Errno::IO)),
        };
        let (results, trouble) = write(staging, std::mem::take(&mut batch), sync);
        // Whose data it was, nobody says: what was written before may be lost as well.
        failed = failed.or(trouble);
        for result in results {
            let _ = done.send(result);
        }
    }
}

/// Brings a batch under its names. Tells also whether the file system could not be written.
fn write(
    staging: &Folder,
    batch: Vec<(u64, Commit)>,
    sync: impl Fn() -> rustix::io::Result<()>,
) -> (Vec<Committed>, Option<Errno>) {
    let files = batch.iter().filter(|(_, commit)| matches!(commit, Commit::File { .. })).count();
    // One wait for the whole file system costs as much as a few for single files.
    let synced = if files > SINGLE { sync() } else { Ok(()) };
    let mut failed = synced.err();
    let mut folders: Vec<Arc<Folder>> = Vec::new();
    let mut add = |folder: &Arc<Folder>| {
        if !folders.iter().rev().any(|other| Arc::ptr_eq(other, folder)) {
            folders.push(Arc::clone(folder));
        }
    };
    let mut results = Vec::with_capacity(batch.len());
    let mut left = Vec::new();
    for (entry, commit) in batch {
        let named = match &commit {
            Commit::File { incoming, file, temporary, size } => synced
                .and_then(|()| match files > SINGLE && *size <= CHUNK {
                    true => Ok(()),
                    false => rustix::fs::fdatasync(file),
                })
                .map_err(|errno| Trouble::of("cannot be written", errno))
                .and_then(|()| name_file(staging, incoming, temporary))
                .map(|()| add(&incoming.folder)),
            Commit::Link { folder, .. } => name_link(staging, &commit).map(|()| add(folder)),
            Commit::Left(_) => {
                left.push((entry, commit));
                continue;
            }
        };
        let result = match named {
            Ok(()) => Ok(commit),
            Err(trouble) => Err((commit, trouble)),
        };
        results.push((entry, result));
    }
    // Their times last: a name that comes into a directory changes them.
    for (entry, commit) in left {
        let Commit::Left(directory) = &commit else { continue };
        match directory.folder.set(directory.mode, directory.modified) {
            // Somebody else's directory that was there already keeps its own.
            Ok(()) | Err(Errno::PERM) => {
                add(&directory.folder);
                directory.parent.as_ref().map(&mut add);
                results.push((entry, Ok(commit)));
            }
            Err(errno) => {
                let trouble = Trouble::of("its permissions cannot be set", errno);
                results.push((entry, Err((commit, trouble))));
            }
        }
    }
    let synced = match folders.len() {
        0 => Ok(()),
        1..=SINGLE => folders.iter().try_for_each(|folder| folder.sync()),
        _ => sync(),
    };
    if let Err(errno) = synced {
        failed = failed.or(Some(errno));
        let trouble = Trouble::of("its name cannot be written", errno);
        let refuse = |(entry, result)| match result {
            Ok(commit) => (entry, Err((commit, trouble.clone()))),
            failed => (entry, failed),
        };
        return (results.into_iter().map(refuse).collect(), failed);
    }
    (results, failed)
}

fn name_file(staging: &Folder, incoming: &Incoming, temporary: &str) -> Result<(), Trouble> {
    let moved = staging.move_to(temporary, &incoming.folder, incoming.name(), incoming.replacing.is_asked());
    moved.map_err(|errno| match errno {
        Errno::EXIST => incoming.replacing.refuse("something of that name came meanwhile"),
        Errno::XDEV => {
            Trouble::new(Reason::Failed, "its directory is on another file system than the receiver's")
        }
        errno => Trouble::of("cannot get its name", errno),
    })?;
    incoming.forget();
    Ok(())
}

fn name_link(staging: &Folder, commit: &Commit) -> Result<(), Trouble> {
    let Commit::Link { folder, name, target, modified, replaces, key, .. } = commit else { return Ok(()) };
    let trouble = |errno| Trouble::of("the link cannot be made", errno);
    if !replaces {
        folder.link(name, target).map_err(trouble)?;
        return folder.set_link_times(name, *modified).map_err(trouble);
    }
    let temporary = format!("{key}.link");
    staging.remove(&temporary).map_err(trouble)?;
    staging.link(temporary.as_bytes(), target).map_err(trouble)?;
    staging.set_link_times(temporary.as_bytes(), *modified).map_err(trouble)?;
    let name = Name::new(name).unwrap_or_else(|_| unreachable!("it was a name"));
    staging.move_to(&temporary, folder, name, true).map_err(trouble)
}

/// Entries of a batch.
const BATCH: usize = 2048;
/// Files, or directories, up to which each is waited for alone.
const SINGLE: usize = 8;
