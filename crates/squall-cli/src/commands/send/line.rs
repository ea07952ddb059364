//! The line at the foot of a terminal that tells how far it is.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};
use rustix::termios::tcgetwinsize;

/// A line that gets no wider than its terminal, and leaves nothing behind.
pub(super) struct Line(ProgressBar);

impl Line {
    /// On standard error.
    pub(super) fn new(text: String) -> Self {
        let line = Self::on(Terminal::new(io::stderr(), columns), text);
        line.0.enable_steady_tick(Duration::from_millis(250));
        line
    }

    fn on<Out: Write + fmt::Debug + Send + 'static>(terminal: Terminal<Out>, text: String) -> Self {
        let width = Arc::clone(&terminal.width);
        // What is in front of the text fits, and the text is cut where the terminal ends.
        let style = ProgressStyle::with_template("{gauge}{wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .with_key("gauge", move |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = out.write_str(&gauge(state, width.load(Ordering::Relaxed)));
            });
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal), 8);
        Self(ProgressBar::with_draw_target(None, target).with_style(style).with_message(text))
    }

    /// Shows something else, with a gauge where it is known how much there is.
    pub(super) fn show(&self, done: u64, total: Option<u64>, text: String) {
        // Each of these may draw, and no text is to have the gauge of another.
        if total.is_none() {
            self.0.unset_length();
        }
        self.0.set_message(text);
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }

    /// Takes the line away while something else is written.
    pub(super) fn beside(&self, write: impl FnOnce()) {
        self.0.suspend(write);
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// How far it is, as a picture, which a narrow terminal has no room for.
fn gauge(state: &ProgressState, columns: u16) -> String {
    if state.len().is_none() || columns < ROOM {
        return String::new();
    }
    let width = usize::from(columns / 5);
    let full = (f64::from(state.fraction()) * width as f64) as usize;
    format!("{}{} ", "█".repeat(full), "░".repeat(width.saturating_sub(full)))
}

/// A terminal whose cursor rests at the begin of the line. Where it becomes narrower and breaks the line, that begin
/// stays where the cursor is, so that all of the pieces can be erased; from the end of the line nobody knows how many
/// there are.
struct Terminal<Out> {
    columns: fn() -> u16,
    /// What was asked for last, so that all of a line is made for the same width.
    width: Arc<AtomicU16>,
    waiting: Mutex<(String, Out)>,
}

impl<Out: Write> Terminal<Out> {
    fn new(out: Out, columns: fn() -> u16) -> Self {
        Self { columns, width: Arc::default(), waiting: Mutex::new((String::new(), out)) }
    }

    fn push(&self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        fmt::Write::write_fmt(&mut waiting.0, text).map_err(io::Error::other)
    }

    fn move_by(&self, count: usize, letter: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.push(format_args!("\x1b[{count}{letter}")) }
    }
}

impl<Out: Write + fmt::Debug + Send> TermLike for Terminal<Out> {
    fn width(&self) -> u16 {
        // In the last column the cursor of some terminals is on the next line already.
        let width = (self.columns)().saturating_sub(1).max(1);
        self.width.store(width, Ordering::Relaxed);
        width
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.move_by(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.move_by(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.move_by(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.move_by(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.push(format_args!("{text}\r\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.push(format_args!("{text}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        // And what became of its end. From the first cell of all on, tmux would keep what it erases in its history.
        self.push(format_args!("\r \x1b[J\r\x1b[K"))
    }

    fn flush(&self) -> io::Result<()> {
        self.push(format_args!("\r"))?;
        let (text, out) = &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        text.clear();
        written
    }
}

impl<Out> fmt::Debug for Terminal<Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("width", &self.width).finish_non_exhaustive()
    }
}

/// How wide the terminal is now.
fn columns() -> u16 {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col,
        _ => 80,
    }
}

/// The columns from which on there is room for a gauge beside all that matters more.
const ROOM: u16 = 79;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use unicode_width::UnicodeWidthStr;

    use super::*;

    /// What a terminal gets, without what moves its cursor.
    fn drawn(columns: fn() -> u16, text: &str) -> String {
        let (mut reader, writer) = io::pipe().unwrap();
        let line = Line::on(Terminal::new(writer, columns), String::new());
        line.show(1, Some(2), text.into());
        line.0.force_draw();
        drop(line);
        let mut bytes = String::new();
        reader.read_to_string(&mut bytes).unwrap();
        let mut lines = bytes.split('\r').map(|line| line.trim_start_matches("\x1b[K"));
        lines.rfind(|line| !line.trim().is_empty() && !line.ends_with("\x1b[J")).unwrap_or_default().into()
    }

    #[test]
    fn a_line_is_narrower_than_its_terminal_whatever_it_says() {
        let names = "名前の長いファイル、もう一つ".repeat(20);
        let widths: [(fn() -> u16, usize); 5] =
            [(|| 1, 1), (|| 20, 20), (|| 40, 40), (|| 80, 80), (|| 200, 200)];
        for (columns, width) in widths {
            for text in [names.as_str(), &format!("x{names}"), " 50 % of it"] {
                let line = drawn(columns, text);
                assert!(line.width() < width.max(2), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn a_terminal_with_room_shows_a_gauge_and_a_narrow_one_what_matters_more() {
        assert_eq!(drawn(|| 80, "50 %").trim_end(), format!("{}{} 50 %", "█".repeat(7), "░".repeat(8)));
        assert_eq!(drawn(|| 40, "50 %").trim_end(), "50 %");
    }
}
