//! A file in chunks.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use quinn::RecvStream;
use squall::files::wire::{ChunkHeader, Content, Offer, Reason, Run, read_comparison};
use squall::files::{CHUNK, Chunks, HASH, Hash};
use tokio::sync::mpsc;

use super::deliver::{Part, deliver};
use super::event::{SendEvent, SendFailure, add};
use super::shared::{Offered, Shared, What};
use super::small::{open, settle};
use crate::files::disk::{Root, Stat, Trouble, chunk_hash, file_hash, read_chunk, show};

/// A chunk that was read.
enum Chunk {
    /// It is sent.
    Differs { index: u64, bytes: Bytes, length: u64 },
    /// The receiver has it.
    Same { length: u64 },
}

/// How reading a file ended.
enum End {
    Whole {
        size: u64,
        stat: Option<Stat>,
        hash: Hash,
    },
    Again(Stat),
    Trouble(Trouble),
    /// Nobody wants it any more.
    Stopped,
}

/// Sends a file, or what of it differs from what the receiver tells over `known`.
///
/// # Errors
/// The connection is gone, or the receiver says what means nothing.
pub(super) async fn send(
    shared: &Arc<Shared>,
    entry: u64,
    file: Offered,
    known: Option<RecvStream>,
) -> Result<(), SendFailure> {
    let (hashes, told) = match known {
        Some(stream) => {
            let (hashes, told) = mpsc::channel(64);
            (Some((stream, hashes)), Some(told))
        }
        None => (None, None),
    };
    let size = match file.what {
        What::File(stat) => Some(stat.size),
        // It was read once, and cannot be read again.
        _ if file.chunks > 0 => {
            shared.say(&Offer::Withdraw {
                entry,
                reason: Reason::Content,
                text: "what came of standard input does not fit together",
            });
            return Ok(());
        }
        _ => None,
    };
    shared.report(&SendEvent::Begun { path: Arc::clone(&file.path), size });
    let (chunks, mut read) = mpsc::channel(AHEAD);
    let (path, what) = (Arc::clone(&file.path), file.what);
    let reading = tokio::task::spawn_blocking(move || match what {
        What::File(stat) => read_file(&path, &stat, told, &chunks),
        _ => read_pipe(told, &chunks),
    });
    let telling = async {
        match hashes {
            Some((stream, hashes)) => tell(entry, stream, &hashes).await,
            None => Ok(()),
        }
    };
    let delivering = async {
        while let Some(chunk) = read.recv().await {
            let (index, bytes, length) = match chunk {
                Chunk::Same { length } => {
                    add(&shared.counting.kept, length);
                    shared.report(&SendEvent::Progress {
                        path: Arc::clone(&file.path),
                        bytes: length,
                        sent: 0,
                    });
                    continue;
                }
                Chunk::Differs { index, bytes, length } => (index, bytes, length),
            };
            // It may have been refused meanwhile.
            match shared.entries().get_mut(entry) {
                Ok(open) => open.chunks += 1,
                Err(_) => break,
            }
            let mut head = vec![Content::Chunk.kind()];
            ChunkHeader { entry, index }.encode(&mut head);
            let part = Part { path: Arc::clone(&file.path), bytes: length, sent: bytes.len() as u64 };
            deliver(shared, vec![head.into(), bytes], vec![part]).await.map_err(lost)?;
        }
        // The reader stops where nobody listens.
        drop(read);
        Ok(())
    };
    tokio::try_join!(telling, delivering)?;
    let end = reading.await.map_err(|_| SendFailure::Fault("reading came to an end".into()))?;
    let Some(Offered { chunks, .. }) = shared.open(entry) else { return Ok(()) };
    match end {
        End::Whole { size, stat, hash } => {
            let modified = stat.map(|stat| stat.modified).unwrap_or_else(now);
            shared.answered(entry, size);
            shared.say(&Offer::Whole { entry, chunks, size, modified, hash });
        }
        End::Again(stat) => shared.again(entry, stat),
        End::Trouble(trouble) => {
            shared.say(&Offer::Withdraw { entry, reason: trouble.reason, text: &trouble.text })
        }
        End::Stopped => {}
    }
    Ok(())
}

pub(super) fn lost(error: quinn::ConnectionError) -> SendFailure {
    SendFailure::Lost(show(error.to_string().as_bytes()))
}

/// Reads what the receiver tells of a file, and passes it on in order.
async fn tell(
    entry: u64,
    mut stream: RecvStream,
    hashes: &mpsc::Sender<(u64, Hash)>,
) -> Result<(), SendFailure> {
    let fault = |text: String| Err(SendFailure::Fault(text));
    let (mut bytes, mut start) = (Vec::new(), 0);
    let mut is_begun = false;
    let mut next = 0;
    loop {
        let present = &bytes[start..];
        if !is_begun {
            match read_comparison(present) {
                Ok(Some((number, used))) if number == entry => {
                    start += used;
                    is_begun = true;
                    continue;
                }
                Ok(Some((number, _))) => {
                    return fault(format!("it tells of entry {number} instead of {entry}"));
                }
                Ok(None) => {}
                Err(error) => return fault(error.to_string()),
            }
        } else {
            match Run::split(present) {
                Ok(Some((run, used))) if present.len() >= used + run.count * HASH => {
                    if run.first < next {
                        return fault("its chunks are not in order".into());
                    }
                    let (list, _) = present[used..used + run.count * HASH].as_chunks::<HASH>();
                    for (index, hash) in (run.first..).zip(list) {
                        if hashes.send((index, *hash)).await.is_err() {
                            return Ok(());
                        }
                    }
                    next = run.first.saturating_add(run.count as u64);
                    start += used + run.count * HASH;
                    continue;
                }
                Ok(_) => {}
                Err(error) => return fault(error.to_string()),
            }
        }
        bytes.drain(..start);
        start = 0;
        match stream.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
            // It tells no more: the whole file, if not even this was told.
            Ok(None) | Err(quinn::ReadError::Reset(_)) => return Ok(()),
            Err(quinn::ReadError::ConnectionLost(error)) => return Err(lost(error)),
            Err(error) => return fault(error.to_string()),
        }
    }
}

