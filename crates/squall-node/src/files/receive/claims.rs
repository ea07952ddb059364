//! Who writes which file: never two at once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The files that are being written, by their keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(Arc<Mutex<HashSet<String>>>);

/// A file that is somebody's until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Claims,
    key: String,
}

impl Claims {
    /// `None` if somebody else writes it.
    pub(super) fn take(&self, key: &str) -> Option<Claim> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.into());
        is_new.then(|| Claim { claims: self.clone(), key: key.into() })
    }
}

impl Claim {
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
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
}
