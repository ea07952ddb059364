//! What happened, line by line, and as one number.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use squall_proto::{Peer, Refusal};
use squall_time::Time;
use squall_time::random::mix;
use squall_weather::Cause;

/// What a simulated network did: its last events, and a number that follows from all of them.
///
/// Two runs with equal [fingerprints](Self::fingerprint) are equal: each event goes into it, with its
/// time, addresses and bytes. Lines are kept up to a [limit](crate::Sim::keep_trace), the last ones.
/// Printed, each event is one line:
///
/// ```text
/// 0.000000000 192.0.2.2:40000 > 192.0.2.1:7 5 B passes, 25ms b2a71ff0cd0e2b64
/// 0.025000000 192.0.2.2:40000 > 192.0.2.1:7 5 B arrives 0e3c0f3aa1b1d6a9
/// ```
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: VecDeque<Entry>,
    limit: usize,
    fingerprint: u64,
    events: u64,
}

/// An event of a simulated network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// When.
    pub at: Time,
    /// The host that does it, or the sender of the datagram.
    pub from: Option<SocketAddr>,
    /// Where the datagram goes; none where there is no datagram.
    pub to: Option<Peer>,
    /// The datagram's payload, in bytes.
    pub size: usize,
    /// What happens.
    pub outcome: Outcome,
    /// The fingerprint of the run up to here, this event included.
    pub fingerprint: u64,
}

/// What happened to a datagram, or to a host.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is under way.
    Passes {
        /// How long its first copy takes.
        delay: Duration,
        /// How many of it arrive.
        copies: usize,
    },
    /// The weather took it.
    Lost(Cause),
    /// It arrives at a host that is up.
    Arrives,
    /// It goes, or came, to an address that no host has.
    Nobody,
    /// It came to a host that is down.
    Down,
    /// It comes with a wrong bit, which its [checksum](crate::Sim::checksums) shows.
    Corrupted,
    /// Its sender has no socket of this origin, or no connection to this peer.
    NoSocket,
    /// A connection opens for this end.
    Opens,
    /// A connection has ended for this end.
    Closes,
    /// This end of a connection is to write no more, and what it writes may be dropped.
    Full,
    /// This end of a connection can write again.
    Writable,
    /// There was no room for a connection's message, or it was written behind the connection's end.
    NoRoom,
    /// The host's machine refused what arrived.
    Refuses(Refusal),
    /// The host's machine is woken at its deadline.
    Timeout,
    /// A hostile driver calls the host's machine for nothing.
    Spurious,
    /// The test lets the host's machine do something.
    Acts,
    /// The host goes down at once.
    Crashes,
    /// The host's machine is told to stop, and goes.
    Stops,
    /// The host comes up.
    Starts,
    /// The host is seen under this address from now on.
    Moves,
}

