//! Who gives way on a disk that is full.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::claims::Claims;
use super::incoming::{Incoming, Next};
use crate::files::disk::{Folder, Trouble, data_name, journal_name};

/// What has come of files for which the disk had no room. It stays, so that they can be resumed, until others need
/// the room; those of an earlier run of the receiver never give way.
#[derive(Debug)]
pub(super) struct Room {
    staging: Arc<Folder>,
    claims: Claims,
    refused: Mutex<VecDeque<Refused>>,
    /// How often one gave way.
    made: AtomicU64,
}

#[derive(Debug)]
struct Refused {
    key: String,
    claim: u64,
    /// While something still comes for it.
    incoming: Weak<Incoming>,
}

impl Room {
    pub(super) fn new(staging: Arc<Folder>, claims: Claims) -> Self {
        Self { staging, claims, refused: Mutex::default(), made: AtomicU64::new(0) }
    }

    /// Writes something of a file. Where there is no room, one after the other of those that were refused for that gives
    /// its own up.
    ///
    /// # Errors
    /// [`Next::Refuse`]: there is no room for it either, or it cannot be written for another reason. [`Next::Wait`]:
    /// nobody waits for it any more.
    pub(super) fn write<R>(
        &self,
        incoming: &Arc<Incoming>,
        what: impl Fn() -> io::Result<R>,
    ) -> Result<R, Next> {
        loop {
            let made = self.made.load(Ordering::Acquire);
            match incoming.write(&what).ok_or(Next::Wait)? {
                Ok(written) => return Ok(written),
                Err(error) if is_full(&error) => {
                    if !self.make(made, incoming.key()) {
                        self.keep(incoming);
                        let mut trouble = Trouble::io("cannot be written", &error);
                        trouble.text +=
                            "; what has come of it stays in .squall-partial until others need the room";
                        return Err(Next::Refuse(trouble));
                    }
                }
                Err(error) => return Err(Next::Refuse(Trouble::io("cannot be written", &error))),
            }
        }
    }

    fn keep(&self, incoming: &Arc<Incoming>) {
        let mut files = self.refused();
        if incoming.is_settled() {
            // It was another of its chunks that did not fit first.
            return;
        }
        files.retain(|refused| refused.key != incoming.key());
        if files.len() == MOST {
            files.pop_front();
        }
        let claim = incoming.claim().number();
        files.push_back(Refused { key: incoming.key().into(), claim, incoming: Arc::downgrade(incoming) });
    }

    /// Whether there may be more room than when it had been made `made` times.
    fn make(&self, made: u64, for_key: &str) -> bool {
        let mut files = self.refused();
        // Of several that find the disk full at once, the first makes room for all.
        if self.made.load(Ordering::Acquire) != made {
            return true;
        }
        let is_made = self.give_up_one(&mut files, for_key);
        self.made.fetch_add(u64::from(is_made), Ordering::Release);
        is_made
    }

    /// Gives up what has come of one that was refused, and tells whether there was one.
    fn give_up_one(&self, files: &mut VecDeque<Refused>, for_key: &str) -> bool {
        for _ in 0..files.len() {
            let Some(one) = files.pop_front() else { break };
            let is_given_up = one.key != for_key
                && match one.incoming.upgrade() {
                    // It is about to be.
                    Some(incoming) if !incoming.is_settled() => false,
                    Some(incoming) => {
                        incoming.give_up();
                        return true;
                    }
                    None => match self.claims.take_after(one.claim, &one.key) {
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
                files.push_back(one);
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
    use std::sync::Barrier;

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
    fn room_that_another_made_meanwhile_is_used() {
        let house = House::new();
        let [one, other, third] = ["one", "other", "third"].map(|key| house.begun(key));
        assert!(!house.write(&one, 1));
        one.settle();
        let is_first = Cell::new(true);
        let written = house.room.write(&other, || match is_first.replace(false) {
            true => {
                assert!(house.write(&third, 1));
                Err(io::ErrorKind::StorageFull.into())
            }
            false => Ok(()),
        });
        assert!(written.is_ok());
    }

    #[test]
    fn what_gave_way_is_not_written_any_more() {
        let house = House::new();
        let one = house.begun("one");
        let (writing, gives_way) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let put = || {
                    writing.wait();
                    gives_way.wait();
                    one.staged()?.put(1, 4096, &[7; 4096], 4096)
                };
                assert!(house.room.write(&one, put).is_ok());
            });
            writing.wait();
            one.settle();
            gives_way.wait();
            one.give_up();
        });
        assert!(!house.has("one"));
        assert_eq!(
            one.staged().unwrap().data().metadata().unwrap().len(),
            0,
            "whoever still wrote is waited for"
        );
        let late = house.room.write(&one, || -> io::Result<()> { panic!("nobody waits for it") });
        assert!(matches!(late, Err(Next::Wait)));
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
