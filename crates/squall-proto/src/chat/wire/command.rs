//! What members ask the hub for.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use super::said::{decimal, tail};
use super::{Name, NameError, RoomName};

/// A command, its arguments read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `/help`
    Help,
    /// `/name` asks for the name, `/name NEW` changes it.
    Name(Option<Name>),
    /// `/join ROOM`
    Join(RoomName),
    /// `/rooms`, `/rooms AFTER`: those whose names come after this one, so that long lists can be paged through.
    Rooms(Option<RoomName>),
    /// `/who`, `/who ROOM`, `/who ROOM AFTER`
    Who {
        /// Which room; `None` is one's own.
        room: Option<RoomName>,
        /// Members whose names come after this one, so that long lists can be paged through.
        after: Option<Cow<'a, str>>,
    },
    /// `/me`, `/me TOKEN`
    Me(Option<Token>),
    /// `/last`, `/last N`, `/last #K`
    Last(Last),
    /// `/find WORDS`; the words are clean and not empty.
    Find(Cow<'a, str>),
    /// `/numbers on`, `/numbers off`: whether messages come with their numbers.
    Numbers(bool),
    /// `/lines on`, `/lines off`: whether each datagram ends with a line feed.
    Lines(bool),
    /// `/watch on`, `/watch off`: whether comings and goings are told.
    Watch(bool),
}

/// Which messages `/last` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// The last so many: from 1 to [`LAST_MAX`], [`LAST_DEFAULT`] where nothing is said.
    Count(u32),
    /// The first [`LAST_MAX`] after the one with this number.
    After(u64),
}

/// How many messages `/last` gives where nothing is said.
pub const LAST_DEFAULT: u32 = 20;
/// The most messages that `/last` gives.
pub const LAST_MAX: u32 = 200;

/// What `/me` echoes, so that round trips can be measured: 1 to 16 of `A`–`Z`, `a`–`z`, `0`–`9`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    bytes: [u8; Token::MAX],
    len: u8,
}

/// Why a command means nothing. The text is what its sender is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such command.
    #[error("/{0}: no such command; /help")]
    Unknown(String),
    /// A name that nobody can have.
    #[error("name: {0}")]
    Name(NameError),
    /// A name of a room that none can have.
    #[error("{command}: {error}")]
    Room {
        /// The command.
        command: &'static str,
        /// What is wrong.
        error: NameError,
    },
    /// The arguments are not what the command takes.
    #[error("{command}: the use is {usage}")]
    Usage {
        /// The command.
        command: &'static str,
        /// How it is used.
        usage: &'static str,
    },
}

