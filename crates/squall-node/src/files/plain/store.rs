//! Uploads on disk: what is opened, asked and ended as a whole.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, SystemTime};

use squall::{Gauge, Peer};
use tracing::{error, info, warn};

use super::finisher::{self, Finisher, unique};
use super::folder::{Entry, Folder, FolderError};
use super::front::Front;
use super::name::{Facts, INCOMPLETE, Pattern, TEMPORARY, parse_temporary};
use super::shared::{Shared, get};
use super::writer;

/// What is kept of uploads and where.
#[derive(Debug)]
pub(super) struct StoreConfig {
    pub(super) pattern: Pattern,
    /// The bytes of all files in the folder, beyond which nothing is taken.
    pub(super) space: u64,
}

/// What a store of uploads has counted, and two levels of the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Bytes of all files in the folder.
    pub used: u64,
    /// Bytes that wait to be written.
    pub waiting: u64,
    /// Files that were kept whole.
    pub files: u64,
    /// Files that were kept and are incomplete.
    pub incomplete: u64,
    /// Bytes that were written.
    pub written: u64,
    /// Uploads of which nothing could be kept.
    pub lost: u64,
    /// Files that the system did not let be made, written or named.
    pub failures: u64,
    /// Datagrams and uploads that were refused because too much waited.
    pub behind: u64,
    /// Datagrams that were refused because the folder was full.
    pub no_space: u64,
    /// Uploads of earlier runs that were found and called incomplete.
    pub recovered: u64,
}

/// A store that runs.
#[derive(Debug)]
pub(super) struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens a folder: what earlier runs have left becomes incomplete files. Returns where uploads go, the store, and
    /// whose uploads were under way when the last run ended.
    pub(super) fn open(
        path: &Path,
        config: StoreConfig,
    ) -> Result<(Front, Self, Vec<SocketAddr>), FolderError> {
        let folder = Folder::open(path)?;
        let unwritable = |source| FolderError::Unwritable { path: path.into(), source };
        let (recovered, earlier) = recover(&folder, &config.pattern).map_err(unwritable)?;
        let used = folder.used().map_err(unwritable)?;
        let shared = Shared::new(folder, config, used, recovered);
        let (finish, finished) = sync_channel(finisher::WAITING);
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(work).map_err(unwritable)
        };
        let (writing, finishing) = (Arc::clone(&shared), Arc::clone(&shared));
        spawn("squall-uploads", Box::new(move || writer::run(&writing, &finish)))?;
        spawn("squall-files", Box::new(move || Finisher::new(finishing).run(&finished)))?;
        Ok((Front::new(Arc::clone(&shared)), Self { shared }, earlier))
    }

    /// Watches what the kernel drops, from the start of the server on.
    pub(super) fn watch(&self, gauges: Vec<Gauge>) {
        // There is one server.
        let _ = self.shared.gauges.set(gauges);
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.shared.folder.path()
    }

    pub(super) fn stats(&self) -> StoreStats {
        let counts = &self.shared.counts;
        StoreStats {
            used: get(&counts.used),
            waiting: self.shared.queue().bytes.len() as u64,
            files: get(&counts.files),
            incomplete: get(&counts.incomplete),
            written: get(&counts.written),
            lost: get(&counts.lost),
            failures: get(&counts.failures),
            behind: get(&counts.behind),
            no_space: get(&counts.no_space),
            recovered: get(&counts.recovered),
        }
    }

    /// Waits until all is written and named, once nothing more comes; false if that takes longer than `time`.
    pub(super) fn close(&self, time: Duration) -> bool {
        self.shared.wait_ended(time)
    }
}

/// Gives what earlier runs have left a name, and tells whose it was.
fn recover(folder: &Folder, pattern: &Pattern) -> std::io::Result<(u64, Vec<SocketAddr>)> {
    let mut earlier = read_unfinished(folder);
    let mut recovered = 0;
    for entry in folder.entries()?.iter().filter(|entry| entry.name.starts_with(TEMPORARY)) {
        let whose = parse_temporary(&entry.name);
        earlier.extend(whose.map(|(_, peer)| peer));
        let kept = if entry.bytes == 0 {
            folder.remove(&entry.name).map(|()| None)
        } else {
            let wanted = match whose {
                Some((number, peer)) => pattern.name(&Facts {
                    began: modified(entry),
                    peer: Peer::Ip(peer),
                    number,
                    dropped_before: 0,
                }),
                None => format!("upload{}", entry.name.trim_start_matches(TEMPORARY)),
            };
            unique(&wanted, INCOMPLETE, 1, |name| folder.rename(&entry.name, name))
                .map(|(name, _)| Some(name))
        };
        match kept {
            Ok(None) => {}
            Ok(Some(name)) => {
                recovered += 1;
                warn!("files: {name} is of an upload that was under way when an earlier run ended");
            }
            Err(problem) => error!("files: {} of an earlier run stays as it is: {problem}", entry.name),
        }
    }
    if recovered > 0 {
        folder.sync()?;
        info!("files: {recovered} uploads of an earlier run are incomplete");
    }
    Ok((recovered, earlier))
}

fn modified(entry: &Entry) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(entry.modified).unwrap_or(0))
}

/// Whose uploads the last run broke off when it ended in good order.
fn read_unfinished(folder: &Folder) -> Vec<SocketAddr> {
    let text = folder.read(UNFINISHED, 1 << 20).unwrap_or_default();
    // It was true of that run alone.
    let _ = folder.remove(UNFINISHED);
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Notes whose uploads this run has broken off: what they still send is the rest of them.
pub(super) fn write_unfinished(folder: &Folder, peers: &[SocketAddr]) -> std::io::Result<()> {
    use std::io::Write;

    let lines: String = peers.iter().map(|peer| format!("{peer}\n")).collect();
    folder.create(UNFINISHED)?.write_all(lines.as_bytes())
}

/// The file of that.
const UNFINISHED: &str = ".squall-unfinished";
