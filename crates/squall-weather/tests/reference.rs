//! The reference of the text form, in the documentation of the crate, is true.

use squall_weather::{Conditions, Weather};

#[test]
fn every_key_of_the_reference_is_read_and_every_key_is_in_the_reference() {
    let source = include_str!("../src/lib.rs");
    let rows =
        source.lines().filter_map(|line| line.strip_prefix("//! | `")).filter_map(|row| row.split_once('`'));
    let mut named = Vec::new();
    for (setting, row) in rows {
        let (key, value) = setting.split_once('=').unwrap();
        named.push(key);
        let value = if key == "rule" { "every:3 drop" } else { value };
        let with = if key == "queue" { "rate=1mbit," } else { "" };
        let with = if key == "burst-enter" { "burst-leave=1%," } else { with };
        let text = format!("{with}{key}={value}");
        let weather: Weather = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        // A key whose example is its default changes nothing; the others do.
        let default = row.rsplit('|').nth(1).unwrap().trim().trim_matches('`');
        assert_eq!(weather.up == Conditions::default(), default == value, "{text}: {row}");
    }
    named.extend(["burst-enter", "burst-leave"]);
    let error = "nonsense=1".parse::<Weather>().unwrap_err().to_string();
    let known: Vec<&str> = error.split("there are ").last().unwrap().split(", ").collect();
    assert!(known.len() > 15, "{error}");
    for key in &known {
        assert!(named.contains(key), "{key} is not in the reference");
    }
    assert_eq!(named.len(), known.len());
}
