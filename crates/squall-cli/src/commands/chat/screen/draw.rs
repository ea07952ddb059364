//! A frame: the bar above, the messages, who is there, the text that is being written, and how it stands.

use std::time::Duration;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use unicode_segmentation::UnicodeSegmentation;

use super::Screen;
use super::editor::Editor;
use super::messages::Messages;
use super::palette::Palette;
use super::scroll::Scroll;
use super::sight::{Connection, Sight};
use super::wrap::{clip, tame, width};

/// Where the parts of a frame are. What has no room is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layout {
    bar: Rect,
    pub(crate) messages: Rect,
    side: Rect,
    rule: Rect,
    input: Rect,
    status: Rect,
}

impl Layout {
    fn new(area: Rect, input_rows: u16) -> Self {
        let has_bars = area.height >= 4;
        let bar = u16::from(has_bars);
        let rule = u16::from(area.height >= 8);
        let input = input_rows.clamp(1, (area.height / 3).max(1));
        let messages = area.height.saturating_sub(2 * bar + rule + input);
        let side = if area.width >= WITH_SIDE { SIDE.min(area.width / 3) } else { 0 };
        let row = |y: u16, height: u16| Rect { x: area.x, y: area.y + y, width: area.width, height };
        Self {
            bar: row(0, bar),
            messages: Rect { width: area.width - side, ..row(bar, messages) },
            side: Rect { x: area.x + area.width - side, width: side, ..row(bar, messages) },
            rule: row(bar + messages, rule),
            input: row(bar + messages + rule, input.min(area.height)),
            status: row(bar + messages + rule + input, bar),
        }
    }
}

/// Draws all of it, and says where the parts are.
pub(crate) fn draw(frame: &mut Frame<'_>, screen: &Screen, sight: &Sight<'_>) -> Layout {
    let area = frame.area();
    if area.is_empty() {
        return Layout::default();
    }
    let input = Input::new(&screen.editor, usize::from(area.width));
    let layout = Layout::new(area, input.rows.len().try_into().unwrap_or(u16::MAX));
    let palette = screen.palette;
    let buffer = frame.buffer_mut();
    bar(layout.bar, sight, palette, buffer);
    let messages = screen.messages(sight, usize::from(layout.messages.width));
    messages.draw(layout.messages, screen.scroll, buffer);
    side(layout.side, sight, palette, buffer);
    rule(layout, screen, &messages, palette, buffer);
    let cursor = input.draw(layout.input, palette, buffer);
    status(layout.status, screen, sight, palette, buffer);
    frame.set_cursor_position(cursor);
    layout
}

fn bar(area: Rect, sight: &Sight<'_>, palette: Palette, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    buffer.set_style(area, palette.bar());
    // Until a hub has answered, there is no room to name.
    let room = if sight.room.is_empty() { String::new() } else { format!(" #{} ", tame(sight.room)) };
    let who = sight.name.map(|name| format!("{} ", tame(name))).unwrap_or_default();
    let hub = format!(" {} ", tame(sight.hub));
    let columns = usize::from(area.width);
    let mut left = vec![Span::styled(clip(&room, columns), palette.strong())];
    let mut used = width(&room);
    if used + width(&who) <= columns {
        used += width(&who);
        left.push(Span::raw(format!(" {who}").trim_end().to_owned()));
    }
    Line::from(left).render(area, buffer);
    if used + width(&hub) < columns {
        let x = area.right() - width(&hub) as u16;
        Line::raw(hub).render(Rect { x, width: area.right() - x, ..area }, buffer);
    }
}

