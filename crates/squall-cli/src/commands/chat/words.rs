//! What a client's machine tells, in words.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use squall::Time;
use squall::chat::Recalled;
use squall::chat::client::{Neighbour, State, Why};

use super::screen::{Connection, percent};

/// Why there is no connection.
pub(super) fn why(why: &Why) -> String {
    match why {
        Why::New => "connecting".to_owned(),
        Why::Silent => "the hub does not answer".to_owned(),
        Why::Bye => "the hub was shut down".to_owned(),
        Why::Closed => "the hub closed the connection".to_owned(),
        Why::Unreachable(reason) => reason.clone(),
        Why::Left => "left".to_owned(),
        _ => "the connection is lost".to_owned(),
    }
}

/// The connection as a screen shows it. `was_online` tells a hub that was lost from one that was never there.
pub(super) fn connection(
    state: &State,
    was_online: bool,
    now: Time,
    round_trip: Option<Duration>,
    loss: Option<f32>,
) -> Connection {
    match state {
        State::Connecting { attempt, next, why: reason } => {
            let next = Some(next.since(now)).filter(|wait| !wait.is_zero());
            if was_online || matches!(reason, Why::Unreachable(_) | Why::Closed | Why::Bye) {
                Connection::Gone { why: why(reason), next }
            } else {
                let next = next.filter(|_| *attempt > 1);
                Connection::Connecting { attempt: *attempt, next }
            }
        }
        State::Online => Connection::Online { round_trip, loss },
        State::Quiet { since } => Connection::Quiet { since: now.since(*since) },
        State::Gone(reason) => Connection::Gone { why: why(reason), next: None },
    }
}

/// Who somebody is, in a line.
pub(super) fn neighbour(neighbour: &Neighbour, now: Time) -> String {
    let mut line = neighbour.name.clone();
    if let Some(via) = neighbour.via {
        line += &format!("  {via}");
    }
    line += &format!("  heard {} ago", duration(now.since(neighbour.heard)));
    if let Some(loss) = neighbour.loss {
        line += &format!("  {} lost", percent(loss));
    }
    if let Some(limit) = neighbour.limit {
        line += &format!("  may be silent for {}", duration(limit));
    }
    line
}

/// Whether a member was heard of within the time that it usually takes.
pub(super) fn is_present(neighbour: &Neighbour, now: Time) -> bool {
    // A stream lives as long as its connection, and somebody without heartbeats as long as the hub keeps them.
    let (Some(every), Some(_)) = (neighbour.every, neighbour.limit) else { return true };
    // The list is asked for only now and then; what is older than it says nothing.
    now.since(neighbour.heard) < every * 3 + LIST
}

/// What a search has found, a line each.
pub(super) fn found(words: &str, messages: Option<&[Recalled]>, zone: &TimeZone) -> Vec<String> {
    let Some(messages) = messages else { return vec![format!("/find {words}: the hub did not answer")] };
    let mut lines = vec![match messages.len() {
        0 => format!("no message has {words:?}"),
        1 => format!("1 message has {words:?}"),
        count => format!("{count} messages have {words:?}"),
    }];
    lines.extend(messages.iter().map(|message| {
        let at = i64::try_from(message.at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let at = at.map(|at| at.to_zoned(zone.clone()).strftime("%-d %b %H:%M  ").to_string());
        format!("{}{}: {}", at.unwrap_or_default(), message.name, message.text)
    }));
    lines
}

/// A time as people say it.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6000 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h", (seconds + 1800) / 3600),
    }
}

/// What is told of a hub that had this client out for a moment.
pub(super) const REMOVED: &str = "you were taken out of the hub, and have joined again";
/// How old a list of members becomes before the next is asked for.
const LIST: Duration = Duration::from_secs(35);
