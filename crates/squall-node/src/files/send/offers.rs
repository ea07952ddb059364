//! Offering what a walk finds.

use std::sync::Arc;

use squall::files::Name;
use squall::files::wire::{Modified, Offer, Options, Reason, Source};
use tokio::sync::mpsc;

use super::event::{SendEvent, add};
use super::shared::{Offered, Shared, What};
use super::walk::{Filter, Item, Step, Walk, shown};
use crate::files::disk::Trouble;

/// Offers everything, as fast as the receiver settles it.
pub(super) async fn offer_all(
    shared: &Arc<Shared>,
    source: Source,
    options: Options,
    items: Vec<Item>,
    filter: Arc<Filter>,
) {
    shared.say(&Offer::Start { source, options });
    let (steps, mut walked) = mpsc::channel(256);
    tokio::task::spawn_blocking(move || {
        for step in Walk::new(items, &*filter) {
            if steps.blocking_send(step).is_err() {
                return;
            }
        }
    });
    while let Some(step) = walked.recv().await {
        offer(shared, step).await;
    }
    shared.say(&Offer::End);
}

async fn offer(shared: &Arc<Shared>, step: Step) {
    let (path, result) = match &step {
        Step::Trouble { path, trouble } => return fail(shared, path, trouble),
        // It has no path that anybody wants to know.
        Step::Leave => (Arc::default(), Ok(Offer::Leave)),
        Step::Enter { name, path, stat } => {
            let (mode, modified) = (stat.mode, stat.modified);
            (Arc::clone(path), Name::new(name).map(|name| Offer::Enter { name, mode, modified }))
        }
        Step::File { name, path, stat } => {
            let (mode, modified, size) = (stat.mode, stat.modified, Some(stat.size));
            (Arc::clone(path), Name::new(name).map(|name| Offer::File { name, mode, modified, size }))
        }
        Step::Pipe { name } => {
            let (mode, modified, size) = (0o644, Modified::default(), None);
            let offer = Name::new(name).map(|name| Offer::File { name, mode, modified, size });
            (Arc::new(shown(name)), offer)
        }
        Step::Link { name, path, target, stat } => {
            let modified = stat.modified;
            (Arc::clone(path), Name::new(name).map(|name| Offer::Link { name, target, modified }))
        }
    };
    let what = match &step {
        Step::File { stat, .. } => What::File(*stat),
        Step::Pipe { .. } => What::Pipe(0),
        Step::Link { .. } => What::Link,
        Step::Enter { .. } | Step::Leave | Step::Trouble { .. } => What::Directory,
    };
    match result {
        Ok(offer) => shared.offer(&offer, Offered { path, what, chunks: 0, is_asked: false }).await,
        Err(error) => fail(shared, &path, &Trouble::new(Reason::Name, error.to_string())),
    }
}

fn fail(shared: &Shared, path: &Arc<std::path::PathBuf>, trouble: &Trouble) {
    add(&shared.counting.failed, 1);
    let (reason, text) = (trouble.reason, trouble.text.clone());
    shared.report(&SendEvent::Failed { path: Arc::clone(path), reason, text });
}
