//! Weather as text.

mod keys;
mod rules;
mod schedule;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::conditions::Conditions;
use crate::presets::PRESETS;
use crate::rule::Rule;
use crate::weather::{Direction, Weather};
use keys::{KEYS, Key};
use rules::Fault;
use schedule::Scheduler;

/// Why a text is no weather.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is nothing, or nothing between two commas.
    #[error("a part of the weather is empty; write KEY=VALUE,… or a preset: {}", presets())]
    Empty,
    /// A word without a value that is no preset.
    #[error("{word:?} is no preset{}; there are {}{}", nearest_preset(.word), presets(), meant(.word))]
    UnknownPreset {
        /// The word.
        word: String,
    },
    /// A preset that is not at the beginning.
    #[error("the preset {name} must come first; what follows changes it")]
    PresetNotFirst {
        /// The preset.
        name: String,
    },
    /// A key that does not exist.
    #[error("there is no key {key:?}{}; there are {}", nearest(.key), names())]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A key that is there twice.
    #[error("{key} is given twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// A value that its key does not allow.
    #[error("{key}={value}: it must be {allowed}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A rule with a part that cannot be.
    #[error("rule: {part:?}: {reason}")]
    Rule {
        /// The part.
        part: String,
        /// What is wrong with it, and what is allowed there.
        reason: &'static str,
    },
    /// A part of a schedule that makes no sense.
    #[error("@{text}: {reason}")]
    Schedule {
        /// The part.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More of something than there may be.
    #[error("there can be at most {most} {what}")]
    TooMany {
        /// How many there may be.
        most: usize,
        /// Of what.
        what: &'static str,
    },
    /// Values that do not go together.
    #[error("{direction}: {reason}")]
    Together {
        /// Where.
        direction: Direction,
        /// Why not.
        reason: &'static str,
    },
}

impl FromStr for Weather {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        Weather::clear().changed(text)
    }
}

impl Weather {
    /// This weather with the settings of `text`, which has the form that [`from_str`](Self::from_str) reads. A
    /// preset or `clear` at its beginning replaces everything, and so does a schedule. Without these, a
    /// setting holds under all conditions of this weather's schedule, and rules come behind those there are.
    ///
    /// ```
    /// use squall_weather::Weather;
    ///
    /// let weather: Weather = "delay=25ms,loss=1%".parse()?;
    /// assert_eq!(weather.changed("loss=2%,up.rate=1mbit")?.to_string(), "delay=25ms,loss=2%,up.rate=1mbit");
    /// # Ok::<(), squall_weather::TextError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn changed(&self, text: &str) -> Result<Self, TextError> {
        let mut sections = text.split('@');
        let first = sections.next().unwrap_or_default();
        let mut sections = sections.peekable();
        if sections.peek().is_none() {
            return section(self, first);
        }
        let mut schedule = Scheduler::new(section(&Weather::clear(), first)?);
        for text in sections {
            schedule.add(text)?;
        }
        Ok(schedule.finish())
    }

    /// Sets one key, as in the text form with `up.` or `down.` before it for one direction, under all
    /// conditions of the schedule. For those who read weather in other forms, and who call
    /// [`check`](Self::check) in the end.
    ///
    /// # Errors
    /// A key that does not exist, or a value that it does not allow.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), TextError> {
        Setting::new(key, value)?.apply(self)
    }

    /// The keys in force that mean something for datagrams alone. A stream of bytes has its delay, jitter, rate
    /// and blackouts, in order; who carries one says which of the rest it cannot do.
    ///
    /// ```
    /// use squall_weather::Weather;
    ///
    /// let weather: Weather = "delay=25ms,up.loss=1%@10s:down.mtu=1400".parse()?;
    /// assert_eq!(weather.datagram_keys(), ["loss", "mtu"]);
    /// # Ok::<(), squall_weather::TextError>(())
    /// ```
    pub fn datagram_keys(&self) -> Vec<&'static str> {
        let later = |conditions: &'_ Conditions, key: &Key| {
            conditions.schedule.later.iter().any(|(_, later)| !(key.show)(later).is_empty())
        };
        let in_force = |conditions, key: &Key| !(key.show)(conditions).is_empty() || later(conditions, key);
        let keys = KEYS.iter().filter(|key| !STREAM_KEYS.contains(&key.name));
        keys.filter(|key| in_force(&self.up, key) || in_force(&self.down, key)).map(|key| key.name).collect()
    }

    /// The keys in force that do more than lose datagrams, at one time or another: those that delay, reorder, alter
    /// or answer them, and rules that do. For those who can only lose.
    ///
    /// ```
    /// use squall_weather::Weather;
    ///
    /// let weather: Weather = "loss=1%,up.delay=5ms,rule=every:3 drop@10s:mtu=1400".parse()?;
    /// assert_eq!(weather.keys_beyond_loss(), ["delay", "mtu"]);
    /// # Ok::<(), squall_weather::TextError>(())
    /// ```
    pub fn keys_beyond_loss(&self) -> Vec<&'static str> {
        let beyond = |conditions: &Conditions, key: &Key| match key.name {
            "rule" => !conditions.rules.iter().all(Rule::only_loses),
            name if LOSS_KEYS.contains(&name) => false,
            _ => !(key.show)(conditions).is_empty(),
        };
        let ever = |conditions: &Conditions, key: &Key| {
            beyond(conditions, key) || conditions.schedule.later.iter().any(|(_, later)| beyond(later, key))
        };
        let keys = KEYS.iter().filter(|key| ever(&self.up, key) || ever(&self.down, key));
        keys.map(|key| key.name).collect()
    }

    /// Whether the values go together: a queue holds a datagram, a burst ends, and such.
    ///
    /// # Errors
    /// What does not go together.
    pub fn check(&self) -> Result<(), TextError> {
        for direction in Direction::ALL {
            let checked = check(self.conditions(direction));
            checked.map_err(|reason| TextError::Together { direction, reason })?;
        }
        Ok(())
    }
}

