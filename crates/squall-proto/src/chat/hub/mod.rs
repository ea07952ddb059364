//! The hub: what one says, all hear.

mod behind;
mod commands;
mod config;
mod events;
mod limits;
mod members;
mod operator;
mod packing;
mod presence;
mod recall;
mod relay;
mod remembered;
mod ring;
mod rooms;
mod share;
mod speak;
mod stats;
mod turns;
mod watchers;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;
use core::time::Duration;

pub use config::HubConfig;
pub use events::{Event, Refused, Who};
pub use operator::{Ban, MemberView, RoomView, Selector, Unheard};
pub use stats::HubStats;

use self::events::Events;
use self::limits::Limits;
use self::members::{MemberId, Members};
use self::operator::Bans;
use self::packing::Packed;
use self::recall::Recalls;
use self::relay::Relay;
use self::remembered::Remembered;
use self::rooms::Rooms;
use self::turns::Senders;
use super::wire::{Key, Reason, RoomName};
use super::{Climate, History};
use crate::wheel::Wheel;
use crate::{Input, Outbox, Protocol, Time};

/// A chat hub: who sends it a datagram is a member, and what one member of a room says goes to all of them.
///
/// The wire is that of [`wire`](super::wire). A member is an address that sends datagrams, or a connection of a stream that is
/// cut into [lines](crate::framing::Framing::Lines).
///
/// Texts wait in a queue for each sender until the driver has given all that it received; they are then taken
/// in turn, a line of each sender, packed into datagrams, and written once for all members of a room
/// ([`Outbox::to_all_rows`]). [`poll_timeout`](Protocol::poll_timeout) is in the past while anything waits, so that a driver calls
/// [`handle_timeout`](Protocol::handle_timeout) after each batch of datagrams. A call writes about a thousand datagrams at most,
/// so that the driver can send and receive between two of them, and while others speak it takes from each sender no
/// more lines than from the others on average, but eight at least.
///
/// At [`Input::Stopping`] what waits is relayed and every member gets `bye bye`, as far as the outbox holds; a
/// driver that then sends what it holds and calls `handle_timeout` while it is due says it to all.
///
/// Operator's methods that answer or end connections ([`kick`](Self::kick), …) take an outbox as the machine's inputs do.
pub struct Hub {
    config: HubConfig,
    history: Box<dyn History>,
    members: Members,
    rooms: Rooms,
    wheel: Wheel,
    climate: Climate,
    senders: Senders,
    limits: Limits,
    remembered: Remembered,
    bans: Bans,
    recalls: Recalls,
    relay: Relay,
    /// Readers of streams that catch up.
    behind: VecDeque<MemberId>,
    events: Events,
    stats: HubStats,
    /// An answer while it is written.
    answer: Packed,
    /// What nobody may seem to be.
    operator: Key,
    /// The latest time that it was told.
    now: Time,
}

impl Hub {
    /// A hub with a room `lobby` and nobody in it. What is said is given to `history`.
    pub fn new(config: HubConfig, mut history: Box<dyn History>) -> Self {
        let lobby = config.lobby.clone().unwrap_or_else(|| {
            RoomName::new(LOBBY_NAME).expect("the default room has a name that rooms can have")
        });
        Self {
            members: Members::new(config.seed),
            rooms: Rooms::new(lobby, &mut *history, config.rooms),
            wheel: Wheel::new(PRECISION),
            climate: Climate::new(config.liveness),
            senders: Senders::default(),
            limits: Limits::new(&config),
            remembered: Remembered::new(),
            bans: Bans::default(),
            recalls: Recalls::default(),
            relay: Relay::new(),
            behind: VecDeque::new(),
            events: Events::default(),
            stats: HubStats::default(),
            answer: Packed::default(),
            operator: Key::of(operator::NAME),
            now: Time::ZERO,
            config,
            history,
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> HubStats {
        HubStats {
            members: u64::from(self.members.len()),
            rooms: self.rooms.len() as u64,
            events_dropped: self.events.dropped,
            ..self.stats
        }
    }

    /// Something that happened, oldest first. 1024 events wait; those beyond are dropped and counted.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Evicts who was silent for too long. Where very many fell silent at once the others of them go in the next call.
    fn evict(&mut self, now: Time) {
        for _ in 0..EVICTIONS {
            let Some(index) = self.wheel.expire(now) else { return };
            let Some(member) = self.members.get(index) else { continue };
            let deadline = member.liveness.deadline(&self.climate);
            let kept =
                if deadline > now { Some(deadline) } else { member.liveness.reprieve(now, &self.climate) };
            match kept {
                Some(deadline) => self.wheel.schedule(index, deadline),
                None => self.leave(now, index, Reason::Silent),
            }
        }
    }

    /// Lets flooding senders say what they may.
    fn tick(&mut self, now: Time) {
        let (members, rooms, relay) = (&self.members, &mut self.rooms, &mut self.relay);
        let mut done = alloc::vec::Vec::new();
        self.senders.tick(
            now,
            |sender, index| {
                if let Some(member) = members.by_id(sender.member) {
                    relay.take_turn(rooms, member.room, index);
                }
            },
            |sender| done.push(sender.member),
        );
        for id in done {
            self.close_queue(id.index);
        }
    }
}

impl Protocol for Hub {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        self.now = self.now.max(now);
        let now = self.now;
        if self.relay.is_stopping() {
            return;
        }
        if let Some(due) = self.wheel.poll_timeout() {
            self.climate.called(due, now);
        }
        match input {
            Input::Message(request) => self.message(now, &request, out),
            Input::Opened(origin) => self.opened(now, &origin, out),
            Input::Closed(origin) => self.closed(now, &origin),
            Input::Full(origin) => self.full(&origin),
            Input::Writable(origin) => self.writable(&origin),
            Input::Stopping => self.stop(now, out),
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.now = self.now.max(now);
        let now = self.now;
        if let Some(due) = self.wheel.poll_timeout() {
            self.climate.called(due, now);
        }
        if !self.relay.is_stopping() {
            self.evict(now);
            self.tick(now);
        }
        self.pump(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        if self.is_busy() {
            return Some(self.now);
        }
        if self.relay.is_stopping() {
            return None;
        }
        [self.wheel.poll_timeout(), self.senders.tick, self.recalls.due()].into_iter().flatten().min()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// The default room.
pub const LOBBY_NAME: &str = "lobby";
/// Members that are looked at in one call because their deadline has passed.
const EVICTIONS: usize = 1024;
/// How late an eviction may be.
const PRECISION: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
