//! A file that arrives in chunks: where each belongs, and when that is all.

use super::wire::Modified;
use super::{CHUNK, Chunks, Hash};

/// A file whose chunks arrive in any order, and about which something may be said before some of them have come.
///
/// Which chunks are there, the receiver's journal knows; here is how many came, so that a file of any size costs the
/// same.
#[derive(Debug, Default)]
pub struct Assembly {
    /// `None` for what comes out of a pipe.
    size: Option<u64>,
    arrived: u64,
    said: Option<Said>,
}

/// What the sender said last of a file, to be acted on when the chunks that it sent before have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// All of it that differs is sent.
    Whole(Total),
    /// It is not what it was: what is there is to be told again.
    Again {
        /// The chunks sent for it until then.
        chunks: u64,
        /// Its bytes now.
        size: u64,
        /// When it was last changed.
        modified: Modified,
    },
}

impl Said {
    fn chunks(&self) -> u64 {
        match self {
            Said::Whole(total) => total.chunks,
            Said::Again { chunks, .. } => *chunks,
        }
    }
}

/// What the sender says of a whole file when it has sent all of it that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The chunks that it sent for the file until then.
    pub chunks: u64,
    /// The file's bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: Modified,
    /// The BLAKE3 hash of all of it.
    pub hash: Hash,
}

/// Why a chunk, or what was said of the whole, is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblyError {
    /// A chunk behind the end that the file was said to have.
    #[error("chunk {index} lies behind the file's {size} bytes")]
    Behind {
        /// Its index.
        index: u64,
        /// The file's size.
        size: u64,
    },
    /// A chunk that is longer or shorter than its place.
    #[error("chunk {index} has {length} bytes where {room} belong")]
    Length {
        /// Its index.
        index: u64,
        /// What came.
        length: usize,
        /// What belongs there.
        room: usize,
    },
    /// More chunks came than were said to.
    #[error("more than the {0} chunks that were said came")]
    Extra(u64),
    /// The whole has another size than was offered.
    #[error("the file has {size} bytes, not the {offered} that were offered")]
    Size {
        /// What was said at the end.
        size: u64,
        /// What was said at the start.
        offered: u64,
    },
}

impl Assembly {
    /// A file of which nothing is there.
    pub fn new(size: Option<u64>) -> Self {
        Self { size, ..Self::default() }
    }

    /// Where a chunk of `length` bytes with this index belongs.
    ///
    /// # Errors
    /// [`AssemblyError::Behind`], [`AssemblyError::Length`].
    pub fn place(&self, index: u64, length: usize) -> Result<u64, AssemblyError> {
        let behind = |size| AssemblyError::Behind { index, size };
        match self.size {
            Some(size) => match Chunks::of(size).place(index).ok_or(behind(size))? {
                (start, room) if room == length => Ok(start),
                (_, room) => Err(AssemblyError::Length { index, length, room }),
            },
            None => {
                let room = CHUNK as usize;
                if length == 0 || length > room {
                    return Err(AssemblyError::Length { index, length, room });
                }
                // Offsets of files are signed (off_t).
                let limit = i64::MAX as u64;
                index.checked_mul(CHUNK).filter(|start| *start < limit - CHUNK).ok_or(behind(limit))
            }
        }
    }

    /// The file's bytes, if that is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// How long the chunk with this index is, if the file's size is known.
    pub fn room(&self, index: u64) -> Option<usize> {
        self.size.and_then(|size| Chunks::of(size).place(index)).map(|(_, room)| room)
    }

    /// A chunk is where it belongs, from this sender.
    ///
    /// # Errors
    /// [`AssemblyError::Extra`].
    pub fn arrive(&mut self) -> Result<(), AssemblyError> {
        self.arrived += 1;
        if let Some(said) = &self.said
            && self.arrived > said.chunks()
        {
            return Err(AssemblyError::Extra(said.chunks()));
        }
        Ok(())
    }

    /// What the sender says of the file.
    ///
    /// # Errors
    /// [`AssemblyError::Size`], [`AssemblyError::Extra`].
    pub fn conclude(&mut self, said: Said) -> Result<(), AssemblyError> {
        if let (Said::Whole(total), Some(offered)) = (said, self.size)
            && offered != total.size
        {
            return Err(AssemblyError::Size { size: total.size, offered });
        }
        if self.arrived > said.chunks() {
            return Err(AssemblyError::Extra(said.chunks()));
        }
        self.said = Some(said);
        Ok(())
    }

    /// What the sender said last, once: when every chunk that it had sent before has come.
    pub fn poll(&mut self) -> Option<Said> {
        let said = self.said.take_if(|said| said.chunks() == self.arrived)?;
        self.size = Some(match said {
            Said::Whole(total) => total.size,
            Said::Again { size, .. } => size,
        });
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(chunks: u64, size: u64) -> Said {
        Said::Whole(Total { chunks, size, modified: Modified::default(), hash: [0; 32] })
    }

    #[test]
    fn a_file_is_complete_when_all_that_was_sent_has_come_in_any_order() {
        let size = 2 * CHUNK + 5;
        let mut file = Assembly::new(Some(size));
        file.arrive().unwrap();
        file.conclude(whole(2, size)).unwrap();
        assert_eq!(file.poll(), None);
        file.arrive().unwrap();
        assert_eq!(file.poll(), Some(whole(2, size)));
        assert_eq!(file.poll(), None, "it is told once");
    }

    #[test]
    fn sizes_that_are_lies_are_found() {
        let mut file = Assembly::new(Some(CHUNK + 5));
        assert_eq!(file.place(1, 5), Ok(CHUNK));
        assert_eq!(file.place(1, 6), Err(AssemblyError::Length { index: 1, length: 6, room: 5 }));
        let short = AssemblyError::Length { index: 0, length: 5, room: CHUNK as usize };
        assert_eq!(file.place(0, 5), Err(short));
        assert_eq!(file.place(2, 1), Err(AssemblyError::Behind { index: 2, size: CHUNK + 5 }));
        let wrong = AssemblyError::Size { size: CHUNK, offered: CHUNK + 5 };
        assert_eq!(file.conclude(whole(0, CHUNK)), Err(wrong));
        file.conclude(whole(1, CHUNK + 5)).unwrap();
        file.arrive().unwrap();
        assert_eq!(file.arrive(), Err(AssemblyError::Extra(1)));
        assert_eq!(file.conclude(whole(1, CHUNK + 5)), Err(AssemblyError::Extra(1)));
        let pipe = Assembly::new(None);
        assert_eq!(pipe.place(3, 1), Ok(3 * CHUNK));
        assert!(pipe.place(u64::MAX / CHUNK, 1).is_err());
        assert!(pipe.place(1 << 60, 1).is_err());
        assert!(pipe.place(0, CHUNK as usize + 1).is_err());
    }

    #[test]
    fn a_file_that_changed_is_told_again_after_what_was_sent_of_it_has_come() {
        let mut file = Assembly::new(Some(CHUNK));
        let again = Said::Again { chunks: 1, size: 2 * CHUNK, modified: Modified::default() };
        file.conclude(again).unwrap();
        assert_eq!(file.poll(), None);
        assert_eq!(file.room(1), None);
        file.arrive().unwrap();
        assert_eq!(file.poll(), Some(again));
        assert_eq!(file.room(1), Some(CHUNK as usize));
        file.conclude(whole(2, 2 * CHUNK)).unwrap();
        file.arrive().unwrap();
        assert_eq!(file.poll(), Some(whole(2, 2 * CHUNK)));
    }
}
