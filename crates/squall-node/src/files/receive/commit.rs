//! From a temporary name to its own, when it is on disk: many at a time, as waiting for the disk is what costs.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use squall::files::Name;
use squall::files::wire::{Modified, Reason};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::incoming::Incoming;
use super::plan::Left;
use crate::files::disk::{Folder, Trouble, data_name};

/// Something that is to be on disk.
pub(super) enum Commit {
    /// A file that is whole.
    File { incoming: Arc<Incoming>, file: OwnedFd, size: u64 },
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

/// A thread that brings files under their names.
pub(super) struct Committer {
    queue: Mutex<Option<UnboundedSender<(u64, Commit)>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where results go, each when it is on disk.
pub(super) type Done = UnboundedSender<(u64, Result<Commit, Trouble>)>;

impl Committer {
    /// Starts it, for files in `staging`. What waits is bounded by the window of entries.
    pub(super) fn start(staging: Arc<Folder>, done: Done) -> Self {
        let (queue, waiting) = unbounded_channel();
        let thread = tokio::task::spawn_blocking(move || work(&staging, waiting, &done));
        Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) }
    }

    pub(super) fn queue(&self, entry: u64, commit: Commit) {
        if let Some(queue) = &*self.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = queue.send((entry, commit));
        }
    }

    /// Waits until everything that waits is on disk, and ends.
    pub(super) async fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.await;
        }
    }
}

/// What waits while a batch is written is the next batch: the slower the disk, the larger they are.
fn work(staging: &Folder, mut waiting: UnboundedReceiver<(u64, Commit)>, done: &Done) {
    let mut batch = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        for result in write(staging, std::mem::take(&mut batch)) {
            let _ = done.send(result);
        }
    }
}

/// Brings a batch under its names.
fn write(staging: &Folder, batch: Vec<(u64, Commit)>) -> Vec<(u64, Result<Commit, Trouble>)> {
    let files = batch.iter().filter(|(_, commit)| matches!(commit, Commit::File { .. })).count();
    // One wait for the whole file system costs as much as a few for single files.
    let synced = if files > SINGLE { staging.sync_all() } else { Ok(()) };
    let mut folders: Vec<Arc<Folder>> = Vec::new();
    let mut results = Vec::with_capacity(batch.len());
    let mut left = Vec::new();
    for (entry, commit) in batch {
        let named = match &commit {
            Commit::File { incoming, file, .. } => {
                let synced = if files > SINGLE { synced } else { rustix::fs::fdatasync(file) };
                synced
                    .map_err(|errno| Trouble::of("cannot be written", errno))
                    .and_then(|()| name_file(staging, incoming))
                    .map(|()| Some(&incoming.folder))
            }
            Commit::Link { folder, .. } => name_link(staging, &commit).map(|()| Some(folder)),
            Commit::Left(_) => Ok(None),
        };
        match named {
            Ok(Some(folder)) => {
                if !folders.iter().rev().any(|other| Arc::ptr_eq(other, folder)) {
                    folders.push(Arc::clone(folder));
                }
                results.push((entry, Ok(commit)));
            }
            Ok(None) => left.push((entry, commit)),
            Err(trouble) => results.push((entry, Err(trouble))),
        }
    }
    // Their times last: a name that comes into a directory changes them.
    for (entry, commit) in left {
        let Commit::Left(directory) = &commit else { continue };
        match directory.folder.set(directory.mode, directory.modified) {
            Ok(()) => {
                folders.push(Arc::clone(&directory.folder));
                results.push((entry, Ok(commit)));
            }
            // Somebody else's directory that was there already keeps its own.
            Err(Errno::PERM) => results.push((entry, Ok(commit))),
            Err(errno) => results.push((entry, Err(Trouble::of("its permissions cannot be set", errno)))),
        }
    }
    let synced = match folders.len() {
        0 => Ok(()),
        1..=SINGLE => folders.iter().try_for_each(|folder| folder.sync()),
        _ => staging.sync_all(),
    };
    if let Err(errno) = synced {
        let trouble = Trouble::of("its name cannot be written", errno);
        return results.into_iter().map(|(entry, _)| (entry, Err(trouble.clone()))).collect();
    }
    results
}

fn name_file(staging: &Folder, incoming: &Incoming) -> Result<(), Trouble> {
    let moved = staging.move_to(
        &data_name(incoming.key()),
        &incoming.folder,
        incoming.name(),
        incoming.replaces_now(),
    );
    moved.map_err(|errno| match errno {
        Errno::EXIST => {
            Trouble::new(Reason::Exists, "something of that name came meanwhile; --force replaces it")
        }
        Errno::XDEV => {
            Trouble::new(Reason::Failed, "its directory is on another file system than the receiver's")
        }
        errno => Trouble::of("cannot get its name", errno),
    })?;
    incoming.forget_journal();
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
