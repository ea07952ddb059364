//! What the tests of chat share.

use std::sync::{Arc, Mutex, PoisonError};

use squall_proto::chat::{History, Message, Query, Recall, RecallError, Recalled};

/// A history whose messages outlive the hub.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<(String, Recalled)>>>);

impl Kept {
    /// Looks at all that is kept, with the rooms' names.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Vec<(String, Recalled)>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is kept of a room.
    pub(crate) fn of(&self, wanted: &str) -> Vec<Recalled> {
        self.with(|all| all.iter().filter(|(room, _)| room == wanted).map(|(_, kept)| kept.clone()).collect())
    }
}

impl History for Kept {
    fn last_number(&mut self, room: &str) -> u64 {
        self.of(room).last().map_or(0, |last| last.number)
    }

    fn keep(&mut self, message: &Message<'_>) {
        let Message { room, number, at, name, text } = *message;
        let kept = Recalled { number, at, name: name.to_string(), text: text.to_string() };
        self.with(|all| all.push((room.to_string(), kept)));
    }

    fn ask(&mut self, _recall: Recall, query: &Query<'_>) -> Result<Option<Vec<Recalled>>, RecallError> {
        Ok(Some(match *query {
            Query::Last { room, count } => {
                let all = self.of(room);
                all[all.len().saturating_sub(count as usize)..].to_vec()
            }
            Query::Since { room, number, count } => {
                let later = self.of(room).into_iter().filter(|kept| kept.number > number);
                later.take(count as usize).collect()
            }
            Query::Find { room, words, count } => {
                let found = self.of(room).into_iter().filter(|kept| kept.text.contains(words));
                found.take(count as usize).collect()
            }
        }))
    }
}
