//! What a hub's operator sees and does.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use core::time::Duration;

use super::Hub;
use super::members::Member;
use super::presence::label;
use super::relay::epoch_millis;
use super::rooms::Row;
use crate::chat::Message;
use crate::chat::wire::{Key, MAX_MEMBER_DATAGRAM, Reason};
use crate::guard::Network;
use crate::random::mix;
use crate::text::clean;
use crate::{Origin, Outbox, Time};

/// What the operator is called where it speaks.
pub(super) const NAME: &str = "operator";

/// A member as its operator sees it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemberView {
    /// Its number. No other member of the hub's run has it.
    pub number: u64,
    /// Its name, or `~` and its number.
    pub name: String,
    /// Its room's name.
    pub room: String,
    /// Where it speaks from.
    pub origin: Origin,
    /// How long ago anything came of it.
    pub idle: Duration,
    /// The measured interval of its heartbeats; `None` until two are measured.
    pub every: Option<Duration>,
    /// The measured share of its heartbeats that is lost, from 0 to 1.
    pub loss: Option<f32>,
    /// How long it may be silent; `None` for a connection.
    pub limit: Option<Duration>,
    /// Whether it says more than is relayed.
    pub flooding: bool,
    /// Whether it reads more slowly than is said.
    pub behind: bool,
}

/// A room as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomView {
    /// Its name.
    pub name: String,
    /// How many members it has.
    pub members: u64,
    /// The number of its last message.
    pub number: u64,
}

/// Which members are meant. Reads `bob`, `~17`, `192.0.2.7`, `192.0.2.7:4000`, `192.0.2.0/24`; anything else is a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// All with this name, whatever their room: names are unique in a room, by what they look like, and `BOB` means `bob`.
    Name(String),
    /// The one of this number.
    Number(u64),
    /// All that speak from this address, and this port if one is said.
    Address(IpAddr, Option<u16>),
    /// All of a network.
    Network(Network),
}

/// Why no room hears what the operator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unheard {
    /// The room that is meant is none.
    #[error("there is no such room")]
    NoRoom,
    /// Nothing of the text can be seen.
    #[error("there is nothing in it that can be seen")]
    Empty,
    /// A line is longer than a datagram takes.
    #[error("a line of it has {bytes} bytes, and {fit} fit")]
    TooLong {
        /// Of the line, once it is clean.
        bytes: usize,
        /// That it may have.
        fit: usize,
    },
    /// As many lines wait as may.
    #[error("more than {MAX_ANNOUNCEMENTS} lines of the operator's would wait")]
    TooMany,
}

/// A network that is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ban {
    /// Whose addresses.
    pub network: Network,
    /// Until when; `None` for as long as the hub runs.
    pub until: Option<Time>,
}

/// Networks that are not wanted.
#[derive(Debug, Default)]
pub(super) struct Bans {
    list: Vec<Ban>,
}

impl Bans {
    /// Whether a newcomer is not wanted.
    pub(super) fn hold(&self, now: Time, origin: &Origin) -> bool {
        let Some(peer) = origin.peer.ip() else { return false };
        self.list
            .iter()
            .any(|ban| ban.until.is_none_or(|until| now < until) && ban.network.contains(peer.ip()))
    }

    fn forget_old(&mut self, now: Time) {
        self.list.retain(|ban| ban.until.is_none_or(|until| now < until));
    }
}

impl Hub {
    /// Sets the calendar by which messages are dated: `unix_millis` since 1970-01-01T00:00Z are `now`. A driver whose
    /// clock stands still while the machine sleeps tells it now and then.
    pub fn set_calendar(&mut self, now: Time, unix_millis: u64) {
        self.config.epoch_millis = unix_millis.saturating_sub(now.as_nanos() / 1_000_000);
    }

    /// All members, in no order.
    pub fn members(&self, now: Time) -> impl Iterator<Item = MemberView> {
        self.members_from(now, 0).map(|(_, member)| member)
    }

