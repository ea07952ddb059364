//! The streams that bring content.

use std::sync::Arc;

use quinn::RecvStream;
use squall::files::CHUNK;
use squall::files::wire::{ChunkHeader, Content, PackedFile};
use tokio::task::JoinSet;

use super::control::fault;
use super::event::add;
use super::incoming::Incoming;
use super::session::Shared;

/// Takes streams until the connection ends. How many there are at a time, QUIC bounds.
pub(super) async fn accept(shared: &Arc<Shared>) -> Result<(), String> {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            stream = shared.connection.accept_uni() => match stream {
                Ok(stream) => { streams.spawn(take(Arc::clone(shared), stream)); }
                // What broke is told by the connection.
                Err(_) => return Ok(()),
            },
            Some(taken) = streams.join_next() => match taken {
                Ok(result) => result?,
                Err(_) => return Err("what came was not taken to its end".into()),
            },
        }
    }
}

/// Reads a stream to its end and puts it where it belongs.
async fn take(shared: Arc<Shared>, stream: RecvStream) -> Result<(), String> {
    // A stream that was read to its end makes room for another: what waits for the disk is bounded here.
    let Ok(_room) = shared.room.acquire().await else { return Ok(()) };
    let Some(bytes) = read_all(stream).await? else { return Ok(()) };
    let Ok(worker) = Arc::clone(&shared.workers).acquire_owned().await else { return Ok(()) };
    let working = Arc::clone(&shared);
    let worked = shared.spawn(move || {
        let result = sort(&working, &bytes);
        drop(worker);
        result
    });
    worked.await.map_err(|_| "what came was not taken to its end".to_string())?
}

fn sort(shared: &Arc<Shared>, bytes: &[u8]) -> Result<(), String> {
    let Some((kind, bytes)) = bytes.split_first() else { return Err("a stream of content is empty".into()) };
    if shared.is_dry() {
        return Err("content came in a dry run".into());
    }
    match Content::of(*kind).map_err(fault)? {
        Content::Pack => unpack(shared, bytes),
        Content::Chunk => {
            let (header, start) = ChunkHeader::split(bytes).ok_or("a chunk's header is cut off")?;
            let bytes = &bytes[start..];
            add(&shared.counting.bytes, bytes.len() as u64);
            let Some(incoming) = file(shared, header.entry)? else { return Ok(()) };
            let next = incoming.take_chunk(&shared.receiver.room, header.index, bytes).map_err(fault)?;
            shared.act(header.entry, &incoming, next);
            Ok(())
        }
    }
}

fn unpack(shared: &Arc<Shared>, mut bytes: &[u8]) -> Result<(), String> {
    while !bytes.is_empty() {
        let (packed, start) =
            PackedFile::split(bytes).map_err(fault)?.ok_or("a packed file's header is cut off")?;
        let rest = &bytes[start..];
        let (content, behind) = rest.split_at_checked(packed.length).ok_or("a packed file is cut off")?;
        add(&shared.counting.bytes, content.len() as u64);
        if let Some(incoming) = file(shared, packed.entry)? {
            let next = incoming.take_whole(&shared.receiver.room, packed.modified, &packed.hash, content);
            shared.act(packed.entry, &incoming, next);
        }
        bytes = behind;
    }
    Ok(())
}

/// `None` for one that was settled meanwhile: what comes late for it is dropped.
fn file(shared: &Arc<Shared>, entry: u64) -> Result<Option<Arc<Incoming>>, String> {
    shared.file(entry).map_err(fault)
}

/// All bytes of a stream, in whatever order they come: none waits for one that was lost. `None` if it broke off.
async fn read_all(mut stream: RecvStream) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    loop {
        match stream.read_chunk(usize::MAX, false).await {
            Ok(Some(chunk)) => {
                let start = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(chunk.bytes.len());
                if end > MAX_STREAM {
                    return Err(format!("a stream of content has more than {MAX_STREAM} bytes"));
                }
                if bytes.len() < end {
                    if bytes.capacity() == 0 {
                        bytes.reserve_exact(MAX_STREAM.min(FIRST));
                    }
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(&chunk.bytes);
            }
            Ok(None) => return Ok(Some(bytes)),
            Err(_) => return Ok(None),
        }
    }
}

/// Bytes of a stream: a chunk, or as many small files, with what precedes them.
const MAX_STREAM: usize = CHUNK as usize + 4096;
/// What is set aside for a stream at first: a chunk with its header.
const FIRST: usize = CHUNK as usize + 32;
