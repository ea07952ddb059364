//! What lies between the hosts: addresses, paths, and what is under way on them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use squall_proto::Peer;
use squall_time::Time;
use squall_time::random::mix;
use squall_weather::{Counts, Decision, Link, Packet, Queue, Weather};

use crate::streams::{self, End, Kind, Put, Segment, Streams};
use crate::trace::{Outcome, Trace};

pub(crate) struct Network {
    seed: u64,
    default: Weather,
    /// Since when.
    since: Time,
    /// Who has an address.
    owners: BTreeMap<SocketAddr, u32>,
    groups: BTreeMap<SocketAddr, Vec<u32>>,
    /// By the two ends, the smaller number first.
    paths: BTreeMap<(u32, u32), Path>,
    flights: Queue<Cargo>,
    pub(crate) streams: Streams,
    /// Segments that are about to be sent.
    segments: Vec<Segment>,
    /// Buffers of datagrams that have arrived, for those to come.
    spare: Vec<Vec<u8>>,
}

/// A datagram at its beginning.
pub(crate) struct Datagram<'a> {
    /// Who sends it: a host, or [`HostId::OUTSIDE`](crate::HostId::OUTSIDE).
    pub(crate) host: u32,
    /// Whom it names as its sender.
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) payload: &'a [u8],
}

/// What is under way.
pub(crate) enum Cargo {
    Datagram(Flight),
    Stream(streams::Event),
}

/// A datagram under way.
pub(crate) struct Flight {
    pub(crate) from: SocketAddr,
    /// As its sender wrote it.
    pub(crate) to: SocketAddr,
    /// The host at the end of its path.
    pub(crate) host: u32,
    pub(crate) bytes: Vec<u8>,
    /// Whether a bit of it turned over on the way.
    pub(crate) corrupted: bool,
}

/// Both directions between two hosts.
struct Path {
    /// The end that its weather calls the client.
    client: u32,
    /// Whether the test gave it a weather of its own.
    linked: bool,
    up: Link,
    down: Link,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            seed: 0,
            default: Weather::clear(),
            since: Time::ZERO,
            owners: BTreeMap::new(),
            groups: BTreeMap::new(),
            paths: BTreeMap::new(),
            flights: Queue::new(MAX_FLIGHTS, MAX_FLIGHT_BYTES),
            streams: Streams::default(),
            segments: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Forgets all but its memory.
    pub(crate) fn reset(&mut self, seed: u64) {
        self.seed = seed;
        self.default = Weather::clear();
        self.since = Time::ZERO;
        self.owners.clear();
        self.groups.clear();
        self.paths.clear();
        // The queue numbers what goes in, which decides nothing but the order.
        while let Some(flight) = self.flights.pop(Time::from_nanos(u64::MAX)) {
            if let Cargo::Datagram(flight) = flight {
                self.recycle(flight.bytes);
            }
        }
        self.streams.clear();
    }

    /// Gives `address` to `host`.
    ///
    /// # Panics
    /// When another host has it, or no host can have it.
    pub(crate) fn own(&mut self, address: SocketAddr, host: u32) {
        assert!(
            !address.ip().is_unspecified() && !is_group(address) && address.port() != 0,
            "a host has an address and port of its own; {address} is none"
        );
        if let Some(other) = self.owners.insert(address, host) {
            panic!("{address} is the address of a host already (host {other})");
        }
    }

    pub(crate) fn disown(&mut self, address: SocketAddr) {
        self.owners.remove(&address);
    }

    pub(crate) fn owner(&self, address: SocketAddr) -> Option<u32> {
        self.owners.get(&address).copied()
    }

    pub(crate) fn join(&mut self, group: SocketAddr, host: u32) {
        assert!(is_group(group), "{group} is neither a multicast group nor the limited broadcast address");
        let members = self.groups.entry(group).or_default();
        if !members.contains(&host) {
            members.push(host);
        }
    }

    pub(crate) fn leave(&mut self, group: SocketAddr, host: u32) {
        if let Some(members) = self.groups.get_mut(&group) {
            members.retain(|member| *member != host);
        }
    }

    pub(crate) fn is_member(&self, group: SocketAddr, host: u32) -> bool {
        self.groups.get(&group).is_some_and(|members| members.contains(&host))
    }

