//! Buffers for datagrams that are under way.

/// Buffers that are used again, so that a datagram that waits costs no allocation once as many have waited
/// before.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: [Vec<Vec<u8>>; CLASSES.len()],
    kept: usize,
}

impl Pool {
    /// A buffer with a copy of `bytes`.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let class = CLASSES.iter().position(|class| bytes.len() <= *class).unwrap_or(CLASSES.len() - 1);
        let mut buffer = match self.free[class].pop() {
            Some(buffer) => {
                self.kept -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(CLASSES[class]),
        };
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back. More than [`KEPT`] bytes of them are not kept.
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        let class = CLASSES.iter().rposition(|class| buffer.capacity() >= *class);
        if let Some(class) = class.filter(|_| self.kept + buffer.capacity() <= KEPT) {
            buffer.clear();
            self.kept += buffer.capacity();
            self.free[class].push(buffer);
        }
    }
}

/// What buffers hold: most requests, an Ethernet frame, a jumbo frame, any datagram.
const CLASSES: [usize; 4] = [256, 2048, 16 * 1024, 64 * 1024];
/// Bytes of buffers that wait to be used again.
const KEPT: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_not_kept_without_bound() {
        let mut pool = Pool::default();
        for len in [0, 256, 257, 65_507] {
            let buffer = pool.copy(&vec![7; len]);
            assert_eq!(buffer, vec![7; len]);
            let memory = buffer.as_ptr();
            pool.give_back(buffer);
            let again = pool.copy(&vec![1; len]);
            assert_eq!((again.as_ptr(), again.len()), (memory, len));
            pool.give_back(again);
        }
        let many: Vec<_> = (0..2 * KEPT / 65_536).map(|_| pool.copy(&[0; 65_507])).collect();
        many.into_iter().for_each(|buffer| pool.give_back(buffer));
        assert!((KEPT / 2..=KEPT).contains(&pool.kept), "{}", pool.kept);
    }
}
