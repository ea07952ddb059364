//! A file that is arriving, beside its journal.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::FallocateFlags;
use squall::files::{CHUNK, Chunks, Hash, Name};

use super::write_back::WriteBack;
use super::{Folder, Journal, Root, chunk_hash, file_hash};

/// What has come of a file, under a temporary name. Any thread may write a chunk while others write others.
#[derive(Debug)]
pub(in crate::files) struct Staged {
    data: File,
    journal: Journal,
    /// Nothing was there before: what is not written reads as zeros.
    is_fresh: bool,
    write_back: WriteBack,
}

impl Staged {
    /// Opens what earlier runs left under `key`, or begins it. What a crash of the machine may have taken is looked at.
    pub(in crate::files) fn open(staging: &Folder, key: &str) -> io::Result<Self> {
        let data = File::from(staging.write(&data_name(key), false)?);
        let is_fresh = data.metadata()?.len() == 0;
        // A journal without a file is of one that was renamed, and the process ended before it took the journal away.
        let journal = Journal::open(staging.write(&journal_name(key), is_fresh)?)?;
        let mut staged = Self { data, journal, is_fresh, write_back: WriteBack::default() };
        if !staged.journal.is_of_this_boot() {
            staged.look_again()?;
        }
        Ok(staged)
    }

    /// Takes out of the journal what the disk does not have.
    fn look_again(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; CHUNK as usize];
        let mut looked = Ok(());
        self.journal.each(|index, hash| {
            looked = read_chunk(&self.data, index, &mut bytes).and_then(|length| {
                // The last chunk may be shorter than what follows it in a file that was longer once; then it is sent
                // again.
                let is_there = length > 0 && chunk_hash(index, &bytes[..length]) == hash;
                if is_there { Ok(()) } else { self.journal.take(index) }
            });
            looked.is_ok()
        })?;
        looked?;
        self.journal.confirm()
    }

    /// Writes a chunk at `start`; none of its bytes means that they are all zero.
    pub(in crate::files) fn put(&self, index: u64, start: u64, bytes: &[u8], room: usize) -> io::Result<()> {
        // A chunk that came before may be other bytes; of one that came to no end nobody knows.
        let is_written = !self.is_fresh || self.journal.get(index)?.is_some();
        if is_written {
            self.journal.take(index)?;
        }
        let hash = if bytes.is_empty() {
            if is_written {
                self.clear(start, room)?;
            }
            chunk_hash(index, &ZEROS[..room])
        } else {
            if let Err(error) = self.data.write_all_at(bytes, start) {
                // What did not become a chunk is of no use, and on a full disk others may need the room.
                let _ = self.clear(start, room);
                return Err(error);
            }
            self.write_back.wrote(&self.data, start, bytes.len());
            chunk_hash(index, bytes)
        };
        self.journal.put(index, &hash)
    }

    /// Makes a place read as zeros, without using the disk where that is possible.
    fn clear(&self, start: u64, room: usize) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.data, flags, start, room as u64) {
            Ok(()) => Ok(()),
            // Not every file system has holes.
            Err(_) => self.data.write_all_at(&ZEROS[..room], start),
        }
    }

    /// Takes over a small file that was there whole before it had its name.
    pub(in crate::files) fn adopt(&self, staging: &Folder, key: &str, size: u64) -> io::Result<()> {
        let name = small_name(key);
        let Ok(name) = Name::new(name.as_bytes()) else { return Ok(()) };
        if Chunks::of(size).count() != 1 || self.journal.get(0)?.is_some() {
            return Ok(());
        }
        let Ok(small) = staging.read(name) else { return Ok(()) };
        let mut bytes = vec![0; size as usize];
        if read_fully(&File::from(small), &mut bytes, 0)? == bytes.len() {
            self.put(0, 0, &bytes, bytes.len())?;
        }
        Ok(())
    }

    /// The hash of a chunk, if it is there.
    pub(in crate::files) fn hash(&self, index: u64) -> io::Result<Option<Hash>> {
        self.journal.get(index)
    }

    /// No chunk from this one on is there.
    pub(in crate::files) fn end(&self) -> io::Result<u64> {
        self.journal.end()
    }

    /// The hash of the first `size` bytes, or the index of a chunk that is missing for it.
    pub(in crate::files) fn root(&self, size: u64) -> io::Result<Result<Hash, u64>> {
        let count = Chunks::of(size).count();
        if count < 2 {
            let mut bytes = vec![0; size as usize];
            if count == 1 && self.journal.get(0)?.is_none() {
                return Ok(Err(0));
            }
            let length = read_fully(&self.data, &mut bytes, 0)?;
            bytes[length..].fill(0);
            return Ok(Ok(file_hash(&bytes)));
        }
        let (mut root, mut next) = (Root::default(), 0);
        self.journal.each(|index, hash| {
            let follows = index == next && index < count;
            if follows {
                root.push(hash);
                next += 1;
            }
            follows
        })?;
        match root.finish() {
            Some(hash) if next == count => Ok(Ok(hash)),
            _ => Ok(Err(next)),
        }
    }

    /// What is in the file may not be on disk: it is looked at again before it is believed.
    pub(in crate::files) fn doubt(&self) {
        let _ = self.journal.doubt();
    }

    /// Gives the file the size that it is to have.
    pub(in crate::files) fn resize(&self, size: u64) -> io::Result<()> {
        // Before what they were is cut off: a file that is this long again later must not be taken for it.
        self.journal.cut(Chunks::of(size).count())?;
        self.data.set_len(size)
    }

    /// Waits until what has come is on disk, so far as that is possible, for a transfer that ends half-way.
    pub(in crate::files) fn sync(&self) {
        if self.data.sync_data().is_err() {
            self.doubt();
        }
    }

    pub(in crate::files) fn data(&self) -> &File {
        &self.data
    }
}

