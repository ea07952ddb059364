//! What happens in a chat and what it counted, in words.

use std::time::Duration;

use squall::Origin;
use squall::chat::wire::Reason;
use squall::chat::{Event, HubStats, Who};
use squall::text::sanitize;

use super::history;

/// Whether an operator wants to know without asking for it.
pub(super) fn is_news(event: &Event) -> bool {
    match event {
        Event::Went { reason, .. } => matches!(reason, Reason::Silent | Reason::Kicked),
        Event::Flooding(_) | Event::Refused { .. } => true,
        _ => false,
    }
}

/// A line of the log.
pub(super) fn told(event: &Event) -> String {
    match event {
        Event::Came(who) => format!("{} came to {} by {}", name(who), who.room, from(&who.origin)),
        Event::Went { who, reason, silence, limit, interval, loss } => {
            let mut line = format!("{} went: ", name(who));
            line += &match reason {
                Reason::Silent => format!("silent {}", seconds(*silence)),
                Reason::Quit => "quit".to_owned(),
                Reason::Closed => "its connection ended".to_owned(),
                Reason::Kicked => "kicked by the operator".to_owned(),
                Reason::Joined(room) => format!("to room {room}"),
                _ => "for another reason".to_owned(),
            };
            if let (Reason::Silent, Some(limit)) = (reason, limit) {
                line += &format!(", limit {}", seconds(*limit));
                line += &match (interval, loss) {
                    (Some(interval), Some(loss)) => {
                        format!(" (interval {:.1} s, loss {:.1} %)", interval.as_secs_f64(), loss * 100.0)
                    }
                    (Some(interval), None) => format!(" (interval {:.1} s)", interval.as_secs_f64()),
                    _ => String::new(),
                };
            }
            line
        }
        Event::Renamed { who, old } => format!("{} is {} now", sanitize(old.as_bytes()), name(who)),
        Event::Flooding(who) => {
            format!(
                "{} floods {} from {}: what it says is relayed in turn, and what is too much dropped",
                name(who),
                who.room,
                from(&who.origin)
            )
        }
        Event::Refused { origin, reason } => format!("{} is turned away: {reason}", from(origin)),
        _ => "something happened that this version has no words for".to_owned(),
    }
}

/// Tenths only where they say something.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

/// Names are made of characters that every terminal can take; this costs nothing and relies on nobody.
fn name(who: &Who) -> String {
    sanitize(who.name.as_bytes()).to_string()
}

fn from(origin: &Origin) -> String {
    match origin.peer.ip() {
        Some(peer) => format!("{}://{peer}", origin.transport),
        None => format!("a {} socket", origin.transport),
    }
}

/// What a hub counted, by name.
pub(super) fn hub_counts(stats: &HubStats) -> Vec<(&'static str, u64)> {
    vec![
        ("members", stats.members),
        ("rooms", stats.rooms),
        ("received", stats.received),
        ("heartbeats", stats.heartbeats),
        ("messages", stats.messages),
        ("deliveries", stats.deliveries),
        ("commands", stats.commands),
        ("came", stats.came),
        ("quit", stats.quit),
        ("evicted", stats.silent),
        ("closed", stats.closed),
        ("kicked", stats.kicked),
        ("full", stats.full),
        ("prefix_full", stats.prefix_full),
        ("banned", stats.banned),
        ("strangers", stats.strangers),
        ("loops", stats.loops),
        ("too_long", stats.too_long),
        ("imitations", stats.imitations),
        ("over_rate", stats.over_rate),
        ("floods", stats.floods),
        ("flooded", stats.flooded),
        ("shed", stats.shed),
        ("missed", stats.missed),
        ("presence_dropped", stats.presence_dropped),
        ("answers_dropped", stats.answers_dropped),
        ("events_dropped", stats.events_dropped),
    ]
}

/// What a history counted, by name.
pub(super) fn history_counts(stats: &history::Stats) -> Vec<(&'static str, u64)> {
    vec![
        ("kept", stats.kept),
        ("shed", stats.shed),
        ("rooms_refused", stats.rooms_refused),
        ("written", stats.written),
        ("batches", stats.batches),
        ("indexed", stats.indexed),
        ("swept", stats.swept),
        ("expired", stats.expired),
        ("trimmed", stats.trimmed),
        ("lost", stats.lost),
        ("unwritten", stats.unwritten),
        ("failures", stats.failures),
        ("questions", stats.questions),
        ("questions_refused", stats.questions_refused),
        ("questions_late", stats.questions_late),
        ("questions_failed", stats.questions_failed),
        ("bytes", stats.bytes),
        ("memory_only", u64::from(stats.memory_only)),
    ]
}

/// What a chat did, for the last line of a node.
pub(super) fn summary(hub: &HubStats, history: &history::Stats, written: bool) -> String {
    let counted = |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let mut line = format!(
        "chat: {}, {} delivered {}",
        counted(hub.came, "join"),
        counted(hub.messages, "message"),
        counted(hub.deliveries, "time"),
    );
    for (count, what) in [
        (hub.silent, "evicted"),
        (hub.kicked, "kicked"),
        (hub.full + hub.prefix_full + hub.banned, "turned away"),
        (hub.shed + hub.flooded + hub.over_rate, "messages shed"),
        (hub.missed, "lines missed by slow readers"),
        (history.shed + history.lost, "messages not kept"),
        (history.unwritten, "messages kept in memory only"),
    ] {
        if count > 0 {
            line += &format!(", {count} {what}");
        }
    }
    if !written {
        line += "; the history was not written to its end";
    }
    line
}
