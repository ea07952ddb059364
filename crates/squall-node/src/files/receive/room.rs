//! Who gives way on a disk that is full.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::claims::Claims;
use super::incoming::Incoming;
use crate::files::disk::{Folder, Trouble, data_name, journal_name};

/// What has come of files for which the disk had no room. It stays, so that they can be resumed, until others need
/// the room; those of an earlier run of the receiver never give way.
#[derive(Debug)]
pub(super) struct Room {
    staging: Arc<Folder>,
    claims: Claims,
    refused: Mutex<VecDeque<Refused>>,
}

#[derive(Debug)]
struct Refused {
    key: String,
    /// While something still comes for it.
    incoming: Weak<Incoming>,
}

impl Room {
    pub(super) fn new(staging: Arc<Folder>, claims: Claims) -> Self {
        Self { staging, claims, refused: Mutex::default() }
    }

    /// Writes something of a file. Where there is no room, one after the other of those that were refused for that gives
    /// its own up.
    ///
    /// # Errors
    /// There is no room for it either, or it cannot be written for another reason.
    pub(super) fn write<R>(
        &self,
        incoming: &Arc<Incoming>,
        what: impl Fn() -> io::Result<R>,
    ) -> Result<R, Trouble> {
        loop {
            match what() {
                Ok(written) => return Ok(written),
                Err(error) if is_full(&error) => {
                    if !self.give_up_one(incoming.key()) {
                        self.keep(incoming);
                        let mut trouble = Trouble::io("cannot be written", &error);
                        trouble.text +=
                            "; what has come of it stays in .squall-partial until others need the room";
                        return Err(trouble);
                    }
                }
                Err(error) => return Err(Trouble::io("cannot be written", &error)),
            }
        }
    }

    fn keep(&self, incoming: &Arc<Incoming>) {
        let mut refused = self.refused();
        refused.retain(|refused| refused.key != incoming.key());
        if refused.len() == MOST {
            refused.pop_front();
        }
        refused.push_back(Refused { key: incoming.key().into(), incoming: Arc::downgrade(incoming) });
    }

    /// Gives up what has come of one that was refused, and tells whether there was one.
    fn give_up_one(&self, for_key: &str) -> bool {
        let mut refused = self.refused();
        for _ in 0..refused.len() {
            let Some(one) = refused.pop_front() else { break };
            let is_given_up = one.key != for_key
                && match one.incoming.upgrade() {
                    // It is about to be.
                    Some(incoming) if !incoming.is_settled() => false,
                    Some(incoming) => {
                        incoming.give_up();
                        return true;
                    }
                    None => match self.claims.take(&one.key) {
                        Some(_claim) => {
                            for name in [journal_name(&one.key), data_name(&one.key)] {
                                let _ = self.staging.remove(&name);
                            }
                            return true;
                        }
                        // Somebody resumes it, and is remembered anew if there is no room again.
                        None => true,
                    },
                };
            if !is_given_up {
                refused.push_back(one);
            }
        }
        false
    }

    fn refused(&self) -> MutexGuard<'_, VecDeque<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Files that are remembered; where there are more, the earliest never give way.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use squall::files::Name;

    use super::super::incoming::Replacing;
    use super::*;

    struct House {
        root: tempfile::TempDir,
        folder: Arc<Folder>,
        room: Room,
    }

    impl House {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let folder = Arc::new(Folder::open(root.path()).unwrap());
            let room = Room::new(Arc::clone(&folder), Claims::default());
            Self { root, folder, room }
        }

        /// A file of which something has come.
        fn begun(&self, key: &str) -> Arc<Incoming> {
            let name = Name::new(key.as_bytes()).unwrap();
            let claim = self.room.claims.take(key).unwrap();
            let (folder, staging) = (Arc::clone(&self.folder), Arc::clone(&self.folder));
            let replacing = Replacing::Possible;
            let incoming = Incoming::new(folder, name, 0o644, None, None, replacing, claim, staging, false);
            incoming.staged().unwrap().put(0, 0, b"come", 4).unwrap();
            Arc::new(incoming)
        }

        fn has(&self, key: &str) -> bool {
            self.root.path().join(data_name(key)).exists()
        }

        /// Writes something for which there is room after as many files have given way; whether that was enough.
        fn write(&self, incoming: &Arc<Incoming>, after: u32) -> bool {
            let tried = Cell::new(0);
            let write = || match tried.replace(tried.get() + 1) {
                tries if tries < after => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            };
            self.room.write(incoming, write).is_ok()
        }
    }

    #[test]
    fn one_after_the_other_gives_way_when_nobody_asks_for_it_any_more() {
        let house = House::new();
        let [one, other, third] = ["one", "other", "third"].map(|key| house.begun(key));
        assert!(!house.write(&one, 1) && !house.write(&other, 1), "neither is given up yet");
        assert!(house.has("one") && house.has("other"));
        one.settle();
        other.settle();
        drop(other);
        assert!(house.write(&third, 1));
        assert!(!house.has("one") && house.has("other"), "no more gives way than is needed");
        assert!(house.write(&third, 1));
        assert!(!house.has("other"));
        assert!(!house.write(&third, 1) && house.has("third"), "its own stays");
    }

    #[test]
    fn what_is_resumed_does_not_give_way() {
        let house = House::new();
        let [one, other] = ["one", "other"].map(|key| house.begun(key));
        assert!(!house.write(&one, 1));
        one.settle();
        drop(one);
        let again = house.begun("one");
        assert!(!house.write(&other, 1) && house.has("one"));
        drop(again);
    }
}
