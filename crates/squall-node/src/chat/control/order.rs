//! What an operator can tell a node.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use squall::guard::Network;

use crate::units::parse_time_limit;

/// An order to a node. On the control socket it is a line of one JSON object, whose `do` names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Order {
    /// Tell which node this is.
    Node,
    /// Tell the members of the chat.
    Members {
        /// Those of this room alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<String>,
    },
    /// Take members out of the chat.
    Kick {
        /// A name, an address with or without a port, or `~` and the member's number.
        who: String,
    },
    /// Let no address of a network be a member, and take those out that are.
    Ban {
        /// The network, or a single address.
        network: String,
        /// For how many seconds; without them, until it is lifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// Lift a ban.
    Unban {
        /// The network as it was banned.
        network: String,
    },
    /// Tell the bans.
    Bans,
    /// Say something to the members.
    Say {
        /// To those of this room alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<String>,
        /// What is said.
        text: String,
    },
    /// Tell what was counted so far.
    Stats,
    /// End the node.
    Stop,
}

/// What can be typed, for people.
pub const HELP: &str = "\
members [--room ROOM]         who is there
kick NAME|ADDRESS|~NUMBER     takes a member out; it may come back
ban NETWORK [--for TIME]      takes out who is there from it, and lets nobody in
ban --list, bans              the networks that are banned
unban NETWORK                 lifts a ban
say [--room ROOM] TEXT        says it to all, or to one room
stats                         what was counted so far
quit                          ends the node, with bye bye to all";

/// What was typed.
#[derive(Clone, Debug, PartialEq)]
pub enum Typed {
    /// An order.
    Order(Order),
    /// Tell what can be typed.
    Help,
    /// Nothing.
    Nothing,
}

impl Typed {
    /// Reads a line that somebody typed.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (word, rest) = split(line);
        let needs = |what: &str| match rest {
            "" => Err(format!("{word} whom? {word} {what}")),
            rest => Ok(rest.to_owned()),
        };
        let alone = |typed| match rest {
            "" => Ok(typed),
            _ => Err(format!("{word} stands alone")),
        };
        let order = match word {
            "" => return Ok(Typed::Nothing),
            "help" | "?" => return alone(Typed::Help),
            "quit" | "stop" => return alone(Typed::Order(Order::Stop)),
            "bans" => return alone(Typed::Order(Order::Bans)),
            "stats" => return alone(Typed::Order(Order::Stats)),
            "node" => return alone(Typed::Order(Order::Node)),
            "members" | "who" => match option("--room", rest)? {
                (room, "") => Order::Members { room },
                _ => return Err("members of which room? members --room ROOM".into()),
            },
            "kick" => Order::Kick { who: needs("NAME, ADDRESS or ~NUMBER")? },
            "ban" if rest == "--list" => Order::Bans,
            "ban" => {
                let (network, rest) = split(rest);
                let (time, rest) = option("--for", rest)?;
                if network.is_empty() || !rest.is_empty() {
                    return Err("ban whom, and for how long? ban 10.0.0.0/8 --for 1h".into());
                }
                let seconds = time.map(|time| parse_time_limit(&time)).transpose()?;
                let network = parse_network(network)?.to_string();
                Order::Ban { network, seconds: seconds.map(|time| time.as_secs_f64()) }
            }
            "unban" => Order::Unban { network: parse_network(&needs("10.0.0.0/8")?)?.to_string() },
            "say" => match option("--room", rest)? {
                (_, "") => return Err("say what? say TEXT".into()),
                (room, text) => Order::Say { room, text: text.to_owned() },
            },
            _ => return Err(format!("{:?} is no order; help tells what there is", shortened(word))),
        };
        Ok(Typed::Order(order))
    }
}

/// Reads a network, or a single address as the network that holds it alone.
///
/// # Errors
/// What is wrong with it.
pub fn parse_network(text: &str) -> Result<Network, String> {
    text.parse::<Network>().map_err(|error| error.to_string())
}