impl<'a> Command<'a> {
    /// Reads a clean line that begins with `/`; white space at its end is passed over.
    ///
    /// # Errors
    /// [`CommandError`] for a command that there is not, and for arguments that it does not take.
    pub fn parse(mut line: Cow<'a, str>) -> Result<Self, CommandError> {
        let end = line.trim_end().len();
        match &mut line {
            Cow::Borrowed(line) => *line = &line[..end],
            Cow::Owned(line) => line.truncate(end),
        }
        let word_end = line.find(char::is_whitespace).unwrap_or(line.len());
        let from = line.len() - line[word_end..].trim_start().len();
        let mut words = line[from..].split_whitespace();
        let (first, second, third) = (words.next(), words.next(), words.next());
        let usage = |command, usage| Err(CommandError::Usage { command, usage });
        let room = |command, room| RoomName::new(room).map_err(|error| CommandError::Room { command, error });
        Ok(match (&line[..word_end], first, second) {
            ("/help", None, _) => Command::Help,
            ("/help", ..) => return usage("help", "/help"),
            ("/name", None, _) => Command::Name(None),
            ("/name", Some(name), None) => Command::Name(Some(Name::new(name).map_err(CommandError::Name)?)),
            ("/name", ..) => return usage("name", "/name NAME, one word"),
            ("/join", Some(name), None) => Command::Join(room("join", name)?),
            ("/join", ..) => return usage("join", "/join ROOM, one word"),
            ("/rooms", after, None) => Command::Rooms(after.map(|after| room("rooms", after)).transpose()?),
            ("/rooms", ..) => return usage("rooms", "/rooms or /rooms AFTER"),
            ("/who", name, after) if third.is_none() => {
                let room = name.map(|name| room("who", name)).transpose()?;
                let after = after.map(|after| line.len() - after.len());
                Command::Who { room, after: after.map(|from| tail(line, from)) }
            }
            ("/who", ..) => return usage("who", "/who, /who ROOM or /who ROOM AFTER"),
            ("/me", None, _) => Command::Me(None),
            ("/me", Some(token), None) if Token::new(token).is_some() => Command::Me(Token::new(token)),
            ("/me", ..) => return usage("me", "/me or /me TOKEN, 1 to 16 letters and digits"),
            ("/last", count, None) => match Last::parse(count) {
                Some(last) => Command::Last(last),
                None => return usage("last", LAST_USAGE),
            },
            ("/last", ..) => return usage("last", LAST_USAGE),
            ("/find", Some(_), _) => Command::Find(tail(line, from)),
            ("/find", ..) => return usage("find", "/find WORDS"),
            ("/numbers", Some("on"), None) => Command::Numbers(true),
            ("/numbers", Some("off"), None) => Command::Numbers(false),
            ("/numbers", ..) => return usage("numbers", "/numbers on or /numbers off"),
            ("/lines", Some("on"), None) => Command::Lines(true),
            ("/lines", Some("off"), None) => Command::Lines(false),
            ("/lines", ..) => return usage("lines", "/lines on or /lines off"),
            ("/watch", Some("on"), None) => Command::Watch(true),
            ("/watch", Some("off"), None) => Command::Watch(false),
            ("/watch", ..) => return usage("watch", "/watch on or /watch off"),
            (other, ..) => return Err(CommandError::Unknown(other.chars().skip(1).take(32).collect())),
        })
    }
}

const LAST_USAGE: &str = "/last N, from 1 to 200, or /last #NUMBER";

impl Last {
    fn parse(word: Option<&str>) -> Option<Self> {
        let Some(word) = word else { return Some(Last::Count(LAST_DEFAULT)) };
        match word.strip_prefix('#') {
            Some(number) => decimal(number).map(Last::After),
            None => decimal(word).filter(|count| (1..=LAST_MAX).contains(count)).map(Last::Count),
        }
    }
}

impl Token {
    /// The longest, in bytes.
    pub const MAX: usize = 16;

    /// `None` if it is not 1 to 16 letters and digits of ASCII.
    pub fn new(token: &str) -> Option<Self> {
        let fits = (1..=Self::MAX).contains(&token.len());
        if !fits || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        bytes[..token.len()].copy_from_slice(token.as_bytes());
        Some(Self { bytes, len: token.len() as u8 })
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Command<'_> {
    /// As a member sends it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on: &bool| if *on { "on" } else { "off" };
        match self {
            Command::Help => f.write_str("/help"),
            Command::Name(None) => f.write_str("/name"),
            Command::Name(Some(name)) => write!(f, "/name {name}"),
            Command::Join(room) => write!(f, "/join {room}"),
            Command::Rooms(None) => f.write_str("/rooms"),
            Command::Rooms(Some(after)) => write!(f, "/rooms {after}"),
            Command::Who { room: None, .. } => f.write_str("/who"),
            Command::Who { room: Some(room), after: None } => write!(f, "/who {room}"),
            Command::Who { room: Some(room), after: Some(after) } => write!(f, "/who {room} {after}"),
            Command::Me(None) => f.write_str("/me"),
            Command::Me(Some(token)) => write!(f, "/me {}", token.as_str()),
            Command::Last(Last::Count(count)) => write!(f, "/last {count}"),
            Command::Last(Last::After(number)) => write!(f, "/last #{number}"),
            Command::Find(words) => write!(f, "/find {words}"),
            Command::Numbers(numbers) => write!(f, "/numbers {}", on(numbers)),
            Command::Lines(lines) => write!(f, "/lines {}", on(lines)),
            Command::Watch(watch) => write!(f, "/watch {}", on(watch)),
        }
    }
}
