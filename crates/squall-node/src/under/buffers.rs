//! Memory for packets under way, used again and again.

/// Buffers of a few sizes. One that is given back is taken next: once as many are there as packets are
/// under way at most, nothing is allocated any more.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    free: [Vec<Box<[u8]>>; SIZES.len()],
}

/// The longest IP packet.
pub(super) const LONGEST: usize = 65_535;

impl Buffers {
    /// One of at least `length` bytes, up to [`LONGEST`]. What it holds is left from before.
    pub(super) fn take(&mut self, length: usize) -> Box<[u8]> {
        let class = SIZES.iter().position(|size| length <= *size).unwrap_or(SIZES.len() - 1);
        self.free[class].pop().unwrap_or_else(|| vec![0; SIZES[class]].into())
    }

    /// Takes one back.
    pub(super) fn give(&mut self, buffer: Box<[u8]>) {
        if let Some(class) = SIZES.iter().position(|size| buffer.len() == *size) {
            self.free[class].push(buffer);
        }
    }
}

/// A packet of the usual MTU, one of a jumbo frame's, and the longest.
const SIZES: [usize; 3] = [2048, 10 * 1024, LONGEST + 1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_given_back_is_taken_next() {
        let mut buffers = Buffers::default();
        for length in [0, 1500, 2048, 2049, 9000, LONGEST] {
            let buffer = buffers.take(length);
            assert!(buffer.len() >= length);
            let place = buffer.as_ptr();
            buffers.give(buffer);
            let next = buffers.take(length);
            assert_eq!(next.as_ptr(), place);
        }
    }
}
