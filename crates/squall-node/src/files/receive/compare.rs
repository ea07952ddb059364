//! Telling the sender what is there of a file.

use std::io;
use std::sync::Arc;

use squall::files::wire::{MAX_RUN, Run, encode_comparison};
use squall::files::{CHUNK, Chunks, Hash};
use tokio::sync::mpsc;

use super::incoming::{Incoming, Next};
use super::outlet::Say;
use super::session::Shared;
use crate::files::disk::{Root, Trouble, file_hash, read_chunk};

/// Tells of one file after the other: the sender reads them in the order in which they were said, so none waits for a
/// stream that is not there yet.
pub(super) async fn run(
    shared: &Arc<Shared>,
    mut waiting: mpsc::UnboundedReceiver<(u64, Arc<Incoming>)>,
) -> Result<(), String> {
    while let Some((entry, incoming)) = waiting.recv().await {
        shared.say.send(Say::Compare(entry));
        // A connection that broke is told by the connection.
        let Ok(mut stream) = shared.connection.open_uni().await else { return Ok(()) };
        let (blocks, mut told) = mpsc::channel(4);
        let reading = {
            let (incoming, over) = (Arc::clone(&incoming), Arc::clone(shared));
            shared.spawn(move || tell(entry, &incoming, &blocks, || over.is_over()))
        };
        while let Some(block) = told.recv().await {
            let written: Result<(), quinn::WriteError> = stream.write_all(&block).await;
            if written.is_err() {
                // The sender does not want to know any more.
                break;
            }
        }
        drop(told);
        match reading.await {
            Ok(Ok(())) => {
                let _ = stream.finish();
            }
            Ok(Err(error)) => {
                // Nothing more is told, and then that it is not taken.
                let _ = stream.reset(0_u32.into());
                let trouble = Trouble::io("what is there of it cannot be read", &error);
                shared.act(entry, &incoming, Next::Refuse(trouble));
            }
            Err(_) => return Err("the comparison came to an end".into()),
        }
    }
    Ok(())
}

/// Reads what is there, of earlier runs first and of the file that has the name otherwise.
fn tell(
    entry: u64,
    incoming: &Incoming,
    blocks: &mpsc::Sender<Vec<u8>>,
    is_over: impl Fn() -> bool,
) -> io::Result<()> {
    let mut out = Vec::new();
    encode_comparison(entry, &mut out);
    let begun = incoming.begun()?;
    if let (Some(staged), Some(size)) = (begun, incoming.size()) {
        incoming.adopt(staged, size)?;
    }
    let existing = incoming.existing.as_ref();
    let mut end = existing.map_or(0, |existing| Chunks::of(existing.stat.size).count());
    if let Some(staged) = begun {
        end = end.max(staged.end()?);
    }
    let mut root = Root::default();
    let (mut first, mut run) = (0, Vec::<Hash>::with_capacity(MAX_RUN));
    let mut bytes = vec![0; CHUNK as usize];
    for index in 0..end {
        if incoming.is_settled() || is_over() {
            return Ok(());
        }
        let mut hash = begun.map_or(Ok(None), |staged| staged.hash(index))?;
        if let Some(existing) = existing {
            let room = incoming
                .room(index)
                .or_else(|| Chunks::of(existing.stat.size).place(index).map(|(_, room)| room));
            let there = room.map_or(Ok(None), |room| existing.chunk(index, room, &mut bytes))?;
            if let Some(there) = there {
                root.push(there);
            }
            hash = hash.or(there);
        }
        let Some(hash) = hash else { continue };
        if run.len() == MAX_RUN || first + run.len() as u64 != index {
            flush(first, &mut run, &mut out);
            first = index;
        }
        run.push(hash);
        if out.len() >= BLOCK && blocks.blocking_send(std::mem::take(&mut out)).is_err() {
            return Ok(());
        }
    }
    flush(first, &mut run, &mut out);
    if let Some(existing) = existing
        && incoming.size() == Some(existing.stat.size)
    {
        let hash = match root.finish() {
            Some(hash) => hash,
            None => {
                let length = read_chunk(&existing.file, 0, &mut bytes)?;
                file_hash(&bytes[..length])
            }
        };
        let _ = existing.hash.set(hash);
    }
    let _ = blocks.blocking_send(out);
    Ok(())
}

fn flush(first: u64, run: &mut Vec<Hash>, out: &mut Vec<u8>) {
    if !run.is_empty() {
        Run { first, count: run.len() }.encode(out);
        run.drain(..).for_each(|hash| out.extend_from_slice(&hash));
    }
}

/// Bytes that are handed over at a time.
const BLOCK: usize = 16 * 1024;
