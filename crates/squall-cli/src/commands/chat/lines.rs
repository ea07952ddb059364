//! The client without a terminal: lines in, lines out.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use squall::chat::client::{Entry, Event, How, State, Why};
use squall::socket::{Waker, process};

use super::orders::Order;
use super::perform::{Answer, perform};
use super::print::Printer;
use super::receipts::Receipts;
use super::session::Session;
use super::words;
use crate::exit::Exit;
use crate::output::say;

/// Says what comes in and prints what comes back, until the input has ended and all of it has its receipt. With `stay`
/// until it is interrupted.
pub(super) fn run(session: Session, printer: Printer, stay: bool) -> Result<Exit, Exit> {
    let waker = session.waker();
    let signals = signals(waker.clone()).map_err(system)?;
    let input = input(waker.clone()).map_err(system)?;
    let mut lines = Lines {
        session,
        printer,
        stay,
        input: Some(input),
        held: None,
        was_online: false,
        awaited: None,
        progress: Instant::now(),
        receipts: Receipts::default(),
        refused: 0,
    };
    let exit = lines.run(&signals);
    lines.session.leave();
    exit
}

struct Lines {
    session: Session,
    printer: Printer,
    stay: bool,
    /// Until it has ended.
    input: Option<Receiver<String>>,
    /// A line whose turn comes when members and rooms are known.
    held: Option<String>,
    was_online: bool,
    /// What an answer is waited for before the next line has its turn, and until when.
    awaited: Option<(Awaited, Instant)>,
    /// When something last happened that brought the end nearer.
    progress: Instant,
    receipts: Receipts,
    refused: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// To be in the room.
    Room,
    /// To be called so.
    Name,
    Search,
    Roster,
    /// The first line of an answer that has no end of its own.
    Lines,
    /// The rest of them: nothing came for a while.
    Rest,
    /// Older messages: all that are kept, or nothing came for a while.
    Messages,
}

impl Lines {
    fn run(&mut self, signals: &Receiver<i32>) -> Result<Exit, Exit> {
        loop {
            let wait = self.deadline().map(|due| due.saturating_duration_since(Instant::now()));
            self.session.wait(wait).and_then(|()| self.session.turn()).map_err(system)?;
            self.take_events()?;
            if let Ok(signal) = signals.try_recv() {
                return Ok(if signal == SIGINT { Exit::Interrupted } else { self.exit() });
            }
            self.printer.flush()?;
            if let Some(exit) = self.unreachable() {
                return Err(exit);
            }
            self.end_wait()?;
            self.act_on_input()?;
            // Before more has come: what is told of a message is what it is then.
            self.take_events()?;
            if self.is_over() {
                return Ok(self.exit());
            }
        }
    }

    /// Ends the wait for an answer that is there as far as it will be.
    fn end_wait(&mut self) -> Result<(), Exit> {
        let Some((awaited, until)) = self.awaited else { return Ok(()) };
        let has_all = awaited == Awaited::Messages && self.session.client.is_caught_up();
        if !has_all && Instant::now() < until {
            return Ok(());
        }
        self.awaited = None;
        match awaited {
            Awaited::Messages if self.session.client.keeps_nothing() => {
                self.refuse("/last: this hub keeps no messages")
            }
            Awaited::Lines => self.refuse("/who: the hub did not answer"),
            _ => Ok(()),
        }
    }

    fn take_events(&mut self) -> Result<(), Exit> {
        while let Some(event) = self.session.event().map_err(system)? {
            self.take(event)?;
        }
        Ok(())
    }

