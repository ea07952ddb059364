//! A file that was asked for.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use squall::files::wire::{Modified, Reason};
use squall::files::{Assembly, AssemblyError, CHUNK, Chunks, Hash, Name, Said, Total};

use super::claims::Claim;
use super::room::Room;
use crate::files::disk::{
    Folder, Staged, Stat, Trouble, chunk_hash, data_name, file_hash, journal_name, read_chunk,
    set_file_times, small_name,
};

/// A file that was asked for: where it goes, and what of it is there.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) folder: Arc<Folder>,
    name: Box<[u8]>,
    mode: u32,
    /// What has its name now, if it may be something else than what is coming.
    pub(super) existing: Option<Existing>,
    /// Whether something of its name is replaced.
    pub(super) replacing: Replacing,
    claim: Claim,
    staging: Arc<Folder>,
    /// Something of it came in an earlier run.
    is_begun: bool,
    staged: OnceLock<Staged>,
    opening: Mutex<()>,
    assembly: Mutex<Assembly>,
    attempts: AtomicU8,
    is_settled: AtomicBool,
    /// Shared by those that write it.
    writing: RwLock<()>,
}

/// A file that is there already.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) file: File,
    pub(super) stat: Stat,
    /// Its hash, once it was read.
    pub(super) hash: OnceLock<Hash>,
}

/// What becomes of what has a name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replacing {
    /// It is replaced.
    Asked,
    /// It would be, but nobody asked for it.
    Possible,
    /// The receiver replaces nothing.
    Never,
}

impl Replacing {
    pub(super) fn is_asked(self) -> bool {
        self == Self::Asked
    }

    /// That `what` stays, and why.
    pub(super) fn refuse(self, what: &str) -> Trouble {
        let why = match self {
            Self::Asked | Self::Possible => "--force replaces it",
            Self::Never => "the receiver replaces nothing",
        };
        Trouble::new(Reason::Exists, format!("{what}; {why}"))
    }
}

/// What follows from something that came.
#[derive(Debug)]
pub(super) enum Next {
    /// More is to come.
    Wait,
    /// What is there is to be told again.
    Compare,
    /// It is whole, and goes under its name when it is on disk.
    Commit(Ready),
    /// It was there all the time.
    Unchanged,
    /// It is not taken.
    Refuse(Trouble),
}

/// A file that is whole, under a temporary name.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) file: OwnedFd,
    /// The temporary name.
    pub(super) name: String,
    pub(super) size: u64,
}

impl Incoming {
    #[expect(clippy::too_many_arguments, reason = "a record, made in one place")]
    pub(super) fn new(
        folder: Arc<Folder>,
        name: Name<'_>,
        mode: u32,
        size: Option<u64>,
        existing: Option<Existing>,
        replacing: Replacing,
        claim: Claim,
        staging: Arc<Folder>,
        is_begun: bool,
    ) -> Self {
        Self {
            folder,
            name: name.as_bytes().into(),
            mode,
            existing,
            replacing,
            claim,
            staging,
            is_begun,
            staged: OnceLock::new(),
            opening: Mutex::new(()),
            assembly: Mutex::new(Assembly::new(size)),
            attempts: AtomicU8::new(0),
            is_settled: AtomicBool::new(false),
            writing: RwLock::new(()),
        }
    }

