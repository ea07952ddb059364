//! Who has a flow, and for how long. It knows no socket and no clock.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use squall::Time;

/// What a flow belongs to: a client, and where it sends to. A client that asks two addresses of a wildcard
/// socket has two flows, so that each answer leaves from the address that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) client: SocketAddr,
    /// Where the client sends to, on a wildcard socket; its answers leave from there.
    pub(super) local: Option<SocketAddr>,
    /// The listening socket's number.
    pub(super) listener: u16,
}

impl Hash for Key {
    /// Of the client alone, in two steps instead of a dozen: this is done for each batch of each client.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ip = match self.client.ip() {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        state.write_u128(ip);
        state.write_u16(self.client.port());
    }
}

/// A flow; never another one later, unless 2³² others had its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowId {
    pub(super) slot: u32,
    turn: u32,
}

/// Flows by client, bounded, in the order in which they were last used.
#[derive(Debug)]
pub(super) struct Flows<V> {
    index: HashMap<Key, u32>,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    /// The ends of the list by last use; [`NONE`] when there is no flow.
    oldest: u32,
    newest: u32,
    limit: usize,
    idle: Duration,
}

#[derive(Debug)]
struct Slot<V> {
    turn: u32,
    flow: Option<Flow<V>>,
}

#[derive(Debug)]
struct Flow<V> {
    key: Key,
    value: V,
    used: Time,
    older: u32,
    newer: u32,
}

/// Whether a new flow can be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room<V> {
    /// There is room.
    Yes,
    /// There is room now: the flow that was unused for longest has ended.
    Made(V),
    /// Every flow is in use.
    No,
}

impl<V> Flows<V> {
    /// No flows, and never more than `limit`; one that is not used for `idle` ends.
    pub(super) fn new(limit: usize, idle: Duration) -> Self {
        let (index, slots, free) = (HashMap::new(), Vec::new(), Vec::new());
        Self { index, slots, free, oldest: NONE, newest: NONE, limit, idle }
    }

    pub(super) fn find(&self, key: &Key) -> Option<FlowId> {
        self.index.get(key).map(|slot| self.id(*slot))
    }

    /// Makes room for a flow that there is not yet. A flow that carried nothing for a quarter of the idle
    /// time ends for it; those in use are kept, whatever strangers send.
    pub(super) fn make_room(&mut self, now: Time) -> Room<V> {
        if self.index.len() < self.limit {
            return Room::Yes;
        }
        match self.end_oldest(now, self.idle / 4) {
            Some(value) => Room::Made(value),
            None => Room::No,
        }
    }

    /// Adds a flow for a key that has none, where [`make_room`](Self::make_room) said that there is room.
    pub(super) fn insert(&mut self, now: Time, key: Key, value: V) -> FlowId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { turn: 0, flow: None });
            (self.slots.len() - 1) as u32
        });
        self.slots[slot as usize].flow = Some(Flow { key, value, used: now, older: NONE, newer: NONE });
        self.index.insert(key, slot);
        self.link_newest(slot, now);
        self.id(slot)
    }

    /// Notes that a flow carries something now, in either direction.
    pub(super) fn touch(&mut self, now: Time, id: FlowId) {
        if self.newest == id.slot {
            if let Some(flow) = &mut self.slots[id.slot as usize].flow {
                flow.used = now;
            }
        } else if self.get(id).is_some() {
            self.unlink(id.slot);
            self.link_newest(id.slot, now);
        }
    }

    /// The flow `id`, unless it has ended.
    pub(super) fn get(&self, id: FlowId) -> Option<(&Key, &V)> {
        let slot = &self.slots[id.slot as usize];
        slot.flow.as_ref().filter(|_| slot.turn == id.turn).map(|flow| (&flow.key, &flow.value))
    }

    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut V> {
        let slot = &mut self.slots[id.slot as usize];
        slot.flow.as_mut().filter(|_| slot.turn == id.turn).map(|flow| &mut flow.value)
    }

    /// The flow that has `slot` now.
    pub(super) fn at(&self, slot: u32) -> Option<FlowId> {
        self.slots.get(slot as usize)?.flow.is_some().then(|| self.id(slot))
    }

    /// Ends a flow at once.
    pub(super) fn remove(&mut self, id: FlowId) -> Option<V> {
        self.get(id)?;
        self.end(id.slot)
    }

    /// Ends one flow that was not used for the idle time; `None` when there is no other by `now`.
    pub(super) fn handle_timeout(&mut self, now: Time) -> Option<V> {
        self.end_oldest(now, self.idle)
    }

    /// When the next flow ends if it is not used.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        Some(self.flow(self.oldest)?.used + self.idle)
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().filter_map(|slot| slot.flow.as_ref().map(|flow| &flow.value))
    }

    fn id(&self, slot: u32) -> FlowId {
        FlowId { slot, turn: self.slots[slot as usize].turn }
    }

    fn flow(&self, slot: u32) -> Option<&Flow<V>> {
        self.slots.get(slot as usize)?.flow.as_ref()
    }

    fn flow_mut(&mut self, slot: u32) -> Option<&mut Flow<V>> {
        self.slots.get_mut(slot as usize)?.flow.as_mut()
    }

    /// Ends the flow that was unused for longest, if that is `unused` or more.
    fn end_oldest(&mut self, now: Time, unused: Duration) -> Option<V> {
        let slot = self.oldest;
        if self.flow(slot)?.used + unused > now {
            return None;
        }
        self.end(slot)
    }

    fn end(&mut self, slot: u32) -> Option<V> {
        self.unlink(slot);
        let place = &mut self.slots[slot as usize];
        let flow = place.flow.take()?;
        place.turn = place.turn.wrapping_add(1);
        self.free.push(slot);
        self.index.remove(&flow.key);
        Some(flow.value)
    }

    fn unlink(&mut self, slot: u32) {
        let Some(flow) = self.flow(slot) else { return };
        let (older, newer) = (flow.older, flow.newer);
        match self.flow_mut(older) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.flow_mut(newer) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }

    fn link_newest(&mut self, slot: u32, now: Time) {
        let older = std::mem::replace(&mut self.newest, slot);
        if let Some(flow) = self.flow_mut(slot) {
            (flow.older, flow.newer, flow.used) = (older, NONE, now);
        }
        match self.flow_mut(older) {
            Some(older) => older.newer = slot,
            None => self.oldest = slot,
        }
    }
}