    /// Says or does what has come in, as far as it is its turn.
    fn act_on_input(&mut self) -> Result<(), Exit> {
        while self.was_online && self.awaited.is_none() && self.session.client.pending() < AT_ONCE {
            let held = self.held.take();
            let is_held = held.is_some();
            let Some(input) = &self.input else { return Ok(()) };
            let line = match held.map_or_else(|| input.try_recv(), Ok) {
                Ok(line) => line,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    self.input = None;
                    self.progress = Instant::now();
                    return Ok(());
                }
            };
            self.progress = Instant::now();
            let order = match Order::parse(&line) {
                Ok(None) => continue,
                Ok(Some(Order::Leave)) => {
                    // As if the input had ended here: what was said has its receipts first.
                    (self.input, self.stay) = (None, false);
                    return Ok(());
                }
                Ok(Some(order)) => order,
                Err(why) => {
                    self.refuse(&why)?;
                    continue;
                }
            };
            let awaited = match &order {
                Order::Join(_) => Some((Awaited::Room, ANSWER)),
                Order::Name(_) => Some((Awaited::Name, ANSWER)),
                Order::Find(_) => Some((Awaited::Search, ANSWER)),
                Order::Last(_) => Some((Awaited::Messages, ANSWER)),
                Order::Who(Some(_)) => Some((Awaited::Lines, ANSWER)),
                Order::Who(None) | Order::Rooms if !is_held => {
                    // What is known may be half a minute old.
                    self.session.call(|client, now, _| client.list(now)).map_err(system)?;
                    self.held = Some(line);
                    self.await_for(Awaited::Roster, ANSWER);
                    continue;
                }
                _ => None,
            };
            let answer = perform(&mut self.session, order).map_err(system)?;
            match answer {
                Answer::Lines(lines) => lines.iter().try_for_each(|line| self.printer.answer(line))?,
                Answer::Refused(why) => self.refuse(&why)?,
                Answer::Later => {
                    if let Some((awaited, time)) = awaited {
                        self.await_for(awaited, time);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what the client's machine tells.
    fn take(&mut self, event: Event) -> Result<(), Exit> {
        match &event {
            Event::Message(id) => {
                let Some(message) = message(&self.session, *id) else { return Ok(()) };
                let room = self.session.client.room().unwrap_or_default();
                match message.how {
                    How::Note => {
                        // The machine's notices are events as well, but for what the hub said to a command.
                        if let Some((Awaited::Lines | Awaited::Rest, _)) = self.awaited {
                            self.printer.answer(&message.text)?;
                            self.await_for(Awaited::Rest, QUIET);
                        }
                    }
                    How::Live | How::Missed | How::History => {
                        self.printer.message(room, message)?;
                        if matches!(self.awaited, Some((Awaited::Messages, _))) && message.how != How::Live {
                            self.await_for(Awaited::Messages, ANSWER);
                        }
                    }
                    _ => {}
                }
            }
            Event::Changed(id) => {
                let Some(message) = message(&self.session, *id) else { return Ok(()) };
                let room = self.session.client.room().unwrap_or_default();
                let is_missing = match &message.how {
                    How::NoReceipt => true,
                    How::Delivered(_) | How::Refused(_) => false,
                    _ => return Ok(()),
                };
                let is_late = !is_missing && self.receipts.was_missing(*id);
                if self.receipts.note(*id, is_missing) {
                    self.printer.receipt(room, message, is_late)?;
                    self.refused += u64::from(matches!(message.how, How::Refused(_)));
                }
                self.progress = Instant::now();
            }
            Event::State(State::Online) => self.was_online = true,
            Event::Roster if self.session.client.is_listed() => self.answered(Awaited::Roster),
            Event::Joined(_) => self.answered(Awaited::Room),
            Event::Named(_) => self.answered(Awaited::Name),
            Event::Refused(why) => {
                // One for which no line waits is that of `--name` or `--room`, which are asked for again by themselves.
                let is_of = |about, what| {
                    why.starts_with(about) && self.awaited.is_some_and(|(awaited, _)| awaited == what)
                };
                let is_asked_for = is_of("name: ", Awaited::Name) || is_of("join: ", Awaited::Room);
                self.refused += u64::from(is_asked_for);
                self.answered(Awaited::Room);
                self.answered(Awaited::Name);
                for (about, awaited) in [("find: ", Awaited::Search), ("who: ", Awaited::Lines)] {
                    if why.starts_with(about) {
                        self.answered(awaited);
                        self.refused += 1;
                    }
                }
            }
            Event::Found { words, messages } => {
                let found = words::found(words, messages.as_deref(), &jiff::tz::TimeZone::system());
                // How many there are is seen.
                found.iter().skip(1).try_for_each(|line| self.printer.answer(line))?;
                self.answered(Awaited::Search);
            }
            _ => {}
        }
        self.printer.event(&event)?;
        Ok(())
    }

    /// The hub was never there, and enough has been tried; or the machine has given up.
    fn unreachable(&self) -> Option<Exit> {
        let (why, is_over) = match self.session.client.state() {
            State::Connecting { attempt, why, .. } => {
                let tries = if matches!(why, Why::Unreachable(_)) { REFUSED } else { TRIES };
                (why, !self.was_online && *attempt > tries)
            }
            State::Gone(why) => (why, true),
            _ => return None,
        };
        let error = format!("{}: {}", self.session.uri(), words::why(why));
        is_over.then(|| Exit::NoAnswer.with(error))
    }

    fn is_over(&self) -> bool {
        if self.input.is_some() || self.stay || self.awaited.is_some() {
            return false;
        }
        let client = &self.session.client;
        (client.pending() == 0 && client.is_caught_up()) || self.progress.elapsed() >= RECEIPTS
    }

    /// Until when it sleeps at most.
    fn deadline(&self) -> Option<Instant> {
        let awaited = self.awaited.map(|(_, until)| until);
        let end = (self.input.is_none() && !self.stay).then(|| self.progress + RECEIPTS);
        awaited.into_iter().chain(end).min()
    }

    /// How it ends, with a word about what has no receipt.
    fn exit(&self) -> Exit {
        let missing = self.receipts.missing() + self.session.client.pending() as u64;
        if missing > 0 {
            let messages = if missing == 1 { "message has" } else { "messages have" };
            return Exit::NoAnswer.with(format_args!("{missing} {messages} no receipt"));
        }
        if self.refused > 0 { Exit::Failed } else { Exit::Done }
    }

    fn refuse(&mut self, why: &str) -> Result<(), Exit> {
        self.refused += 1;
        self.printer.trouble(why)?;
        Ok(())
    }

    fn await_for(&mut self, awaited: Awaited, time: Duration) {
        self.awaited = Some((awaited, Instant::now() + time));
    }

    fn answered(&mut self, what: Awaited) {
        if self.awaited.is_some_and(|(awaited, _)| awaited == what) {
            self.awaited = None;
        }
    }
}

fn message(session: &Session, id: u64) -> Option<&Entry> {
    session.client.messages().iter().rev().find(|message| message.id == id)
}

fn system(error: io::Error) -> Exit {
    Exit::Failed.with(error)
}

/// Tells of SIGINT, SIGTERM and, unless it was ignored before as by nohup, SIGHUP; a second one ends the program at once.
fn signals(waker: Waker) -> io::Result<Receiver<i32>> {
    let (tell, told) = sync_channel(1);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if !process::ignores(SIGHUP)? {
        signals.add_signal(SIGHUP)?;
    }
    let wait = move || {
        for signal in signals.forever() {
            if tell.try_send(signal).is_err() {
                std::process::exit(Exit::Interrupted.code().into());
            }
            waker.wake();
        }
    };
    thread::Builder::new().name("squall-signals".into()).spawn(wait)?;
    Ok(told)
}

/// Reads lines until there are no more.
fn input(waker: Waker) -> io::Result<Receiver<String>> {
    let (tell, told) = sync_channel(AHEAD);
    let read = move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            match input.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                Ok(1..) => {}
                Ok(0) => break,
                Err(error) => {
                    say(format_args!("squall: standard input: {error}"));
                    break;
                }
            }
            if tell.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            waker.wake();
        }
        drop(tell);
        waker.wake();
    };
    thread::Builder::new().name("squall-input".into()).spawn(read)?;
    Ok(told)
}

/// Lines that are read ahead.
const AHEAD: usize = 64;
/// The longest line, in bytes. What is longer becomes several, each of which is too long for a hub.
const LONGEST: u64 = 64 * 1024;
/// Messages that wait for their receipts before the next line has its turn.
const AT_ONCE: usize = 32;
/// Attempts to reach a hub that was never there: without an answer they end after 7 to 10 s, and after 3 to 5 s where
/// the system says that nobody is there.
const TRIES: u32 = 3;
const REFUSED: u32 = 2;
/// How long receipts are waited for when the input has ended and nothing comes.
const RECEIPTS: Duration = Duration::from_secs(3);
/// How long the answer to a command may take.
const ANSWER: Duration = Duration::from_secs(3);
/// After how long an answer is taken to be complete.
const QUIET: Duration = Duration::from_millis(500);