/// Members and rooms.
fn side(area: Rect, sight: &Sight<'_>, palette: Palette, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    for y in area.top()..area.bottom() {
        buffer.set_string(area.x, y, "│", palette.faint());
    }
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    let columns = usize::from(inner.width);
    let rooms = if sight.rooms.len() > 1 { sight.rooms.len().min(usize::from(area.height) / 3) } else { 0 };
    let rooms_height = if rooms > 0 { rooms + 2 } else { 0 };
    let members_height = usize::from(area.height).saturating_sub(rooms_height);

    let all = sight.members.len() as u64 + sight.more_members;
    let here = if sight.room.is_empty() { String::new() } else { format!("{all} here") };
    let mut lines = vec![Line::styled(here, palette.strong())];
    let room_for = members_height.saturating_sub(1);
    let hidden = all.saturating_sub(room_for as u64);
    let shown = if hidden > 0 { room_for.saturating_sub(1) } else { room_for };
    for member in sight.members.iter().take(shown) {
        let (dot, style) = match (&sight.connection, member.is_present) {
            (Connection::Online { .. }, true) => ("●", palette.good()),
            (Connection::Online { .. }, false) => ("○", palette.warning()),
            _ => ("·", palette.faint()),
        };
        let loss = member.loss.map(percent).unwrap_or_default();
        let name = clip(&tame(&member.name), columns.saturating_sub(3 + width(&loss)));
        let gap = columns.saturating_sub(2 + width(&name) + width(&loss));
        let name_style = if member.is_self { palette.strong() } else { palette.name(&member.name) };
        lines.push(Line::from(vec![
            Span::styled(dot, style),
            Span::raw(" "),
            Span::styled(name, name_style),
            Span::raw(" ".repeat(gap)),
            Span::styled(loss, loss_style(member.loss, palette)),
        ]));
    }
    if hidden > 0 && room_for > 0 {
        let left_out = all - shown.min(sight.members.len()) as u64;
        lines.push(Line::styled(format!("  and {left_out} more"), palette.faint()));
    }
    if rooms > 0 {
        lines.resize(members_height + 1, Line::default());
        lines.push(Line::styled("rooms", palette.strong()));
        // The current one is always among those shown.
        let current = sight.rooms.iter().position(|room| room.is_current).unwrap_or(0);
        let first = current.saturating_sub(rooms - 1);
        for room in sight.rooms.iter().skip(first).take(rooms) {
            let (mark, style) = match (room.is_current, room.unread) {
                (true, _) => ("▸", palette.strong()),
                (false, 0) => (" ", Style::new()),
                (false, _) => ("•", palette.warning()),
            };
            let count = match room.unread {
                0 => room.members.to_string(),
                unread => format!("{unread} new"),
            };
            let name = clip(&tame(&room.name), columns.saturating_sub(3 + width(&count)));
            let gap = columns.saturating_sub(2 + width(&name) + width(&count));
            lines.push(Line::from(vec![
                Span::styled(mark, style),
                Span::raw(" "),
                Span::styled(name, style),
                Span::raw(" ".repeat(gap)),
                Span::styled(count, if room.unread > 0 { palette.warning() } else { palette.faint() }),
            ]));
        }
    }
    for (y, line) in (inner.top()..inner.bottom()).zip(lines) {
        line.render(Rect { y, height: 1, ..inner }, buffer);
    }
}

/// The line between what was said and what is being written, which tells how much is below the window.
fn rule(layout: Layout, screen: &Screen, messages: &Messages<'_>, palette: Palette, buffer: &mut Buffer) {
    let height = usize::from(layout.messages.height);
    let below = messages.below(height, screen.scroll);
    let text = match (screen.scroll, screen.unseen) {
        (Scroll::Bottom, _) => None,
        _ if messages.is_at_end(height, screen.scroll) => None,
        // The rest of the entry in the last row alone.
        (Scroll::Held { .. }, 0) if below == 0 => Some((" ↓ more · Esc ".to_owned(), palette.strong())),
        (Scroll::Held { .. }, 0) => Some((format!(" ↓ {below} below · Esc "), palette.strong())),
        (Scroll::Held { .. }, unseen) => Some((format!(" ↓ {unseen} new · Esc "), palette.warning())),
    };
    if layout.rule.is_empty() {
        // Without a line of its own it stands in the last of the messages.
        if let Some((text, style)) = text.filter(|_| layout.messages.height > 1) {
            let area = layout.messages;
            let x = area.right().saturating_sub(width(&text) as u16).max(area.x);
            let text = clip(&text, usize::from(area.width));
            buffer.set_string(x, area.bottom() - 1, text, style.patch(palette.bar()));
        }
        return;
    }
    let area = layout.rule;
    buffer.set_string(area.x, area.y, "─".repeat(usize::from(area.width)), palette.faint());
    if !layout.side.is_empty() {
        buffer.set_string(layout.side.x, area.y, "┴", palette.faint());
    }
    if let Some((text, style)) = text {
        buffer.set_string(area.x + 2, area.y, clip(&text, usize::from(area.width).saturating_sub(2)), style);
    }
}