    /// Sets the weather of all paths that have none of their own.
    pub(crate) fn set_default(&mut self, now: Time, weather: &Weather) {
        for path in self.paths.values_mut().filter(|path| !path.linked) {
            path.change(now, weather);
        }
        self.default = weather.clone();
        self.since = now;
    }

    /// Sets the weather between two hosts, `client` at the end where its "up" begins.
    pub(crate) fn link(&mut self, now: Time, client: u32, server: u32, weather: &Weather) {
        match self.paths.get_mut(&ends(client, server)) {
            Some(path) => {
                if path.client != client {
                    std::mem::swap(&mut path.up, &mut path.down);
                    path.client = client;
                }
                path.linked = true;
                path.change(now, weather);
            }
            None => {
                let path = Path::new(self.seed, client, server, (weather, now), true);
                self.paths.insert(ends(client, server), path);
            }
        }
    }

    /// What the weather did from one host to another, if there has been anything or they were linked.
    pub(crate) fn counts(&self, from: u32, to: u32) -> Option<&Counts> {
        let path = self.paths.get(&ends(from, to))?;
        Some(if path.client == from { path.up.counts() } else { path.down.counts() })
    }

    /// Puts a datagram on its way, from a host or from outside.
    pub(crate) fn send(&mut self, now: Time, trace: &mut Trace, datagram: &Datagram<'_>) {
        let &Datagram { from, to, payload, .. } = datagram;
        if is_group(to) {
            let members = self.groups.get(&to).cloned().unwrap_or_default();
            if members.is_empty() {
                trace.datagram(now, Some(from), Peer::Ip(to), payload, Outcome::Nobody);
            }
            for member in members {
                self.send_to(now, trace, member, datagram);
            }
        } else if let Some(receiver) = self.owner(to) {
            self.send_to(now, trace, receiver, datagram);
        } else {
            trace.datagram(now, Some(from), Peer::Ip(to), payload, Outcome::Nobody);
        }
    }

    fn send_to(&mut self, now: Time, trace: &mut Trace, receiver: u32, datagram: &Datagram<'_>) {
        let &Datagram { host, from, to, payload } = datagram;
        let mut note = |outcome| trace.datagram(now, Some(from), Peer::Ip(to), payload, outcome);
        if host == receiver {
            // What a host sends to itself meets no weather.
            note(Outcome::Passes { delay: now.since(now), copies: 1 });
            let bytes = self.copy(payload);
            self.fly(now, Cargo::Datagram(Flight { from, to, host: receiver, bytes, corrupted: false }));
            return;
        }
        match self.decide(now, (host, from), (receiver, to), payload, headers(to)) {
            Decision::Dropped(cause) => note(Outcome::Lost(cause)),
            Decision::Delivered(copies) => {
                let delay = copies.first().at.since(now);
                note(Outcome::Passes { delay, copies: copies.iter().count() });
                for copy in copies.iter() {
                    let mut bytes = self.copy(payload);
                    if let Some(corruption) = copy.corruption {
                        corruption.apply(&mut bytes);
                    }
                    let corrupted = copy.corruption.is_some();
                    let flight = Flight { from, to, host: receiver, bytes, corrupted };
                    self.fly(copy.at, Cargo::Datagram(flight));
                }
            }
        }
    }

    fn decide(
        &mut self,
        now: Time,
        (host, from): (u32, SocketAddr),
        (receiver, to): (u32, SocketAddr),
        payload: &[u8],
        headers: usize,
    ) -> Decision {
        let (seed, default) = (self.seed, (&self.default, self.since));
        let path = self.paths.entry(ends(host, receiver));
        let path = path.or_insert_with(|| Path::new(seed, host, receiver, default, false));
        let upwards = path.client == host;
        let (link, client) = if upwards { (&mut path.up, from) } else { (&mut path.down, to) };
        link.decide(now, &Packet { size: payload.len() + headers, payload, peer: Some(client) })
    }

    /// Sends a frame of a connection. What is told by others than the weather comes as an event.
    pub(crate) fn send_frame(&mut self, now: Time, trace: &mut Trace, end: End, kind: Kind, bytes: &[u8]) {
        let mut segments = std::mem::take(&mut self.segments);
        match self.streams.put(end, kind, bytes, &mut segments) {
            Put::Taken => {}
            Put::Filled => self.happen(now, streams::Event::Full(end)),
            Put::Dropped => {
                let (from, to) = self.streams.addresses(end);
                trace.datagram(now, Some(from), Peer::Ip(to), bytes, Outcome::NoRoom);
            }
        }
        for segment in segments.drain(..) {
            self.send_segment(now, trace, segment);
        }
        self.segments = segments;
    }

