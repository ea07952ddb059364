//! A chat that runs: what happens in it goes to the log, what it counted is told at its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use squall::chat::{Event, HubStats};
use squall::{Outbox, Remote};
use tracing::{debug, info, warn};

use super::control::parse_network;
use super::history::{self, Place, StoreHandle};
use super::service::{GuardedHub, LastWords};
use super::told::{is_news, summary, told};
use crate::clock::unix_millis;
use crate::data::DataDirectory;

/// The chat of a running node.
#[derive(Debug)]
pub struct Chat {
    remote: ChatRemote,
    last: Arc<Mutex<LastWords>>,
    /// This node's, until it ends.
    _data: Option<Arc<DataDirectory>>,
}

/// What calls a chat from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct ChatRemote {
    pub(super) hub: Remote<GuardedHub>,
    pub(super) store: StoreHandle,
}

/// What a chat did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChatReport {
    /// What the hub counted.
    pub hub: HubStats,
    /// What the history counted.
    pub history: history::Stats,
    /// Whether everything that was taken is where it was to be.
    pub history_written: bool,
}

impl ChatReport {
    /// In a line.
    pub fn summary(&self) -> String {
        summary(&self.hub, &self.history, self.history_written)
    }
}

impl Chat {
    pub(super) fn start(
        hub: Remote<GuardedHub>,
        store: StoreHandle,
        data: Option<Arc<DataDirectory>>,
        last: Arc<Mutex<LastWords>>,
    ) -> Self {
        let remote = ChatRemote { hub, store };
        remote.enforce_bans();
        let watched = remote.clone();
        let spawned = thread::Builder::new().name("squall-chat-log".into()).spawn(move || watch(&watched));
        if let Err(problem) = spawned {
            warn!("what happens in the chat is not logged: {problem}");
        }
        Self { remote, last, _data: data }
    }

    /// Where messages are kept.
    pub fn place(&self) -> &Place {
        self.remote.store.place()
    }

    pub(crate) fn remote(&self) -> ChatRemote {
        self.remote.clone()
    }

    /// Ends the history, after the server has stopped, and reports.
    pub(crate) fn finish(self) -> ChatReport {
        let history_written = self.remote.store.close(HISTORY_END);
        let last = std::mem::take(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner));
        log(&last.events);
        ChatReport { hub: last.stats, history: self.remote.store.stats(), history_written }
    }
}

impl ChatRemote {
    /// Has the hub turn away whom earlier runs have banned.
    fn enforce_bans(&self) {
        let now = unix_millis();
        let mut bans = Vec::new();
        for ban in self.store.bans() {
            let left = ban.until.map(|until| Duration::from_millis(until.saturating_sub(now)));
            match parse_network(&ban.network) {
                Ok(_) if left == Some(Duration::ZERO) => {
                    self.store.unban(&ban.network);
                }
                Ok(network) => bans.push((network, left)),
                Err(problem) => warn!("a ban in the history is none: {problem}"),
            }
        }
        let enforce = move |chat: &mut GuardedHub, now, out: &mut Outbox| {
            let is_refused = |(network, left)| chat.hub.ban(now, network, left, out).is_none();
            let refused = bans.into_iter().map(is_refused).filter(|refused| *refused).count();
            if refused > 0 {
                warn!("{refused} bans in the history are more than the chat can enforce at once");
            }
        };
        if let Err(problem) = self.hub.call(enforce) {
            warn!("the bans in the history are not enforced: {problem}");
        }
    }
}

/// Logs what happens until the hub ends, and tells it the date, which the machine's sleep and its clock's corrections
/// change.
fn watch(remote: &ChatRemote) {
    loop {
        let present = unix_millis();
        let take = move |chat: &mut GuardedHub, now, _: &mut _| -> Vec<Event> {
            chat.hub.set_calendar(now, present);
            std::iter::from_fn(|| chat.hub.poll_event()).take(EVENTS).collect()
        };
        match remote.hub.ask(take) {
            Ok(events) => log(&events),
            Err(squall::RemoteError::Full) => {}
            Err(_) => return,
        }
        thread::sleep(TICK);
    }
}

/// A line each for the first of them.
fn log(events: &[Event]) {
    for event in events.iter().filter(|event| is_news(event)).take(LINES) {
        info!("{}", told(event));
    }
    let more = events.iter().filter(|event| is_news(event)).skip(LINES).count();
    if more > 0 {
        info!("chat: {more} more went or were turned away within {} ms", TICK.as_millis());
    }
    for event in events.iter().filter(|event| !is_news(event)).take(LINES) {
        debug!("{}", told(event));
    }
}

/// How often what happened is logged.
const TICK: Duration = Duration::from_millis(250);
/// Events that are taken at a time; the hub keeps as many more.
const EVENTS: usize = 1024;
/// Lines of the log for what happened within a tick.
const LINES: usize = 20;
/// How long the history may take to be written to its end.
const HISTORY_END: Duration = Duration::from_secs(10);
