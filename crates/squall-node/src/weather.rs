//! Weather, as people give it: a preset, a line of text, or a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use squall_weather::{Direction, TextError, Weather};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::units::parse_duration;

/// Why a weather cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeatherError {
    /// The text is none.
    #[error("weather {text:?}: {source}")]
    Text {
        /// The text, or its beginning.
        text: String,
        /// What is wrong with it.
        source: TextError,
    },
    /// The file cannot be read.
    #[error("cannot read the weather {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file says something else.
    #[error("{}:{line}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
}

/// The weather that `text` means: the name of a preset, settings (`lte,loss=2%`; see [`Weather`]), or a file if
/// it ends with `.toml`.
///
/// # Errors
/// [`WeatherError`], in one line.
pub fn parse_weather(text: &str) -> Result<Weather, WeatherError> {
    if text.ends_with(".toml") {
        return load_weather(Path::new(text));
    }
    text.parse().map_err(|source| WeatherError::Text { text: text.chars().take(60).collect(), source })
}

/// Reads a weather from a TOML file. Its keys are those of the text form, at the top for both directions, in `up`
/// and `down` for one.
///
/// ```toml
/// weather = "lte"                # where it starts: a preset or any text; clear
/// loss = "2%"
/// mtu = 1400
/// mtu-icmp = false
///
/// [up]
/// rate = "1mbit"
///
/// [[rule]]                       # the first that picks a datagram counts
/// direction = "up"               # both without it
/// size = "1000-1500"
/// every = 3
/// drop = true
///
/// [[at]]                         # from ten seconds on, instead of all above
/// time = "10s"
/// weather = "storm"
///
/// [[at]]
/// time = "20s"
/// up.loss = "100%"
///
/// [repeat]                       # all of it begins anew
/// time = "30s"
/// ```
///
/// # Errors
/// [`WeatherError`], with the line.
pub fn load_weather(path: &Path) -> Result<Weather, WeatherError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| WeatherError::Read { path: path.to_owned(), source })?;
    read_weather(&text).map_err(|(at, reason)| {
        let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        WeatherError::Invalid { path: path.to_owned(), line, reason }
    })
}

/// Where in the text something is wrong, and what.
type Wrong = (usize, String);
type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn read_weather(text: &str) -> Result<Weather, Wrong> {
    let file = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().replace('\n', " ")))?;
    let mut weather = section(file.get_ref(), &["at", "repeat"])?;
    let mut last = 0;
    for at in tables(file.get_ref(), "at")? {
        let (place, time) = time(at)?;
        if time.as_nanos() <= last {
            return Err((place, "the times of [[at]] must rise, and be over 0".into()));
        }
        last = time.as_nanos();
        let next = section(at.get_ref().as_table().ok_or_else(|| not_a_table(at))?, &["time"])?;
        weather.up = weather.up.then(time, next.up);
        weather.down = weather.down.then(time, next.down);
    }
    if let Some(repeat) = file.get_ref().get("repeat") {
        let (place, period) = time(repeat)?;
        known(repeat, &["time"])?;
        if period.as_nanos() <= last {
            return Err((place, "repeat must be after the last [[at]], and over 0".into()));
        }
        weather.up = weather.up.repeat(period);
        weather.down = weather.down.repeat(period);
    }
    Ok(weather)
}

/// The weather of one part of the file, but for the keys in `others`.
fn section(table: &DeTable<'_>, others: &[&str]) -> Result<Weather, Wrong> {
    let mut weather = Weather::clear();
    if let Some(start) = table.get("weather") {
        weather = value(start)?.parse().map_err(|error| wrong(start, error))?;
    }
    for (key, content) in table.iter().filter(|(key, _)| !others.contains(&key.get_ref().as_ref())) {
        match (key.get_ref().as_ref(), content.get_ref()) {
            ("weather" | "rule" | "up" | "down", _) => {}
            (name, _) => set(&mut weather, name, (key, content))?,
        }
    }
    // One direction's own settings are stronger.
    for direction in Direction::ALL {
        let Some(own) = table.get(direction.to_string().as_str()) else { continue };
        for entry in own.get_ref().as_table().ok_or_else(|| not_a_table(own))? {
            set(&mut weather, &format!("{direction}.{}", entry.0.get_ref()), entry)?;
        }
    }
    for rule in tables(table, "rule")? {
        let (direction, text) = self::rule(rule)?;
        weather.set(&format!("{direction}rule"), &text).map_err(|error| wrong(rule, error))?;
    }
    let place = table.values().map(|content| content.span().start).min().unwrap_or_default();
    weather.check().map_err(|error| (place, error.to_string()))?;
    Ok(weather)
}

