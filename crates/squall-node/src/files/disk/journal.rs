//! What has come of a file, in a file beside it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use squall::files::wire::MAX_RUN;
use squall::files::{HASH, Hash};

/// The hashes of the chunks that are there, each at a place of its own, so that a chunk costs one write and a journal
/// that ends in the middle is one that says less. A chunk's hash is written after its bytes, and taken out before they
/// are replaced: whenever the process ends, what the journal says is there is there.
///
/// When the machine ends, it may say more than the disk has. So it knows during which run of the machine it was
/// written, and what it says is looked at again when that was another one.
#[derive(Debug)]
pub(in crate::files) struct Journal {
    file: fs::File,
    is_of_this_boot: bool,
}

impl Journal {
    /// Opens what `fd` has, and begins it where it is none.
    pub(in crate::files) fn open(fd: OwnedFd) -> io::Result<Self> {
        let file = fs::File::from(fd);
        let mut head = [0; HEAD.len() + BOOT];
        let length = file.read_at(&mut head, 0)?;
        let (mark, boot) = head.split_at(HEAD.len());
        let is_journal = length == head.len() && mark == HEAD;
        let present = boot_id();
        if !is_journal {
            file.set_len(0)?;
            file.write_all_at(HEAD, 0)?;
            file.write_all_at(&present, HEAD.len() as u64)?;
        }
        // Where the system does not say which run it is, every one is another.
        let is_known = present != [0; BOOT];
        Ok(Self { file, is_of_this_boot: !is_journal || is_known && boot == present })
    }

    /// Whether what it says was written since the machine was started.
    pub(in crate::files) fn is_of_this_boot(&self) -> bool {
        self.is_of_this_boot
    }

    /// What it says was looked at.
    pub(in crate::files) fn confirm(&mut self) -> io::Result<()> {
        self.file.write_all_at(&boot_id(), HEAD.len() as u64)?;
        self.is_of_this_boot = true;
        Ok(())
    }

    /// What it says may not be on disk: it counts as that of another run of the machine.
    pub(in crate::files) fn doubt(&self) -> io::Result<()> {
        self.file.write_all_at(&[b'?'; BOOT], HEAD.len() as u64)
    }

    /// A chunk is there.
    pub(in crate::files) fn put(&self, index: u64, hash: &Hash) -> io::Result<()> {
        self.file.write_all_at(hash, place(index))
    }

    /// A chunk is not there any more.
    pub(in crate::files) fn take(&self, index: u64) -> io::Result<()> {
        self.file.write_all_at(&ABSENT, place(index))
    }

    /// The hash of a chunk that is there.
    pub(in crate::files) fn get(&self, index: u64) -> io::Result<Option<Hash>> {
        let mut hash = ABSENT;
        match self.file.read_exact_at(&mut hash, place(index)) {
            Ok(()) => Ok(Some(hash).filter(|hash| *hash != ABSENT)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// No chunk from this one on is there.
    pub(in crate::files) fn end(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().saturating_sub(START) / HASH as u64)
    }

    /// No chunk from `count` on is there any more.
    pub(in crate::files) fn cut(&self, count: u64) -> io::Result<()> {
        if self.end()? > count { self.file.set_len(place(count)) } else { Ok(()) }
    }

    /// Tells each chunk that is there and its hash, in ascending order, until `tell` says no.
    pub(in crate::files) fn each(&self, mut tell: impl FnMut(u64, Hash) -> bool) -> io::Result<()> {
        let mut block = vec![0; MAX_RUN * HASH];
        let mut first = 0;
        loop {
            // One of which little came has holes, as large as a sender likes.
            match rustix::fs::seek(&self.file, SeekFrom::Data(place(first))) {
                Ok(data) => first = first.max(data.saturating_sub(START) / HASH as u64),
                Err(Errno::NXIO) => return Ok(()),
                // Not every file system knows.
                Err(_) => {}
            }
            let mut length = 0;
            while length < block.len() {
                match self.file.read_at(&mut block[length..], place(first) + length as u64)? {
                    0 => break,
                    read => length += read,
                }
            }
            for (index, hash) in (first..).zip(block[..length].as_chunks::<HASH>().0) {
                if *hash != ABSENT && !tell(index, *hash) {
                    return Ok(());
                }
            }
            if length < block.len() {
                return Ok(());
            }
            first += MAX_RUN as u64;
        }
    }
}

fn place(index: u64) -> u64 {
    START + index * HASH as u64
}

/// Which run of the machine this is (random(4)); zeros where the system does not say.
fn boot_id() -> [u8; BOOT] {
    let mut id = [0; BOOT];
    if let Ok(text) = fs::read("/proc/sys/kernel/random/boot_id") {
        let length = text.len().min(BOOT);
        id[..length].copy_from_slice(&text[..length]);
    }
    id
}

const HEAD: &[u8] = b"squall chunks 1\n";
/// Characters of a boot's number.
const BOOT: usize = 36;
/// Where the hashes begin: a page behind the head.
const START: u64 = 4096;
/// No hash, as far as anybody will ever see.
const ABSENT: Hash = [0; HASH];

#[cfg(test)]
mod tests {
    use super::*;

    fn reopen(path: &std::path::Path) -> Journal {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).unwrap();
        Journal::open(file.into()).unwrap()
    }

    fn all(journal: &Journal) -> Vec<(u64, u8)> {
        let mut found = vec![];
        journal
            .each(|index, hash| {
                found.push((index, hash[0]));
                true
            })
            .unwrap();
        found
    }

    #[test]
    fn what_was_put_is_there_when_it_is_opened_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("j");
        let journal = reopen(&path);
        assert!(journal.is_of_this_boot());
        for index in [0, 5, 255, 256, 100_000] {
            journal.put(index, &[index as u8 | 1; 32]).unwrap();
        }
        journal.take(5).unwrap();
        drop(journal);
        let journal = reopen(&path);
        assert!(journal.is_of_this_boot());
        assert_eq!(all(&journal), [(0, 1), (255, 255), (256, 1), (100_000, 161)]);
        assert_eq!(journal.get(255).unwrap(), Some([255; 32]));
        assert_eq!((journal.get(5).unwrap(), journal.get(1 << 40).unwrap()), (None, None));
        let mut told = 0;
        journal
            .each(|_, _| {
                told += 1;
                false
            })
            .unwrap();
        assert_eq!(told, 1);
    }

    #[test]
    fn one_of_another_boot_is_known_for_it_until_it_was_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("j");
        reopen(&path).put(1, &[1; 32]).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[HEAD.len()] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let mut journal = reopen(&path);
        assert!(!journal.is_of_this_boot());
        journal.confirm().unwrap();
        drop(journal);
        let journal = reopen(&path);
        assert!(journal.is_of_this_boot());
        assert_eq!(all(&journal), [(1, 1)]);
    }

    #[test]
    fn what_is_no_journal_is_begun_anew() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("j");
        fs::write(&path, vec![b'x'; 10_000]).unwrap();
        let journal = reopen(&path);
        assert_eq!(all(&journal), []);
        // And one whose last hash is cut off says what is before it.
        journal.put(0, &[1; 32]).unwrap();
        journal.put(1, &[2; 32]).unwrap();
        journal.file.set_len(START + 40).unwrap();
        assert_eq!(all(&journal), [(0, 1)]);
        assert_eq!(journal.get(1).unwrap(), None);
    }
}
