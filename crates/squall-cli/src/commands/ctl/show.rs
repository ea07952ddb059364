//! Answers of a node, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use squall::text::sanitize;
use squall_node::chat::control::{BanRow, Done, MemberRow, Order, StatsView};
use unicode_width::UnicodeWidthStr;

type Counts = BTreeMap<String, u64>;

/// A table of members, with its head.
pub(crate) fn members(rows: &[MemberRow]) -> String {
    let head = ["NAME", "ROOM", "VIA", "ADDRESS", "IDLE", "INTERVAL", "LOSS", "LIMIT"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.name.as_ref().map_or_else(|| format!("~{}", row.number), |name| clean(name)),
            clean(&row.room),
            clean(&row.via),
            row.address.as_deref().map_or_else(dash, clean),
            seconds(Some(row.idle)),
            seconds(row.interval),
            row.loss.map_or_else(dash, |loss| format!("{:.1} %", loss * 100.0)),
            seconds(row.limit),
        ]
    }));
    table(&lines)
}

/// A table of bans, with its head.
pub(crate) fn bans(rows: &[BanRow]) -> String {
    let mut lines = vec![["NETWORK", "FOR"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| [clean(&row.network), row.left.map_or_else(|| "ever".into(), span)]));
    table(&lines)
}

/// All counts, a line for each part.
pub(crate) fn stats(stats: &StatsView) -> String {
    let mut text = format!("running for {}\n", span(stats.elapsed));
    let parts = [
        ("server", &stats.server),
        ("chat", &stats.chat),
        ("history", &stats.history),
        ("files", &stats.files),
    ];
    for (name, counts) in parts {
        let told: Vec<String> = counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| format!("{} {count}", clean(name).replace('_', " ")))
            .collect();
        if !counts.is_empty() {
            let _ = writeln!(
                text,
                "{name}: {}",
                if told.is_empty() { "nothing".into() } else { told.join(", ") }
            );
        }
    }
    text
}

/// What was done by `order`, in a line.
pub(crate) fn done(order: &Order, done: &Done) -> String {
    let members = done.members.unwrap_or(0);
    let people = |count| if count == 1 { "1 member".into() } else { format!("{count} members") };
    let mut text = match order {
        Order::Members { .. } => people(members),
        Order::Kick { .. } => format!("took out {}", people(members)),
        Order::Ban { network, .. } => format!("{} is banned; took out {}", clean(network), people(members)),
        Order::Unban { network } => format!("{} is not banned any more", clean(network)),
        Order::Say { .. } => match done.rooms.unwrap_or(0) {
            1 => "said".to_owned(),
            rooms => format!("said in {rooms} rooms"),
        },
        Order::Bans => match done.bans.unwrap_or(0) {
            0 => "nobody is banned".to_owned(),
            1 => "1 network is banned".to_owned(),
            count => format!("{count} networks are banned"),
        },
        _ => String::new(),
    };
    if let Some(warning) = &done.warning {
        if !text.is_empty() {
            text += "; ";
        }
        text += &clean(warning);
    }
    text
}

/// How much happened in a second between two moments, a row below [`RATES`].
pub(crate) fn rates(before: &StatsView, now: &StatsView) -> String {
    let seconds = now.elapsed - before.elapsed;
    let rate = |before: &Counts, now: &Counts, names: &[&str]| {
        let sum = |counts: &Counts| names.iter().filter_map(|name| counts.get(*name)).sum::<u64>();
        if seconds > 0.0 { (sum(now).saturating_sub(sum(before)) as f64 / seconds).round() } else { 0.0 }
    };
    let chat = |names| rate(&before.chat, &now.chat, names);
    let level = |name: &str| now.chat.get(name).copied().unwrap_or(0);
    format!(
        "{:>8} {:>6} {:>10} {:>12} {:>14} {:>8} {:>10} {:>14}",
        level("members"),
        level("rooms"),
        chat(&["received"]),
        chat(&["messages"]),
        chat(&["deliveries"]),
        chat(&["shed", "flooded", "over_rate", "missed"]),
        chat(&["evicted", "kicked"]),
        rate(&before.history, &now.history, &["shed", "lost"]),
    )
}

/// The head of [`rates`].
pub(crate) const RATES: &str =
    " MEMBERS  ROOMS RECEIVED/s   MESSAGES/s   DELIVERIES/s   SHED/s  EVICTED/s HISTORY-SHED/s";

/// Columns as wide as what stands in them, two blanks apart.
fn table<const N: usize>(lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (width, cell) in widths.iter().zip(line) {
            row += cell;
            row.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
        }
        text += row.trim_end();
        text.push('\n');
    }
    text
}

fn clean(text: &str) -> String {
    sanitize(text.as_bytes()).to_string()
}

fn dash() -> String {
    "-".to_owned()
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(dash, |seconds| format!("{seconds:.1} s"))
}

/// A length of time in two units at most.
fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let row = |name: &str| MemberRow {
            name: Some(name.into()),
            room: "lobby".into(),
            via: "tcp".into(),
            idle: 1.0,
            ..MemberRow::default()
        };
        let text = members(&[row("张三"), row("bob"), MemberRow { name: None, number: 17, ..row("") }]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NAME  ROOM   VIA  ADDRESS  IDLE   INTERVAL  LOSS  LIMIT");
        assert_eq!(lines[1], "张三  lobby  tcp  -        1.0 s  -         -     -");
        assert_eq!(lines[2], "bob   lobby  tcp  -        1.0 s  -         -     -");
        assert!(lines[3].starts_with("~17   lobby"), "{text}");
    }

    #[test]
    fn a_length_of_time_has_two_units() {
        for (seconds, text) in [(0.04, "0.0 s"), (59.0, "59.0 s"), (61.0, "1 min 1 s"), (3660.0, "1 h 1 min")]
        {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(span(90_000.0), "1 d 1 h");
    }

    #[test]
    fn a_rate_is_what_came_in_a_second() {
        let at = |elapsed, messages: u64| StatsView {
            elapsed,
            chat: [("messages".to_owned(), messages), ("members".to_owned(), 3)].into(),
            ..StatsView::default()
        };
        let row = rates(&at(1.0, 100), &at(3.0, 500));
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["3", "0", "0", "200", "0", "0", "0", "0"]);
        assert_eq!(row.len(), RATES.len());
    }
}