fn set(weather: &mut Weather, name: &str, (key, content): Entry<'_, '_>) -> Result<(), Wrong> {
    let text = value(content)?;
    weather.set(name, &text).map_err(|error| (key.span().start, error.to_string()))
}

/// A rule's direction, as it stands before a key, and its text.
fn rule(rule: &Spanned<DeValue<'_>>) -> Result<(&'static str, String), Wrong> {
    let (mut direction, mut words) = ("", Vec::new());
    for (key, content) in rule.get_ref().as_table().ok_or_else(|| not_a_table(rule))? {
        let text = value(content)?;
        let place = content.span().start;
        match key.get_ref().as_ref() {
            "direction" => {
                direction = match text.as_str() {
                    "up" => "up.",
                    "down" => "down.",
                    "both" => "",
                    _ => return Err((place, format!("direction {text:?} is neither up, down nor both"))),
                }
            }
            "drop" => match text.as_str() {
                "yes" => words.push("drop".to_owned()),
                "no" => {}
                _ => return Err((place, "drop is true or false".into())),
            },
            // Payloads may hold what a line of text cannot.
            "prefix" if !text.starts_with("0x") => {
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                words.push(format!("prefix:0x{hex}"));
            }
            name if text.contains(char::is_whitespace) => {
                return Err((place, format!("{name}: {text:?} has a blank in it")));
            }
            name => words.push(format!("{name}:{text}")),
        }
    }
    Ok((direction, words.join(" ")))
}

/// The tables of an array, none where there is no array.
fn tables<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Result<&'a [Spanned<DeValue<'i>>], Wrong> {
    match table.get(name) {
        None => Ok(&[]),
        Some(content) => match content.get_ref() {
            DeValue::Array(tables) => Ok(tables),
            _ => Err((content.span().start, format!("{name} is a list of tables: [[{name}]]"))),
        },
    }
}

/// Where a table has its `time`, and which it is.
fn time(table: &Spanned<DeValue<'_>>) -> Result<(usize, Duration), Wrong> {
    let entries = table.get_ref().as_table().ok_or_else(|| not_a_table(table))?;
    let time = entries
        .get("time")
        .ok_or_else(|| (table.span().start, "a time is missing: time = \"10s\"".into()))?;
    let span = parse_duration(&value(time)?).map_err(|error| (time.span().start, error))?;
    Ok((time.span().start, span))
}

fn known(table: &Spanned<DeValue<'_>>, names: &[&str]) -> Result<(), Wrong> {
    let mut keys = table.get_ref().as_table().into_iter().flatten().map(|(key, _)| key);
    match keys.find(|key| !names.contains(&key.get_ref().as_ref())) {
        Some(key) => Err((key.span().start, format!("there is no key {:?} here", key.get_ref()))),
        None => Ok(()),
    }
}

/// A value as the text form has it.
fn value(content: &Spanned<DeValue<'_>>) -> Result<String, Wrong> {
    match content.get_ref() {
        DeValue::String(text) => Ok(text.as_ref().to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Ok(if *yes { "yes" } else { "no" }.to_owned()),
        _ => Err((content.span().start, "this is neither a text nor a number".into())),
    }
}

fn wrong(content: &Spanned<DeValue<'_>>, error: TextError) -> Wrong {
    (content.span().start, error.to_string())
}

fn not_a_table(content: &Spanned<DeValue<'_>>) -> Wrong {
    (content.span().start, "this must be a table".into())
}

#[cfg(test)]
mod tests;