    /// The members at the places from `first` on, each with its place, which it keeps as long as it is there: who lists
    /// many asks for some at a time, the next time for those behind the last place, and misses nobody who stays. Costs
    /// only what is taken of it.
    pub fn members_from(&self, now: Time, first: u32) -> impl Iterator<Item = (u32, MemberView)> {
        self.members.iter_from(first).map(move |(place, member)| (place, self.member_view(now, member)))
    }

    /// All rooms, by name.
    pub fn rooms(&self) -> impl Iterator<Item = RoomView> {
        self.rooms.iter().map(|(_, room)| RoomView {
            name: room.name.to_string(),
            members: room.len() as u64,
            number: room.number,
        })
    }

    /// A number that is another one in each run, if the seed is; `hub=` in the answer to `/me`.
    pub fn run(&self) -> u64 {
        mix(self.config.seed ^ RUN)
    }

    /// Puts members out, and says how many. Those that send datagrams are not told, and may come again; connections are
    /// ended.
    pub fn kick(&mut self, now: Time, who: &Selector, out: &mut Outbox) -> usize {
        self.now = self.now.max(now);
        let is_meant = who.selects();
        let found: Vec<u32> = self
            .members
            .iter()
            .filter(|(_, member)| is_meant(member, self.rooms.origin(member)))
            .map(|(index, _)| index)
            .collect();
        for index in &found {
            let Some(member) = self.members.get(*index) else { continue };
            let origin = *self.rooms.origin(member);
            self.leave(now, *index, Reason::Kicked);
            if origin.transport.is_stream() {
                // Without room the connection stays, and is no member.
                let _ = out.close(&origin);
            }
        }
        found.len()
    }

    /// Puts the members of a network out and lets none in, for a time or as long as the hub runs. How many were
    /// put out; `None` when 1024 networks are banned already, and nothing is done. Unix sockets have no network.
    pub fn ban(
        &mut self,
        now: Time,
        network: Network,
        time: Option<Duration>,
        out: &mut Outbox,
    ) -> Option<usize> {
        self.bans.forget_old(now);
        self.bans.list.retain(|ban| ban.network != network);
        if self.bans.list.len() >= MAX_BANS {
            return None;
        }
        self.bans.list.push(Ban { network, until: time.map(|time| now + time) });
        Some(self.kick(now, &Selector::Network(network), out))
    }

    /// Lets a network in again; false if it was not banned.
    pub fn unban(&mut self, network: Network) -> bool {
        let before = self.bans.list.len();
        self.bans.list.retain(|ban| ban.network != network);
        self.bans.list.len() < before
    }

    /// The networks that are banned.
    pub fn bans(&self, now: Time) -> impl Iterator<Item = Ban> {
        self.bans.list.iter().copied().filter(move |ban| ban.until.is_none_or(|until| now < until))
    }

    /// Says something as `operator`, in one room or in all: each line of `text` is a message. It is relayed with
    /// the next batch. How many rooms hear it, one at least.
    ///
    /// # Errors
    /// [`Unheard`]: no room hears it.
    pub fn say(&mut self, now: Time, room: Option<&str>, text: &str) -> Result<usize, Unheard> {
        self.now = self.now.max(now);
        let lines: Vec<String> = text.lines().map(|line| clean(line.as_bytes()).into_owned()).collect();
        let fit = MAX_MEMBER_DATAGRAM - super::speak::ACK.len() - NAME.len() - 2;
        if lines.iter().all(String::is_empty) {
            return Err(Unheard::Empty);
        }
        if let Some(long) = lines.iter().find(|line| line.len() > fit) {
            return Err(Unheard::TooLong { bytes: long.len(), fit });
        }
        let rooms: Vec<u16> = match room {
            Some(room) => vec![self.rooms.find(&Key::of(room)).ok_or(Unheard::NoRoom)?],
            None => self.rooms.iter().map(|(index, _)| index).collect(),
        };
        let mut heard = 0;
        for index in rooms {
            let Some(room) = self.rooms.get_mut(index) else { continue };
            if room.announcements.len() + lines.len() > MAX_ANNOUNCEMENTS {
                continue;
            }
            room.announcements.extend(lines.iter().filter(|line| !line.is_empty()).cloned());
            self.relay.wake(&mut self.rooms, index);
            heard += 1;
        }
        if heard == 0 { Err(Unheard::TooMany) } else { Ok(heard) }
    }

