//! How a file is cut.

/// Bytes of a chunk, which is hashed, sent and remembered as a whole: 128 KiB. A power of two, so that it is a subtree
/// of BLAKE3's tree and the hash of a file follows from those of its chunks. About ninety packets of 1452 bytes: far
/// below the thousand gaps at which a QUIC stream is given up, and small enough that what a stop in the middle costs
/// is a few of them.
pub const CHUNK: u64 = 128 * 1024;

/// Bytes of a hash.
pub const HASH: usize = 32;

/// A BLAKE3 hash: a whole file's, or what stands for a chunk in the tree above it.
pub type Hash = [u8; HASH];

/// The chunks of a file of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    size: u64,
}

impl Chunks {
    /// Those of a file with `size` bytes.
    pub fn of(size: u64) -> Self {
        Self { size }
    }

    /// How many; an empty file has none.
    pub fn count(self) -> u64 {
        self.size.div_ceil(CHUNK)
    }

    /// Where the chunk with this index begins and how long it is; `None` behind the file's end.
    pub fn place(self, index: u64) -> Option<(u64, usize)> {
        let start = index.checked_mul(CHUNK).filter(|start| *start < self.size)?;
        // At most `CHUNK`, which fits.
        Some((start, (self.size - start).min(CHUNK) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_a_file_and_nothing_behind_it() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 10 * CHUNK + 7] {
            let chunks = Chunks::of(size);
            let mut end = 0;
            for index in 0..chunks.count() {
                let (start, length) = chunks.place(index).unwrap();
                assert_eq!(start, end);
                assert!(length > 0 && length as u64 <= CHUNK);
                end = start + length as u64;
            }
            assert_eq!(end, size);
            assert_eq!(chunks.place(chunks.count()), None);
        }
        assert_eq!(Chunks::of(u64::MAX).place(u64::MAX), None);
    }
}
