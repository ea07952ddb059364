//! Writes what was taken into temporary files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use squall::MAX_DATAGRAM;
use squall::files::plain::{End, Ended, UploadId};
use tracing::error;

use super::finisher::Finish;
use super::name::{Facts, temporary};
use super::shared::{LOOK, Order, Shared, add};

/// Writes until nothing comes any more. Ends of uploads go to `finish`.
pub(super) fn run(shared: &Shared, finish: &SyncSender<Finish>) {
    let mut writer = Writer { shared, uploads: HashMap::new(), told: None };
    // Filled and emptied in turn with that of the queue.
    let (mut orders, mut bytes) = (Vec::new(), Vec::new());
    let mut looked: Option<Instant> = None;
    loop {
        let mut queue = shared.wait_for_work();
        if queue.is_full && looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            drop(queue);
            look_again(shared);
            looked = Some(Instant::now());
            queue = shared.queue();
        }
        if queue.orders.is_empty() && queue.closed {
            break;
        }
        mem::swap(&mut orders, &mut queue.orders);
        mem::swap(&mut bytes, &mut queue.bytes);
        drop(queue);
        let mut rest = &bytes[..];
        for order in orders.drain(..) {
            match order {
                Order::Begin(id, facts) => writer.begin(id, *facts),
                Order::Append(id, len) => {
                    let (content, after) = rest.split_at(len);
                    rest = after;
                    writer.append(id, content);
                }
                Order::End(ended, dropped) => {
                    if let Some(done) = writer.end(*ended, dropped)
                        && finish.send(done).is_err()
                    {
                        // It ends only when the sender is gone.
                        return;
                    }
                }
            }
        }
        bytes.clear();
        // Memory of a flood that is over is given back.
        bytes.shrink_to(AT_REST);
        orders.shrink_to(AT_REST);
    }
}

struct Writer<'a> {
    shared: &'a Shared,
    uploads: HashMap<UploadId, Written>,
    /// When a failure was last told at once.
    told: Option<Instant>,
}

/// An upload under way.
struct Written {
    facts: Facts,
    name: String,
    file: Option<File>,
    bytes: u64,
    failure: Option<io::Error>,
}

impl Writer<'_> {
    fn begin(&mut self, id: UploadId, facts: Facts) {
        let name = temporary(self.shared.run, &facts);
        self.uploads.insert(id, Written { facts, name, file: None, bytes: 0, failure: None });
    }

    fn append(&mut self, id: UploadId, content: &[u8]) {
        let Some(upload) = self.uploads.get_mut(&id) else { return };
        if upload.failure.is_none() {
            match upload.write(self.shared, content) {
                Ok(()) => return add(&self.shared.counts.written, content.len() as u64),
                Err(problem) => {
                    add(&self.shared.counts.failures, 1);
                    if self.told.is_none_or(|told| told.elapsed() > PAUSE) {
                        self.told = Some(Instant::now());
                        let path = self.shared.folder.path().display();
                        error!("files: an upload cannot be written into {path}: {problem}");
                    }
                    upload.failure = Some(problem);
                    self.shared.queue().failed.insert(id);
                }
            }
        }
        // As if it had never been there.
        self.shared.counts.used.fetch_sub(content.len() as u64, Ordering::Relaxed);
    }

    fn end(&mut self, ended: Ended, dropped: u64) -> Option<Finish> {
        let mut upload = self.uploads.remove(&ended.id)?;
        self.shared.queue().failed.remove(&ended.id);
        // An empty file was never written to.
        if upload.file.is_none() && upload.failure.is_none() && ended.end == End::Bye {
            match self.shared.folder.create(&upload.name) {
                Ok(file) => upload.file = Some(file),
                Err(problem) => {
                    add(&self.shared.counts.failures, 1);
                    upload.failure = Some(problem);
                }
            }
        }
        let Written { facts, name, file, bytes, failure } = upload;
        let kernel_drops = dropped.saturating_sub(facts.dropped_before);
        Some(Finish { ended, facts, name, file, bytes, failure, kernel_drops, is_synced: false })
    }
}

impl Written {
    fn write(&mut self, shared: &Shared, content: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(shared.folder.create(&self.name)?),
        };
        let mut rest = content;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.bytes += written as u64;
                    rest = &rest[written..];
                }
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(())
    }
}

/// Counts the folder anew: somebody may have made space.
fn look_again(shared: &Shared) {
    let Ok(written) = shared.folder.used() else { return };
    let mut queue = shared.queue();
    let used = written + queue.bytes.len() as u64;
    shared.counts.used.store(used, Ordering::Relaxed);
    queue.is_full = used.saturating_add(MAX_DATAGRAM as u64) > shared.config.space;
}

/// Bytes of memory that a writer without work keeps.
const AT_REST: usize = 64 * 1024;
/// Failures that come faster are told with their upload's end.
const PAUSE: Duration = Duration::from_secs(1);
