//! Decisions as lines of text.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use squall_time::Time;

use crate::decision::{Cause, Copies, Copy, Corruption, Decision, MAX_COPIES};
use crate::units::{Decimal, parse_span};
use crate::weather::Direction;

/// One decision, as a line of a record: the direction, which datagram of that direction it was, its size with
/// headers, and what became of it.
///
/// ```text
/// up 0 128 pass +25ms
/// up 1 128 drop loss
/// up 2 1500 drop too-big 1400
/// up 3 128 pass +25.103ms +27ms
/// down 0 128 pass +25ms flip 17
/// ```
///
/// A pass has the delay of each copy, and the bit that was turned over if there was one. There are no points in
/// time in it, so that a run at another time has the same record. Where the conditions have a rate, a delay
/// depends on when the datagrams before it came; with an order to keep, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The direction.
    pub direction: Direction,
    /// The datagram's number in its direction, from 0.
    pub index: u64,
    /// The datagram's size in bytes, headers counted.
    pub size: usize,
    /// What became of it.
    pub outcome: Outcome,
}

/// A decision without points in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was dropped.
    Dropped(Cause),
    /// It arrived; the second copy if it was duplicated.
    Delivered(Passed, Option<Passed>),
}

/// One copy that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// How long it took.
    pub delay: Duration,
    /// What was done to its payload.
    pub corruption: Option<Corruption>,
}

impl Outcome {
    /// What `decision`, made at `now`, is without points in time.
    pub fn new(now: Time, decision: &Decision) -> Self {
        let passed = |copy: Copy| Passed { delay: copy.at - now, corruption: copy.corruption };
        match decision {
            Decision::Dropped(cause) => Outcome::Dropped(*cause),
            Decision::Delivered(copies) => {
                let mut copies = copies.iter().map(passed);
                let first = copies.next().unwrap_or(Passed { delay: Duration::ZERO, corruption: None });
                Outcome::Delivered(first, copies.next())
            }
        }
    }

    /// The same decision, made at `now`.
    pub fn decision(&self, now: Time) -> Decision {
        let copy = |passed: &Passed| Copy { at: now + passed.delay, corruption: passed.corruption };
        match self {
            Outcome::Dropped(cause) => Decision::Dropped(*cause),
            Outcome::Delivered(first, second) => {
                Decision::Delivered(Copies::new(copy(first), second.as_ref().map(copy)))
            }
        }
    }
}

/// Numbers the decisions of a run, each direction by itself.
///
/// ```
/// use squall_time::Time;
/// use squall_weather::{Direction, Packet, Recorder, Weather};
///
/// let (mut up, _) = Weather::clear().links(7);
/// let mut recorder = Recorder::default();
/// let packet = Packet { size: 128, payload: &[0; 100], peer: None };
/// let decision = up.decide(Time::ZERO, &packet);
/// let line = recorder.entry(Direction::Up, Time::ZERO, packet.size, &decision).to_string();
/// assert_eq!(line, "up 0 128 pass +0ms");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    up: u64,
    down: u64,
}

impl Recorder {
    /// The line for a `decision` on a datagram of `size` bytes that was sent at `now`.
    pub fn entry(&mut self, direction: Direction, now: Time, size: usize, decision: &Decision) -> Entry {
        let next = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        let index = *next;
        *next += 1;
        Entry { direction, index, size, outcome: Outcome::new(now, decision) }
    }
}

/// What a whole record says, for [`Replay`](crate::Replay)s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub(crate) header: String,
    pub(crate) up: Vec<(usize, Outcome)>,
    pub(crate) down: Vec<(usize, Outcome)>,
}

/// Why a text is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A line that is no entry.
    #[error("line {line}: {error}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        error: EntryError,
    },
    /// A line that is out of its direction's order.
    #[error("line {line}: datagram {found} of {direction} where {expected} comes next")]
    Order {
        /// Which, from 1.
        line: usize,
        /// The direction.
        direction: Direction,
        /// The number that would have been right.
        expected: usize,
        /// The number that is there.
        found: u64,
    },
    /// More than [`Record::MAX`] lines.
    #[error("line {}: a record has at most {} datagrams", Record::MAX + 1, Record::MAX)]
    TooLong,
}

impl Record {
    /// The most datagrams that a record has, ten million: each takes 56 bytes of memory.
    pub const MAX: usize = 10_000_000;

    /// The comments that it begins with, each a line: the seed and the weather it was made with.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// How many datagrams it has in one direction.
    pub fn len(&self, direction: Direction) -> usize {
        match direction {
            Direction::Up => self.up.len(),
            Direction::Down => self.down.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }
}

impl FromStr for Record {
    type Err = RecordError;

