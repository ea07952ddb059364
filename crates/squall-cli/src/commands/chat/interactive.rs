//! The client on a terminal.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use ratatui::crossterm::event::{Event as Typed, KeyEventKind, MouseEventKind};
use squall::chat::client::{Entry as Message, Event, How, State};

use super::orders::{COMMANDS, Order, help};
use super::perform::{Answer, perform};
use super::screen::{Action, Entry, Kind, Member, Palette, Receipt, Room, Screen, Sight, Transcript};
use super::session::Session;
use super::terminal::{Happened, Screenful, listen};
use super::words;
use crate::exit::Exit;

/// Shows the conversation until the user leaves.
pub(super) fn run(session: Session, has_mouse: bool) -> Result<Exit, Exit> {
    let (tell, happened) = sync_channel(AHEAD);
    let failed = |error: io::Error| Exit::Failed.with(format_args!("the terminal: {error}"));
    let screenful = Screenful::new(has_mouse).map_err(failed)?;
    let result = listen(&tell, session.waker()).and_then(|()| App::new(session, screenful).run(&happened));
    // The terminal is given back by now: what went wrong can be read.
    match result {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(failed(error)),
    }
}

struct App {
    session: Session,
    screen: Screen,
    screenful: Screenful,
    /// Notices that tell of trouble, by the numbers of their entries.
    troubles: VecDeque<u64>,
    was_online: bool,
    is_connected: bool,
    hub: String,
    goes_on: bool,
    is_changed: bool,
    /// Questions of who is there and which rooms there are, until the lists have come, and how long they wait for them.
    asked: Vec<(Order, Instant)>,
}

impl App {
    fn new(session: Session, screenful: Screenful) -> Self {
        let hub = session.uri().to_string();
        Self {
            session,
            screen: Screen::new(Palette::of_environment(), TimeZone::system()),
            screenful,
            troubles: VecDeque::new(),
            was_online: false,
            is_connected: false,
            hub,
            goes_on: true,
            is_changed: true,
            asked: Vec::new(),
        }
    }

    fn run(mut self, happened: &Receiver<Happened>) -> io::Result<()> {
        let result = self.go_on(happened);
        // Also when the terminal is gone.
        self.session.leave();
        result
    }

    fn go_on(&mut self, happened: &Receiver<Happened>) -> io::Result<()> {
        let mut drawn = None::<Instant>;
        while self.goes_on {
            let asked = self.asked.first().map(|(_, until)| until.saturating_duration_since(Instant::now()));
            let mut timeout = self.second().into_iter().chain(asked).min();
            if self.is_changed {
                // Whatever comes, no more frames than a screen can show.
                let due = drawn.map_or(Duration::ZERO, |drawn| FRAME.saturating_sub(drawn.elapsed()));
                if due.is_zero() {
                    self.draw()?;
                    self.is_changed = false;
                    drawn = Some(Instant::now());
                } else {
                    timeout = Some(timeout.map_or(due, |timeout| timeout.min(due)));
                }
            }
            self.session.wait(timeout)?;
            self.session.turn()?;
            while let Some(event) = self.session.event()? {
                self.take(event)?;
            }
            while let Ok(happened) = happened.try_recv() {
                self.heed(happened)?;
            }
            self.answer_asked()?;
            // What counts seconds is drawn anew with each.
            self.is_changed |= self.second().is_some() && drawn.is_none_or(|drawn| drawn.elapsed() >= SECOND);
        }
        Ok(())
    }

