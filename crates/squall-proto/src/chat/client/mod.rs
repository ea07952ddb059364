//! The member's end: a client that stays connected, knows what it missed, and says what became of what it said.
//!
//! A [`Client`] is a [`Protocol`]: whoever drives it gives it what arrives and the time, and sends what it
//! writes. [`Client::say`] says something, [`Client::poll_event`] tells what happened,
//! [`Client::messages`] is the room as it is to be shown.
//!
//! # What it does by itself
//! - It makes itself known: messages with numbers, comings and goings, its room, its name; and again whenever
//!   the hub does not know it any more.
//! - It sends a heartbeat every ten seconds, and with it a question whose answer tells the round trip. Without
//!   answers it asks more often; after three without one, about 7 s, it is [quiet](State::Quiet), after eight, about 45 s, it
//!   begins anew with growing waits.
//! - Every message has a number in its room. Where one is missing, the client asks the hub's history for it
//!   until it has it or is told that nobody keeps it. It comes to its place in the list.
//! - What it says waits for its own copy, the receipt. Without one it is shown so, and not sent again:
//!   it may have been said. If the copy comes late, or out of the history, that is shown.
//!
//! # What is promised
//! In its list each message of the room is there once, in the hub's order, from where the list begins: as long as the
//! hub has a history and keeps its count. A hub that was started anew is asked whether it counts on.

mod comings;
mod config;
mod event;
mod link;
mod log;
mod losses;
mod recall;
mod receive;
mod roster;
mod say;
mod setup;
mod timeouts;
mod typed;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

pub use config::ClientConfig;
pub use event::{Counts, Entry, Event, How, State, Why};
pub use roster::{Neighbour, Room};
pub use say::SayError;
pub use typed::TypeError;

use self::comings::Newcomers;
use self::link::{Attempts, Probes};
use self::log::Log;
use self::recall::Recalls;
use self::roster::Roster;
use self::say::Sayings;
use self::setup::Setup;
use crate::chat::wire::{Command, Name, RoomName};
use crate::random::SplitMix64;
use crate::{Input, Origin, Outbox, Protocol, Time};

/// A member of one hub, as a machine.
///
/// ```
/// use squall_proto::chat::client::{Client, ClientConfig, State};
/// use squall_proto::{Origin, Outbox, Peer, Protocol, Time, Transport};
///
/// let peer = Peer::Ip("192.0.2.1:9999".parse()?);
/// let hub = Origin { peer, local: None, transport: Transport::Udp, validated: true };
/// let mut client = Client::new(ClientConfig::default(), Some(hub));
/// let mut out = Outbox::new();
/// client.handle_timeout(Time::ZERO, &mut out);
/// let sent = out.frames().next().unwrap().payload;
/// assert!(sent.starts_with(b"/numbers on\n/watch on\n/me "));
/// assert!(matches!(client.state(), State::Connecting { attempt: 1, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    random: SplitMix64,
    /// Where the hub is; for a stream, while it is open.
    hub: Option<Origin>,
    stream: bool,
    state: State,
    attempts: Attempts,
    /// A stream was asked for and is not there.
    connecting: bool,
    probes: Probes,
    heartbeat: Heartbeat,
    setup: Setup,
    /// The hub's run, this client's number in it, and the address that it has for the hub.
    run: Option<u64>,
    id: Option<u64>,
    peer: Option<String>,
    /// What the hub calls this client, and what it called it lately.
    label: Option<String>,
    labels: VecDeque<String>,
    log: Log,
    /// Whether a room is known that the log is of.
    joined: bool,
    other_logs: Vec<Log>,
    /// The number of the room's last message, as the hub told last, and when the client came there or came back.
    last: u64,
    live_from: u64,
    recalls: Recalls,
    keeps_nothing: bool,
    /// Whether the user knows it.
    told_of_nothing: bool,
    roster: Roster,
    roster_due: Option<Time>,
    newcomers: Newcomers,
    sayings: Sayings,
    /// What the user asked, so that its answers are shown, and until when.
    curious: VecDeque<(Kind, Time)>,
    events: VecDeque<Event>,
    next_entry: u64,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    number: u32,
    next: Option<Time>,
}

/// Kinds of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Who,
    Rooms,
    Me,
    Name,
    Last,
}

