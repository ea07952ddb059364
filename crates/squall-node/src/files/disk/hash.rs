//! BLAKE3 of a file from the hashes of its chunks.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use squall::files::{CHUNK, Hash};

/// What stands for the chunk with this index in BLAKE3's tree (its chaining value). It depends on the place of the
/// chunk: the same bytes elsewhere have another.
pub(in crate::files) fn chunk_hash(index: u64, bytes: &[u8]) -> Hash {
    debug_assert!(!bytes.is_empty() && bytes.len() as u64 <= CHUNK);
    blake3::Hasher::new().set_input_offset(index * CHUNK).update(bytes).finalize_non_root()
}

/// The hash of a file that is one chunk at most.
pub(in crate::files) fn file_hash(bytes: &[u8]) -> Hash {
    blake3::hash(bytes).into()
}

/// Joins the hashes of the chunks of a file, which come in order, to the file's. Memory grows with the logarithm of
/// their number.
#[derive(Debug, Default)]
pub(in crate::files) struct Root {
    /// Subtrees of falling size, each a power of two of chunks, as in section 5.1.2 of the
    /// [paper](https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf).
    stack: Vec<Hash>,
    count: u64,
}

impl Root {
    /// Takes the next chunk's.
    pub(in crate::files) fn push(&mut self, hash: Hash) {
        // The last two are joined only when another one follows: were there none, that would be the root.
        while self.stack.len() > self.count.count_ones() as usize {
            let (right, left) = (self.stack.pop(), self.stack.pop());
            if let (Some(left), Some(right)) = (left, right) {
                self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
            }
        }
        self.stack.push(hash);
        self.count += 1;
    }

    /// The file's. `None` for a file that is one chunk at most: its hash is [`file_hash`].
    pub(in crate::files) fn finish(mut self) -> Option<Hash> {
        if self.count < 2 {
            return None;
        }
        let mut right = self.stack.pop()?;
        while self.stack.len() > 1 {
            right = merge_subtrees_non_root(&self.stack.pop()?, &right, Mode::Hash);
        }
        Some(merge_subtrees_root(&self.stack.pop()?, &right, Mode::Hash).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_of_chunks_give_the_hash_that_b3sum_shows() {
        let chunk = CHUNK as usize;
        for size in
            [chunk + 1, 2 * chunk, 2 * chunk + 1, 3 * chunk, 5 * chunk + 77, 8 * chunk, 13 * chunk - 1]
        {
            let file: Vec<u8> = (0..size).map(|place| (place * 31 + place / 251) as u8).collect();
            let mut root = Root::default();
            for (index, bytes) in (0..).zip(file.chunks(chunk)) {
                root.push(chunk_hash(index, bytes));
            }
            assert_eq!(root.finish(), Some(file_hash(&file)), "{size}");
        }
    }

    #[test]
    fn a_file_of_one_chunk_has_no_other_hash_than_its_own() {
        let mut root = Root::default();
        root.push(chunk_hash(0, b"x"));
        assert_eq!(root.finish(), None);
        assert_eq!(Root::default().finish(), None);
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(blake3::Hash::from(file_hash(b"")).to_hex().as_str(), empty);
    }
}