impl fmt::Display for Weather {
    /// The shortest list of keys that reads as this weather; `clear` when it is empty. Where the two
    /// directions have schedules with different times, it reads as a weather that does the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_section(f, &self.up, &self.down)?;
        schedule::write(f, self)
    }
}

/// One section's settings, on top of `base`.
fn section(base: &Weather, text: &str) -> Result<Weather, TextError> {
    let mut parts = text.split(',').map(str::trim).peekable();
    let mut weather = match parts.next_if(|part| !part.is_empty() && !part.contains('=')) {
        None => base.clone(),
        Some("clear") => Weather::clear(),
        Some(name) => Weather::preset(name).ok_or_else(|| TextError::UnknownPreset { word: cut(name) })?,
    };
    let mut settings: Vec<Setting<'_>> = Vec::new();
    for part in parts {
        let setting = Setting::parse(part)?;
        if settings.iter().any(|earlier| earlier.contradicts(&setting)) {
            return Err(TextError::Twice { key: setting.name.into() });
        }
        settings.push(setting);
    }
    // One direction's own settings are stronger, wherever they stand.
    settings.sort_by_key(|setting| setting.direction.is_some());
    for setting in settings {
        setting.apply(&mut weather)?;
        for conditions in [&mut weather.up, &mut weather.down] {
            // So that a text that repeats them cannot fill the memory.
            if conditions.rules.len() > MAX_RULES {
                return Err(TextError::TooMany { most: MAX_RULES, what: "rules" });
            }
        }
    }
    weather.check()?;
    Ok(weather)
}

fn write_section(f: &mut fmt::Formatter<'_>, up: &Conditions, down: &Conditions) -> fmt::Result {
    let mut comma = "";
    for key in KEYS {
        let (ups, downs) = ((key.show)(up), (key.show)(down));
        let both = [("", &ups)];
        let each = [("up.", &ups), ("down.", &downs)];
        for (direction, values) in if ups == downs { &both[..] } else { &each[..] } {
            for value in values.iter() {
                write!(f, "{comma}{direction}{}={value}", key.name)?;
                comma = ",";
            }
        }
    }
    if comma.is_empty() { f.write_str("clear") } else { Ok(()) }
}

/// One `KEY=VALUE`.
struct Setting<'a> {
    /// As it was written, with its direction.
    name: &'a str,
    direction: Option<Direction>,
    key: &'static Key,
    value: &'a str,
}

impl<'a> Setting<'a> {
    fn parse(part: &'a str) -> Result<Self, TextError> {
        if part.is_empty() {
            return Err(TextError::Empty);
        }
        let Some((name, value)) = part.split_once('=') else {
            let name = cut(part);
            return Err(match PRESETS.iter().any(|preset| preset.name == part) {
                true => TextError::PresetNotFirst { name },
                false => TextError::UnknownKey { key: name },
            });
        };
        Self::new(name.trim(), value.trim())
    }