    pub(super) fn name(&self) -> Name<'_> {
        Name::new(&self.name).unwrap_or_else(|_| unreachable!("it was a name"))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path_of(self.name())
    }

    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }

    pub(super) fn key(&self) -> &str {
        self.claim.key()
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.assembly().size()
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// Nothing more is written; what still comes is dropped. `false` if it was so already.
    pub(super) fn settle(&self) -> bool {
        !self.is_settled.swap(true, Ordering::Relaxed)
    }

    /// What has come of it, in this run or an earlier one.
    pub(super) fn staged(&self) -> io::Result<&Staged> {
        // One opens it: it may be begun anew by that.
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(staged) = self.staged.get() {
            return Ok(staged);
        }
        let staged = Staged::open(&self.staging, self.key())?;
        Ok(self.staged.get_or_init(|| staged))
    }

    /// What has come of it; `None` if nothing has.
    pub(super) fn begun(&self) -> io::Result<Option<&Staged>> {
        let is_begun = self.is_begun || self.staged.get().is_some();
        if is_begun { self.staged().map(Some) } else { Ok(None) }
    }

    /// Takes away what was beside the file, when that has its name.
    pub(super) fn forget(&self) {
        if self.staged.get().is_some() {
            let _ = self.staging.remove(&journal_name(self.key()));
            let _ = self.staging.remove(&data_name(self.key()));
            let _ = self.staging.remove(&small_name(self.key()));
        }
    }

    /// The transfer ends before it is whole: what has come of it is brought to disk.
    pub(super) fn leave(&self) {
        self.settle();
        if let Some(staged) = self.staged.get() {
            staged.sync();
        }
    }

    /// Writes something of it; `None` if nobody waits for it any more.
    pub(super) fn write<R>(&self, what: impl FnOnce() -> R) -> Option<R> {
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        (!self.is_settled()).then(what)
    }

    /// What has come of it is taken away, although it is not whole: others need the room. Nobody waits for it any more.
    pub(super) fn give_up(&self) {
        // One that still writes would take the room again.
        let _writing = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        self.forget();
        if let Some(staged) = self.staged.get() {
            let _ = staged.resize(0);
        }
    }

    /// The disk did not take what was written: it is not to be believed later.
    pub(super) fn doubt(&self) {
        if let Some(staged) = self.staged.get() {
            staged.doubt();
        }
        let _ = self.staging.remove(&small_name(self.key()));
    }

    /// Takes over what an earlier run left of a small file.
    pub(super) fn adopt(&self, staged: &Staged, size: u64) -> io::Result<()> {
        staged.adopt(&self.staging, self.key(), size)
    }

    /// How long a chunk is, where that is known.
    pub(super) fn room(&self, index: u64) -> Option<usize> {
        self.assembly().room(index)
    }

    /// A small file, whole.
    pub(super) fn take_whole(
        self: &Arc<Self>,
        room: &Room,
        modified: Modified,
        hash: &Hash,
        bytes: &[u8],
    ) -> Next {
        if self.is_settled() {
            return Next::Wait;
        }
        if file_hash(bytes) != *hash {
            return self.again("what came is not what was sent");
        }
        if let Some(refusal) = self.refuse_to_replace() {
            return refusal;
        }
        let write = || -> io::Result<OwnedFd> {
            let fd = self.staging.write(&small_name(self.key()), true)?;
            let mut file = File::from(fd);
            let written = io::Write::write_all(&mut file, bytes).and_then(|()| self.dress(&file, modified));
            if let Err(error) = written {
                // It is there whole or not at all.
                let _ = self.staging.remove(&small_name(self.key()));
                return Err(error);
            }
            Ok(file.into())
        };
        match room.write(self, write) {
            Ok(file) => Next::Commit(Ready { file, name: small_name(self.key()), size: bytes.len() as u64 }),
            Err(next) => next,
        }
    }

    /// A chunk.
    ///
    /// # Errors
    /// What no honest sender does.
    pub(super) fn take_chunk(
        self: &Arc<Self>,
        room: &Room,
        index: u64,
        bytes: &[u8],
    ) -> Result<Next, AssemblyError> {
        if self.is_settled() {
            return Ok(Next::Wait);
        }
        let (start, length) = {
            let assembly = self.assembly();
            // No bytes at all stand for zeros.
            let length =
                if bytes.is_empty() { assembly.room(index).unwrap_or(CHUNK as usize) } else { bytes.len() };
            (assembly.place(index, length)?, length)
        };
        if let Some(refusal) = self.refuse_to_replace() {
            return Ok(refusal);
        }
        let put = || self.staged().and_then(|staged| staged.put(index, start, bytes, length));
        if let Err(next) = room.write(self, put) {
            return Ok(next);
        }
        let said = {
            let mut assembly = self.assembly();
            assembly.arrive()?;
            assembly.poll()
        };
        Ok(said.map_or(Next::Wait, |said| self.act_on(room, said)))
    }

    /// What the sender says of the file.
    ///
    /// # Errors
    /// What no honest sender does.
    pub(super) fn take_word(self: &Arc<Self>, room: &Room, said: Said) -> Result<Next, AssemblyError> {
        if self.is_settled() {
            return Ok(Next::Wait);
        }
        let said = {
            let mut assembly = self.assembly();
            assembly.conclude(said)?;
            assembly.poll()
        };
        Ok(said.map_or(Next::Wait, |said| self.act_on(room, said)))
    }

    fn act_on(self: &Arc<Self>, room: &Room, said: Said) -> Next {
        match said {
            Said::Again { .. } => self.again("it changed again and again while it was sent"),
            Said::Whole(total) => room.write(self, || self.finish(&total)).unwrap_or_else(|next| next),
        }
    }

    /// All that is to come has come.
    fn finish(&self, total: &Total) -> io::Result<Next> {
        if let Some(existing) = &self.existing {
            if existing.hash.get() == Some(&total.hash) {
                match self.replacing.is_asked() {
                    true => self.dress(&existing.file, total.modified)?,
                    // Its content is what was sent, and it keeps what else it is; its owner may be somebody else.
                    false => drop(set_file_times(&existing.file, total.modified)),
                }
                return Ok(Next::Unchanged);
            }
            if let Some(refusal) = self.refuse_to_replace() {
                return Ok(refusal);
            }
            self.copy_from(&existing.file, total.size)?;
        }
        let staged = self.staged()?;
        match staged.root(total.size)? {
            Ok(hash) if hash == total.hash => {}
            _ => return Ok(self.again("what came is not what was sent")),
        }
        staged.resize(total.size)?;
        self.dress(staged.data(), total.modified)?;
        let file = staged.data().as_fd().try_clone_to_owned()?;
        Ok(Next::Commit(Ready { file, name: data_name(self.key()), size: total.size }))
    }

    /// Takes the chunks that the sender did not send from the file that is there.
    fn copy_from(&self, file: &File, size: u64) -> io::Result<()> {
        let staged = self.staged()?;
        let chunks = Chunks::of(size);
        let mut bytes = vec![0; CHUNK as usize];
        // No more than it has, whatever a sender says.
        let present = Chunks::of(file.metadata()?.len()).count();
        for index in 0..chunks.count().min(present) {
            if self.is_settled() {
                break;
            }
            let Some((start, room)) = chunks.place(index) else { break };
            if staged.hash(index)?.is_none() && read_chunk(file, index, &mut bytes[..room])? == room {
                let is_zero = bytes[..room].iter().all(|byte| *byte == 0);
                staged.put(index, start, if is_zero { &[] } else { &bytes[..room] }, room)?;
            }
        }
        Ok(())
    }

    /// Gives an open file the permissions and the time that it is to have.
    fn dress(&self, file: &File, modified: Modified) -> io::Result<()> {
        rustix::fs::fchmod(file, rustix::fs::Mode::from_raw_mode(self.mode & 0o777))?;
        Ok(set_file_times(file, modified)?)
    }

    fn refuse_to_replace(&self) -> Option<Next> {
        (self.existing.is_some() && !self.replacing.is_asked())
            .then(|| Next::Refuse(self.replacing.refuse("another file of that name is there")))
    }

    /// Asks anew, but not for ever.
    fn again(&self, why: &str) -> Next {
        match self.attempts.fetch_add(1, Ordering::Relaxed) {
            0..ATTEMPTS => Next::Compare,
            _ => Next::Refuse(Trouble::new(Reason::Content, why)),
        }
    }

    fn assembly(&self) -> MutexGuard<'_, Assembly> {
        self.assembly.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Existing {
    /// The hash of a chunk of it, if it has one of this length there.
    pub(super) fn chunk(&self, index: u64, room: usize, bytes: &mut [u8]) -> io::Result<Option<Hash>> {
        let length = read_chunk(&self.file, index, &mut bytes[..room])?;
        Ok((length == room).then(|| chunk_hash(index, &bytes[..room])))
    }
}

/// How often a file is asked for anew when what came does not fit together, or it changed meanwhile.
const ATTEMPTS: u8 = 5;
