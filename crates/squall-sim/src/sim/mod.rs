//! The network, and its clock.

mod connections;
mod happenings;
mod run;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use squall_proto::guard::Trust;
use squall_proto::{Outbox, Protocol};
use squall_time::Time;
use squall_time::random::{SplitMix64, mix};
use squall_weather::{Counts, Weather};

use crate::host::{Socket, State};
use crate::hostile::Hostile;
use crate::network::Network;
use crate::trace::Trace;
use crate::{Host, HostId, IntoAddress};

/// A network of hosts in virtual time.
///
/// It begins at [`Time::ZERO`], without hosts, and paths are clear. Time stands still except in
/// [`step`](Self::step) and the methods that run, so that what a test does between them happens at one
/// moment.
pub struct Sim {
    seed: u64,
    now: Time,
    hosts: Vec<State>,
    /// When each host is to be woken.
    wakes: BTreeSet<(Time, u32)>,
    network: Network,
    outbox: Outbox,
    trace: Trace,
    hostile: Option<Hostile>,
    checksums: bool,
    random: SplitMix64,
    events: u64,
    max_events: u64,
}

/// Making a network.
impl Sim {
    /// An empty network whose luck follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut sim = Self {
            seed,
            now: Time::ZERO,
            hosts: Vec::new(),
            wakes: BTreeSet::new(),
            network: Network::new(),
            outbox: Outbox::new(),
            trace: Trace::with_limit(TRACE),
            hostile: None,
            checksums: false,
            random: SplitMix64::new(0),
            events: 0,
            max_events: MAX_EVENTS,
        };
        sim.reset(seed);
        sim
    }

    /// Forgets hosts, weather, settings and time: the network is as new, with another seed, and keeps its
    /// memory for what comes.
    pub fn reset(&mut self, seed: u64) {
        self.seed = seed;
        self.now = Time::ZERO;
        self.hosts.clear();
        self.wakes.clear();
        self.network.reset(seed);
        self.outbox.clear();
        self.trace.clear();
        self.trace.set_limit(TRACE);
        self.hostile = None;
        self.checksums = false;
        self.random = SplitMix64::new(mix(seed ^ 0x7465_7374));
        self.events = 0;
        self.max_events = MAX_EVENTS;
    }

    /// Sets up a host with one address and a machine.
    ///
    /// # Panics
    /// When another host has the address, or it is no host's: unspecified, a group, without a port.
    pub fn host<P: Protocol + 'static>(&mut self, address: impl IntoAddress, machine: P) -> Host<P> {
        let id = HostId(self.hosts.len() as u32);
        assert!(id != HostId::OUTSIDE, "there are as many hosts as there may be");
        let address = address.into_address();
        self.network.own(address, id.0);
        self.hosts.push(State {
            machine: None,
            sockets: vec![Socket { local: address, public: address }],
            trust: Trust::new(),
            deadline: None,
            wake: None,
            spins: 0,
        });
        let host = Host::new(id);
        self.start(host, machine);
        host
    }

    /// Gives a host one more address. Its machine is told by
    /// [`Origin::local`](squall_proto::Origin::local) which one a datagram came to, and answers from the
    /// same.
    ///
    /// # Panics
    /// As [`host`](Self::host).
    pub fn add_address(&mut self, host: impl Into<HostId>, address: impl IntoAddress) {
        let (host, address) = (host.into(), address.into_address());
        self.network.own(address, host.0);
        self.state(host).sockets.push(Socket { local: address, public: address });
    }

    /// Makes a host a member of a multicast group, or a listener for the limited broadcast
    /// `255.255.255.255`, at a port. A datagram to the group reaches each member by its own path, the
    /// sender too if it is one.
    ///
    /// # Panics
    /// When the address is neither.
    pub fn join(&mut self, host: impl Into<HostId>, group: impl IntoAddress) {
        self.network.join(group.into_address(), host.into().0);
    }

    /// Ends a host's membership.
    pub fn leave(&mut self, host: impl Into<HostId>, group: impl IntoAddress) {
        self.network.leave(group.into_address(), host.into().0);
    }

    /// Says whose addresses a host believes: their requests are
    /// [validated](squall_proto::Origin::validated). Loopback alone by default, as a server's;
    /// everybody's with the networks `0.0.0.0/0` and `::/0`.
    pub fn trust(&mut self, host: impl Into<HostId>, trust: Trust) {
        self.state(host.into()).trust = trust;
    }

    /// Sets the weather of all paths that [`link`](Self::link) has not given one: clear by default. Of
    /// two hosts the one that sends first is the client, whose datagrams go up. The times of a weather,
    /// those of blackouts for one, count from now.
    pub fn weather(&mut self, weather: &Weather) {
        self.network.set_default(self.now, weather);
    }

    /// Sets the weather between two hosts: `up` is from `client` to `server`, `down` the way back. The
    /// path is the hosts', whichever of their addresses they use. It may change while the network runs:
    /// what is under way keeps its times. The times of a weather, those of blackouts for one, count from
    /// now.
    ///
    /// # Panics
    /// When both are one host: what a host sends to itself meets no weather.
    pub fn link(&mut self, client: impl Into<HostId>, server: impl Into<HostId>, weather: &Weather) {
        let (client, server) = (client.into().0, server.into().0);
        assert!(client != server, "a host has no path to itself");
        self.network.link(self.now, client, server, weather);
    }

    /// Has machines driven as badly as [`Protocol`] allows, from now on:
    ///
    /// - half of all timeouts come late, by up to `late`, and what arrives meanwhile comes first;
    /// - timeouts that are not due come at any time, and the machine may write nothing then;
    /// - [`poll_timeout`](Protocol::poll_timeout) is called again and again, and may not change its answer;
    /// - of an arrival and a timeout at one moment either comes first;
    /// - connections close and become writable of which the machine never heard;
    /// - there are messages of others in the outbox already, and they have to stay.
    ///
    /// What a machine may not do is a panic. All of it follows from the seed.
    pub fn hostile(&mut self, late: Duration) {
        self.hostile = Some(Hostile::new(mix(self.seed ^ 0x6d65_616e), late));
    }

    /// Whether hosts check UDP's checksum, which shows every single wrong bit: what the weather corrupts
    /// is then dropped at its receiver, as by a real system. Off by default: it arrives with its wrong
    /// bit, as behind a relay, for a test of what a machine makes of it.
    pub fn checksums(&mut self, check: bool) {
        self.checksums = check;
    }

    /// How many events a run may have: a million by default. One more is a panic, since two machines that
    /// answer each other would go on for ever.
    pub fn max_events(&mut self, events: u64) {
        self.max_events = events;
    }

    /// How many events [`trace`](Self::trace) keeps, the last ones: 32 by default, since all of a long
    /// run would be a lot of memory; each takes about 150 bytes.
    pub fn keep_trace(&mut self, events: usize) {
        self.trace.set_limit(events);
    }
}

