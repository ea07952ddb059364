//! Messages that wait to be written together.

use squall::chat::Message;

/// A row of messages. Its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: Vec<Row>,
    /// Names and texts, one behind the other.
    words: String,
    /// Rooms that are new, or have taken another's place, by their identifiers.
    pub(super) rooms: Vec<(u32, Box<str>)>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    number: u64,
    at: u64,
    room: u32,
    name: u32,
    text: u32,
}

/// A message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept<'a> {
    pub(super) room: u32,
    pub(super) number: u64,
    pub(super) at: u64,
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Batch {
    /// Adds a message, unless there are `limit` bytes then, or a length is beyond all measure.
    pub(super) fn push(&mut self, room: u32, message: &Message<'_>, limit: usize) -> bool {
        let (Ok(name), Ok(text)) = (u32::try_from(message.name.len()), u32::try_from(message.text.len()))
        else {
            return false;
        };
        if self.bytes() + size_of::<Row>() + message.name.len() + message.text.len() > limit {
            return false;
        }
        self.rows.push(Row { number: message.number, at: message.at, room, name, text });
        self.words.push_str(message.name);
        self.words.push_str(message.text);
        true
    }

    /// The messages, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Kept<'_>> {
        let mut rest = self.words.as_str();
        self.rows.iter().map(move |row| {
            let (name, after) = rest.split_at(row.name as usize);
            let (text, after) = after.split_at(row.text as usize);
            rest = after;
            Kept { room: row.room, number: row.number, at: row.at, name, text }
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no messages in it, though there may be rooms.
    pub(super) fn has_no_rows(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.rooms.is_empty()
    }

    /// What is in it, in bytes.
    fn bytes(&self) -> usize {
        self.rows.len() * size_of::<Row>() + self.words.len()
    }

    /// Empties it and keeps its memory; after a rush not all of it.
    pub(super) fn clear(&mut self) {
        const RESTING: usize = 1 << 20;
        if self.words.capacity() > RESTING && self.words.len() < RESTING / 2 {
            *self = Self::default();
        }
        self.rows.clear();
        self.words.clear();
        self.rooms.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_what_it_was_given_and_is_bounded() {
        let mut batch = Batch::default();
        let message = |number, name, text| Message { room: "lobby", number, at: 7, name, text };
        assert!(batch.push(3, &message(1, "ann", "hello"), 100));
        assert!(batch.push(4, &message(2, "", "ü"), 100));
        assert!(!batch.push(4, &message(3, "bob", &"x".repeat(50)), 100));
        let kept: Vec<_> = batch.iter().map(|kept| (kept.room, kept.number, kept.name, kept.text)).collect();
        assert_eq!(kept, [(3, 1, "ann", "hello"), (4, 2, "", "ü")]);
        batch.clear();
        assert!(batch.is_empty() && batch.iter().next().is_none());
    }

    #[test]
    fn memory_is_used_again_and_given_back_after_a_rush() {
        let mut batch = Batch::default();
        let text = "x".repeat(1000);
        let message = Message { room: "lobby", number: 1, at: 7, name: "ann", text: &text };
        for _ in 0..10_000 {
            assert!(batch.push(0, &message, usize::MAX));
        }
        batch.clear();
        assert!(batch.words.capacity() >= 10_000_000, "the next batch is as large, perhaps");
        batch.push(0, &message, usize::MAX);
        batch.clear();
        assert!(batch.words.capacity() < 10_000);
    }
}
