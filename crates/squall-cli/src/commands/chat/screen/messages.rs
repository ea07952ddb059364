//! Messages as rows.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::palette::Palette;
use super::scroll::{Place, Rows, Scroll, up};
use super::sight::{Entry, Kind, Receipt, Transcript};
use super::wrap::{clip, tame, width, wrap};

/// The rows of a transcript in a pane of a width.
pub(crate) struct Messages<'a> {
    pub(crate) transcript: &'a dyn Transcript,
    pub(crate) palette: Palette,
    pub(crate) zone: &'a TimeZone,
    pub(crate) columns: usize,
    /// What the user is called: a text with it in it is for them.
    pub(crate) name: Option<&'a str>,
    /// The first entry that is new.
    pub(crate) marker: Option<u64>,
}

impl Rows for Messages<'_> {
    fn len(&self) -> usize {
        self.transcript.len()
    }

    fn id(&self, index: usize) -> u64 {
        self.transcript.get(index).id
    }

    fn rows(&self, index: usize) -> usize {
        self.lines(index).len()
    }
}

impl Messages<'_> {
    /// Draws the window that `scroll` says; the last row is at the bottom.
    pub(crate) fn draw(&self, area: Rect, scroll: Scroll, buffer: &mut Buffer) {
        let height = usize::from(area.height);
        let Some(last) = scroll.last_row(self, height).filter(|_| height > 0) else { return };
        let (first, above) = up(self, last, height.saturating_sub(1));
        let mut y = area.bottom().saturating_sub(above as u16 + 1);
        for index in first.index..=last.index {
            let from = if index == first.index { first.row } else { 0 };
            let to = if index == last.index { last.row + 1 } else { usize::MAX };
            let lines = self.lines(index);
            let count = lines.len().min(to);
            for line in lines.into_iter().take(count).skip(from) {
                line.render(Rect { y, height: 1, ..area }, buffer);
                y += 1;
            }
        }
    }

    /// Entries that are below the window.
    pub(crate) fn below(&self, height: usize, scroll: Scroll) -> usize {
        let last: Option<Place> = scroll.last_row(self, height);
        last.map_or(0, |last| self.transcript.len() - 1 - last.index)
    }

    /// Whether the window shows the end, wherever it is held.
    pub(crate) fn is_at_end(&self, height: usize, scroll: Scroll) -> bool {
        scroll.last_row(self, height) == Scroll::Bottom.last_row(self, height)
    }

    fn lines(&self, index: usize) -> Vec<Line<'static>> {
        let entry = self.transcript.get(index);
        let mut lines = Vec::new();
        let day = self.time(&entry, "%A %-d %B %Y");
        let before = index.checked_sub(1).map(|before| self.transcript.get(before));
        if before.is_some_and(|before| self.time(&before, "%A %-d %B %Y") != day) {
            lines.push(self.rule(&day, self.palette.faint()));
        }
        if self.marker == Some(entry.id) {
            lines.push(self.rule("new", self.palette.bad()));
        }
        self.entry(&entry, &mut lines);
        lines
    }

    fn entry(&self, entry: &Entry<'_>, lines: &mut Vec<Line<'static>>) {
        let palette = &self.palette;
        let (mark, name, text, style) = match &entry.kind {
            Kind::Said { name, text, receipt, was_missed } => {
                let mark = match receipt {
                    Some(Receipt::Pending) => ('…', palette.faint()),
                    Some(Receipt::Delivered) => ('✓', palette.good()),
                    Some(Receipt::Missing) => ('!', palette.bad()),
                    Some(Receipt::Refused(_)) => ('✗', palette.bad()),
                    None if *was_missed => ('↺', palette.warning()),
                    None => (' ', Style::new()),
                };
                let mut text = tame(text);
                let mut style = Style::new();
                match receipt {
                    Some(Receipt::Refused(why)) => {
                        text = format!("{text} — not sent: {}", tame(why));
                        style = palette.faint();
                    }
                    None if self.name.is_some_and(|own| speaks_to(&text, own)) => style = palette.strong(),
                    _ => {}
                }
                (mark, Some(tame(name)), text, style)
            }
            Kind::Notice(text) => ((' ', Style::new()), None, tame(text), palette.faint()),
            Kind::Trouble(text) => (('!', palette.warning()), None, tame(text), palette.warning()),
        };
        let time = self.time(entry, "%H:%M");
        let mut head = Vec::new();
        if self.columns >= WITH_TIME {
            head.push(Span::styled(time, palette.faint()));
            head.push(Span::raw(" "));
        }
        if self.columns >= WITH_MARK {
            head.push(Span::styled(mark.0.to_string(), mark.1));
            head.push(Span::raw(" "));
        } else if mark.0 != ' ' && name.is_some() {
            head.push(Span::styled(mark.0.to_string(), mark.1));
        }
        let mut indent: usize = head.iter().map(|span| width(&span.content)).sum();
        match (&name, self.name_columns()) {
            (Some(name), Some(columns)) => {
                let shown = clip(name, columns);
                head.push(Span::raw(" ".repeat(columns - width(&shown))));
                head.push(Span::styled(shown, palette.name(name)));
                head.push(Span::raw("  "));
                indent += columns + 2;
            }
            (None, Some(columns)) => {
                head.push(Span::raw(" ".repeat(columns + 2)));
                indent += columns + 2;
            }
            (Some(name), None) => {
                let shown = clip(name, self.columns.saturating_sub(indent + 6).max(4));
                head.push(Span::styled(shown, palette.name(name)));
                head.push(Span::raw(": "));
            }
            (None, None) => {}
        }
        if self.name_columns().is_none() {
            // The name stands in the text's first row alone.
            let taken: usize = head.iter().map(|span| width(&span.content)).sum();
            let padded = format!("{}{text}", "\u{a0}".repeat(taken));
            let rows = wrap(&padded, self.columns);
            for (number, row) in rows.into_iter().enumerate() {
                let mut spans = Vec::new();
                let mut row = row;
                if number == 0 {
                    spans.append(&mut head);
                    row = row.trim_start_matches('\u{a0}');
                }
                spans.push(Span::styled(row.to_owned(), style));
                lines.push(Line::from(spans));
            }
            return;
        }
        for (number, row) in wrap(&text, self.columns.saturating_sub(indent)).into_iter().enumerate() {
            let mut spans =
                if number == 0 { std::mem::take(&mut head) } else { vec![Span::raw(" ".repeat(indent))] };
            spans.push(Span::styled(row.to_owned(), style));
            lines.push(Line::from(spans));
        }
    }

    /// Columns of the names, where they have a column of their own.
    fn name_columns(&self) -> Option<usize> {
        match self.columns {
            ..46 => None,
            46..64 => Some(9),
            _ => Some(12),
        }
    }

    fn rule(&self, text: &str, style: Style) -> Line<'static> {
        let text = format!("── {text} ");
        let rest = self.columns.saturating_sub(width(&text));
        Line::styled(format!("{text}{}", "─".repeat(rest)), style)
    }

    fn time(&self, entry: &Entry<'_>, format: &str) -> String {
        let Ok(at) = Timestamp::from_millisecond(entry.at) else { return "--:--".to_owned() };
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

/// Whether a name stands in a text as a word of its own.
pub(crate) fn speaks_to(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let is_word = |character: char| character.is_alphanumeric();
    !name.is_empty()
        && text.match_indices(&name).any(|(at, found)| {
            !text[..at].chars().next_back().is_some_and(is_word)
                && !text[at + found.len()..].chars().next().is_some_and(is_word)
        })
}

/// Columns from which on there is room for the time, and for a mark in a column of its own.
const WITH_TIME: usize = 30;
const WITH_MARK: usize = 30;
