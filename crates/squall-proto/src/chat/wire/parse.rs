//! Reading what hubs say.

use core::time::Duration;

use super::said::decimal;
use super::{Line, Me, Member, Reason, Token, is_speaker, timestamp};
use crate::Transport;

impl<'a> Line<'a> {
    /// Reads a line of a hub, its line end taken off. What is not in a known form is [`Line::Unknown`]; words
    /// that a later hub may add behind the known `key=value`s are passed over.
    pub fn parse(line: &'a str) -> Self {
        known(line).unwrap_or(Line::Unknown(line))
    }
}

fn known(line: &str) -> Option<Line<'_>> {
    if let Some(body) = line.strip_prefix("ack ") {
        return Some(numbered(body).unwrap_or(Line::Ack(body)));
    }
    if let Some(reason) = line.strip_prefix("! ") {
        return Some(Line::Refused(reason));
    }
    if line == "bye bye" {
        return Some(Line::Bye);
    }
    let (word, rest) = line.strip_prefix("* ")?.split_once(' ')?;
    // Texts keep their spaces; everything else is words.
    match word {
        "help" => return Some(Line::Help(rest)),
        "said" => return said(rest),
        _ => {}
    }
    let mut words = rest.split_ascii_whitespace();
    let first = words.next()?;
    Some(match word {
        "name" => Line::Name(first),
        "join" => Line::Joined {
            room: first,
            members: field(rest, "members").and_then(decimal)?,
            number: field(rest, "number").and_then(decimal)?,
        },
        "rooms" => Line::Rooms(decimal(first)?),
        "room" => Line::Room {
            room: first,
            members: field(rest, "members").and_then(decimal)?,
            number: field(rest, "number").and_then(decimal)?,
        },
        "who" => Line::Who { room: first, members: field(rest, "members").and_then(decimal)? },
        "member" => Line::Member(member(first, rest)?),
        "more" => Line::More(first),
        "more-rooms" => Line::MoreRooms(first),
        "me" => Line::Me(me(first, rest)?),
        "last" => Line::Last {
            room: first,
            messages: field(rest, "messages").and_then(decimal)?,
            after: field(rest, "after").and_then(decimal)?,
            to: field(rest, "to").and_then(decimal)?,
        },
        "found" => Line::Found { room: first, messages: field(rest, "messages").and_then(decimal)? },
        "numbers" => Line::Numbers(switch(first)?),
        "lines" => Line::Lines(switch(first)?),
        "watch" => Line::Watch(switch(first)?),
        "came" => Line::Came(first),
        "went" => Line::Went { name: first, reason: reason(rest.split_once(first)?.1.trim())? },
        "renamed" => Line::Renamed { old: first, new: words.next()? },
        "missed" => Line::Missed(decimal(first)?),
        _ => return None,
    })
}

/// `#N NAME: TEXT`
fn numbered(body: &str) -> Option<Line<'_>> {
    let (number, rest) = body.strip_prefix('#')?.split_once(' ')?;
    let number = number_of(number)?;
    let (name, text) = spoken(rest)?;
    Some(Line::Numbered { number, name, text })
}

/// `#N TIME NAME: TEXT`
fn said(rest: &str) -> Option<Line<'_>> {
    let (number, rest) = rest.strip_prefix('#')?.split_once(' ')?;
    let (at, rest) = rest.split_once(' ')?;
    let (name, text) = spoken(rest)?;
    Some(Line::Said { number: number_of(number)?, at: timestamp::parse(at)?, name, text })
}

fn spoken(rest: &str) -> Option<(&str, &str)> {
    rest.split_once(": ").filter(|(name, _)| is_speaker(name))
}

/// Digits as a hub writes them, without zeros before them.
fn number_of(digits: &str) -> Option<u64> {
    if digits.is_empty() || digits.starts_with('0') { None } else { decimal(digits) }
}

fn member<'a>(name: &'a str, rest: &'a str) -> Option<Member<'a>> {
    Some(Member {
        name,
        via: match field(rest, "via")? {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "unix" => Transport::Unix,
            "unixgram" => Transport::Unixgram,
            _ => return None,
        },
        idle: tenths(field(rest, "idle")?)?,
        every: field(rest, "every").and_then(tenths),
        loss: field(rest, "loss").and_then(share),
        limit: field(rest, "limit").and_then(decimal).map(Duration::from_secs),
    })
}

fn me<'a>(name: &'a str, rest: &'a str) -> Option<Me<'a>> {
    Some(Me {
        member: member(name, rest)?,
        room: field(rest, "room")?,
        number: decimal(field(rest, "number")?)?,
        id: decimal(field(rest, "member")?)?,
        peer: field(rest, "peer")?,
        hub: u64::from_str_radix(field(rest, "hub").filter(|hub| !hub.starts_with('+'))?, 16).ok()?,
        token: field(rest, "token").and_then(Token::new),
    })
}

fn reason(words: &str) -> Option<Reason<'_>> {
    Some(match words {
        "" => return None,
        "quit" => Reason::Quit,
        "silent" => Reason::Silent,
        "closed" => Reason::Closed,
        "kicked" => Reason::Kicked,
        other => match other.strip_prefix("joined ") {
            Some(room) if !room.contains(' ') => Reason::Joined(room),
            _ => Reason::Other(other),
        },
    })
}

/// The value of `key=` among the words behind the first.
fn field<'a>(rest: &'a str, key: &str) -> Option<&'a str> {
    let mut words = rest.split_ascii_whitespace().skip(1);
    words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn switch(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// `3.2`: seconds and a tenth.
fn tenths(text: &str) -> Option<Duration> {
    let (seconds, tenth) = text.split_once('.')?;
    let tenth: u32 = decimal(tenth).filter(|&value| tenth.len() == 1 && value < 10)?;
    Some(Duration::new(decimal(seconds)?, tenth * 100_000_000))
}

/// `0.021`, from 0 to 1.
fn share(text: &str) -> Option<f32> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}
