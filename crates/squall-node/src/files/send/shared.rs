//! What the tasks of a sender share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::Connection;
use squall::files::wire::Offer;
use squall::files::{Ledger, LedgerError};
use tokio::sync::{Notify, Semaphore, mpsc};

use super::event::{Counting, SendEvent};
use super::limit::Limit;
use crate::files::disk::Stat;

/// An entry that is not settled.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub(super) path: Arc<PathBuf>,
    pub(super) what: What,
    /// The chunks that were sent for it until now.
    pub(super) chunks: u64,
    /// Whether something was asked of it to which nothing was said yet.
    pub(super) is_asked: bool,
}

/// What an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    File(Stat),
    /// Standard input, and its bytes, which are known when it has come to its end.
    Pipe(u64),
    Link,
    Directory,
}

/// Something that the receiver wants of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// All of it.
    All(u64),
    /// What differs from what it tells.
    Difference(u64),
}

pub(super) struct Shared {
    pub(super) connection: Connection,
    pub(super) counting: Counting,
    pub(super) is_dry: bool,
    pub(super) limit: Limit,
    /// Content on its way, in units of a chunk: what was sent and is not acknowledged has to be kept.
    pub(super) budget: Arc<Semaphore>,
    words: mpsc::UnboundedSender<Vec<u8>>,
    entries: Mutex<Ledger<Offered>>,
    settled: Notify,
    report: Box<dyn Fn(&SendEvent) + Send + Sync>,
}

impl Shared {
    pub(super) fn new(
        connection: Connection,
        is_dry: bool,
        limit: Limit,
        words: mpsc::UnboundedSender<Vec<u8>>,
        report: Box<dyn Fn(&SendEvent) + Send + Sync>,
    ) -> Self {
        Self {
            connection,
            counting: Counting::default(),
            is_dry,
            limit,
            budget: Arc::new(Semaphore::new(BUDGET)),
            words,
            entries: Mutex::default(),
            settled: Notify::new(),
            report,
        }
    }

    pub(super) fn entries(&self) -> MutexGuard<'_, Ledger<Offered>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers something as soon as few enough are open.
    pub(super) async fn offer(&self, offer: &Offer<'_>, entry: Offered) {
        loop {
            let settled = self.settled.notified();
            let offered = {
                let mut entries = self.entries();
                if entries.is_full() { None } else { Some(entries.offer(entry.clone())) }
            };
            match offered {
                Some(_) => return self.say(offer),
                None => settled.await,
            }
        }
    }

    /// Takes an entry out.
    pub(super) fn settle(&self, entry: u64) -> Result<Offered, LedgerError> {
        let settled = self.entries().settle(entry);
        self.settled.notify_one();
        settled
    }

    /// An open entry. `None` if it was settled meanwhile.
    pub(super) fn open(&self, entry: u64) -> Option<Offered> {
        self.entries().get_mut(entry).ok().cloned()
    }

    /// A file is not as it was offered: says so.
    pub(super) fn again(&self, entry: u64, stat: Stat) {
        let chunks = {
            let mut entries = self.entries();
            let Ok(open) = entries.get_mut(entry) else { return };
            open.what = What::File(stat);
            open.is_asked = false;
            open.chunks
        };
        self.say(&Offer::Again { entry, chunks, size: stat.size, modified: stat.modified });
    }

    /// What is asked of an entry, which is something else only when this was answered.
    ///
    /// # Errors
    /// It is asked for already, or has no content.
    pub(super) fn ask(&self, entry: u64) -> Result<(), String> {
        let mut entries = self.entries();
        let open = entries.get_mut(entry).map_err(|error| error.to_string())?;
        if !open.has_content() || open.is_asked {
            return Err(format!("it wants entry {entry}, which has nothing more to give"));
        }
        open.is_asked = true;
        Ok(())
    }

    /// All of a file was sent, which are so many bytes: it may be asked for again.
    pub(super) fn answered(&self, entry: u64, size: u64) {
        if let Ok(open) = self.entries().get_mut(entry) {
            open.is_asked = false;
            if let What::Pipe(bytes) = &mut open.what {
                *bytes = size;
            }
        }
    }

    /// Says something on the control stream.
    pub(super) fn say(&self, offer: &Offer<'_>) {
        let mut bytes = Vec::new();
        offer.encode(&mut bytes);
        let _ = self.words.send(bytes);
    }

    pub(super) fn report(&self, event: &SendEvent) {
        (self.report)(event);
    }
}

/// Chunks that are on their way at most: 24 MiB.
const BUDGET: usize = 192;
