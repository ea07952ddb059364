//! What the receiver says of what was offered.

use std::sync::Arc;

use quinn::RecvStream;
use squall::files::wire::{Verdict, split_message};
use tokio::sync::mpsc;

use super::event::{SendEvent, SendFailure, add};
use super::large::lost;
use super::shared::{Job, Offered, Shared, What};
use crate::files::disk::show;

/// Reads verdicts until everything is settled.
///
/// # Errors
/// [`SendFailure`].
pub(super) async fn read(
    shared: &Arc<Shared>,
    mut stream: RecvStream,
    jobs: mpsc::UnboundedSender<Job>,
) -> Result<(), SendFailure> {
    let (mut bytes, mut start) = (Vec::new(), 0);
    loop {
        while let Some((body, used)) = split_message(&bytes[start..]).map_err(fault)? {
            let verdict = Verdict::decode(body).map_err(fault)?;
            if verdict == Verdict::Complete {
                return match shared.entries().is_empty() {
                    true => Ok(()),
                    false => Err(SendFailure::Fault("it is complete before all is settled".into())),
                };
            }
            act(shared, verdict, &jobs)?;
            start += used;
        }
        bytes.drain(..start);
        start = 0;
        match stream.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
            Ok(None) => return Err(SendFailure::Fault("it says nothing more".into())),
            Err(quinn::ReadError::ConnectionLost(error)) => return Err(lost(error)),
            Err(error) => return Err(fault(error)),
        }
    }
}

fn act(shared: &Shared, verdict: Verdict<'_>, jobs: &mpsc::UnboundedSender<Job>) -> Result<(), SendFailure> {
    match verdict {
        Verdict::Unchanged { first, count } => {
            for entry in first..first.saturating_add(count) {
                let settled = shared.settle(entry).map_err(fault)?;
                if settled.is_file() && !shared.is_dry {
                    add(&shared.counting.unchanged, 1);
                }
                if !settled.path.as_os_str().is_empty() {
                    let (size, is_file) = (settled.size(), settled.is_file());
                    shared.report(&SendEvent::Unchanged { path: settled.path, size, is_file });
                }
            }
        }
        Verdict::Stored { first, count } => {
            for entry in first..first.saturating_add(count) {
                let settled = shared.settle(entry).map_err(fault)?;
                if settled.is_file() {
                    add(&shared.counting.stored, 1);
                    let size = settled.size();
                    shared.report(&SendEvent::Stored { path: settled.path, size });
                }
            }
        }
        Verdict::Wanted { first, count } => {
            for entry in first..first.saturating_add(count) {
                let wanted = shared.entries().get_mut(entry).cloned().map_err(fault)?;
                if shared.is_dry {
                    add(&shared.counting.differing, 1);
                    let size = wanted.size();
                    shared.report(&SendEvent::Differs { path: wanted.path, size });
                } else {
                    shared.ask(entry).map_err(fault)?;
                    let _ = jobs.send(Job::All(entry));
                }
            }
        }
        Verdict::Compare { entry } => {
            if shared.is_dry {
                return Err(fault("it compares in a dry run"));
            }
            shared.ask(entry).map_err(fault)?;
            let _ = jobs.send(Job::Difference(entry));
        }
        Verdict::Refused { entry, reason, text } => {
            let settled = shared.settle(entry).map_err(fault)?;
            add(&shared.counting.failed, 1);
            let text = show(text.as_bytes());
            shared.report(&SendEvent::Failed { path: settled.path, reason, text });
        }
        Verdict::Ready => {}
        _ => return Err(SendFailure::Fault("a verdict that does not exist".into())),
    }
    Ok(())
}

impl Offered {
    pub(super) fn has_content(&self) -> bool {
        matches!(self.what, What::File(_) | What::Pipe(_))
    }

    fn is_file(&self) -> bool {
        matches!(self.what, What::File(_) | What::Pipe(_) | What::Link)
    }

    fn size(&self) -> u64 {
        match self.what {
            What::File(stat) => stat.size,
            What::Pipe(bytes) => bytes,
            What::Link | What::Directory => 0,
        }
    }
}

fn fault(error: impl std::fmt::Display) -> SendFailure {
    SendFailure::Fault(show(error.to_string().as_bytes()))
}