    /// How long what is shown of the connection stays true.
    fn second(&self) -> Option<Duration> {
        match self.session.client.state() {
            State::Online | State::Gone(_) => None,
            _ => Some(SECOND),
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let Self { session, screen, screenful, troubles, hub, was_online, .. } = self;
        let shown = Shown::new(session, troubles);
        screenful.draw(|frame| screen.draw(frame, &shown.sight(hub, *was_online)))
    }

    /// Takes what was typed, or what the system tells.
    fn heed(&mut self, happened: Happened) -> io::Result<()> {
        self.is_changed = true;
        match happened {
            Happened::End => self.goes_on = false,
            Happened::Stop => self.screenful.suspend()?,
            Happened::Continued => self.screenful.take_again()?,
            Happened::Typed(Typed::Key(key)) if key.kind != KeyEventKind::Release => {
                let action = self.with_sight(|screen, sight| {
                    let commands = COMMANDS.map(|(name, _, _)| name);
                    screen.key(key, sight, &commands)
                });
                match action {
                    Some(Action::Send(text)) => self.send(&text)?,
                    Some(Action::Leave) => self.goes_on = false,
                    Some(Action::Suspend) => self.screenful.suspend()?,
                    Some(Action::Redraw) => self.screenful.clear()?,
                    None => {}
                }
            }
            Happened::Typed(Typed::Paste(text)) => self.screen.paste(&text),
            Happened::Typed(Typed::FocusGained) => self.screen.focus(true),
            Happened::Typed(Typed::FocusLost) => self.screen.focus(false),
            Happened::Typed(Typed::Mouse(mouse)) => {
                let rows = match mouse.kind {
                    MouseEventKind::ScrollUp => -WHEEL,
                    MouseEventKind::ScrollDown => WHEEL,
                    _ => return Ok(()),
                };
                self.with_sight(|screen, sight| screen.scroll(rows, sight));
            }
            Happened::Typed(_) => {}
        }
        Ok(())
    }

    fn with_sight<R>(&mut self, act: impl FnOnce(&mut Screen, &Sight<'_>) -> R) -> R {
        let Self { session, screen, troubles, hub, was_online, .. } = self;
        let shown = Shown::new(session, troubles);
        act(screen, &shown.sight(hub, *was_online))
    }

    /// Says or does what was typed, line by line.
    fn send(&mut self, text: &str) -> io::Result<()> {
        // Whoever says something while the hub is gone wants it back now.
        self.session.client.hurry();
        for line in text.lines() {
            match Order::parse(line) {
                Ok(None) => {}
                Ok(Some(Order::Leave)) => self.goes_on = false,
                Ok(Some(Order::Help)) => help(true).into_iter().for_each(|line| self.tell(line, false)),
                Ok(Some(order @ (Order::Who(None) | Order::Rooms))) if self.asked.len() < ASKED => {
                    // What is known may be half a minute old.
                    self.session.call(|client, now, _| client.list(now))?;
                    self.asked.push((order, Instant::now() + LISTS));
                }
                Ok(Some(order)) => self.perform(order)?,
                Err(why) => self.tell(why, true),
            }
        }
        Ok(())
    }

    fn perform(&mut self, order: Order) -> io::Result<()> {
        match perform(&mut self.session, order)? {
            Answer::Lines(lines) => lines.into_iter().for_each(|line| self.tell(line, false)),
            Answer::Refused(why) => self.tell(why, true),
            Answer::Later => {}
        }
        Ok(())
    }

    /// Answers by the lists that have come; by what is known, if they do not come.
    fn answer_asked(&mut self) -> io::Result<()> {
        let is_listed = self.session.client.is_listed();
        while self.asked.first().is_some_and(|(_, until)| is_listed || *until <= Instant::now()) {
            let (order, _) = self.asked.remove(0);
            self.perform(order)?;
        }
        Ok(())
    }

    /// Takes what the client's machine tells.
    fn take(&mut self, event: Event) -> io::Result<()> {
        self.is_changed = true;
        match event {
            Event::Message(id) => {
                let client = &self.session.client;
                let found = client.messages().iter().rev().find(|message| message.id == id);
                if let Some(message) = found
                    && matches!(message.how, How::Live | How::Missed)
                    && self.screen.heard(id, &message.text, client.name())
                {
                    self.screenful.ring()?;
                }
            }
            Event::State(State::Online) => {
                let text =
                    if self.was_online { "back again" } else { "connected; /help tells what can be done" };
                self.tell(text, false);
                (self.was_online, self.is_connected) = (true, true);
            }
            Event::State(State::Connecting { why, .. }) if self.is_connected => {
                self.is_connected = false;
                self.tell(format!("lost the hub: {}", words::why(&why)), true);
            }
            Event::Refused(why) => self.mark_trouble(&why),
            Event::Removed => self.tell(words::REMOVED, true),
            Event::State(State::Gone(why)) => self.tell(words::why(&why), true),
            Event::Found { words, messages } => {
                for line in words::found(&words, messages.as_deref(), &TimeZone::system()) {
                    self.tell(line, false);
                }
            }
            // The machine has put the rest among the messages.
            _ => {}
        }
        Ok(())
    }

    /// Tells something among the messages of the room.
    fn tell(&mut self, text: impl AsRef<str>, is_trouble: bool) {
        let now = self.session.now();
        let id = self.session.client.note(now, text.as_ref());
        if is_trouble {
            self.is_trouble(id);
        }
        self.is_changed = true;
    }

    /// The last notice of this tells of trouble; the machine has put it among the messages.
    fn mark_trouble(&mut self, text: &str) {
        let messages = self.session.client.messages();
        let is_it = |message: &&Message| message.how == How::Note && message.text == text;
        if let Some(id) = messages.iter().rev().find(is_it).map(|message| message.id) {
            self.is_trouble(id);
        }
    }

    fn is_trouble(&mut self, id: u64) {
        if self.troubles.len() == TROUBLES {
            self.troubles.pop_front();
        }
        self.troubles.push_back(id);
    }
}

/// What a frame is drawn from.
struct Shown<'a> {
    session: &'a Session,
    members: Vec<Member>,
    rooms: Vec<Room>,
    list: List<'a>,
}

impl<'a> Shown<'a> {
    fn new(session: &'a Session, troubles: &'a VecDeque<u64>) -> Self {
        let list = List { messages: session.client.messages(), troubles };
        Self { session, members: members(session), rooms: rooms(session), list }
    }

