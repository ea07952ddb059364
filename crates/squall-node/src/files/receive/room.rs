//! Who gives way on a disk that is full.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::claims::Claims;
use super::incoming::Incoming;
use crate::files::disk::{Folder, Trouble, data_name, journal_name};

/// What has come of files for which the disk had no room. It stays, so that they can be resumed, until others need
/// the room.
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
        if refused.iter().any(|refused| refused.key == incoming.key()) {
            return;
        }
        if refused.len() == MOST {
            refused.pop_front();
        }
        refused.push_back(Refused { key: incoming.key().into(), incoming: Arc::downgrade(incoming) });
    }

    /// Gives up what has come of one that was refused, and tells whether there was one.
    fn give_up_one(&self, for_key: &str) -> bool {
        let mut refused = self.refused();
        let mut others = (0..refused.len()).filter_map(|_| {
            let one = refused.pop_front()?;
            if one.key == for_key {
                refused.push_back(one);
                return None;
            }
            Some(one)
        });
        others.any(|one| match one.incoming.upgrade() {
            Some(incoming) => {
                // Unless it is asked for still, or again.
                let is_settled = incoming.is_settled();
                if is_settled {
                    incoming.give_up();
                }
                is_settled
            }
            None => match self.claims.take(&one.key) {
                Some(_claim) => {
                    let _ = self.staging.remove(&journal_name(&one.key));
                    self.staging.remove(&data_name(&one.key)).is_ok()
                }
                // Somebody resumes it.
                None => false,
            },
        })
    }

    fn refused(&self) -> MutexGuard<'_, VecDeque<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Files that are remembered; where there are more, the earliest keep what came of them.
const MOST: usize = 1024;