/// How it stands with the hub; while something is being completed, to what.
fn status(area: Rect, screen: &Screen, sight: &Sight<'_>, palette: Palette, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let columns = usize::from(area.width);
    if let Some((candidates, place)) = screen.completion.candidates(&screen.editor) {
        let mut spans = vec![Span::raw(" ")];
        let mut used = 1;
        // The chosen one is always seen.
        for (number, candidate) in candidates.iter().enumerate().skip(place.saturating_sub(2)) {
            let candidate = tame(candidate.trim_end_matches([' ', ',']));
            used += width(&candidate) + 2;
            if used > columns {
                break;
            }
            let style = if number == place { palette.bar() } else { palette.faint() };
            spans.push(Span::styled(candidate, style));
            spans.push(Span::raw("  "));
        }
        Line::from(spans).render(area, buffer);
        return;
    }
    let (dot, text, style) = describe(&sight.connection, palette);
    let text = clip(&tame(&text), columns.saturating_sub(3));
    let used = 3 + width(&text);
    let faint = if style == palette.good() { palette.faint() } else { style };
    Line::from(vec![Span::raw(" "), Span::styled(dot, style), Span::raw(" "), Span::styled(text, faint)])
        .render(area, buffer);
    let hint = "Tab completes · PgUp scrolls · /help ";
    if used + width(hint) + 2 <= columns {
        let x = area.right() - width(hint) as u16;
        Line::styled(hint, palette.faint()).render(Rect { x, width: area.right() - x, ..area }, buffer);
    }
}

/// The connection in words.
pub(crate) fn describe(connection: &Connection, palette: Palette) -> (&'static str, String, Style) {
    let soon = |next: &Option<Duration>| match next {
        Some(next) => format!("again in {} s", next.as_secs_f64().ceil()),
        None => "trying".to_owned(),
    };
    match connection {
        Connection::Connecting { attempt: 0 | 1, next: None } => {
            ("◌", "connecting".to_owned(), palette.warning())
        }
        Connection::Connecting { attempt, next } => {
            ("◌", format!("no answer to {attempt} tries, {}", soon(next)), palette.warning())
        }
        Connection::Online { round_trip, loss } => {
            let mut text = "online".to_owned();
            if let Some(round_trip) = round_trip {
                text += &format!(" · {}", milliseconds(*round_trip));
            }
            if let Some(loss) = loss {
                text += &format!(" · {} lost", percent(*loss));
            }
            ("●", text, palette.good())
        }
        Connection::Quiet { since } => {
            ("◐", format!("nothing heard for {} s", since.as_secs()), palette.warning())
        }
        // The reason may be long, and what has no room is cut.
        Connection::Gone { why, next } => ("○", format!("{} · {why}", soon(next)), palette.bad()),
    }
}

pub(crate) fn percent(share: f32) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

fn loss_style(loss: Option<f32>, palette: Palette) -> Style {
    match loss {
        Some(loss) if loss >= 0.2 => palette.bad(),
        Some(loss) if loss >= 0.05 => palette.warning(),
        _ => palette.faint(),
    }
}

fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    if milliseconds < 9.95 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

/// The text that is being written, cut into rows where the width ends.
struct Input {
    rows: Vec<String>,
    /// Row and column.
    cursor: (usize, usize),
}

impl Input {
    fn new(editor: &Editor, columns: usize) -> Self {
        let columns = columns.saturating_sub(PROMPT.len()).max(2);
        let mut rows = vec![String::new()];
        let (mut used, mut cursor) = (0, (0, 0));
        for (at, grapheme) in editor.text().grapheme_indices(true) {
            let wide = width(grapheme);
            // One column is left for the cursor.
            if grapheme != "\n" && used + wide >= columns {
                rows.push(String::new());
                used = 0;
            }
            if at == editor.cursor() {
                cursor = (rows.len() - 1, used);
            }
            if grapheme == "\n" {
                rows.push(String::new());
                used = 0;
            } else {
                // What is typed or pasted is shown as what comes back would be.
                let tamed = tame(grapheme);
                used += width(&tamed);
                rows.last_mut().expect("there is always one").push_str(&tamed);
            }
        }
        if editor.cursor() == editor.text().len() {
            cursor = (rows.len() - 1, used);
        }
        Self { rows, cursor }
    }

    /// Draws the rows around the cursor, and says where that is.
    fn draw(&self, area: Rect, palette: Palette, buffer: &mut Buffer) -> Position {
        let height = usize::from(area.height).max(1);
        let first = (self.cursor.0 + 1).saturating_sub(height);
        for (y, row) in (area.top()..area.bottom()).zip(self.rows.iter().skip(first)) {
            let prompt = if y == area.top() && first == 0 { PROMPT } else { "  " };
            let spans = vec![Span::styled(prompt, palette.strong()), Span::raw(row.as_str())];
            Line::from(spans).render(Rect { y, height: 1, ..area }, buffer);
        }
        let x = area.x + (PROMPT.len() + self.cursor.1).min(usize::from(area.width.saturating_sub(1))) as u16;
        Position { x, y: area.y + (self.cursor.0 - first) as u16 }
    }
}

/// Before the text that is being written.
const PROMPT: &str = "> ";
/// Columns of a terminal that has room for who is there, and of what tells it.
const WITH_SIDE: u16 = 64;
const SIDE: u16 = 24;
