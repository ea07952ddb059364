//! What hubs say.

use core::fmt;
use core::time::Duration;

use super::{Token, timestamp};
use crate::Transport;

/// One line of a hub, without a line end.
///
/// The plain form of a message, [`Line::Ack`], does not tell a name from a text with a colon in it; who
/// needs that asks for numbers. A hub gives both forms clean texts, and names that [`super::is_speaker`] knows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Line<'a> {
    /// `ack TEXT`, `ack NAME: TEXT`: a message, all behind `ack `.
    Ack(&'a str),
    /// `ack #N NAME: TEXT`: a message, for who asked for numbers.
    Numbered {
        /// Its number in the room, from 1 on.
        number: u64,
        /// Who said it: a name, or `~` and the member's number.
        name: &'a str,
        /// What was said.
        text: &'a str,
    },
    /// `bye bye`: the hub shuts down.
    Bye,
    /// `* help …`
    Help(&'a str),
    /// `* name NAME`: what the member is called now, `~` and its number if nothing.
    Name(&'a str),
    /// `* join ROOM members=M number=N`
    Joined {
        /// Where it is now.
        room: &'a str,
        /// How many are there, itself counted.
        members: u64,
        /// The number of the room's last message; 0 where there was none.
        number: u64,
    },
    /// `* rooms N`: there are so many. `* room` lines follow, and then perhaps `* more-rooms`.
    Rooms(u64),
    /// `* room ROOM members=M number=N`
    Room {
        /// Its name.
        room: &'a str,
        /// How many are there.
        members: u64,
        /// The number of its last message, so that a client knows what is unread; 0 where there was none.
        number: u64,
    },
    /// `* more-rooms ROOM`: there are rooms after this one, for `/rooms ROOM`.
    MoreRooms(&'a str),
    /// `* who ROOM members=M`: the members follow, and then perhaps `* more`.
    Who {
        /// The room's name.
        room: &'a str,
        /// How many are there.
        members: u64,
    },
    /// `* member NAME via=udp idle=3.2 every=10.0 loss=0.021 limit=45`
    Member(Member<'a>),
    /// `* more NAME`: there are members after this one, for `/who ROOM NAME`.
    More(&'a str),
    /// `* me NAME …`
    Me(Me<'a>),
    /// `* last ROOM messages=N after=K to=L`: so many `* said` lines follow, which are all that is kept with numbers
    /// behind K up to L.
    Last {
        /// The room's name.
        room: &'a str,
        /// How many follow.
        messages: u64,
        /// The number that was asked for, or else the one before the first.
        after: u64,
        /// The number of the last; `after` if there is none. So whoever lost some of the lines knows it.
        to: u64,
    },
    /// `* found ROOM messages=N`: so many `* said` lines follow.
    Found {
        /// The room's name.
        room: &'a str,
        /// How many follow.
        messages: u64,
    },
    /// `* said #N TIME NAME: TEXT`: a message that is kept.
    Said {
        /// Its number in the room.
        number: u64,
        /// When it was said, in milliseconds since 1970-01-01T00:00Z; written to the second.
        at: u64,
        /// Who said it.
        name: &'a str,
        /// What was said.
        text: &'a str,
    },
    /// `* numbers on`, `* numbers off`
    Numbers(bool),
    /// `* lines on`, `* lines off`
    Lines(bool),
    /// `* watch on`, `* watch off`
    Watch(bool),
    /// `* came NAME`
    Came(&'a str),
    /// `* went NAME REASON`
    Went {
        /// Who.
        name: &'a str,
        /// Why.
        reason: Reason<'a>,
    },
    /// `* renamed OLD NEW`
    Renamed {
        /// What it was called.
        old: &'a str,
        /// What it is called now.
        new: &'a str,
    },
    /// `* missed N`: so many lines were not kept for a reader that was too slow.
    Missed(u64),
    /// `! REASON`: what was asked or said is refused.
    Refused(&'a str),
    /// A line that says nothing known, whole.
    Unknown(&'a str),
}

/// What `/who` tells of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member<'a> {
    /// Its name, or `~` and its number.
    pub name: &'a str,
    /// How it is connected.
    pub via: Transport,
    /// How long ago anything came of it; written to the tenth of a second.
    pub idle: Duration,
    /// The measured interval of its heartbeats; written to the tenth of a second.
    pub every: Option<Duration>,
    /// The measured share of its heartbeats that is lost, from 0 to 1; written to the thousandth.
    pub loss: Option<f32>,
    /// How long it may be silent; written to the second. `None` for a stream, which lives as long as its connection.
    pub limit: Option<Duration>,
}

/// What `/me` tells a member of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Me<'a> {
    /// What `/who` tells as well.
    pub member: Member<'a>,
    /// Where it is.
    pub room: &'a str,
    /// The number of the room's last message; 0 where there was none.
    pub number: u64,
    /// Its own number in the hub.
    pub id: u64,
    /// Its address as the hub sees it.
    pub peer: &'a str,
    /// The hub's run: another one if the hub was started anew. Written as 16 hexadecimal digits.
    pub hub: u64,
    /// What came with the question.
    pub token: Option<Token>,
}

/// Why a member went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason<'a> {
    /// `quit`: it said so.
    Quit,
    /// `silent`: for longer than its weather explains.
    Silent,
    /// `closed`: its connection ended.
    Closed,
    /// `kicked`: by the operator.
    Kicked,
    /// `joined ROOM`: it is in another room now.
    Joined(&'a str),
    /// Another.
    Other(&'a str),
}

impl Line<'_> {
    /// Writes the line, without a line end.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn write(&self, f: &mut impl fmt::Write) -> fmt::Result {
        match self {
            Line::Ack(text) => write!(f, "ack {text}"),
            Line::Numbered { number, name, text } => write!(f, "ack #{number} {name}: {text}"),
            Line::Bye => f.write_str("bye bye"),
            Line::Help(text) => write!(f, "* help {text}"),
            Line::Name(name) => write!(f, "* name {name}"),
            Line::Joined { room, members, number } => {
                write!(f, "* join {room} members={members} number={number}")
            }
            Line::Rooms(rooms) => write!(f, "* rooms {rooms}"),
            Line::MoreRooms(name) => write!(f, "* more-rooms {name}"),
            Line::Room { room, members, number } => {
                write!(f, "* room {room} members={members} number={number}")
            }
            Line::Who { room, members } => write!(f, "* who {room} members={members}"),
            Line::Member(member) => {
                write!(f, "* member {} via={}", member.name, member.via)?;
                member.measured(f)
            }
            Line::More(name) => write!(f, "* more {name}"),
            Line::Me(me) => me.write(f),
            Line::Last { room, messages, after, to } => {
                write!(f, "* last {room} messages={messages} after={after} to={to}")
            }
            Line::Found { room, messages } => write!(f, "* found {room} messages={messages}"),
            Line::Said { number, at, name, text } => {
                write!(f, "* said #{number} ")?;
                timestamp::write(f, *at)?;
                write!(f, " {name}: {text}")
            }
            Line::Numbers(on) => write!(f, "* numbers {}", switch(*on)),
            Line::Lines(on) => write!(f, "* lines {}", switch(*on)),
            Line::Watch(on) => write!(f, "* watch {}", switch(*on)),
            Line::Came(name) => write!(f, "* came {name}"),
            Line::Went { name, reason } => write!(f, "* went {name} {reason}"),
            Line::Renamed { old, new } => write!(f, "* renamed {old} {new}"),
            Line::Missed(lines) => write!(f, "* missed {lines}"),
            Line::Refused(reason) => write!(f, "! {reason}"),
            Line::Unknown(line) => f.write_str(line),
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl Me<'_> {
    fn write(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Me { member, room, number, id, peer, hub, token } = self;
        write!(
            f,
            "* me {} room={room} number={number} member={id} via={} peer={peer}",
            member.name, member.via
        )?;
        member.measured(f)?;
        write!(f, " hub={hub:016x}")?;
        token.map_or(Ok(()), |token| write!(f, " token={}", token.as_str()))
    }
}

impl Member<'_> {
    /// Writes what was measured, a space before each.
    fn measured(&self, f: &mut impl fmt::Write) -> fmt::Result {
        write!(f, " idle=")?;
        tenths(f, self.idle)?;
        if let Some(every) = self.every {
            write!(f, " every=")?;
            tenths(f, every)?;
        }
        if let Some(loss) = self.loss {
            write!(f, " loss={loss:.3}")?;
        }
        self.limit.map_or(Ok(()), |limit| write!(f, " limit={}", limit.as_secs()))
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Quit => f.write_str("quit"),
            Reason::Silent => f.write_str("silent"),
            Reason::Closed => f.write_str("closed"),
            Reason::Kicked => f.write_str("kicked"),
            Reason::Joined(room) => write!(f, "joined {room}"),
            Reason::Other(reason) => f.write_str(reason),
        }
    }
}

fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// Cut and not rounded, so that what was written reads as what it was.
fn tenths(f: &mut impl fmt::Write, duration: Duration) -> fmt::Result {
    write!(f, "{}.{}", duration.as_secs(), duration.subsec_millis() / 100)
}
