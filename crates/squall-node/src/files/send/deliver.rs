//! Content on its way.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::event::{SendEvent, add};
use super::shared::Shared;

/// Part of a stream's content.
pub(super) struct Part {
    pub(super) path: Arc<PathBuf>,
    /// Bytes of the file that it stands for.
    pub(super) bytes: u64,
    /// Bytes that are sent for them; zeros need none.
    pub(super) sent: u64,
}

/// Sends `pieces` over a stream of their own. It returns when QUIC has them; that they have arrived is reported.
///
/// # Errors
/// The connection is gone.
pub(super) async fn deliver(
    shared: &Arc<Shared>,
    mut pieces: Vec<Bytes>,
    parts: Vec<Part>,
) -> Result<(), quinn::ConnectionError> {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    shared.limit.pass(length).await;
    let Ok(permit) = Arc::clone(&shared.budget).acquire_owned().await else { return Ok(()) };
    let mut stream = shared.connection.open_uni().await?;
    match stream.write_all_chunks(&mut pieces).await {
        Ok(()) => {}
        Err(quinn::WriteError::ConnectionLost(error)) => return Err(error),
        // The receiver does not want this one.
        Err(_) => return Ok(()),
    }
    let _ = stream.finish();
    add(&shared.counting.handed, parts.iter().map(|part| part.sent).sum());
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        // It ends when all of it is acknowledged, or the connection is gone.
        let arrived = stream.stopped().await;
        drop(permit);
        if arrived.is_ok() {
            for Part { path, bytes, sent } in parts {
                add(&shared.counting.sent, sent);
                shared.report(&SendEvent::Progress { path, bytes, sent });
            }
        }
    });
    Ok(())
}
