//! The text that is being written: a cursor that moves by what is seen as one character, and Emacs' keys.

use unicode_segmentation::UnicodeSegmentation;

/// A text with a cursor, which always stands between two graphemes
/// ([UAX #29](https://www.unicode.org/reports/tr29/)). Line breaks are part of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Editor {
    text: String,
    /// In bytes.
    cursor: usize,
    /// What was cut out last.
    cut: String,
}

impl Editor {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Puts `text` in place of all, and the cursor behind it.
    pub(crate) fn set(&mut self, text: &str) {
        self.text.clear();
        self.cursor = 0;
        self.insert(text);
    }

    /// Gives the text away and is empty.
    pub(crate) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Writes at the cursor. Line ends of all kinds become `\n`, tabs a space, other control characters go. What
    /// would make the text longer than [`LONGEST`] is left out.
    pub(crate) fn insert(&mut self, text: &str) {
        let mut clean = String::with_capacity(text.len());
        let mut after_return = false;
        for character in text.chars() {
            match character {
                '\n' if after_return => {}
                '\r' | '\n' => clean.push('\n'),
                '\t' => clean.push(' '),
                _ if character.is_control() => {}
                _ => clean.push(character),
            }
            after_return = character == '\r';
            if self.text.len() + clean.len() > LONGEST {
                clean.pop();
                break;
            }
        }
        self.text.insert_str(self.cursor, &clean);
        self.cursor += clean.len();
        // A combining character joins what stands before it, and what stands behind may join what was inserted.
        self.cursor = self.boundary_from(self.cursor);
    }

    /// Puts `text` in place of the bytes from `start` to the cursor.
    pub(crate) fn replace_before(&mut self, start: usize, text: &str) {
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
        self.insert(text);
    }

    pub(crate) fn left(&mut self) {
        self.cursor = self.previous(self.cursor);
    }

    pub(crate) fn right(&mut self) {
        self.cursor = self.next(self.cursor);
    }

    pub(crate) fn word_left(&mut self) {
        self.cursor = self.word_before();
    }

    pub(crate) fn word_right(&mut self) {
        self.cursor = self.word_behind();
    }

    /// To the start of the line.
    pub(crate) fn home(&mut self) {
        self.cursor = self.line_start();
    }

    /// To the end of the line.
    pub(crate) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// To the line above; false if there is none.
    pub(crate) fn up(&mut self) -> bool {
        let start = self.line_start();
        if start == 0 {
            return false;
        }
        let column = self.text[start..self.cursor].graphemes(true).count();
        let above = self.text[..start - 1].rfind('\n').map_or(0, |end| end + 1);
        self.cursor = self.in_column(above, start - 1, column);
        true
    }

    /// To the line below; false if there is none.
    pub(crate) fn down(&mut self) -> bool {
        let end = self.line_end();
        if end == self.text.len() {
            return false;
        }
        let column = self.text[self.line_start()..self.cursor].graphemes(true).count();
        let below = self.text[end + 1..].find('\n').map_or(self.text.len(), |length| end + 1 + length);
        self.cursor = self.in_column(end + 1, below, column);
        true
    }

    pub(crate) fn delete_left(&mut self) {
        let start = self.previous(self.cursor);
        self.remove(start, self.cursor);
    }

    pub(crate) fn delete_right(&mut self) {
        let end = self.next(self.cursor);
        self.remove(self.cursor, end);
    }

    /// Cuts out the word before the cursor.
    pub(crate) fn cut_word_left(&mut self) {
        let start = self.word_before();
        self.cut_out(start, self.cursor);
    }

    /// Cuts out the word behind the cursor.
    pub(crate) fn cut_word_right(&mut self) {
        let end = self.word_behind();
        self.cut_out(self.cursor, end);
    }

    /// Cuts out what stands before the cursor in its line.
    pub(crate) fn cut_to_start(&mut self) {
        let start = self.line_start();
        self.cut_out(start, self.cursor);
    }

    /// Cuts out what stands behind the cursor in its line, or the line's end where nothing does.
    pub(crate) fn cut_to_end(&mut self) {
        let end = self.line_end();
        let end = if end == self.cursor { self.next(end) } else { end };
        self.cut_out(self.cursor, end);
    }

    /// Inserts what was cut out last.
    pub(crate) fn paste_cut(&mut self) {
        let cut = self.cut.clone();
        self.insert(&cut);
    }

    /// Where the word that ends at the cursor begins: behind white space or the start.
    pub(crate) fn word_start(&self) -> usize {
        let blank = self.text[..self.cursor].grapheme_indices(true).rfind(|(_, grapheme)| is_blank(grapheme));
        blank.map_or(0, |(at, grapheme)| at + grapheme.len())
    }

    fn cut_out(&mut self, start: usize, end: usize) {
        if start < end {
            self.cut.clear();
            self.cut.push_str(&self.text[start..end]);
            self.remove(start, end);
        }
    }

    fn remove(&mut self, start: usize, end: usize) {
        self.text.replace_range(start..end, "");
        // What stood apart may have become one.
        self.cursor = self.boundary_from(start);
    }

    fn previous(&self, at: usize) -> usize {
        self.text[..at].grapheme_indices(true).next_back().map_or(0, |(start, _)| start)
    }

    fn next(&self, at: usize) -> usize {
        self.text[at..].graphemes(true).next().map_or(at, |grapheme| at + grapheme.len())
    }

    /// The first boundary of graphemes that is not before `at`.
    fn boundary_from(&self, at: usize) -> usize {
        let mut boundaries = self.text.grapheme_indices(true).map(|(start, _)| start);
        boundaries.find(|start| *start >= at).unwrap_or(self.text.len())
    }

