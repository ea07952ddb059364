//! Who has a session, and for how long.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::Time;

/// What bounds a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableConfig {
    sessions: usize,
    backlog: usize,
    idle: Duration,
    full: TableFull,
}

/// What happens to a new peer when every session is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableFull {
    /// It gets none until another has ended. Who has a session keeps it, whatever strangers send.
    #[default]
    Refuse,
    /// The session that has been silent for longest ends, and the new peer takes its place. Who forges
    /// addresses can end sessions this way; who cannot is never kept out.
    EvictLongestIdle,
}

impl TableConfig {
    /// How many sessions there may be: default 4096, from 1 to 2²⁰ (other values are taken to the nearest
    /// bound).
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.sessions = sessions.clamp(1, 1 << 20);
        self
    }

    /// How many of them may wait to be accepted: default 128, at least 1. A peer that comes when as many
    /// wait is refused.
    pub fn backlog(mut self, sessions: usize) -> Self {
        self.backlog = sessions.max(1);
        self
    }

    /// How long a peer may send nothing before its session ends: default 60 s. What is sent to it does
    /// not count: it could be gone.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// What happens to a new peer when every session is taken: default [`TableFull::Refuse`].
    pub fn when_full(mut self, policy: TableFull) -> Self {
        self.full = policy;
        self
    }

    /// The idle time.
    pub fn idle_time(&self) -> Duration {
        self.idle
    }
}

impl Default for TableConfig {
    fn default() -> Self {
        Self { sessions: 4096, backlog: 128, idle: Duration::from_secs(60), full: TableFull::Refuse }
    }
}

/// The sessions of a datagram server, each with its peer's key and a value of the driver's.
///
/// The driver calls [`handle_input`](Self::handle_input) for each datagram and [`handle_timeout`](Self::handle_timeout)
/// once the present has reached [`poll_timeout`](Self::poll_timeout), until it gives no more. Sessions are
/// kept in the order in which their peers were last heard, so that neither costs more for a large table
/// than the search for a key.
#[derive(Debug)]
pub struct Table<K, V> {
    config: TableConfig,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    index: BTreeMap<K, u32>,
    /// The ends of the list by idle time.
    oldest: Option<u32>,
    newest: Option<u32>,
    /// Sessions to be accepted, among them some that have ended meanwhile.
    backlog: VecDeque<SessionId>,
    /// Those of `backlog` that have not ended.
    waiting: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    /// How often the slot was given away, so that an old id does not mean its new holder.
    turn: u32,
    holder: Option<Holder<K, V>>,
}

#[derive(Debug)]
struct Holder<K, V> {
    key: K,
    value: V,
    heard: Time,
    accepted: bool,
    older: Option<u32>,
    newer: Option<u32>,
}

/// A session of a [`Table`]; never that of another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    slot: u32,
    turn: u32,
}

/// What a datagram meets.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<V> {
    /// Its peer has a session.
    Known(SessionId),
    /// Its peer has one from now on.
    Opened {
        /// The new session.
        id: SessionId,
        /// The session that ended to make room for it.
        ended: Option<Ended<V>>,
    },
    /// Every session is taken.
    Full,
    /// Too many sessions wait to be accepted.
    BacklogFull,
}

/// A session that has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended<V> {
    /// Why.
    pub cause: Cause,
    /// What the driver kept with it.
    pub value: V,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Its peer sent nothing for the idle time.
    Idle,
    /// It had been silent for longest when a new peer came and every session was taken.
    Evicted,
}

impl<K: Ord + Clone, V> Table<K, V> {
    /// A table without sessions.
    pub fn new(config: TableConfig) -> Self {
        Self {
            config,
            slots: Vec::new(),
            free: Vec::new(),
            index: BTreeMap::new(),
            oldest: None,
            newest: None,
            backlog: VecDeque::new(),
            waiting: 0,
        }
    }