    fn new(name: &'a str, value: &'a str) -> Result<Self, TextError> {
        let (direction, bare) = match name.split_once('.') {
            Some(("up", bare)) => (Some(Direction::Up), bare),
            Some(("down", bare)) => (Some(Direction::Down), bare),
            _ => (None, name),
        };
        let key = KEYS.iter().find(|key| key.name == bare);
        let key = key.ok_or_else(|| TextError::UnknownKey { key: cut(name) })?;
        Ok(Self { name, direction, key, value })
    }

    /// Whether both say the same thing, so that one of them would be lost.
    fn contradicts(&self, other: &Setting<'_>) -> bool {
        let covers = |one: &str, two: &str| one == "burst" && matches!(two, "burst-enter" | "burst-leave");
        let (one, two) = (self.key.name, other.key.name);
        let same = (one == two && !self.key.repeats) || covers(one, two) || covers(two, one);
        same && self.direction == other.direction
    }

    fn apply(&self, weather: &mut Weather) -> Result<(), TextError> {
        if self.direction != Some(Direction::Down) {
            self.apply_to(&mut weather.up)?;
        }
        if self.direction != Some(Direction::Up) {
            self.apply_to(&mut weather.down)?;
        }
        Ok(())
    }

    fn apply_to(&self, conditions: &mut Conditions) -> Result<(), TextError> {
        let set = |conditions: &mut Conditions| {
            (self.key.set)(conditions, self.value).ok_or_else(|| self.refused())
        };
        set(conditions)?;
        conditions.schedule.later.iter_mut().try_for_each(|(_, later)| set(later))
    }
}

impl Setting<'_> {
    /// Why the value is not allowed.
    fn refused(&self) -> TextError {
        if self.key.name == "rule"
            && let Err(Fault { part, reason }) = rules::parse(self.value)
        {
            // Short, for what is allowed follows.
            return TextError::Rule { part: part.chars().take(18).collect(), reason };
        }
        TextError::Value { key: self.name.into(), value: cut(self.value), allowed: self.key.allowed }
    }
}

/// Texts of any length are quoted in part.
fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Whether the values of one direction go together.
fn check(conditions: &Conditions) -> Result<(), &'static str> {
    conditions.schedule.later.iter().try_for_each(|(_, later)| check(later))?;
    if conditions.blackouts.every.is_some_and(|(period, length)| length >= period) {
        return Err("blackout-every never ends: its length must be shorter than its period");
    }
    if !conditions.burst_enter.is_zero() && conditions.burst_leave.is_zero() {
        return Err("a burst would never end; give burst-leave a probability over 0%");
    }
    match conditions.queue {
        Some(_) if conditions.rate == 0 => Err("a queue needs a rate to wait for"),
        Some(queue) if queue < u64::from(conditions.mtu.unwrap_or(ETHERNET)) => Err(
            "the queue is shorter than one datagram: it must hold the mtu, or 1500 bytes if there is none",
        ),
        _ => Ok(()),
    }
}

/// What a stream can have too.
const STREAM_KEYS: [&str; 7] =
    ["delay", "jitter", "jitter-shape", "rate", "queue", "blackout", "blackout-every"];
/// What can only lose datagrams. The two parts of a burst are shown as one.
const LOSS_KEYS: [&str; 6] = ["loss", "burst", "burst-loss", "burst-good-loss", "blackout", "blackout-every"];
const ETHERNET: u32 = 1500;
/// The most rules of one direction.
const MAX_RULES: usize = 64;

fn presets() -> String {
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

fn names() -> String {
    KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

/// For a key without a value.
fn meant(word: &str) -> &'static str {
    match KEYS.iter().any(|key| word.eq_ignore_ascii_case(key.name)) {
        true => "; a key has a value: KEY=VALUE",
        false => "",
    }
}

/// The key that was probably meant.
fn nearest(key: &str) -> String {
    let bare = key.strip_prefix("up.").or_else(|| key.strip_prefix("down.")).unwrap_or(key);
    near(bare, KEYS.iter().map(|known| known.name))
}

/// The preset that was probably meant; none where a key was.
fn nearest_preset(word: &str) -> String {
    if meant(word).is_empty() { near(word, PRESETS.iter().map(|known| known.name)) } else { String::new() }
}

/// Which of the names is the one that was probably meant. Names are in small letters.
fn near(word: &str, names: impl Iterator<Item = &'static str>) -> String {
    let word = word.to_ascii_lowercase();
    let best = names.map(|name| (distance(&word, name), name)).min();
    match best {
        Some((distance, name)) if distance <= 2 => alloc::format!("; {name} is near"),
        _ => String::new(),
    }
}

/// Levenshtein's distance; far for what is long.
fn distance(one: &str, other: &str) -> usize {
    if one.len() > 32 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;
