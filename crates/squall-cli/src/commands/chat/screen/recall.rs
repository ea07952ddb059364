//! What was sent before, to be sent again.

use std::collections::VecDeque;

use super::editor::Editor;

/// Sent texts, and which of them is shown in the editor.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    texts: VecDeque<String>,
    /// How far back, and what was being written when going back began.
    shown: Option<(usize, String)>,
}

impl Recall {
    /// Remembers what was sent. The same twice is remembered once.
    pub(crate) fn push(&mut self, text: &str) {
        self.shown = None;
        if self.texts.back().is_some_and(|last| last == text) {
            return;
        }
        if self.texts.len() == TEXTS {
            self.texts.pop_front();
        }
        self.texts.push_back(text.to_owned());
    }

    /// Shows an older text.
    pub(crate) fn back(&mut self, editor: &mut Editor) {
        let place = self.shown.as_ref().map_or(self.texts.len(), |(place, _)| *place);
        let Some(older) = place.checked_sub(1) else { return };
        let draft = match self.shown.take() {
            Some((_, draft)) => draft,
            None => editor.text().to_owned(),
        };
        editor.set(&self.texts[older]);
        self.shown = Some((older, draft));
    }

    /// Shows a newer text, and behind the newest what was being written.
    pub(crate) fn forward(&mut self, editor: &mut Editor) {
        let Some((place, draft)) = self.shown.take() else { return };
        match self.texts.get(place + 1) {
            Some(text) => {
                editor.set(text);
                self.shown = Some((place + 1, draft));
            }
            None => editor.set(&draft),
        }
    }
}

/// Texts that are remembered; the oldest goes first.
const TEXTS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_and_forth_ends_at_what_was_being_written() {
        let (mut recall, mut editor) = (Recall::default(), Editor::default());
        for text in ["one", "two", "two"] {
            recall.push(text);
        }
        editor.set("draft");
        let mut seen = Vec::new();
        for _ in 0..3 {
            recall.back(&mut editor);
            seen.push(editor.text().to_owned());
        }
        for _ in 0..3 {
            recall.forward(&mut editor);
            seen.push(editor.text().to_owned());
        }
        assert_eq!(seen, ["two", "one", "one", "two", "draft", "draft"]);
    }

    #[test]
    fn the_oldest_texts_are_forgotten() {
        let (mut recall, mut editor) = (Recall::default(), Editor::default());
        for number in 0..=TEXTS {
            recall.push(&number.to_string());
        }
        for _ in 0..TEXTS + 5 {
            recall.back(&mut editor);
        }
        assert_eq!(editor.text(), "1");
    }
}
