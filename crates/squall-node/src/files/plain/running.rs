//! Plain uploads of a node that runs.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squall::files::plain::ReceiverStats;
use squall::{Gauge, Remote};

use super::service::GuardedReceiver;
use super::store::{Store, StoreStats};
use super::told;
use crate::data::DataDirectory;

/// The uploads of a running node.
#[derive(Debug)]
pub struct PlainFiles {
    remote: Remote<GuardedReceiver>,
    store: Arc<Store>,
    last: Arc<Mutex<ReceiverStats>>,
    /// This node's, until it ends.
    _data: Option<Arc<DataDirectory>>,
}

/// What counts a running node's uploads from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct PlainRemote {
    remote: Remote<GuardedReceiver>,
    store: Arc<Store>,
}

/// What the uploads of a node did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlainReport {
    /// What was received.
    pub receiver: ReceiverStats,
    /// What became of it on disk.
    pub store: StoreStats,
    /// Whether everything that was taken is where it was to be.
    pub written: bool,
}

impl PlainReport {
    /// In a line.
    pub fn summary(&self) -> String {
        told::summary(&self.receiver, &self.store, self.written)
    }
}

impl PlainFiles {
    pub(super) fn new(
        remote: Remote<GuardedReceiver>,
        store: Store,
        last: Arc<Mutex<ReceiverStats>>,
        data: Option<Arc<DataDirectory>>,
    ) -> Self {
        Self { remote, store: Arc::new(store), last, _data: data }
    }

    /// The server runs: what its kernel drops may be a hole in an upload.
    pub(crate) fn watch(&self, gauges: Vec<Gauge>) {
        self.store.watch(gauges);
    }

    /// The folder of uploads.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    pub(crate) fn remote(&self) -> PlainRemote {
        PlainRemote { remote: self.remote.clone(), store: Arc::clone(&self.store) }
    }

    /// Ends the writing, after the server has stopped, and reports.
    pub(crate) fn finish(self) -> PlainReport {
        let written = self.store.close(END);
        let receiver = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        PlainReport { receiver, store: self.store.stats(), written }
    }
}

impl PlainRemote {
    /// What was counted so far, by name; `None` when the node is ending.
    pub(crate) fn counts(&self) -> Option<Vec<(&'static str, u64)>> {
        let receiver = self.remote.ask(|files, _, _| files.receiver.stats()).ok()?;
        Some(told::counts(&receiver, &self.store.stats()))
    }
}

/// How long what was taken may take to be written.
const END: Duration = Duration::from_secs(10);