/// Looking at a network.
impl Sim {
    /// The seed that all follows from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The present, from [`Time::ZERO`] on.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Numbers for the test's own use, and seeds for its machines: they follow from the run's seed, and
    /// drawing them changes nothing of the weather.
    pub fn random(&mut self) -> &mut SplitMix64 {
        &mut self.random
    }

    /// The machine of a host.
    ///
    /// # Panics
    /// When the host is down.
    pub fn machine<P: Protocol + 'static>(&self, host: Host<P>) -> &P {
        let machine = self.hosts[host.id.0 as usize].machine_as();
        machine.unwrap_or_else(|| panic!("{} is down and has no machine", self.name(host.id)))
    }

    /// Whether a host is up.
    pub fn is_up(&self, host: impl Into<HostId>) -> bool {
        self.hosts[host.into().0 as usize].machine.is_some()
    }

    /// The first address of a host, as the network sees it.
    pub fn address(&self, host: impl Into<HostId>) -> SocketAddr {
        self.hosts[host.into().0 as usize].sockets[0].public
    }

    /// What the weather did to datagrams from one host to another; `None` when none was sent and the hosts
    /// are not [linked](Self::link).
    pub fn counts(&self, from: impl Into<HostId>, to: impl Into<HostId>) -> Option<&Counts> {
        self.network.counts(from.into().0, to.into().0)
    }

    /// What happened.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A number that follows from all that happened: equal for equal runs. That of [`trace`](Self::trace).
    pub fn fingerprint(&self) -> u64 {
        self.trace.fingerprint()
    }

    fn state(&mut self, host: HostId) -> &mut State {
        &mut self.hosts[host.0 as usize]
    }

    /// How messages call a host.
    fn name(&self, host: HostId) -> SocketAddr {
        self.hosts[host.0 as usize].sockets[0].public
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sim = f.debug_struct("Sim");
        sim.field("seed", &self.seed).field("now", &self.now).field("hosts", &self.hosts.len());
        sim.field("events", &self.events).finish_non_exhaustive()
    }
}

/// Events of a trace that are kept by default: what one wants to see of a failure.
const TRACE: usize = 32;
/// Events of a run by default.
const MAX_EVENTS: u64 = 1_000_000;