impl Client {
    /// A client. Over datagrams, `hub` is whom it sends to; without, it asks for a stream by [`Event::Connect`]. It
    /// begins with the first [`handle_timeout`](Protocol::handle_timeout).
    pub fn new(config: ClientConfig, hub: Option<Origin>) -> Self {
        let start = Time::ZERO;
        Self {
            random: SplitMix64::new(config.seed),
            stream: hub.is_none(),
            hub,
            state: State::Connecting { attempt: 0, next: start, why: Why::New },
            attempts: Attempts::new(&config, start),
            connecting: false,
            probes: Probes::new(start),
            heartbeat: Heartbeat { number: 0, next: None },
            setup: Setup::new(config.name.clone(), config.room.clone()),
            run: None,
            id: None,
            peer: None,
            label: None,
            labels: VecDeque::new(),
            log: Log::new("", 0, 0, config.scroll_back),
            joined: false,
            other_logs: Vec::new(),
            last: 0,
            live_from: 0,
            recalls: Recalls::default(),
            keeps_nothing: false,
            told_of_nothing: false,
            roster: Roster::new(config.members),
            roster_due: None,
            newcomers: Newcomers::default(),
            sayings: Sayings::default(),
            curious: VecDeque::new(),
            events: VecDeque::new(),
            next_entry: 0,
            counts: Counts::default(),
            config,
        }
    }

    /// Has it send to another address from now on, as when the hub's name has another: only over datagrams.
    pub fn readdress(&mut self, hub: Origin) {
        if !self.stream {
            self.hub = Some(hub);
        }
    }

    /// The system says that the hub cannot be reached: a stream cannot be opened, or a datagram was refused
    /// (ICMP). The next attempt is made when it is due. A hub that answered is asked at once whether it still does:
    /// anybody can forge an ICMP message.
    pub fn unreachable(&mut self, why: &str) {
        self.connecting = false;
        match self.state {
            State::Connecting { attempt, next, .. } => {
                self.set_state(State::Connecting { attempt, next, why: Why::Unreachable(why.to_string()) });
            }
            _ => self.probes.hurry(),
        }
    }

    /// The user wants the hub now: while it waits for the next attempt to reach it, that is due at once, or as soon as the
    /// [first wait](ClientConfig::waits) since the last has passed. An attempt that is under way over a stream is waited
    /// for.
    pub fn hurry(&mut self) {
        let State::Connecting { attempt, why, .. } = self.state.clone() else { return };
        let is_under_way = self.connecting || self.stream && self.hub.is_some();
        if !is_under_way {
            self.attempts.hurry(&self.config);
            self.set_state(State::Connecting { attempt, next: self.attempts.next, why });
        }
    }

    /// Asks for another name, now and after each reconnect.
    pub fn rename(&mut self, now: Time, name: Name) {
        self.ask_about(Kind::Name, now);
        self.setup.rename(name, now);
    }

    /// Goes to another room, now and after each reconnect.
    pub fn join(&mut self, now: Time, room: RoomName) {
        self.setup.join(room, now);
    }

    /// Searches the room's history; [`Event::Found`] tells what for. Of more than four searches at once the others are
    /// not made: `false`.
    pub fn find(&mut self, now: Time, words: &str) -> bool {
        let fits = self.recalls.search(words.to_string());
        if fits && self.recalls.is_idle() {
            self.recalls.ready = Some(now);
        }
        fits
    }

    /// Asks for so many messages from before the first of the list.
    pub fn want_older(&mut self, now: Time, messages: u32) {
        self.log.want_older(u64::from(messages));
        self.look_for_gaps(now, Duration::ZERO);
    }

    /// Puts a notice of the user's own program into the list.
    pub fn note(&mut self, now: Time, text: &str) -> u64 {
        self.add(now, None, String::new(), text.to_string(), How::Note)
    }

    /// Says `quit`, twice since nothing acknowledges it, and ends. A stream is closed.
    pub fn leave(&mut self, now: Time, out: &mut Outbox) {
        if matches!(self.state, State::Gone(_)) {
            return;
        }
        for _ in 0..if self.stream { 1 } else { 2 } {
            self.send("quit", out);
        }
        self.disconnect(out);
        self.end(now, Why::Left);
    }

    /// What happened next; `None` when there is nothing new.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How it is connected.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The mean round trip to the hub and back, the hub's own time in it.
    pub fn round_trip(&self) -> Option<Duration> {
        self.probes.round_trip()
    }

    /// The share of what was to come in the last five minutes and did not, from 0 to 1: of the last 64 answers to probes, of as
    /// many receipts, and of others' messages. What comes late, but not out of the history, has come.
    pub fn loss(&self) -> Option<f32> {
        self.probes.losses.share()
    }

    /// What the hub calls this client: its name, or `~` and its number.
    pub fn name(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The room that it is in.
    pub fn room(&self) -> Option<&str> {
        self.joined.then_some(&*self.log.room)
    }

    /// The messages of the room, in order. The oldest are at the front.
    pub fn messages(&self) -> &VecDeque<Entry> {
        &self.log.entries
    }

    /// The members of the room that are listed, by their names.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Neighbour> {
        self.roster.members.values()
    }

