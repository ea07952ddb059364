//! The reference of the text form, in the documentation of the crate, is true.

use squall_weather::{Conditions, PRESETS, Weather};

#[test]
fn the_guide_has_every_preset_with_its_settings_and_every_key() {
    let guide = include_str!("../../../docs/weather.md");
    for preset in PRESETS {
        let row = format!("| `{}` | `{}` | {} |", preset.name, preset.text, preset.source);
        assert!(guide.contains(&row), "docs/weather.md lacks {row}");
    }
    let keys = |text: &str, prefix: &str| -> Vec<String> {
        let rows = text.lines().filter_map(|line| line.strip_prefix(prefix));
        rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
            .filter(|key| key.contains('='))
            .collect()
    };
    let own = keys(include_str!("../src/lib.rs"), "//! | `");
    let there = keys(guide, "| `");
    assert!(own.len() > 15 && own.iter().all(|key| there.contains(key)), "{own:?} {there:?}");
}

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
