//! The screen of the terminal client: what it remembers between frames, and what keys do.
//!
//! It knows no hub and no terminal. [`Sight`] is what there is to be seen, a key gives an [`Action`].

mod complete;
mod draw;
pub(crate) mod editor;
mod messages;
mod palette;
mod recall;
mod scroll;
mod sight;
#[cfg(test)]
mod tests;
mod wrap;

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use self::complete::{Completion, Known};
use self::draw::Layout;
use self::editor::Editor;
use self::messages::{Messages, speaks_to};
use self::recall::Recall;
use self::scroll::Scroll;

pub(crate) use self::draw::percent;
pub(crate) use self::palette::Palette;
pub(crate) use self::sight::{Connection, Entry, Kind, Member, Receipt, Room, Sight, Transcript};

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// To say this, or to do it if it is a command; of several lines each.
    Send(String),
    /// To leave.
    Leave,
    /// To stop until the shell wants it back.
    Suspend,
    /// To draw everything anew.
    Redraw,
}

/// The state of the screen.
#[derive(Debug)]
pub(crate) struct Screen {
    editor: Editor,
    recall: Recall,
    completion: Completion,
    scroll: Scroll,
    /// The first entry that is new, and whether the user has seen it.
    marker: Option<(u64, bool)>,
    /// New messages below the window.
    unseen: usize,
    is_focused: bool,
    palette: Palette,
    zone: TimeZone,
    layout: Layout,
}

impl Screen {
    pub(crate) fn new(palette: Palette, zone: TimeZone) -> Self {
        Self {
            editor: Editor::default(),
            recall: Recall::default(),
            completion: Completion::default(),
            scroll: Scroll::Bottom,
            marker: None,
            unseen: 0,
            is_focused: true,
            palette,
            zone,
            layout: Layout::default(),
        }
    }

    /// Draws a frame.
    pub(crate) fn draw(&mut self, frame: &mut Frame<'_>, sight: &Sight<'_>) {
        self.layout = draw::draw(frame, self, sight);
        if self.scroll != Scroll::Bottom && !self.layout.messages.is_empty() {
            // In a larger window the end may be seen of what was scrolled back in.
            self.scroll(0, sight);
        }
        if self.is_looking() {
            self.unseen = 0;
        }
    }

    /// Somebody else said something, which is the entry `id`. Whether the user should be called: it is for them, and
    /// they look elsewhere.
    pub(crate) fn heard(&mut self, id: u64, text: &str, name: Option<&str>) -> bool {
        if self.scroll != Scroll::Bottom {
            self.unseen += 1;
        }
        if !self.is_looking() && self.marker.is_none_or(|(_, was_seen)| was_seen) {
            self.marker = Some((id, false));
        }
        !self.is_focused && name.is_some_and(|name| speaks_to(text, name))
    }

    /// Whether the terminal has the user's attention, as it tells.
    pub(crate) fn focus(&mut self, is_focused: bool) {
        if self.is_looking() && !is_focused {
            self.seen();
        }
        self.is_focused = is_focused;
    }

    /// What was pasted, line breaks and all, waits to be sent.
    pub(crate) fn paste(&mut self, text: &str) {
        self.editor.insert(text);
    }

