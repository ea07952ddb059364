//! The sender's half of the control stream.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use quinn::RecvStream;
use squall::files::wire::{MAX_MESSAGE, Offer, split_message};
use squall::secure::Parting;
use tokio::time::{Instant, timeout_at};

use super::outlet::Say;
use super::plan::Planner;
use super::session::{Enlisted, Handle, Shared};
use crate::files::disk::show;
use crate::secure::close;

/// Reads offers to the end of the stream.
pub(super) async fn read(
    shared: &Arc<Shared>,
    handle: &Arc<Handle>,
    source: &Mutex<Option<Enlisted>>,
    mut stream: RecvStream,
) -> Result<(), String> {
    let mut planner = Planner::new(Arc::clone(shared));
    let mut bytes = Vec::with_capacity(BUFFER);
    let mut has_started = false;
    let deadline = Instant::now() + shared.receiver.config.first_word;
    loop {
        // Whoever does not listen is not heard either.
        shared.say.has_room().await;
        let start = bytes.len();
        bytes.resize(BUFFER, 0);
        let reading = stream.read(&mut bytes[start..]);
        let read = match has_started {
            true => reading.await,
            // Whoever says nothing keeps a place from others.
            false => match timeout_at(deadline, reading).await {
                Ok(read) => read,
                Err(_) => {
                    close(&shared.connection, Parting::Silent);
                    return Ok(());
                }
            },
        };
        // A connection that broke is told by the connection.
        let Ok(Some(read)) = read else { return Ok(()) };
        bytes.truncate(start + read);
        if !has_started {
            let Some((body, used)) = split_message(&bytes).map_err(fault)? else { continue };
            let Offer::Start { source: mark, options } = Offer::decode(body).map_err(fault)? else {
                return Err("a sender has to say first who it is".into());
            };
            // Who only asks what would be sent disturbs nobody.
            if !options.dry_run {
                let earlier = shared.receiver.enlist(mark, handle);
                // Before the wait, which may not come to its end here.
                *source.lock().unwrap_or_else(PoisonError::into_inner) = Some((mark, earlier.clone()));
                if let Some(earlier) = earlier {
                    earlier.supersede().await;
                }
            }
            planner.options = options;
            shared.is_dry.store(options.dry_run, Ordering::Relaxed);
            shared.say.send(Say::Ready);
            has_started = true;
            bytes.drain(..used);
        }
        let whole = whole_messages(&bytes)?;
        if whole == 0 {
            continue;
        }
        let rest = bytes.split_off(whole);
        let messages = std::mem::replace(&mut bytes, rest);
        let worked = shared.spawn(move || {
            let result = planner.take(&messages);
            (planner, result)
        });
        let (back, result) = worked.await.map_err(|_| "the plan came to an end".to_string())?;
        planner = back;
        result?;
    }
}

/// How many of `bytes` are messages that are there to their ends.
fn whole_messages(bytes: &[u8]) -> Result<usize, String> {
    let mut end = 0;
    while let Some((_, used)) = split_message(&bytes[end..]).map_err(fault)? {
        end += used;
    }
    Ok(end)
}

/// What the sender is told of a fault of its own.
pub(super) fn fault(error: impl std::fmt::Display) -> String {
    show(error.to_string().as_bytes())
}

/// Bytes that are read at a time; any message fits.
const BUFFER: usize = 4 * MAX_MESSAGE;
