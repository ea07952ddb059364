//! Offering what a walk finds.

use std::sync::Arc;

use squall::files::Name;
use squall::files::wire::{Offer, Options, Reason, Source};
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
    let offered = |path: &Arc<_>, what| Offered { path: Arc::clone(path), what, chunks: 0, is_asked: false };
    let result = match &step {
        Step::Enter { name, path, stat } => match Name::new(name) {
            Ok(name) => {
                let offer = Offer::Enter { name, mode: stat.mode, modified: stat.modified };
                shared.offer(&offer, offered(path, What::Directory)).await;
                Ok(())
            }
            Err(error) => Err((path, error)),
        },
        Step::Leave => {
            // It has no path that anybody wants to know.
            shared.offer(&Offer::Leave, offered(&Arc::default(), What::Directory)).await;
            Ok(())
        }
        Step::File { name, path, stat } => match Name::new(name) {
            Ok(name) => {
                let (mode, modified, size) = (stat.mode, stat.modified, Some(stat.size));
                shared
                    .offer(&Offer::File { name, mode, modified, size }, offered(path, What::File(*stat)))
                    .await;
                Ok(())
            }
            Err(error) => Err((path, error)),
        },
        Step::Pipe { name } => {
            let path = Arc::new(shown(name));
            match Name::new(name) {
                Ok(name) => {
                    let offer = Offer::File { name, mode: 0o644, modified: Default::default(), size: None };
                    shared.offer(&offer, offered(&path, What::Pipe)).await;
                }
                Err(error) => fail(shared, &path, &Trouble::new(Reason::Name, error.to_string())),
            }
            Ok(())
        }
        Step::Link { name, path, target, stat } => match Name::new(name) {
            Ok(name) => {
                shared
                    .offer(&Offer::Link { name, target, modified: stat.modified }, offered(path, What::Link))
                    .await;
                Ok(())
            }
            Err(error) => Err((path, error)),
        },
        Step::Trouble { path, trouble } => {
            fail(shared, path, trouble);
            Ok(())
        }
    };
    if let Err((path, error)) = result {
        fail(shared, path, &Trouble::new(Reason::Name, error.to_string()));
    }
}

fn fail(shared: &Shared, path: &Arc<std::path::PathBuf>, trouble: &Trouble) {
    add(&shared.counting.failed, 1);
    let (reason, text) = (trouble.reason, trouble.text.clone());
    shared.report(&SendEvent::Failed { path: Arc::clone(path), reason, text });
}
