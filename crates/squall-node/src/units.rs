//! Numbers as people write them.

use std::time::Duration;

use squall::framing::Framing;
use squall::{Model, Offload};

/// A length of time: `250ms`, `2s`, `1m30s`, or seconds as a plain number.
///
/// # Errors
/// What is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| format!("{text:?} seconds is no time span"));
    }
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is no time span; write 250ms, 2s or 1m30s"))?;
    span.try_into().map_err(|_| format!("{text:?} is negative"))
}

/// A time limit: a length of time that is not zero.
///
/// # Errors
/// What is wrong with it.
pub fn parse_time_limit(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("a time limit of zero lets nothing happen".into()),
        limit => Ok(limit),
    }
}

/// A length of time that may be long: `90d`, `12h`, and `forever`, which is [`Duration::MAX`].
///
/// # Errors
/// What is wrong with it.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    if text == "forever" {
        return Ok(Duration::MAX);
    }
    let Some(days) = text.strip_suffix('d') else { return parse_time_limit(text) };
    match days.parse::<u32>() {
        Ok(days @ 1..) => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        _ => Err(format!("{text:?} is no number of days; write 90d, 12h or forever")),
    }
}

/// How handlers run: `inline`, `threads`, `threads:8`, `processes:4`; without a number one for each
/// processor.
///
/// # Errors
/// What is wrong with it.
pub fn parse_model(text: &str) -> Result<Model, String> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    let count = match count {
        Some(count) => match count.parse::<usize>() {
            Ok(count @ 1..=1024) => count,
            _ => return Err(format!("{text:?}: {count:?} is no number from 1 to 1024")),
        },
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    match name {
        "inline" if text == name => Ok(Model::Inline),
        "threads" => Ok(Model::threads(count)),
        "processes" => Ok(Model::processes(count)),
        _ => Err(format!("{text:?} is no model; there are inline, threads:N and processes:N")),
    }
}

/// How streams are cut into requests: `as-read`, `lines`, `length-prefixed`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_framing(text: &str) -> Result<Framing, String> {
    match text {
        "as-read" => Ok(Framing::AsRead),
        "lines" => Ok(Framing::Lines { max: squall::MAX_DATAGRAM }),
        "length-prefixed" => Ok(Framing::LengthPrefixed { max: squall::MAX_DATAGRAM }),
        _ => Err(format!("{text:?} is no framing; there are as-read, lines and length-prefixed")),
    }
}

/// Whether an offload is used: `auto`, `on`, `off`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_offload(text: &str) -> Result<Offload, String> {
    match text {
        "auto" => Ok(Offload::Auto),
        "on" => Ok(Offload::On),
        "off" => Ok(Offload::Off),
        _ => Err(format!("{text:?} is neither auto, on nor off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_age("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(parse_age("12h"), Ok(Duration::from_secs(12 * 3600)));
        assert_eq!(parse_age("forever"), Ok(Duration::MAX));
        assert_eq!(parse_model("threads:8"), Ok(Model::threads(8)));
        assert_eq!(parse_framing("lines"), Ok(Framing::Lines { max: 65_507 }));
        assert_eq!(parse_offload("off"), Ok(Offload::Off));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in ["", "x", "-1", "-2s", "nan", "inf"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_time_limit("0").is_err());
        for text in ["d", "0d", "-1d", "1.5d", "for ever", "0s"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
        for text in ["", "threads:0", "threads:x", "inline:2", "fork", "processes:9999"] {
            assert!(parse_model(text).is_err(), "{text}");
        }
    }
}