    fn word_before(&self) -> usize {
        let mut before = self.text[..self.cursor].grapheme_indices(true).rev();
        let Some((mut start, _)) = before.find(|(_, grapheme)| !is_blank(grapheme)) else { return 0 };
        for (at, _) in before.take_while(|(_, grapheme)| !is_blank(grapheme)) {
            start = at;
        }
        start
    }

    fn word_behind(&self) -> usize {
        let behind = &self.text[self.cursor..];
        let mut graphemes = behind.grapheme_indices(true).skip_while(|(_, grapheme)| is_blank(grapheme));
        self.cursor + graphemes.find(|(_, grapheme)| is_blank(grapheme)).map_or(behind.len(), |(at, _)| at)
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |end| end + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |length| self.cursor + length)
    }

    fn in_column(&self, start: usize, end: usize, column: usize) -> usize {
        let mut graphemes = self.text[start..end].grapheme_indices(true);
        graphemes.nth(column).map_or(end, |(at, _)| start + at)
    }
}

fn is_blank(grapheme: &str) -> bool {
    grapheme.chars().all(char::is_whitespace)
}

/// The longest text, in bytes.
pub(crate) const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A text in which `|` is the cursor.
    fn editor(text: &str) -> Editor {
        let mut editor = Editor::default();
        let (before, behind) = text.split_once('|').unwrap();
        editor.set(&format!("{before}{behind}"));
        editor.cursor = before.len();
        editor
    }

    #[track_caller]
    fn after(text: &str, change: impl FnOnce(&mut Editor), expected: &str) {
        let mut editor = editor(text);
        change(&mut editor);
        let (before, behind) = editor.text.split_at(editor.cursor);
        assert_eq!(format!("{before}|{behind}"), expected);
    }

    #[test]
    fn the_cursor_moves_by_what_is_seen_as_one_character() {
        after("a👨‍👩‍👧|b", Editor::left, "a|👨‍👩‍👧b");
        after("a|e\u{301}b", Editor::right, "ae\u{301}|b");
        after("ae\u{301}|b", Editor::delete_left, "a|b");
        after("|", Editor::left, "|");
        after("|", Editor::delete_right, "|");
    }

    #[test]
    fn words_and_lines_are_cut_out_and_come_back() {
        after("one two  |three", Editor::cut_word_left, "one |three");
        after("one| two three", Editor::cut_word_right, "one| three");
        after("one\ntwo| three", Editor::cut_to_start, "one\n| three");
        after("one\ntwo| three\nfour", Editor::cut_to_end, "one\ntwo|\nfour");
        after("one|\ntwo", Editor::cut_to_end, "one|two");
        let back = |editor: &mut Editor| {
            editor.cut_to_end();
            editor.paste_cut();
            editor.paste_cut();
        };
        after("a |b c", back, "a b cb c|");
        after("one  two|", Editor::word_left, "one  |two");
        after("one|  two", Editor::word_right, "one  two|");
    }

    #[test]
    fn up_and_down_keep_the_column_and_tell_where_there_is_no_line() {
        after("abc\nde|f", |editor| assert!(editor.up()), "ab|c\ndef");
        after("a\ndef|", |editor| assert!(editor.up()), "a|\ndef");
        after("a|b\nc", |editor| assert!(editor.down()), "ab\nc|");
        after("a|b", |editor| assert!(!editor.up() && !editor.down()), "a|b");
    }

    #[test]
    fn what_is_pasted_has_one_kind_of_line_end_and_no_control_characters() {
        after("|", |editor| editor.insert("a\r\nb\rc\n\td\x1b[31m\u{9b}"), "a\nb\nc\n d[31m|");
    }

    #[test]
    fn a_text_is_no_longer_than_it_may_be() {
        let mut editor = Editor::default();
        editor.insert(&"é".repeat(LONGEST));
        assert_eq!(editor.text().len(), LONGEST);
        editor.insert("x");
        assert_eq!(editor.text().len(), LONGEST);
    }

    type Change = fn(&mut Editor);
    const CHANGES: [Change; 18] = [
        Editor::left,
        Editor::right,
        Editor::word_left,
        Editor::word_right,
        Editor::home,
        Editor::end,
        |editor| _ = editor.up(),
        |editor| _ = editor.down(),
        Editor::delete_left,
        Editor::delete_right,
        Editor::cut_word_left,
        Editor::cut_word_right,
        Editor::cut_to_start,
        Editor::cut_to_end,
        Editor::paste_cut,
        |editor| editor.insert("\u{301}"),
        |editor| editor.insert("👩\u{200d}"),
        |editor| editor.insert("🇩🇪 a\nb"),
    ];

    proptest! {
        #[test]
        fn the_cursor_always_stands_between_two_graphemes(
            text in "(\\PC|\n|\u{301}|\u{200d}|🇩){0,20}",
            changes in prop::collection::vec(0..CHANGES.len(), 0..60),
        ) {
            let mut editor = Editor::default();
            editor.insert(&text);
            for change in changes {
                CHANGES[change](&mut editor);
                let boundary = editor.cursor == editor.text.len()
                    || editor.text.grapheme_indices(true).any(|(start, _)| start == editor.cursor);
                prop_assert!(boundary, "{:?} at {}", editor.text, editor.cursor);
                prop_assert!(editor.word_start() <= editor.cursor);
            }
        }

        #[test]
        fn what_is_typed_is_what_is_there(typed in "[a-z é你]{0,40}") {
            let mut editor = Editor::default();
            for character in typed.chars() {
                editor.insert(character.encode_utf8(&mut [0; 4]));
            }
            prop_assert_eq!(editor.text(), &typed);
            for _ in typed.chars() {
                editor.delete_left();
            }
            prop_assert!(editor.is_empty());
        }
    }
}