    /// Scrolls by rows: up where `rows` is negative.
    pub(crate) fn scroll(&mut self, rows: isize, sight: &Sight<'_>) {
        let (columns, height) =
            (usize::from(self.layout.messages.width), usize::from(self.layout.messages.height));
        let mut scroll = self.scroll;
        let messages = self.messages(sight, columns);
        if rows < 0 {
            scroll.up(&messages, height, rows.unsigned_abs());
        } else {
            scroll.down(&messages, height, rows.unsigned_abs());
        }
        self.scroll = scroll;
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, key: KeyEvent, sight: &Sight<'_>, commands: &[&str]) -> Option<Action> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let page = isize::try_from(self.layout.messages.height.max(2) - 1).unwrap_or(1);
        let editor = &mut self.editor;
        match key.code {
            KeyCode::Char('c') if control => return Some(Action::Leave),
            KeyCode::Char('d') if control && editor.is_empty() => return Some(Action::Leave),
            KeyCode::Char('z') if control => return Some(Action::Suspend),
            KeyCode::Char('l') if control => return Some(Action::Redraw),

            KeyCode::Char('j') if control => editor.insert("\n"),
            KeyCode::Enter if alt || key.modifiers.contains(KeyModifiers::SHIFT) => editor.insert("\n"),
            KeyCode::Enter => return self.send(),
            KeyCode::Tab | KeyCode::BackTab => self.complete(sight, commands, key.code == KeyCode::BackTab),
            KeyCode::Esc => self.go_to_bottom(),

            KeyCode::PageUp => self.scroll(-page, sight),
            KeyCode::PageDown => self.scroll(page, sight),
            KeyCode::Up if key.modifiers.contains(KeyModifiers::SHIFT) => self.scroll(-1, sight),
            KeyCode::Down if key.modifiers.contains(KeyModifiers::SHIFT) => self.scroll(1, sight),
            KeyCode::Home if control => self.scroll(isize::MIN, sight),
            KeyCode::End if control => self.go_to_bottom(),
            KeyCode::Up => self.line_up(),
            KeyCode::Down => self.line_down(),
            KeyCode::Char('p') if control => self.recall.back(editor),
            KeyCode::Char('n') if control => self.recall.forward(editor),

            KeyCode::Left if control || alt => editor.word_left(),
            KeyCode::Right if control || alt => editor.word_right(),
            KeyCode::Left => editor.left(),
            KeyCode::Right => editor.right(),
            KeyCode::Home => editor.home(),
            KeyCode::End => editor.end(),
            KeyCode::Backspace if control || alt => editor.cut_word_left(),
            KeyCode::Backspace => editor.delete_left(),
            KeyCode::Delete => editor.delete_right(),
            KeyCode::Char(character) if control => match character {
                'a' => editor.home(),
                'e' => editor.end(),
                'b' => editor.left(),
                'f' => editor.right(),
                'd' => editor.delete_right(),
                'h' => editor.delete_left(),
                'w' => editor.cut_word_left(),
                'u' => editor.cut_to_start(),
                'k' => editor.cut_to_end(),
                'y' => editor.paste_cut(),
                _ => {}
            },
            KeyCode::Char(character) if alt => match character {
                'b' => editor.word_left(),
                'f' => editor.word_right(),
                'd' => editor.cut_word_right(),
                _ => {}
            },
            KeyCode::Char(character) => editor.insert(character.encode_utf8(&mut [0; 4])),
            _ => {}
        }
        None
    }

    /// To the line above or, from the first, to what was sent before.
    fn line_up(&mut self) {
        if !self.editor.up() {
            self.recall.back(&mut self.editor);
        }
    }

    fn line_down(&mut self) {
        if !self.editor.down() {
            self.recall.forward(&mut self.editor);
        }
    }

    fn send(&mut self) -> Option<Action> {
        let text = self.editor.take();
        if text.trim().is_empty() {
            return None;
        }
        self.recall.push(&text);
        self.go_to_bottom();
        self.marker = None;
        Some(Action::Send(text))
    }

    fn complete(&mut self, sight: &Sight<'_>, commands: &[&str], back: bool) {
        let others = sight.members.iter().filter(|member| !member.is_self && !member.name.starts_with('~'));
        let members: Vec<String> = others.map(|member| member.name.clone()).collect();
        let rooms: Vec<String> = sight.rooms.iter().map(|room| room.name.clone()).collect();
        let known = Known { commands, members: &members, rooms: &rooms };
        self.completion.step(&mut self.editor, &known, back);
    }

    fn go_to_bottom(&mut self) {
        self.scroll = Scroll::Bottom;
        self.unseen = 0;
    }

    /// Whether what comes now is seen as it comes.
    fn is_looking(&self) -> bool {
        self.is_focused && self.scroll == Scroll::Bottom
    }

    fn seen(&mut self) {
        if let Some((_, was_seen)) = &mut self.marker {
            *was_seen = true;
        }
    }

    fn messages<'a>(&'a self, sight: &'a Sight<'_>, columns: usize) -> Messages<'a> {
        Messages {
            transcript: sight.transcript,
            palette: self.palette,
            zone: &self.zone,
            columns,
            name: sight.name,
            marker: self.marker.map(|(id, _)| id),
        }
    }
}
