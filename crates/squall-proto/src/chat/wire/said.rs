//! What members say.

use alloc::borrow::Cow;

use super::{Command, CommandError, Line, is_speaker};
use crate::text::clean;

/// One message of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// `quit`: it leaves.
    Quit,
    /// `^hb^` or `^hb^ N`: it is alive. The number goes up by one with each, and wraps; of a longer one these are the low
    /// bits, and one of more than 64 bits is none.
    Heartbeat(Option<u32>),
    /// `/word …`
    Command(Command<'a>),
    /// `/word …` that means nothing; the error's text is what the member is told, behind `! `.
    Wrong(CommandError),
    /// Anything else, clean and never empty. Of `//…` it is `/…`.
    Text {
        /// What is relayed.
        text: Cow<'a, str>,
        /// Whether a hub may have sent it.
        shape: Shape,
    },
}

/// Whether a text could come from another hub that was forged into this one's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// It could not.
    Text,
    /// Any line of a hub: it makes no new member. From a member it is relayed.
    Hub,
    /// An `ack` that relays an `ack`: it makes no new member, and from a member's datagram it is dropped, so that two
    /// hubs end after one exchange.
    Loop,
}

/// The messages in a datagram, or in one line of a stream: one for each line that is not empty once it is clean.
/// Nothing is copied of what is clean already.
///
/// A datagram without any message still shows that its sender is there.
///
/// ```
/// use squall_proto::chat::wire::{Said, lines};
///
/// let mut said = lines(b"^hb^ 7\nquit\n");
/// assert_eq!(said.next(), Some(Said::Heartbeat(Some(7))));
/// assert_eq!(said.next(), Some(Said::Quit));
/// assert_eq!(said.next(), None);
/// ```
pub fn lines(datagram: &[u8]) -> impl Iterator<Item = Said<'_>> {
    datagram.split(|&byte| byte == b'\n').filter_map(|line| Said::new(clean(line)))
}

impl<'a> Said<'a> {
    /// `None` for an empty line.
    fn new(line: Cow<'a, str>) -> Option<Self> {
        Some(match line.as_bytes().first()? {
            b'q' if line == "quit" => Said::Quit,
            b'^' if heartbeat(&line).is_some() => Said::Heartbeat(heartbeat(&line)?),
            b'/' if line.as_bytes().get(1) == Some(&b'/') => {
                Said::Text { text: tail(line, 1), shape: Shape::Text }
            }
            b'/' => match Command::parse(line) {
                Ok(command) => Said::Command(command),
                Err(error) => Said::Wrong(error),
            },
            _ => Said::Text { shape: Shape::of(&line), text: line },
        })
    }

    /// Whether this message makes a member of an address that is none.
    pub fn joins(&self) -> bool {
        match self {
            Said::Quit => false,
            Said::Text { shape, .. } => *shape == Shape::Text,
            _ => true,
        }
    }
}

impl Shape {
    /// The shape of a text.
    pub fn of(text: &str) -> Self {
        // Few texts need a closer look: nothing that a hub says begins otherwise.
        if !matches!(text.as_bytes().first(), Some(b'a' | b'b' | b'*' | b'!')) {
            return Shape::Text;
        }
        match Line::parse(text) {
            Line::Unknown("ack") => Shape::Hub,
            Line::Unknown(_) => Shape::Text,
            Line::Numbered { text, .. } if is_ack(text) => Shape::Loop,
            Line::Ack(said) if is_ack(said) || said_by_name(said).is_some_and(is_ack) => Shape::Loop,
            _ => Shape::Hub,
        }
    }
}

fn is_ack(text: &str) -> bool {
    text.starts_with("ack ")
}

/// What stands behind a name and a colon.
fn said_by_name(said: &str) -> Option<&str> {
    let (name, text) = said.split_once(": ")?;
    is_speaker(name).then_some(text)
}

/// `text` from the byte `from` on.
pub(super) fn tail(text: Cow<'_, str>, from: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..]),
        Cow::Owned(mut text) => {
            text.drain(..from);
            Cow::Owned(text)
        }
    }
}

/// The number of a heartbeat, if it has one; `None` if the line is none.
fn heartbeat(line: &str) -> Option<Option<u32>> {
    match line.strip_prefix("^hb^")? {
        "" => Some(None),
        number => {
            let digits = number.strip_prefix(' ')?.trim_start();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            // Whoever counts in wider numbers goes up by one all the same; its low bits are what wraps.
            Some(digits.parse::<u64>().ok().map(|number| number as u32))
        }
    }
}

/// A number of digits alone: no sign.
pub(super) fn decimal<N: core::str::FromStr>(digits: &str) -> Option<N> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}
