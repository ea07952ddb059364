//! A file that arrives in chunks: which are there, and when that is all.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::wire::Modified;
use super::{CHUNK, Chunks, Hash};

/// Which chunks of a file are there.
///
/// They arrive in any order, and what the sender says of the whole may arrive before some of them. Memory is a bit for
/// each chunk near those that are there: whoever claims a size and sends nothing costs none.
#[derive(Debug, Default)]
pub struct Assembly {
    /// `None` for what comes out of a pipe.
    size: Option<u64>,
    pages: BTreeMap<u64, Box<[u64; WORDS]>>,
    present: u64,
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
    pub fn arrive(&mut self, index: u64) -> Result<(), AssemblyError> {
        self.arrived += 1;
        if let Some(said) = &self.said
            && self.arrived > said.chunks()
        {
            return Err(AssemblyError::Extra(said.chunks()));
        }
        self.have(index);
        Ok(())
    }

    /// A chunk is there, from an earlier run or a file that is there.
    pub fn have(&mut self, index: u64) {
        let (page, word, bit) = spot(index);
        let words = self.pages.entry(page).or_insert_with(|| Box::new([0; WORDS]));
        if words[word] & bit == 0 {
            words[word] |= bit;
            self.present += 1;
        }
    }

    /// A chunk is not there, whatever was said before.
    pub fn lose(&mut self, index: u64) {
        let (page, word, bit) = spot(index);
        if let Some(words) = self.pages.get_mut(&page)
            && words[word] & bit != 0
        {
            words[word] &= !bit;
            self.present -= 1;
        }
    }

    /// Whether a chunk is there.
    pub fn has(&self, index: u64) -> bool {
        let (page, word, bit) = spot(index);
        self.pages.get(&page).is_some_and(|words| words[word] & bit != 0)
    }

    /// How many chunks are there.
    pub fn present(&self) -> u64 {
        self.present
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

/// Chunks of a page of bits: 4096, half a gigabyte of a file.
const WORDS: usize = 64;

fn spot(index: u64) -> (u64, usize, u64) {
    let per_page = WORDS as u64 * 64;
    (index / per_page, (index % per_page / 64) as usize, 1 << (index % 64))
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
        file.have(0);
        file.arrive(2).unwrap();
        file.conclude(whole(2, size)).unwrap();
        assert_eq!(file.poll(), None);
        file.arrive(1).unwrap();
        assert_eq!(file.poll(), Some(whole(2, size)));
        assert_eq!(file.poll(), None, "it is told once");
        assert_eq!(file.present(), 3);
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
        file.arrive(0).unwrap();
        assert_eq!(file.arrive(1), Err(AssemblyError::Extra(1)));
        assert_eq!(file.conclude(whole(1, CHUNK + 5)), Err(AssemblyError::Extra(1)));
        let pipe = Assembly::new(None);
        assert_eq!(pipe.place(3, 1), Ok(3 * CHUNK));
        assert!(pipe.place(u64::MAX / CHUNK, 1).is_err());
        assert!(pipe.place(1 << 60, 1).is_err());
        assert!(pipe.place(0, CHUNK as usize + 1).is_err());
    }

    #[test]
    fn whoever_claims_much_and_sends_nothing_costs_nothing() {
        let mut file = Assembly::new(Some(i64::MAX as u64));
        assert!(!file.has(1 << 40));
        assert_eq!(file.pages.len(), 0);
        for index in [0, 1, 4095, 4096, 1 << 40] {
            file.have(index);
            file.have(index);
        }
        assert_eq!((file.pages.len(), file.present()), (3, 5));
        file.lose(1);
        file.lose(1);
        file.lose(2);
        assert_eq!((file.has(0), file.has(1), file.present()), (true, false, 4));
    }

    #[test]
    fn a_file_that_changed_is_told_again_after_what_was_sent_of_it_has_come() {
        let mut file = Assembly::new(Some(CHUNK));
        let again = Said::Again { chunks: 1, size: 2 * CHUNK, modified: Modified::default() };
        file.conclude(again).unwrap();
        assert_eq!(file.poll(), None);
        assert_eq!(file.room(1), None);
        file.arrive(0).unwrap();
        assert_eq!(file.poll(), Some(again));
        assert_eq!((file.room(1), file.present()), (Some(CHUNK as usize), 1));
        file.conclude(whole(2, 2 * CHUNK)).unwrap();
        file.arrive(1).unwrap();
        assert_eq!(file.poll(), Some(whole(2, 2 * CHUNK)));
    }
}