/// What the receiver has, in the order of the chunks.
struct Known {
    told: Option<mpsc::Receiver<(u64, Hash)>>,
    next: Option<(u64, Hash)>,
}

impl Known {
    fn new(told: Option<mpsc::Receiver<(u64, Hash)>>) -> Self {
        Self { told, next: None }
    }

    /// Whether it has this chunk; asked for in ascending order.
    fn has(&mut self, index: u64, hash: &Hash) -> bool {
        let Some(told) = &mut self.told else { return false };
        while self.next.is_none_or(|(next, _)| next < index) {
            self.next = told.blocking_recv();
            if self.next.is_none() {
                self.told = None;
                return false;
            }
        }
        self.next == Some((index, *hash))
    }
}

fn read_file(
    path: &std::path::Path,
    offered: &Stat,
    told: Option<mpsc::Receiver<(u64, Hash)>>,
    chunks: &mpsc::Sender<Chunk>,
) -> End {
    // Where it ends before all was told, nothing more is wanted of that.
    read_file_against(path, offered, &mut Known::new(told), chunks).unwrap_or_else(End::Trouble)
}

fn read_file_against(
    path: &std::path::Path,
    offered: &Stat,
    known: &mut Known,
    chunks: &mpsc::Sender<Chunk>,
) -> Result<End, Trouble> {
    let failed = |errno| Trouble::of("cannot be read", errno);
    let file = File::from(open(path)?);
    let before = Stat::of(&file).map_err(failed)?;
    settle(&before);
    if (before.size, before.modified) != (offered.size, offered.modified) {
        return Ok(End::Again(before));
    }
    let places = Chunks::of(before.size);
    let (mut root, mut only) = (Root::default(), None);
    for index in 0..places.count() {
        let Some((_, length)) = places.place(index) else { break };
        let mut bytes = vec![0; length];
        let read =
            read_chunk(&file, index, &mut bytes).map_err(|error| Trouble::io("cannot be read", &error))?;
        if read < length {
            return Ok(End::Again(Stat::of(&file).map_err(failed)?));
        }
        let hash = chunk_hash(index, &bytes);
        root.push(hash);
        if places.count() == 1 {
            only = Some(file_hash(&bytes));
        }
        let length = length as u64;
        let chunk = if known.has(index, &hash) {
            Chunk::Same { length }
        } else {
            let bytes = if bytes.iter().all(|byte| *byte == 0) { Bytes::new() } else { bytes.into() };
            Chunk::Differs { index, bytes, length }
        };
        if chunks.blocking_send(chunk).is_err() {
            return Ok(End::Stopped);
        }
    }
    let after = Stat::of(&file).map_err(failed)?;
    if !after.is_same_content(&before) {
        // Of one that nobody can open any more, what was read is all there is, if nothing was written meanwhile.
        let is_gone =
            matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
        if !is_gone || (after.size, after.modified) != (before.size, before.modified) {
            return Ok(End::Again(after));
        }
    }
    let hash = only.or_else(|| root.finish()).unwrap_or_else(|| file_hash(&[]));
    Ok(End::Whole { size: before.size, stat: Some(before), hash })
}

fn read_pipe(told: Option<mpsc::Receiver<(u64, Hash)>>, chunks: &mpsc::Sender<Chunk>) -> End {
    read_pipe_against(&mut io::stdin().lock(), &mut Known::new(told), chunks)
}

fn read_pipe_against(input: &mut impl io::Read, known: &mut Known, chunks: &mpsc::Sender<Chunk>) -> End {
    let (mut root, mut first) = (Root::default(), None);
    let mut size = 0;
    for index in 0.. {
        let mut bytes = Vec::with_capacity(CHUNK as usize);
        if let Err(error) = input.by_ref().take(CHUNK).read_to_end(&mut bytes) {
            return End::Trouble(Trouble::io("cannot be read", &error));
        }
        if bytes.is_empty() {
            break;
        }
        let (hash, length) = (chunk_hash(index, &bytes), bytes.len() as u64);
        root.push(hash);
        if index == 0 {
            first = Some(file_hash(&bytes));
        }
        size += length;
        let chunk = match known.has(index, &hash) {
            true => Chunk::Same { length },
            false => Chunk::Differs { index, bytes: bytes.into(), length },
        };
        if chunks.blocking_send(chunk).is_err() {
            return End::Stopped;
        }
        if length < CHUNK {
            break;
        }
    }
    let hash = root.finish().or(first).unwrap_or_else(|| file_hash(&[]));
    End::Whole { size, stat: None, hash }
}

fn now() -> squall::files::wire::Modified {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    squall::files::wire::Modified { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() }
}

/// Chunks that are read ahead of what is sent.
const AHEAD: usize = 16;