    /// Adds what the operator says to a room's batch.
    pub(super) fn announce(&mut self, now: Time, index: u16) {
        let at = epoch_millis(&self.config, now);
        let Some(room) = self.rooms.get_mut(index) else { return };
        while let Some(text) = room.announcements.pop_front() {
            room.number += 1;
            self.relay.add(room, NAME, true, &text);
            self.stats.messages += 1;
            let (name, number) = (room.name.as_str(), room.number);
            self.history.keep(&Message { room: name, number, at, name: NAME, text: &text });
        }
    }

    fn member_view(&self, now: Time, member: &Member) -> MemberView {
        let room = self.rooms.get(member.room).map(|room| room.name.to_string()).unwrap_or_default();
        let origin = *self.rooms.origin(member);
        let stream = origin.transport.is_stream();
        MemberView {
            number: member.number,
            name: label(member),
            room,
            origin,
            idle: now.since(member.liveness.last_heard()),
            every: member.liveness.interval(),
            loss: member.liveness.loss(),
            limit: (!stream).then(|| member.liveness.limit(&self.climate)),
            flooding: member.sender().is_some_and(|sender| self.senders.get(sender).flood.is_some()),
            behind: member.row == Row::Behind,
        }
    }
}

impl Selector {
    /// Tells whether a member is meant. What the name looks like is found out once for all of them.
    fn selects(&self) -> impl Fn(&Member, &Origin) -> bool {
        let key = match self {
            Selector::Name(name) => Some(Key::of(name)),
            _ => None,
        };
        move |member, origin| self.means(key.as_ref(), member, origin)
    }

    fn means(&self, key: Option<&Key>, member: &Member, origin: &Origin) -> bool {
        let peer = origin.peer.ip();
        match self {
            Selector::Name(_) => key.is_some() && member.key() == key,
            Selector::Number(number) => member.number == *number,
            Selector::Address(ip, port) => peer.is_some_and(|peer| {
                peer.ip().to_canonical() == ip.to_canonical() && port.is_none_or(|port| port == peer.port())
            }),
            Selector::Network(network) => peer.is_some_and(|peer| network.contains(peer.ip())),
        }
    }
}

impl FromStr for Selector {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if let Some(number) = text.strip_prefix('~').and_then(|number| number.parse().ok()) {
            Selector::Number(number)
        } else if let Ok(ip) = text.parse() {
            Selector::Address(ip, None)
        } else if let Ok(peer) = text.parse::<SocketAddr>() {
            Selector::Address(peer.ip(), Some(peer.port()))
        } else if let Ok(network) = text.parse() {
            Selector::Network(network)
        } else {
            Selector::Name(text.to_string())
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Name(name) => f.write_str(name),
            Selector::Number(number) => write!(f, "~{number}"),
            Selector::Address(ip, None) => ip.fmt(f),
            Selector::Address(ip, Some(port)) => SocketAddr::new(*ip, *port).fmt(f),
            Selector::Network(network) => network.fmt(f),
        }
    }
}

/// Networks that can be banned.
const MAX_BANS: usize = 1024;
/// Lines of the operator's that wait in a room.
const MAX_ANNOUNCEMENTS: usize = 64;
/// Makes the run's number another one than what tables are seeded with.
const RUN: u64 = 0x7371_7561_6c6c_2e68;
