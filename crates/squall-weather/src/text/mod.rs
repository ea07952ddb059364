//! Weather as text.

mod keys;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::conditions::Conditions;
use crate::presets::PRESETS;
use crate::weather::{Direction, Weather};
use keys::{KEYS, Key};

/// Why a text is no weather.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is nothing, or nothing between two commas.
    #[error("a part of the weather is empty; write KEY=VALUE,… or a preset: {}", presets())]
    Empty,
    /// A word without a value that is no preset.
    #[error("{word:?} is no preset; there are {}{}", presets(), meant(.word))]
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
        Weather::clear().changed_by(text)
    }
}

impl Weather {
    /// This weather, as `text` changes it: a preset that leads replaces it, each key sets its own value and
    /// leaves the others. A key without a direction sets both.
    ///
    /// ```
    /// # use squall_weather::Weather;
    /// let weather: Weather = "delay=25ms,up.loss=1%".parse()?;
    /// assert_eq!(weather.changed_by("loss=5%")?.to_string(), "delay=25ms,loss=5%");
    /// assert_eq!(weather.changed_by("clear,rate=1mbit")?.to_string(), "rate=1mbit");
    /// # Ok::<(), squall_weather::TextError>(())
    /// ```
    ///
    /// # Errors
    /// As for reading a weather.
    pub fn changed_by(&self, text: &str) -> Result<Self, TextError> {
        let mut parts = text.split(',').map(str::trim).peekable();
        let mut weather = self.clone();
        if let Some(first) = parts.next_if(|part| !part.is_empty() && !part.contains('=')) {
            weather = match first {
                "clear" => Weather::clear(),
                name => {
                    Weather::preset(name).ok_or_else(|| TextError::UnknownPreset { word: name.into() })?
                }
            };
        }
        let mut settings: Vec<Setting<'_>> = Vec::new();
        for part in parts {
            let setting = Setting::parse(part)?;
            if settings.iter().any(|earlier| earlier.name == setting.name) {
                return Err(TextError::Twice { key: setting.name.into() });
            }
            settings.push(setting);
        }
        // One direction's own settings are stronger, wherever they stand.
        settings.sort_by_key(|setting| setting.direction.is_some());
        for setting in settings {
            setting.apply(&mut weather)?;
        }
        for direction in Direction::ALL {
            let checked = check(weather.conditions(direction));
            checked.map_err(|reason| TextError::Together { direction, reason })?;
        }
        Ok(weather)
    }
}

impl fmt::Display for Weather {
    /// The shortest list of keys that reads as this weather; `clear` when it is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for key in KEYS {
            let (up, down) = ((key.show)(&self.up), (key.show)(&self.down));
            let clear = (key.show)(&Conditions::default());
            if up == down {
                if let Some(value) = up {
                    write!(f, "{comma}{}={value}", key.name)?;
                    comma = ",";
                }
                continue;
            }
            for (direction, value) in [(Direction::Up, up), (Direction::Down, down)] {
                if value != clear
                    && let Some(value) = value
                {
                    write!(f, "{comma}{direction}.{}={value}", key.name)?;
                    comma = ",";
                }
            }
        }
        if comma.is_empty() { f.write_str("clear") } else { Ok(()) }
    }
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
            let name = part.to_string();
            return Err(match PRESETS.iter().any(|preset| preset.name == part) {
                true => TextError::PresetNotFirst { name },
                false => TextError::UnknownKey { key: name },
            });
        };
        let (name, value) = (name.trim(), value.trim());
        let (direction, bare) = match name.split_once('.') {
            Some(("up", bare)) => (Some(Direction::Up), bare),
            Some(("down", bare)) => (Some(Direction::Down), bare),
            _ => (None, name),
        };
        let key = KEYS.iter().find(|key| key.name == bare);
        let key = key.ok_or_else(|| TextError::UnknownKey { key: name.into() })?;
        Ok(Self { name, direction, key, value })
    }

    fn apply(&self, weather: &mut Weather) -> Result<(), TextError> {
        let set = |conditions: &mut Conditions| {
            (self.key.set)(conditions, self.value).ok_or_else(|| TextError::Value {
                key: self.name.into(),
                value: self.value.into(),
                allowed: self.key.allowed,
            })
        };
        if self.direction != Some(Direction::Down) {
            set(&mut weather.up)?;
        }
        if self.direction != Some(Direction::Up) {
            set(&mut weather.down)?;
        }
        Ok(())
    }
}

/// Whether the values of one direction go together.
fn check(conditions: &Conditions) -> Result<(), &'static str> {
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

const ETHERNET: u32 = 1500;

fn presets() -> String {
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

fn names() -> String {
    KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

/// For a key without a value.
fn meant(word: &str) -> &'static str {
    match KEYS.iter().any(|key| key.name == word) {
        true => "; a key has a value: KEY=VALUE",
        false => "",
    }
}

/// The key that was probably meant.
fn nearest(key: &str) -> String {
    let bare = key.strip_prefix("up.").or_else(|| key.strip_prefix("down.")).unwrap_or(key);
    let best = KEYS.iter().map(|known| (distance(bare, known.name), known.name)).min();
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