/// No slot.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn key(port: u16) -> Key {
        Key { client: SocketAddr::from(([192, 0, 2, 1], port)), local: None, listener: 0 }
    }

    fn at(seconds: u64) -> Time {
        Time::from_epoch(Duration::from_secs(seconds))
    }

    /// Three flows, opened at 0, 1 and 2 s, and room for no other.
    fn full() -> (Flows<u16>, [FlowId; 3]) {
        let mut flows = Flows::new(3, IDLE);
        let ids = [1, 2, 3].map(|port| {
            let now = at(u64::from(port) - 1);
            assert_eq!(flows.make_room(now), Room::Yes);
            flows.insert(now, key(port), port)
        });
        (flows, ids)
    }

    #[test]
    fn a_flow_that_carries_nothing_ends_after_the_idle_time_and_one_in_use_does_not() {
        let (mut flows, [first, ..]) = full();
        flows.touch(at(50), first);
        assert_eq!(flows.poll_timeout(), Some(at(61)), "the second is the oldest now");
        assert_eq!(flows.handle_timeout(at(60)), None);
        assert_eq!(flows.handle_timeout(at(62)), Some(2));
        assert_eq!(flows.handle_timeout(at(62)), Some(3));
        assert_eq!((flows.handle_timeout(at(62)), flows.len()), (None, 1));
        assert_eq!(flows.handle_timeout(at(110)), Some(1));
        assert_eq!((flows.poll_timeout(), flows.len()), (None, 0));
    }

    #[test]
    fn at_the_bound_flows_in_use_are_kept_and_an_idle_one_makes_room() {
        let (mut flows, [first, second, _]) = full();
        assert_eq!(flows.make_room(at(14)), Room::No, "the oldest was used 14 s ago");
        flows.touch(at(14), first);
        assert_eq!(flows.make_room(at(15)), Room::No);
        assert_eq!(flows.make_room(at(16)), Room::Made(2), "unused for a quarter of the idle time");
        assert!(flows.get(second).is_none() && flows.find(&key(2)).is_none());
        let fourth = flows.insert(at(16), key(4), 4);
        assert_eq!(fourth.slot, second.slot, "the slot is used again");
        assert!(flows.get(second).is_none() && flows.get_mut(second).is_none(), "but not its old name");
        flows.touch(at(17), second);
        assert_eq!(flows.get(fourth).unwrap().1, &4);
        assert_eq!(flows.at(fourth.slot), Some(fourth));
    }

    #[test]
    fn a_client_has_a_flow_for_each_address_that_it_sends_to() {
        let mut flows = Flows::new(8, IDLE);
        let local = |last| Key { local: Some(SocketAddr::from(([127, 0, 0, last], 9))), ..key(1) };
        let one = flows.insert(at(0), local(1), 1);
        assert_eq!(flows.find(&local(2)), None);
        let other = flows.insert(at(0), local(2), 2);
        assert_eq!((flows.find(&local(1)), flows.find(&local(2))), (Some(one), Some(other)));
        assert_eq!(flows.values().copied().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_table_that_is_used_in_any_order_stays_whole() {
        let mut flows = Flows::new(50, IDLE);
        let mut random = squall::random::SplitMix64::new(1);
        let mut last = std::collections::BTreeMap::new();
        for now in 0..20_000 {
            let port = random.below(100) as u16;
            match flows.find(&key(port)) {
                Some(id) => flows.touch(at(now), id),
                None => match flows.make_room(at(now)) {
                    Room::No => continue,
                    room => {
                        if let Room::Made(ended) = room {
                            let oldest = last.iter().min_by_key(|(_, used)| **used).unwrap();
                            assert_eq!(ended, *oldest.0);
                            last.remove(&ended);
                        }
                        flows.insert(at(now), key(port), port);
                    }
                },
            }
            last.insert(port, now);
            while let Some(ended) = flows.handle_timeout(at(now)) {
                assert!(now - last.remove(&ended).unwrap() >= 60);
            }
            assert_eq!(flows.len(), last.len());
        }
    }
}