/// Seconds that a peer named, as a length of time.
///
/// # Errors
/// What is wrong with them.
pub(in crate::chat) fn length(seconds: f64) -> Result<Duration, String> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(Duration::ZERO) | Err(_) => Err(format!("{seconds} seconds is no length of time")),
        Ok(length) => Ok(length),
    }
}

/// The first word, and what follows it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// The value of an option that stands in front, and what follows it.
fn option<'a>(name: &str, text: &'a str) -> Result<(Option<String>, &'a str), String> {
    let (word, rest) = split(text);
    if let Some(value) = word.strip_prefix(name).and_then(|value| value.strip_prefix('=')) {
        return Ok((Some(value.to_owned()), rest));
    }
    if word != name {
        return Ok((None, text));
    }
    match split(rest) {
        ("", _) => Err(format!("{name} needs a value")),
        (value, rest) => Ok((Some(value.to_owned()), rest)),
    }
}

/// As much of what was typed as is told again.
fn shortened(word: &str) -> String {
    word.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_order_with_its_options() {
        let room = |room: &str| Some(room.to_owned());
        for (line, order) in [
            ("members", Order::Members { room: None }),
            (" members --room  lobby\r", Order::Members { room: room("lobby") }),
            ("members --room=lobby", Order::Members { room: room("lobby") }),
            ("kick ~17", Order::Kick { who: "~17".into() }),
            ("ban 10.0.0.0/8", Order::Ban { network: "10.0.0.0/8".into(), seconds: None }),
            ("ban ::1 --for 1h", Order::Ban { network: "::1/128".into(), seconds: Some(3600.0) }),
            ("unban ::1", Order::Unban { network: "::1/128".into() }),
            ("bans", Order::Bans),
            ("ban --list", Order::Bans),
            ("say two  words ", Order::Say { room: None, text: "two  words".into() }),
            ("say --room lobby hi", Order::Say { room: room("lobby"), text: "hi".into() }),
            ("say -- hi", Order::Say { room: None, text: "-- hi".into() }),
            ("stats", Order::Stats),
            ("quit", Order::Stop),
        ] {
            assert_eq!(Typed::parse(line), Ok(Typed::Order(order)), "{line:?}");
        }
        assert_eq!(Typed::parse(" \r"), Ok(Typed::Nothing));
        assert_eq!(Typed::parse("help"), Ok(Typed::Help));
    }

    #[test]
    fn what_is_no_order_is_named() {
        for (line, says) in [
            ("evict bob", "\"evict\" is no order; help tells"),
            ("quit now", "quit stands alone"),
            ("kick", "kick whom?"),
            ("ban", "ban whom"),
            ("ban 10.0.0.1/8", "the network is 10.0.0.0/8"),
            ("unban bob", "`bob` is not an IP address"),
            ("ban 10.0.0.0/8 1h", "--for 1h"),
            ("ban 10.0.0.0/8 --for", "--for needs a value"),
            ("ban 10.0.0.0/8 --for soon", "\"soon\" is no time span"),
            ("say --room lobby", "say what?"),
            ("members lobby", "members --room ROOM"),
        ] {
            let error = Typed::parse(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }

    #[test]
    fn on_the_wire_an_order_is_an_object_that_says_what_to_do() {
        let order = Order::Ban { network: "10.0.0.0/8".into(), seconds: None };
        assert_eq!(serde_json::to_string(&order).unwrap(), r#"{"do":"ban","network":"10.0.0.0/8"}"#);
        let read = |text: &str| serde_json::from_str::<Order>(text);
        assert_eq!(read(r#"{"do":"members"}"#).unwrap(), Order::Members { room: None });
        assert!(read(r#"{"do":"members","rom":"x"}"#).is_err(), "a key that there is not");
        assert!(read(r#"{"do":"dance"}"#).is_err());
    }
}
