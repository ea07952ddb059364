//! What a node answers its operator.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line of an answer: an object with one field, which says what it is. An answer ends with `done` or `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Answer {
    /// Which node this is.
    Node(NodeView),
    /// A member.
    Member(MemberRow),
    /// A ban.
    Ban(BanRow),
    /// What was counted.
    Stats(StatsView),
    /// It was done.
    Done(Done),
    /// It was not done, and why.
    Error(String),
}

/// Which node this is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Where it listens, as URIs.
    pub listens: Vec<String>,
    /// Where the chat keeps what was said: a path, `memory` or `none`; nothing without a chat.
    pub history: Option<String>,
}

/// A member of a chat. Lengths of time are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Its number in the hub.
    pub number: u64,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its room.
    pub room: String,
    /// Over which transport: `udp`, `tcp`, `unix` or `unixgram`.
    pub via: String,
    /// Its address; nothing for Unix peers.
    pub address: Option<String>,
    /// How long it has been silent.
    pub idle: f64,
    /// Its heartbeats' interval, where it is known.
    pub interval: Option<f64>,
    /// The share of its heartbeats that is lost, where it is known.
    pub loss: Option<f64>,
    /// How long it may be silent; nothing for connections.
    pub limit: Option<f64>,
}

/// A banned network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BanRow {
    /// The network.
    pub network: String,
    /// For how many seconds yet; without them, until it is lifted.
    pub left: Option<f64>,
}

/// What was counted so far. The names are those of the counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatsView {
    /// For how many seconds the node has been running.
    pub elapsed: f64,
    /// What all its services counted.
    pub server: BTreeMap<String, u64>,
    /// What the hub counted; empty without a chat.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chat: BTreeMap<String, u64>,
    /// What the history counted; empty without one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub history: BTreeMap<String, u64>,
    /// What its uploads counted; empty where it takes none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, u64>,
}

/// What was done. Fields that say nothing about the order are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// Members: told, or taken out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// Rooms that were spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<u64>,
    /// Bans that were told or lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bans: Option<u64>,
    /// What went otherwise than it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Done {
    /// `members` were told, or taken out.
    pub(in crate::chat) fn members(members: u64) -> Self {
        Self { members: Some(members), ..Self::default() }
    }

    /// `rooms` were spoken to.
    pub(in crate::chat) fn rooms(rooms: u64) -> Self {
        Self { rooms: Some(rooms), ..Self::default() }
    }

    /// `bans` were told or lifted.
    pub(in crate::chat) fn bans(bans: u64) -> Self {
        Self { bans: Some(bans), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_object_that_says_what_it_is() {
        let json = |answer: &Answer| serde_json::to_string(answer).unwrap();
        assert_eq!(json(&Answer::Done(Done::members(2))), r#"{"done":{"members":2}}"#);
        assert_eq!(json(&Answer::Done(Done::default())), r#"{"done":{}}"#);
        assert_eq!(json(&Answer::Error("no".into())), r#"{"error":"no"}"#);
        for answer in [
            Answer::Done(Done::bans(1)),
            Answer::Member(MemberRow::default()),
            Answer::Stats(StatsView::default()),
            Answer::Node(NodeView::default()),
        ] {
            assert_eq!(serde_json::from_str::<Answer>(&json(&answer)).unwrap(), answer);
        }
    }
}