impl Trace {
    /// The events that are kept, the oldest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many events there were, kept or not.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// A number that follows from all events and their bytes. Not a secure hash.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        let surplus = self.entries.len().saturating_sub(limit);
        self.entries.drain(..surplus);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.fingerprint = 0;
        self.events = 0;
    }

    /// Something that happens to a host.
    pub(crate) fn host(&mut self, at: Time, host: Option<SocketAddr>, outcome: Outcome) {
        self.push(at, host, None, &[], outcome);
    }

    /// Something that happens to a datagram.
    pub(crate) fn datagram(
        &mut self,
        at: Time,
        from: Option<SocketAddr>,
        to: Peer,
        payload: &[u8],
        outcome: Outcome,
    ) {
        self.push(at, from, Some(to), payload, outcome);
    }

    fn push(
        &mut self,
        at: Time,
        from: Option<SocketAddr>,
        to: Option<Peer>,
        payload: &[u8],
        outcome: Outcome,
    ) {
        let mut hash = fold(self.fingerprint, at.as_nanos());
        hash = from.map_or(fold(hash, 1), |from| fold_address(hash, from));
        hash = match to {
            None => fold(hash, 2),
            Some(Peer::Ip(to)) => fold_address(hash, to),
            Some(Peer::Conn(number)) => fold(hash, 3 << 32 | u64::from(number)),
        };
        hash = fold_outcome(hash, &outcome);
        hash = fold_bytes(hash, payload);
        self.fingerprint = hash;
        self.events += 1;
        if self.limit > 0 {
            if self.entries.len() == self.limit {
                self.entries.pop_front();
            }
            self.entries.push_back(Entry { at, from, to, size: payload.len(), outcome, fingerprint: hash });
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = self.events - self.entries.len() as u64;
        if left_out > 0 {
            writeln!(f, "({left_out} event(s) before these)")?;
        }
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.at.as_nanos();
        write!(f, "{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)?;
        match self.from {
            Some(from) => write!(f, " {from}")?,
            None => f.write_str(" -")?,
        }
        if let Some(to) = self.to {
            write!(f, " > {to} {} B", self.size)?;
        }
        write!(f, " {} {:016x}", self.outcome, self.fingerprint)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passes { delay, copies: 1 } => write!(f, "passes, {delay:?}"),
            Outcome::Passes { delay, copies } => write!(f, "passes {copies} times, {delay:?}"),
            Outcome::Lost(cause) => write!(f, "lost: {cause}"),
            Outcome::Arrives => f.write_str("arrives"),
            Outcome::Nobody => f.write_str("nobody there"),
            Outcome::Down => f.write_str("host down"),
            Outcome::Opens => f.write_str("opens"),
            Outcome::Closes => f.write_str("closes"),
            Outcome::Full => f.write_str("is full"),
            Outcome::Writable => f.write_str("is writable again"),
            Outcome::NoRoom => f.write_str("no room for it"),
            Outcome::Corrupted => f.write_str("fails its checksum"),
            Outcome::NoSocket => f.write_str("no socket to send it"),
            Outcome::Refuses(refusal) => write!(f, "refuses: {refusal}"),
            Outcome::Timeout => f.write_str("timeout"),
            Outcome::Spurious => f.write_str("spurious call"),
            Outcome::Acts => f.write_str("acts"),
            Outcome::Crashes => f.write_str("crashes"),
            Outcome::Stops => f.write_str("stops"),
            Outcome::Starts => f.write_str("starts"),
            Outcome::Moves => f.write_str("is its new address"),
        }
    }
}

/// Adds a word to a hash: a step of SplitMix64 with the word mixed in.
fn fold(hash: u64, word: u64) -> u64 {
    mix(hash.rotate_left(23).wrapping_add(0x9e37_79b9_7f4a_7c15) ^ word)
}

fn fold_address(hash: u64, address: SocketAddr) -> u64 {
    let port = u64::from(address.port());
    match address.ip() {
        IpAddr::V4(ip) => fold(hash, 4 << 56 | u64::from(ip.to_bits()) << 16 | port),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            fold(fold(fold(hash, 6 << 56 | port), (bits >> 64) as u64), bits as u64)
        }
    }
}

fn fold_outcome(hash: u64, outcome: &Outcome) -> u64 {
    let (kind, detail) = match outcome {
        Outcome::Passes { delay, copies } => (1, delay.as_nanos() as u64 ^ (*copies as u64) << 60),
        Outcome::Lost(cause) => (2, cause_hash(*cause)),
        Outcome::Arrives => (3, 0),
        Outcome::Nobody => (4, 0),
        Outcome::Down => (5, 0),
        Outcome::NoSocket => (6, 0),
        Outcome::Refuses(refusal) => (7, text_hash(&refusal.to_string())),
        Outcome::Timeout => (8, 0),
        Outcome::Spurious => (9, 0),
        Outcome::Acts => (10, 0),
        Outcome::Crashes => (11, 0),
        Outcome::Stops => (12, 0),
        Outcome::Starts => (13, 0),
        Outcome::Moves => (14, 0),
        Outcome::Corrupted => (15, 0),
        Outcome::Opens => (16, 0),
        Outcome::Closes => (17, 0),
        Outcome::Full => (18, 0),
        Outcome::Writable => (19, 0),
        Outcome::NoRoom => (20, 0),
    };
    fold(fold(hash, kind), detail)
}

fn cause_hash(cause: Cause) -> u64 {
    match cause {
        Cause::Loss => 1,
        Cause::Burst => 2,
        Cause::Queue => 3,
        Cause::TooBig { mtu, silent } => fold(4 + u64::from(silent), mtu as u64),
        Cause::Blackout => 6,
        Cause::Rule => 7,
    }
}

fn text_hash(text: &str) -> u64 {
    fold_bytes(0, text.as_bytes())
}

fn fold_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = fold(hash, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = fold(hash, u64::from_le_bytes(word));
    }
    hash
}
