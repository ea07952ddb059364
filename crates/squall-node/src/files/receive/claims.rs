//! Who writes which file: never two at once.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The files that are being written, by their keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    numbers: HashMap<String, u64>,
    taken: u64,
}

/// A file that is somebody's until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Claims,
    key: String,
    /// No two claims have the same.
    number: u64,
}

impl Claims {
    /// `None` if somebody else writes it.
    pub(super) fn take(&self, key: &str) -> Option<Claim> {
        self.take_from(self.held(), key)
    }

    /// As [`Claims::take`], once the claim `number`, which is about to be dropped, is no more.
    pub(super) fn take_after(&self, number: u64, key: &str) -> Option<Claim> {
        let mut held = self.held();
        while held.numbers.get(key) == Some(&number) {
            held = self.0.released.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        self.take_from(held, key)
    }

    fn take_from(&self, mut held: MutexGuard<'_, Held>, key: &str) -> Option<Claim> {
        if held.numbers.contains_key(key) {
            return None;
        }
        held.taken += 1;
        let number = held.taken;
        held.numbers.insert(key.into(), number);
        Some(Claim { claims: self.clone(), key: key.into(), number })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.held().numbers.remove(&self.key);
        self.claims.0.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_file_is_written_by_one_at_a_time() {
        let claims = Claims::default();
        let first = claims.take("a").unwrap();
        assert!(claims.take("a").is_none());
        assert!(claims.take("b").is_some());
        drop(first);
        assert!(claims.take("a").is_some());
    }

    #[test]
    fn one_that_is_about_to_be_dropped_is_waited_for_and_no_other() {
        let claims = Claims::default();
        // Which of the two threads is first, the scheduler says.
        for _ in 0..500 {
            let first = claims.take("a").unwrap();
            let number = first.number();
            let both = Barrier::new(2);
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    both.wait();
                    claims.take_after(number, "a")
                });
                both.wait();
                drop(first);
                let second = waiting.join().unwrap().unwrap();
                assert!(claims.take_after(number, "a").is_none());
                drop(second);
            });
            assert!(claims.take_after(number, "a").is_some());
        }
    }
}
