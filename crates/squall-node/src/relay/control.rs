//! What a running relay can be told, a line each.

use std::time::Duration;

use squall_weather::Weather;

use crate::parse_duration;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Change the weather by this text.
    Weather(String),
    /// Tell the weather.
    Tell,
    /// Let nothing pass for so long.
    Blackout(Duration),
    /// Tell what was done so far.
    Counts,
    /// End.
    Quit,
    /// Tell what can be said.
    Help,
}

/// What can be said.
pub(super) const HELP: &str = "\
KEY=VALUE,…     changes these keys of the weather: loss=5%   up.delay=1s
PRESET[,…]      replaces it: clear, half, storm, …; lte,loss=2%   lte@10s:storm
weather TEXT    the same, or a file: weather storm.toml; without TEXT tells it, and a blackout
blackout TIME   lets nothing pass for so long: blackout 10s
counts          tells what was done so far
quit            ends the relay";

impl Order {
    /// Reads a line; `None` when it is empty.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, String> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let alone = |order| match rest {
            "" => Ok(Some(order)),
            _ => Err(format!("{word} stands alone")),
        };
        match word {
            "" => Ok(None),
            "weather" if rest.is_empty() => Ok(Some(Order::Tell)),
            "weather" => Ok(Some(Order::Weather(rest.to_owned()))),
            "blackout" => match parse_duration(rest)? {
                Duration::ZERO => Err("a blackout of no time changes nothing".into()),
                length => Ok(Some(Order::Blackout(length))),
            },
            "counts" => alone(Order::Counts),
            "quit" => alone(Order::Quit),
            "help" => alone(Order::Help),
            _ if line.contains('=') || begins_with_preset(line) => Ok(Some(Order::Weather(line.to_owned()))),
            _ => Err(format!("{word:?} is no order; help tells what there is")),
        }
    }
}

/// Whether it is a whole weather text that begins with a preset: `lte`, `lte,loss=2%`, `lte@10s:storm`.
fn begins_with_preset(line: &str) -> bool {
    let first = line.split([',', '@']).next().unwrap_or_default();
    Weather::preset(first.trim()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weather(text: &str) -> Option<Order> {
        Some(Order::Weather(text.into()))
    }

    #[test]
    fn a_line_is_a_weather_or_a_word() {
        for (line, order) in [
            ("", None),
            ("  \r", None),
            ("loss=5%", weather("loss=5%")),
            (" storm\r", weather("storm")),
            ("weather storm", weather("storm")),
            ("weather up.delay=1s, loss=5%", weather("up.delay=1s, loss=5%")),
            ("lte,loss=2%", weather("lte,loss=2%")),
            ("lte@10s:storm", weather("lte@10s:storm")),
            ("half @ 10s:clear@20s:repeat", weather("half @ 10s:clear@20s:repeat")),
            ("lte,nonsense", weather("lte,nonsense")),
            ("weather", Some(Order::Tell)),
            ("blackout 10s", Some(Order::Blackout(Duration::from_secs(10)))),
            ("counts", Some(Order::Counts)),
            ("quit", Some(Order::Quit)),
            ("help", Some(Order::Help)),
        ] {
            assert_eq!(Order::parse(line), Ok(order), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_order_is_named() {
        for (line, says) in [
            ("strom", "\"strom\" is no order; help tells"),
            ("strom@10s:lte", "is no order; help tells"),
            ("quit now", "quit stands alone"),
            ("blackout", "no time span"),
            ("blackout 0s", "changes nothing"),
            ("blackout soon", "\"soon\" is no time span"),
        ] {
            let error = Order::parse(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