    fn sight(&'a self, hub: &'a str, was_online: bool) -> Sight<'a> {
        let client = &self.session.client;
        let (now, members) = (self.session.now(), &self.members);
        Sight {
            hub,
            room: client.room().unwrap_or_default(),
            name: client.name(),
            connection: words::connection(
                client.state(),
                was_online,
                now,
                client.round_trip(),
                client.loss(),
            ),
            members,
            more_members: client.member_count().saturating_sub(members.len() as u64),
            rooms: &self.rooms,
            transcript: &self.list,
        }
    }
}

/// Those who are in the room, oneself first.
fn members(session: &Session) -> Vec<Member> {
    let (client, now) = (&session.client, session.now());
    let mut members: Vec<Member> = client
        .members()
        .map(|neighbour| Member {
            name: neighbour.name.clone(),
            is_self: client.name() == Some(neighbour.name.as_str()),
            is_present: words::is_present(neighbour, now),
            loss: neighbour.loss,
        })
        .collect();
    members.sort_by_key(|member| !member.is_self);
    members
}

/// The rooms, and what was said in them since the user was there.
fn rooms(session: &Session) -> Vec<Room> {
    let client = &session.client;
    let room = |room: &squall::chat::client::Room| Room {
        name: room.name.clone(),
        members: room.members,
        is_current: client.room() == Some(room.name.as_str()),
        unread: client.unread(&room.name).unwrap_or(0),
    };
    client.rooms().map(room).collect()
}

/// The messages of the room, as the machine has them.
struct List<'a> {
    messages: &'a VecDeque<Message>,
    troubles: &'a VecDeque<u64>,
}

impl Transcript for List<'_> {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn get(&self, index: usize) -> Entry<'_> {
        let message = &self.messages[index];
        let text = message.text.as_str().into();
        let said = |receipt| Kind::Said {
            name: message.name.as_str().into(),
            text: message.text.as_str().into(),
            receipt,
            was_missed: message.how == How::Missed,
        };
        let kind = match &message.how {
            How::Pending { .. } => said(Some(Receipt::Pending)),
            How::Delivered(_) => said(Some(Receipt::Delivered)),
            How::NoReceipt => said(Some(Receipt::Missing)),
            How::Refused(why) => said(Some(Receipt::Refused(why.as_str().into()))),
            How::Note if self.troubles.contains(&message.id) => Kind::Trouble(text),
            How::Note => Kind::Notice(text),
            _ => said(None),
        };
        Entry { id: message.id, at: i64::try_from(message.at).unwrap_or(i64::MAX), kind }
    }
}

/// Notices of trouble that are known as such.
const TROUBLES: usize = 64;
/// Keys and the like that wait for their turn.
const AHEAD: usize = 256;
/// The time between two frames, at least.
const FRAME: Duration = Duration::from_millis(16);
const SECOND: Duration = Duration::from_secs(1);
/// How long the lists of members and rooms are waited for, and how many questions wait for them.
const LISTS: Duration = Duration::from_secs(1);
const ASKED: usize = 8;
/// Rows that one step of the wheel scrolls by.
const WHEEL: isize = 3;
