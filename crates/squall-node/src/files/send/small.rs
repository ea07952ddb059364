//! Small files, many to a stream.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use squall::files::CHUNK;
use squall::files::wire::{Content, Offer, PackedFile};

use super::deliver::Part;
use super::event::SendEvent;
use super::shared::{Offered, Shared};
use crate::files::disk::{Kind, Stat, Trouble, file_hash};

/// A pack that is to be sent.
pub(super) struct Pack {
    pub(super) bytes: Bytes,
    pub(super) parts: Vec<Part>,
}

/// Reads files into packs of no more than a chunk, or of one file. What cannot be sent is said.
pub(super) fn pack(shared: &Shared, files: &[(u64, Offered)]) -> Vec<Pack> {
    let mut packs = Vec::new();
    let (mut bytes, mut parts) = (Vec::new(), Vec::new());
    let mut content = Vec::new();
    for (entry, file) in files {
        match read(&file.path, &mut content) {
            Ok(Read::Whole(stat)) => {
                let length = content.len();
                shared.report(&SendEvent::Begun { path: Arc::clone(&file.path), size: Some(length as u64) });
                if bytes.len() + HEADER + length > CHUNK as usize && !parts.is_empty() {
                    let bytes = mem::take(&mut bytes).into();
                    packs.push(Pack { bytes, parts: mem::take(&mut parts) });
                }
                if bytes.is_empty() {
                    bytes.push(Content::Pack.kind());
                }
                let hash = file_hash(&content);
                PackedFile { entry: *entry, modified: stat.modified, hash, length }.encode(&mut bytes);
                bytes.extend_from_slice(&content);
                let length = length as u64;
                parts.push(Part { path: Arc::clone(&file.path), bytes: length, sent: length });
            }
            // It goes in chunks now.
            Ok(Read::Grown(stat)) => shared.again(*entry, stat),
            Err(trouble) => {
                shared.say(&Offer::Withdraw { entry: *entry, reason: trouble.reason, text: &trouble.text })
            }
        }
    }
    if !parts.is_empty() {
        packs.push(Pack { bytes: bytes.into(), parts });
    }
    packs
}

enum Read {
    /// All of it, as it was before.
    Whole(Stat),
    /// It is not small any more.
    Grown(Stat),
}

/// Reads a file that does not change meanwhile.
fn read(path: &Path, content: &mut Vec<u8>) -> Result<Read, Trouble> {
    for _ in 0..ATTEMPTS {
        let file = open(path)?;
        let before = Stat::of(&file).map_err(|errno| Trouble::of("cannot be read", errno))?;
        settle(&before);
        if before.size > CHUNK {
            return Ok(Read::Grown(before));
        }
        content.clear();
        let mut file = File::from(file);
        // One more than it should have, to see that it has no more.
        let read = io::Read::read_to_end(&mut io::Read::take(&mut file, before.size + 1), content);
        read.map_err(|error| Trouble::io("cannot be read", &error))?;
        let after = Stat::of(&file).map_err(|errno| Trouble::of("cannot be read", errno))?;
        if after.is_same_content(&before) && content.len() as u64 == before.size {
            return Ok(Read::Whole(before));
        }
    }
    Err(Trouble::new(squall::files::wire::Reason::Content, CHANGES))
}

/// Opens a file that was one when it was offered. A pipe or a device that took its place does not make this wait.
pub(super) fn open(path: &Path) -> Result<OwnedFd, Trouble> {
    // A link that took its place since is not followed; one that was named itself was followed before.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => Trouble::of("it is gone", errno),
        Errno::LOOP => Trouble::of("it is no file any more", errno),
        errno => Trouble::of("cannot be read", errno),
    })?;
    let stat = Stat::of(&file).map_err(|errno| Trouble::of("cannot be read", errno))?;
    match stat.kind {
        Kind::File => Ok(file),
        _ => Err(Trouble::of("it is no file any more", Errno::INVAL)),
    }
}

/// Waits until a change of a file that has just been changed would give it another time: file systems go by a clock
/// that moves every few milliseconds, and a change within the same one would not be seen.
pub(super) fn settle(stat: &Stat) {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::new(stat.changed.0.max(0) as u64, 0));
    let at = at.and_then(|at| at.checked_add(Duration::from_nanos(stat.changed.1.max(0) as u64)));
    if let Some(age) = at.and_then(|at| SystemTime::now().duration_since(at).ok())
        && age < CLOCK
    {
        thread::sleep(CLOCK - age);
    }
}

/// Bytes that precede a file in a pack, at most.
const HEADER: usize = 64;
/// More than what the clock of file systems moves by (CONFIG_HZ of 100 is the slowest).
const CLOCK: Duration = Duration::from_millis(20);
/// How often a file is read that changes meanwhile.
const ATTEMPTS: usize = 3;
/// What is said of it then.
pub(super) const CHANGES: &str = "it changes while it is read";