    /// Reads lines as [`Entry`] shows them. The directions may be mixed in any way. Empty lines and what
    /// begins with `#` do not count.
    fn from_str(text: &str) -> Result<Self, RecordError> {
        let mut record = Record::default();
        for (place, content) in text.lines().enumerate() {
            let (line, content) = (place + 1, content.trim());
            if content.starts_with('#')
                && record.is_empty()
                && record.header.len() + content.len() < MAX_HEADER
            {
                record.header.push_str(content);
                record.header.push('\n');
            }
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let entry: Entry = content.parse().map_err(|error| RecordError::Line { line, error })?;
            if record.up.len() + record.down.len() >= Record::MAX {
                return Err(RecordError::TooLong);
            }
            let list = match entry.direction {
                Direction::Up => &mut record.up,
                Direction::Down => &mut record.down,
            };
            if entry.index != list.len() as u64 {
                let (direction, expected, found) = (entry.direction, list.len(), entry.index);
                return Err(RecordError::Order { line, direction, expected, found });
            }
            list.push((entry.size, entry.outcome));
        }
        Ok(record)
    }
}

/// Why a line is no entry of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} where {expected} is expected")]
pub struct EntryError {
    found: String,
    expected: &'static str,
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(line: &str) -> Result<Self, EntryError> {
        let mut words = Words { rest: line.split_whitespace() };
        let direction = match words.next("up or down")? {
            "up" => Direction::Up,
            "down" => Direction::Down,
            other => return Err(EntryError::new(other, "up or down")),
        };
        let index = words.number("the datagram's number")?;
        let size = words.number("the datagram's size")?;
        let outcome = match words.next("pass or drop")? {
            "drop" => Outcome::Dropped(words.cause()?),
            "pass" => words.copies()?,
            other => return Err(EntryError::new(other, "pass or drop")),
        };
        match words.rest.next() {
            Some(more) => Err(EntryError::new(more, "the end of the line")),
            None => Ok(Entry { direction, index, size, outcome }),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.direction, self.index, self.size, self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Dropped(cause) => write!(f, "drop {cause}"),
            Outcome::Delivered(first, None) => write!(f, "pass {first}"),
            Outcome::Delivered(first, Some(second)) => write!(f, "pass {first} {second}"),
        }
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One unit throughout, so that a column can be compared by eye.
        let nanos = u64::try_from(self.delay.as_nanos()).unwrap_or(u64::MAX);
        write!(f, "+{}ms", Decimal::new(nanos, 6))?;
        match self.corruption {
            Some(corruption) => write!(f, " flip {}", corruption.bit()),
            None => Ok(()),
        }
    }
}

/// The words of a line.
struct Words<'a> {
    rest: core::str::SplitWhitespace<'a>,
}

impl<'a> Words<'a> {
    fn next(&mut self, expected: &'static str) -> Result<&'a str, EntryError> {
        self.rest.next().ok_or(EntryError { found: String::new(), expected })
    }

    fn next_is(&mut self, word: &str) -> bool {
        let mut ahead = self.rest.clone();
        let is = ahead.next() == Some(word);
        if is {
            self.rest = ahead;
        }
        is
    }

    fn number<T: FromStr>(&mut self, expected: &'static str) -> Result<T, EntryError> {
        let word = self.next(expected)?;
        // FromStr takes a sign, which no record has.
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        word.parse().ok().filter(|_| digits).ok_or_else(|| EntryError::new(word, expected))
    }

    fn cause(&mut self) -> Result<Cause, EntryError> {
        const EXPECTED: &str = "loss, burst, queue, too-big, blackout or rule";
        Ok(match self.next(EXPECTED)? {
            "loss" => Cause::Loss,
            "burst" => Cause::Burst,
            "queue" => Cause::Queue,
            "too-big" => Cause::TooBig { mtu: self.number("an MTU")?, silent: self.next_is("silent") },
            "blackout" => Cause::Blackout,
            "rule" => Cause::Rule,
            other => return Err(EntryError::new(other, EXPECTED)),
        })
    }

    fn copies(&mut self) -> Result<Outcome, EntryError> {
        let mut copies = [None; MAX_COPIES];
        for copy in &mut copies {
            if copy.is_none() && self.rest.clone().next().is_none() {
                break;
            }
            *copy = Some(self.copy()?);
        }
        match copies {
            [Some(first), second] => Ok(Outcome::Delivered(first, second)),
            _ => Err(EntryError { found: String::new(), expected: DELAY }),
        }
    }

    fn copy(&mut self) -> Result<Passed, EntryError> {
        let word = self.next(DELAY)?;
        let nanos = word.strip_prefix('+').and_then(parse_span);
        let delay = Duration::from_nanos(nanos.ok_or_else(|| EntryError::new(word, DELAY))?);
        let corruption = match self.next_is("flip") {
            true => Some(Corruption::new(self.number("a bit's number")?)),
            false => None,
        };
        Ok(Passed { delay, corruption })
    }
}

impl EntryError {
    /// Long words are cut: they come from a file of any content.
    fn new(found: &str, expected: &'static str) -> Self {
        Self { found: found.chars().take(40).collect(), expected }
    }
}

/// Bytes of a header after which further lines are not kept.
const MAX_HEADER: usize = 64 * 1024;
const DELAY: &str = "a delay like +25ms";

#[cfg(test)]
mod tests;
