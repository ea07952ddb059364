//! What can be set of a chat.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use squall::chat::wire::RoomName;

use super::history::Place;
use crate::units::{parse_age, parse_time_limit};

/// What can be set of the service `chat`. Fields that are `None` have their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatConfig {
    /// Where the history is; in the data directory.
    pub history: Option<Place>,
    /// How long a message is kept; 90 days. [`Duration::MAX`] is for ever.
    pub keep: Option<Duration>,
    /// Bytes of the history's file; 1 GiB. `u64::MAX` is without a bound.
    pub history_size: Option<u64>,
    /// The room of those who have chosen none; `lobby`.
    pub room: Option<RoomName>,
    /// The interval that a member's heartbeats are taken to have until two are measured; 10 s.
    pub heartbeat: Option<Duration>,
    /// How rarely a live member may be evicted: once in so many of its hours; 10,000.
    pub member_hours: Option<f32>,
    /// The longest silence of a member that sends heartbeats, if ten of its intervals are not longer; 60 s.
    pub hard_limit: Option<Duration>,
    /// The longest silence in intervals, if that is longer than `hard_limit`; 10.
    pub hard_intervals: Option<u32>,
    /// How long a member that has never sent a heartbeat may be silent; five minutes.
    pub quiet: Option<Duration>,
    /// Members at a time; 200,000.
    pub members: Option<u32>,
    /// Members at a time of one network, a /24 or a /56; 256. Loopback and Unix sockets have no such limit.
    pub prefix_members: Option<u32>,
    /// Rooms at a time; 1024.
    pub rooms: Option<u16>,
    /// Messages that a member may say in a second, on average and at once; 20 and 60. Loopback is not limited.
    pub rate: Option<MessageRate>,
    /// The same for all members of a network; 200 and 600.
    pub prefix_rate: Option<MessageRate>,
}

impl ChatConfig {
    /// Takes what is not set here from `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            history: self.history.or(other.history),
            keep: self.keep.or(other.keep),
            history_size: self.history_size.or(other.history_size),
            room: self.room.or(other.room),
            heartbeat: self.heartbeat.or(other.heartbeat),
            member_hours: self.member_hours.or(other.member_hours),
            hard_limit: self.hard_limit.or(other.hard_limit),
            hard_intervals: self.hard_intervals.or(other.hard_intervals),
            quiet: self.quiet.or(other.quiet),
            members: self.members.or(other.members),
            prefix_members: self.prefix_members.or(other.prefix_members),
            rooms: self.rooms.or(other.rooms),
            rate: self.rate.or(other.rate),
            prefix_rate: self.prefix_rate.or(other.prefix_rate),
        }
    }
}

/// Messages in a second, and how many of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRate {
    /// On average.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

impl FromStr for MessageRate {
    type Err = String;

    /// `20`, or `20:60` with the burst, which is otherwise three times the rate.
    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let number = |text: &str| match text.parse::<u32>() {
            Ok(number @ 1..=1_000_000) => Ok(number),
            _ => Err(format!("{text:?} is no number from 1 to 1000000; write 20, or 20:60 with a burst")),
        };
        let per_second = number(rate)?;
        let burst = burst.map_or(Ok(per_second.saturating_mul(3)), number)?;
        Ok(Self { per_second, burst })
    }
}

/// The table `[service.chat]` of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FileChat {
    history: Option<String>,
    keep: Option<String>,
    history_size: Option<u64>,
    room: Option<String>,
    heartbeat: Option<String>,
    member_hours: Option<f32>,
    hard_limit: Option<String>,
    hard_intervals: Option<u32>,
    quiet: Option<String>,
    members: Option<u32>,
    prefix_members: Option<u32>,
    rooms: Option<u16>,
    rate: Option<String>,
    prefix_rate: Option<String>,
}

impl FileChat {
    pub(crate) fn into_config(self) -> Result<ChatConfig, String> {
        use crate::config::read;

        for (key, value) in [
            ("members", self.members),
            ("prefix-members", self.prefix_members),
            ("rooms", self.rooms.map(u32::from)),
        ] {
            if value == Some(0) {
                return Err(format!("{key}: 0 leaves nobody"));
            }
        }
        let member_hours = match self.member_hours {
            Some(hours) if !(hours > 0.0 && hours.is_finite()) => {
                return Err(format!("member-hours: {hours} is no number of hours"));
            }
            hours => hours,
        };
        Ok(ChatConfig {
            history: read("history", self.history, Place::parse)?,
            keep: read("keep", self.keep, parse_age)?,
            history_size: self.history_size,
            room: read("room", self.room, |room| {
                RoomName::new(room).map_err(|problem| format!("{room:?} is no room: {problem}"))
            })?,
            heartbeat: read("heartbeat", self.heartbeat, parse_time_limit)?,
            member_hours,
            hard_limit: read("hard-limit", self.hard_limit, parse_time_limit)?,
            hard_intervals: self.hard_intervals,
            quiet: read("quiet", self.quiet, parse_time_limit)?,
            members: self.members,
            prefix_members: self.prefix_members,
            rooms: self.rooms,
            rate: read("rate", self.rate, str::parse)?,
            prefix_rate: read("prefix-rate", self.prefix_rate, str::parse)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_burst_or_gets_one() {
        assert_eq!("20".parse(), Ok(MessageRate { per_second: 20, burst: 60 }));
        assert_eq!("20:5".parse(), Ok(MessageRate { per_second: 20, burst: 5 }));
        for text in ["", "0", "20:", "20:0", "-1", "x:1", "2000000"] {
            assert!(text.parse::<MessageRate>().is_err(), "{text}");
        }
    }
}