/// Reads a chunk, or as much of it as there is.
pub(in crate::files) fn read_chunk(file: &File, index: u64, bytes: &mut [u8]) -> io::Result<usize> {
    read_fully(file, bytes, index * CHUNK)
}

fn read_fully(file: &File, bytes: &mut [u8], start: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], start + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// What a file is called while it arrives.
pub(in crate::files) fn data_name(key: &str) -> String {
    format!("{key}.part")
}

/// What a small file is called until it has its name: it has no journal, and is not to be taken for the rest of a file
/// that had one.
pub(in crate::files) fn small_name(key: &str) -> String {
    format!("{key}.file")
}

/// What its journal is called.
pub(in crate::files) fn journal_name(key: &str) -> String {
    format!("{key}.chunks")
}

/// What the note of a directory's permissions is called.
pub(in crate::files) fn mode_name(key: &str) -> String {
    format!("{key}.mode")
}

static ZEROS: [u8; CHUNK as usize] = [0; CHUNK as usize];

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const C: usize = CHUNK as usize;

    fn file(size: usize) -> Vec<u8> {
        (0..size).map(|place| (place * 7 + place / 253) as u8).collect()
    }

    fn three_chunks(staging: &Folder) -> Staged {
        let staged = Staged::open(staging, "k").unwrap();
        for (index, chunk) in (0..).zip(file(3 * C).chunks(C)) {
            staged.put(index, index * CHUNK, chunk, C).unwrap();
        }
        staged
    }

    #[test]
    fn a_file_is_put_together_in_any_order_and_over_several_runs() {
        let root = tempfile::tempdir().unwrap();
        let staging = Folder::open(root.path()).unwrap();
        let mut bytes = file(3 * C + 10);
        bytes[C..2 * C].fill(0);
        let staged = Staged::open(&staging, "k").unwrap();
        staged.put(3, 3 * CHUNK, &bytes[3 * C..], 10).unwrap();
        staged.put(1, CHUNK, &[], C).unwrap();
        assert_eq!(staged.root(bytes.len() as u64).unwrap(), Err(0));
        drop(staged);
        let staged = Staged::open(&staging, "k").unwrap();
        staged.put(0, 0, &bytes[..C], C).unwrap();
        assert_eq!(staged.root(bytes.len() as u64).unwrap(), Err(2));
        staged.put(2, 2 * CHUNK, &bytes[2 * C..3 * C], C).unwrap();
        assert_eq!(staged.root(bytes.len() as u64).unwrap(), Ok(file_hash(&bytes)));
        staged.resize(bytes.len() as u64).unwrap();
        assert_eq!(fs::read(root.path().join("k.part")).unwrap(), bytes);
        // Zeros over what was something else.
        staged.put(0, 0, &[], C).unwrap();
        bytes[..C].fill(0);
        assert_eq!(fs::read(root.path().join("k.part")).unwrap(), bytes);
        let fresh = Staged::open(&staging, "fresh").unwrap();
        fresh.put(0, 0, &[1; C], C).unwrap();
        fresh.put(0, 0, &[], C).unwrap();
        assert_eq!(fs::read(root.path().join("fresh.part")).unwrap(), [0; C], "also in a file of this run");
        assert_eq!(staged.root(bytes.len() as u64).unwrap(), Ok(file_hash(&bytes)));
        assert_eq!(fs::read(root.path().join("k.part")).unwrap(), bytes);
    }

    #[test]
    fn what_a_crash_of_the_machine_took_is_not_believed() {
        let root = tempfile::tempdir().unwrap();
        let staging = Folder::open(root.path()).unwrap();
        let staged = three_chunks(&staging);
        drop(staged);
        // The journal is of another boot, a chunk was not written, and another not to its end.
        let journal = root.path().join("k.chunks");
        let mut head = fs::read(&journal).unwrap();
        head[20] ^= 1;
        fs::write(&journal, head).unwrap();
        let mut data = fs::read(root.path().join("k.part")).unwrap();
        data[C + 5] ^= 1;
        data.truncate(2 * C + 9);
        fs::write(root.path().join("k.part"), data).unwrap();
        let staged = Staged::open(&staging, "k").unwrap();
        let there = (0..staged.end().unwrap()).filter(|index| staged.hash(*index).unwrap().is_some());
        assert_eq!(there.collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn what_was_cut_off_is_not_believed_when_the_file_is_longer_again() {
        let root = tempfile::tempdir().unwrap();
        let staging = Folder::open(root.path()).unwrap();
        let staged = three_chunks(&staging);
        staged.resize(2 * CHUNK).unwrap();
        drop(staged);
        let staged = Staged::open(&staging, "k").unwrap();
        assert_eq!(staged.root(3 * CHUNK).unwrap(), Err(2));
        assert!(staged.root(2 * CHUNK).unwrap().is_ok());
    }

    #[test]
    fn a_journal_with_a_hole_of_terabytes_is_read_at_once() {
        let root = tempfile::tempdir().unwrap();
        let staging = Folder::open(root.path()).unwrap();
        let staged = Staged::open(&staging, "k").unwrap();
        staged.put(1 << 36, CHUNK << 36, &[], C).unwrap();
        assert_eq!(staged.root(CHUNK * ((1 << 36) + 1)).unwrap(), Err(0));
        let mut found = vec![];
        let note = |index, _| {
            found.push(index);
            true
        };
        staged.journal.each(note).unwrap();
        assert_eq!(found, [1 << 36]);
    }

    #[test]
    fn a_file_of_one_chunk_is_hashed_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let staging = Folder::open(root.path()).unwrap();
        let staged = Staged::open(&staging, "k").unwrap();
        assert_eq!(staged.root(0).unwrap(), Ok(file_hash(b"")));
        assert_eq!(staged.root(5).unwrap(), Err(0));
        staged.put(0, 0, b"12345", 5).unwrap();
        assert_eq!(staged.root(5).unwrap(), Ok(file_hash(b"12345")));
        let holes = Staged::open(&staging, "h").unwrap();
        holes.put(0, 0, &[], 9).unwrap();
        assert_eq!(holes.root(9).unwrap(), Ok(file_hash(&[0; 9])));
    }
}