    /// How many members the room has.
    pub fn member_count(&self) -> u64 {
        self.roster.total
    }

    /// The rooms of the hub, by their names.
    pub fn rooms(&self) -> impl ExactSizeIterator<Item = &Room> {
        self.roster.rooms.values()
    }

    /// How many messages of a room this client has not seen; `None` for one in which it never was.
    pub fn unread(&self, room: &str) -> Option<u64> {
        if self.joined && self.log.room == room {
            return Some(0);
        }
        let log = self.other_logs.iter().find(|log| log.room == room)?;
        let last = self.roster.rooms.get(room).map_or(0, |room| room.number);
        Some(last.saturating_sub(log.highest()))
    }

    /// Whether it is connected, known under its name, and nothing is missing that may still come.
    pub fn is_caught_up(&self) -> bool {
        self.may_say() && self.joined && self.log.first_gap().is_none() && self.log.doubtful.is_none()
    }

    /// Whether the hub said that it keeps no messages.
    pub fn keeps_nothing(&self) -> bool {
        self.keeps_nothing
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// What all parts use.
impl Client {
    /// Adds an entry to the list.
    fn add(&mut self, now: Time, number: Option<u64>, name: String, text: String, how: How) -> u64 {
        let id = self.next_entry;
        self.next_entry += 1;
        let at = self.wall(now);
        self.log.put(Entry { id, number, at, name, text, how, counts: number.is_some(), heard: now });
        self.tell(Event::Message(id));
        id
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
            self.counts.events_dropped += 1;
        }
        self.events.push_back(event);
    }

    fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state.clone();
            self.tell(Event::State(state));
        }
    }

    /// The answers of this kind are the user's for a while.
    fn ask_about(&mut self, kind: Kind, now: Time) {
        if self.curious.len() == 8 {
            self.curious.pop_front();
        }
        self.curious.push_back((kind, now + Duration::from_secs(5)));
    }

    /// Writes lines to the hub: one datagram, or each as a frame of the stream.
    fn send(&mut self, lines: &str, out: &mut Outbox) {
        let Some(hub) = self.hub else { return };
        let frames = if self.stream { lines.split('\n').count() } else { 1 };
        for frame in lines.splitn(frames, '\n') {
            match out.to(&hub).write(frame.as_bytes()) {
                Ok(()) => self.counts.sent += 1,
                Err(_) => self.counts.unsent += 1,
            }
        }
    }

    fn send_commands(&mut self, commands: &[Command<'_>], out: &mut Outbox) {
        let lines: Vec<String> = commands.iter().map(|command| format!("{command}")).collect();
        if !lines.is_empty() {
            self.send(&lines.join("\n"), out);
        }
    }

    /// Ends a stream from this side.
    fn disconnect(&mut self, out: &mut Outbox) {
        if self.stream
            && let Some(hub) = self.hub.take()
        {
            let _ = out.close(&hub);
        }
    }

    fn end(&mut self, now: Time, why: Why) {
        self.give_up_sayings();
        self.abandon_recall();
        self.probes.reset(now);
        self.set_state(State::Gone(why));
    }

    fn abandon_recall(&mut self) {
        if let Some(done) = self.recalls.abandon() {
            self.not_found(done);
        }
    }

    fn not_found(&mut self, done: recall::Done) {
        if let recall::Purpose::Find(words) = done.purpose {
            self.tell(Event::Found { words, messages: None });
        }
    }

    /// Asks for what is missing after `grace`, unless something is asked already.
    fn look_for_gaps(&mut self, now: Time, grace: Duration) {
        let wanted = self.log.doubtful.is_some() || self.log.first_gap().is_some();
        if wanted && self.recalls.is_idle() && self.recalls.ready.is_none() {
            self.recalls.ready = Some(now + grace);
        }
    }
}

impl Protocol for Client {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        if matches!(self.state, State::Gone(_)) {
            return;
        }
        match input {
            Input::Message(message) if self.is_hub(&message.origin) => {
                self.receive(now, message.payload, out)
            }
            Input::Message(_) => self.counts.strays += 1,
            Input::Opened(origin) if self.stream && self.connecting && self.hub.is_none() => {
                self.connecting = false;
                self.hub = Some(origin);
                self.attempts.next = self.attempts.next.max(now + Duration::from_secs(5));
                self.introduce(now, out);
            }
            Input::Closed(origin) if self.stream && self.is_hub(&origin) => {
                self.hub = None;
                self.lose(now, Why::Closed, out);
            }
            Input::Stopping => self.leave(now, out),
            _ => {}
        }
        self.flush(now, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.on_timeout(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.next_timeout()
    }
}

/// With one more the oldest is dropped.
const MAX_EVENTS: usize = 4096;

#[cfg(test)]
mod tests;