    /// Sends a segment, which comes back when it is lost.
    pub(crate) fn send_segment(&mut self, now: Time, trace: &mut Trace, segment: Segment) {
        let (from, to) = self.streams.addresses(segment.from);
        let [host, receiver] = [segment.from, segment.from.other()].map(|end| self.streams.side(end).host);
        let bytes = self.streams.bytes(&segment).to_vec();
        let headers = streams::HEADERS[usize::from(to.is_ipv6())];
        let at = if host == receiver {
            Ok(now)
        } else {
            match self.decide(now, (host, from), (receiver, to), &bytes, headers) {
                // A wrong bit is found by the checksum, and a second copy by its number.
                Decision::Delivered(copies) => {
                    let whole = copies.iter().filter(|copy| copy.corruption.is_none());
                    whole.map(|copy| copy.at).min().ok_or(Outcome::Corrupted)
                }
                Decision::Dropped(cause) => Err(Outcome::Lost(cause)),
            }
        };
        let outcome = match at {
            Ok(at) => {
                self.happen(at, streams::Event::Arrives(segment));
                Outcome::Passes { delay: at.since(now), copies: 1 }
            }
            Err(outcome) => {
                match segment.again() {
                    Some((wait, segment)) => self.happen(now + wait, streams::Event::Again(segment)),
                    None => self.happen(now, streams::Event::Breaks(segment.from.connection)),
                }
                outcome
            }
        };
        trace.datagram(now, Some(from), Peer::Ip(to), &bytes, outcome);
    }

    /// Has something happen to a connection.
    pub(crate) fn happen(&mut self, at: Time, event: streams::Event) {
        self.fly(at, Cargo::Stream(event));
    }

    fn copy(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(payload);
        bytes
    }

    fn fly(&mut self, at: Time, cargo: Cargo) {
        let size = match &cargo {
            Cargo::Datagram(flight) => flight.bytes.len(),
            // Its bytes wait at its sender.
            Cargo::Stream(_) => 0,
        };
        let under_way = self.flights.push(at, size, cargo);
        assert!(
            under_way.is_ok(),
            "more than {MAX_FLIGHTS} datagrams or {MAX_FLIGHT_BYTES} bytes are under way: do two machines answer each other?"
        );
    }

    /// When the next datagram arrives.
    pub(crate) fn next_arrival(&self) -> Option<Time> {
        self.flights.poll_timeout()
    }

    /// What arrives now, if anything does.
    pub(crate) fn arrive(&mut self, now: Time) -> Option<Cargo> {
        self.flights.pop(now)
    }

    /// Takes back the buffer of a datagram.
    pub(crate) fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE && bytes.capacity() <= SPARE_BYTES {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

impl Path {
    fn new(seed: u64, client: u32, server: u32, (weather, since): (&Weather, Time), linked: bool) -> Self {
        // A path's luck depends on its ends alone: another host changes nothing for those that were there.
        let seed = mix(mix(seed ^ 0x7061_7468) ^ (u64::from(client) << 32 | u64::from(server)));
        let (mut up, mut down) = weather.links(seed);
        up.begin(since);
        down.begin(since);
        Self { client, linked, up, down }
    }

    fn change(&mut self, now: Time, weather: &Weather) {
        self.up.change(now, &weather.up);
        self.down.change(now, &weather.down);
    }
}

/// Whether a datagram to `address` is for whoever has joined.
pub(crate) fn is_group(address: SocketAddr) -> bool {
    address.ip().is_multicast() || address.ip() == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn ends(one: u32, other: u32) -> (u32, u32) {
    (one.min(other), one.max(other))
}

/// Bytes of the headers of IP and UDP.
fn headers(to: SocketAddr) -> usize {
    if to.is_ipv4() { 20 + 8 } else { 40 + 8 }
}

/// Datagrams under way at one time, and their bytes. A test that has more has a loop.
const MAX_FLIGHTS: usize = 1_000_000;
const MAX_FLIGHT_BYTES: usize = 1 << 30;
/// Buffers that are kept, and the longest of them.
const SPARE: usize = 1024;
const SPARE_BYTES: usize = 2048;
