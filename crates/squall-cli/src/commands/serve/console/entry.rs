//! The line in which orders are typed.

use std::collections::VecDeque;

use squall_node::chat::control::HELP;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::keys::Key;
use crate::commands::chat::screen::editor::Editor;

/// An order that is being typed, and those that were.
#[derive(Debug, Default)]
pub(super) struct Entry {
    editor: Editor,
    /// The last orders, the newest last.
    past: VecDeque<String>,
    /// Which of them is looked at, counted from the newest.
    back: usize,
    /// What was being typed before one was.
    present: String,
}

/// What a key asks for, beyond another look of the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// To do what this line says.
    Do(String),
    /// To end the node.
    End,
}

impl Entry {
    /// Does what `key` is for.
    pub(super) fn press(&mut self, key: Key) -> Asked {
        match key {
            Key::Enter => return Asked::Do(self.submit()),
            Key::Interrupt => return Asked::End,
            Key::EndOfInput if self.editor.is_empty() => return Asked::End,
            Key::EndOfInput | Key::DeleteRight => self.editor.delete_right(),
            Key::Character(character) => self.editor.insert(character.encode_utf8(&mut [0; 4])),
            Key::Tab => self.complete(),
            Key::Left => self.editor.left(),
            Key::Right => self.editor.right(),
            Key::WordLeft => self.editor.word_left(),
            Key::WordRight => self.editor.word_right(),
            Key::Home => self.editor.home(),
            Key::End => self.editor.end(),
            Key::Up => self.look_back(self.back + 1),
            Key::Down => self.look_back(self.back.saturating_sub(1)),
            Key::DeleteLeft => self.editor.delete_left(),
            Key::CutWordLeft => self.editor.cut_word_left(),
            Key::CutWordRight => self.editor.cut_word_right(),
            Key::CutToStart => self.editor.cut_to_start(),
            Key::CutToEnd => self.editor.cut_to_end(),
            Key::PasteCut => self.editor.paste_cut(),
            Key::Redraw => {}
        }
        Asked::Nothing
    }

    /// What `columns` show of it: what stands before the cursor, at it and behind it.
    pub(super) fn seen(&self, columns: usize) -> (&str, &str, &str) {
        let (before, behind) = self.editor.text().split_at(self.editor.cursor());
        let at = behind.graphemes(true).next().unwrap_or("");
        let behind = &behind[at.len()..];
        let columns = columns.saturating_sub(at.width().max(1));
        // The end of what stands before, if there is more, and then as much of the rest as fits.
        let ahead = behind.width().min(columns / 3);
        let mut room = columns - ahead;
        let mut start = before.len();
        for (place, grapheme) in before.grapheme_indices(true).rev() {
            let Some(left) = room.checked_sub(grapheme.width()) else { break };
            (room, start) = (left, place);
        }
        (&before[start..], at, fitting(behind, ahead + room))
    }

    fn submit(&mut self) -> String {
        let line = self.editor.take();
        self.back = 0;
        if !line.trim().is_empty() && self.past.back() != Some(&line) {
            if self.past.len() == REMEMBERED {
                self.past.pop_front();
            }
            self.past.push_back(line.clone());
        }
        line
    }

    fn look_back(&mut self, back: usize) {
        if back > self.past.len() || back == self.back {
            return;
        }
        if self.back == 0 {
            self.present = self.editor.take();
        }
        self.back = back;
        match back {
            0 => self.editor.set(&self.present),
            _ => self.editor.set(&self.past[self.past.len() - back]),
        }
    }

    /// Completes the order that is being typed, as far as there is no doubt which.
    fn complete(&mut self) {
        let start = self.editor.text()[..self.editor.cursor()].to_owned();
        if start.is_empty() || start.contains(char::is_whitespace) {
            return;
        }
        let orders = HELP.lines().filter_map(|line| line.split_whitespace().next()).chain(["help"]);
        let mut fitting = orders.filter(|order| order.starts_with(&start));
        let Some(first) = fitting.next() else { return };
        match fitting.fold(first, |common, order| shared(common, order)) {
            common if common == first => self.editor.insert(&format!("{} ", &first[start.len()..])),
            common => self.editor.insert(&common[start.len()..]),
        }
    }
}

/// The beginning of `text` that has no more than `columns`.
pub(super) fn fitting(text: &str, columns: usize) -> &str {
    let mut room = columns;
    for (place, grapheme) in text.grapheme_indices(true) {
        match room.checked_sub(grapheme.width()) {
            Some(left) => room = left,
            None => return &text[..place],
        }
    }
    text
}

/// What two orders, which are ASCII, begin with.
fn shared<'a>(one: &'a str, other: &str) -> &'a str {
    let length = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    &one[..length]
}

/// Orders that are remembered.
const REMEMBERED: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Entry {
        let mut entry = Entry::default();
        press(&mut entry, text);
        entry
    }

    fn press(entry: &mut Entry, text: &str) {
        for character in text.chars() {
            assert_eq!(entry.press(Key::Character(character)), Asked::Nothing);
        }
    }

    #[test]
    fn up_and_down_leaf_through_what_was_typed_and_come_back_to_what_is_being_typed() {
        let mut entry = Entry::default();
        for order in ["one", "two", "two", " "] {
            press(&mut entry, order);
            assert_eq!(entry.press(Key::Enter), Asked::Do(order.into()));
        }
        press(&mut entry, "thr");
        for (key, text) in [
            (Key::Up, "two"),
            (Key::Up, "one"),
            (Key::Up, "one"),
            (Key::Down, "two"),
            (Key::Down, "thr"),
            (Key::Down, "thr"),
        ] {
            entry.press(key);
            assert_eq!(entry.editor.text(), text);
        }
    }

    #[test]
    fn tab_completes_an_order_as_far_as_it_is_clear_which() {
        for (text, completed) in [
            ("mem", "members "),
            ("k", "kick "),
            ("st", "stats "),
            ("b", "ban "),
            ("s", "s"),
            ("x", "x"),
            ("", ""),
            ("kick b", "kick b"),
        ] {
            let mut entry = typed(text);
            entry.press(Key::Tab);
            assert_eq!(entry.editor.text(), completed);
        }
    }

    #[test]
    fn the_end_of_the_input_ends_only_where_nothing_is_typed() {
        let mut entry = typed("ab");
        entry.press(Key::Home);
        assert_eq!(entry.press(Key::EndOfInput), Asked::Nothing);
        assert_eq!(entry.editor.text(), "b");
        entry.press(Key::EndOfInput);
        assert_eq!(entry.press(Key::EndOfInput), Asked::End);
    }

    #[test]
    fn a_long_line_is_seen_around_its_cursor_and_never_wider_than_there_is_room() {
        let mut entry = typed("ban 10.0.0.0/8 --for 1h 你好你好");
        assert_eq!(entry.seen(80), ("ban 10.0.0.0/8 --for 1h 你好你好", "", ""));
        assert_eq!(entry.seen(10), (" 你好你好", "", ""));
        entry.press(Key::Home);
        assert_eq!(entry.seen(10), ("", "b", "an 10.0.0"));
        for _ in 0..30 {
            for columns in 3..40 {
                let (before, at, behind) = entry.seen(columns);
                assert!(before.width() + at.width().max(1) + behind.width() <= columns, "{columns}");
            }
            entry.press(Key::Right);
        }
    }
}