    /// Takes a datagram of the peer `key`: its session lives on, or one is opened, with the value that
    /// `open` gives for it. A session whose time has passed and was not yet taken by
    /// [`handle_timeout`](Self::handle_timeout) lives on, too.
    pub fn handle_input(&mut self, now: Time, key: &K, open: impl FnOnce(SessionId) -> V) -> Arrival<V> {
        if let Some(slot) = self.index.get(key).copied() {
            self.unlink(slot);
            self.link_newest(slot, now);
            return Arrival::Known(self.id(slot));
        }
        if self.waiting >= self.config.backlog {
            return Arrival::BacklogFull;
        }
        let mut ended = None;
        if self.len() >= self.config.sessions {
            let overdue = self.poll_timeout().is_some_and(|deadline| deadline <= now);
            ended = match self.config.full {
                _ if overdue => self.end_oldest(Cause::Idle),
                TableFull::EvictLongestIdle => self.end_oldest(Cause::Evicted),
                TableFull::Refuse => return Arrival::Full,
            };
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { turn: 0, holder: None });
            (self.slots.len() - 1) as u32
        });
        let id = self.id(slot);
        let value = open(id);
        self.slots[slot as usize].holder =
            Some(Holder { key: key.clone(), value, heard: now, accepted: false, older: None, newer: None });
        self.index.insert(key.clone(), slot);
        self.link_newest(slot, now);
        if self.backlog.len() >= 2 * self.config.backlog {
            let slots = &self.slots;
            self.backlog.retain(|id| slots[id.slot as usize].turn == id.turn);
        }
        self.backlog.push_back(id);
        self.waiting += 1;
        Arrival::Opened { id, ended }
    }

    /// Ends one session whose peer was silent for too long; `None` when there is no other by `now`.
    pub fn handle_timeout(&mut self, now: Time) -> Option<Ended<V>> {
        if self.poll_timeout()? > now {
            return None;
        }
        self.end_oldest(Cause::Idle)
    }

    /// When the next session ends if its peer stays silent; `None` without sessions.
    pub fn poll_timeout(&self) -> Option<Time> {
        let oldest = self.oldest?;
        Some(self.holder(oldest)?.heard + self.config.idle)
    }

    /// The session that has waited longest to be accepted.
    pub fn accept(&mut self) -> Option<SessionId> {
        while let Some(id) = self.backlog.pop_front() {
            if let Some(holder) = self.holder_mut(id) {
                holder.accepted = true;
                self.waiting -= 1;
                return Some(id);
            }
        }
        None
    }

    /// What the driver keeps with the session `id`; `None` when it has ended.
    pub fn get(&self, id: SessionId) -> Option<&V> {
        let slot = self.slots.get(id.slot as usize)?;
        slot.holder.as_ref().filter(|_| slot.turn == id.turn).map(|holder| &holder.value)
    }

    /// Ends the session `id`: its peer's next datagram opens another. `None` when it has ended already.
    pub fn close(&mut self, id: SessionId) -> Option<V> {
        self.holder_mut(id)?;
        self.end(id.slot)
    }

    /// Ends all sessions.
    pub fn close_all(&mut self) -> impl Iterator<Item = V> + '_ {
        core::iter::from_fn(|| self.oldest.and_then(|oldest| self.end(oldest)))
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many sessions wait to be accepted.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    fn id(&self, slot: u32) -> SessionId {
        SessionId { slot, turn: self.slots[slot as usize].turn }
    }

    fn holder(&self, slot: u32) -> Option<&Holder<K, V>> {
        self.slots[slot as usize].holder.as_ref()
    }

    fn holder_mut(&mut self, id: SessionId) -> Option<&mut Holder<K, V>> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.turn == id.turn)?;
        slot.holder.as_mut()
    }

    fn end_oldest(&mut self, cause: Cause) -> Option<Ended<V>> {
        let value = self.end(self.oldest?)?;
        Some(Ended { cause, value })
    }

    fn end(&mut self, slot: u32) -> Option<V> {
        self.unlink(slot);
        let place = &mut self.slots[slot as usize];
        let holder = place.holder.take()?;
        place.turn = place.turn.wrapping_add(1);
        self.free.push(slot);
        self.index.remove(&holder.key);
        if !holder.accepted {
            self.waiting -= 1;
        }
        Some(holder.value)
    }

    /// Takes a session out of the list by idle time.
    fn unlink(&mut self, slot: u32) {
        let Some(holder) = &self.slots[slot as usize].holder else { return };
        let (older, newer) = (holder.older, holder.newer);
        match older.and_then(|older| self.slots[older as usize].holder.as_mut()) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| self.slots[newer as usize].holder.as_mut()) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }

    /// Puts a session that is in no list at the end of those just heard.
    fn link_newest(&mut self, slot: u32, now: Time) {
        let older = self.newest.replace(slot);
        if let Some(holder) = &mut self.slots[slot as usize].holder {
            (holder.older, holder.newer, holder.heard) = (older, None, now);
        }
        match older.and_then(|older| self.slots[older as usize].holder.as_mut()) {
            Some(older) => older.newer = Some(slot),
            None => self.oldest = Some(slot),
        }
    }
}

#[cfg(test)]
mod tests;
