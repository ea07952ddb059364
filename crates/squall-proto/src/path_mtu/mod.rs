//! How large a datagram a path carries, found out by sending some.
//!
//! [`Search`] is the search of [RFC 8899](https://www.rfc-editor.org/rfc/rfc8899) (datagram packetization
//! layer path MTU discovery) as a machine without a socket: it says what to probe and when
//! ([`Search::poll_transmit`]), hears what came of it ([`Search::handle_input`]), and ends with an
//! [`Outcome`]. It needs no ICMP. Where a router reports "too big" the report leads to the answer faster, but
//! the size it names is probed like any other.
//!
//! A probe that is lost says nothing by itself. A size counts as not passing only when several probes of it
//! were lost and a smaller one, sent after them, was answered; and before the search ends, the smallest of
//! those sizes is probed until chance, at the rate at which smaller ones are lost, is no explanation any more.
//!
//! Sizes are those of whole IP packets, in bytes, as interfaces and routers count them.

mod odds;
mod pace;
mod payload;
mod search;
mod sizes;
#[cfg(test)]
mod tests;

use core::net::IpAddr;
use core::time::Duration;

pub use payload::{Nonce, PROBE_HEADER, Recognised};
pub use search::Search;

use crate::{MAX_DATAGRAM, Time};

/// What a search probes, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchConfig {
    header: u32,
    floor: u32,
    least_report: u32,
    base: u32,
    ceiling: u32,
    tries: u32,
    total: Duration,
}

impl SearchConfig {
    /// For the path to an address: over IPv4 from 68 bytes, the least that every link carries
    /// ([RFC 791 §3.2](https://www.rfc-editor.org/rfc/rfc791#section-3.2)), over IPv6 from 88, up to 65,507 bytes
    /// of payload.
    pub fn to(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::new(20 + 8, 68, BASE_V4),
            IpAddr::V6(_) => Self::new(40 + 8, 1280, 1280),
        }
    }

    fn new(header: u32, least_report: u32, base: u32) -> Self {
        Self {
            header,
            floor: header + 40,
            least_report,
            base,
            ceiling: header + MAX_DATAGRAM as u32,
            tries: 3,
            total: Duration::from_secs(60),
        }
    }

    /// How many probes of one size are lost before it may count as not passing: default 3, as
    /// `MAX_PROBES` of [RFC 8899 §5.1.2](https://www.rfc-editor.org/rfc/rfc8899#section-5.1.2); from 1 to 20.
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.clamp(1, 20);
        self
    }

    /// When the search ends, finished or not, counted from its start: default 60 s.
    pub fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// The bytes of IP and UDP header before the payload: 28 or 48.
    pub fn header(&self) -> u32 {
        self.header
    }

    /// The size of the packet around `payload` bytes.
    pub fn size_of(&self, payload: usize) -> u32 {
        self.header.saturating_add(u32::try_from(payload).unwrap_or(u32::MAX))
    }

    /// The payload that makes a packet of `size` bytes.
    pub fn payload_of(&self, size: u32) -> usize {
        size.saturating_sub(self.header) as usize
    }
}

/// `BASE_PLPMTU` for IPv4: 1,200 bytes of payload, which nearly every path carries
/// ([RFC 8899 §5.1.2](https://www.rfc-editor.org/rfc/rfc8899#section-5.1.2)).
const BASE_V4: u32 = 1200 + 28;

/// A probe to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its number, counted from 0.
    pub id: u32,
    /// The size of the whole packet, in bytes.
    pub size: u32,
    /// When the search gives it up. What comes later still counts.
    pub deadline: Time,
}

/// What happens to a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// The target has answered: a probe reached it.
    Answered {
        /// Which one.
        probe: Matched,
        /// How it answered.
        how: Evidence,
    },
    /// A router reported that a probe is too big for the next link.
    TooBig {
        /// Which one it quoted.
        probe: Matched,
        /// What it says the link carries, in bytes; 0 from a router older than
        /// [RFC 1191](https://www.rfc-editor.org/rfc/rfc1191).
        mtu: u32,
        /// Which router.
        router: Option<IpAddr>,
    },
    /// This host did not send a probe because the first link does not carry it.
    Unsendable {
        /// Its number.
        id: u32,
        /// What the link carries, in bytes, if the kernel tells.
        mtu: Option<u32>,
    },
}

/// Which probe an answer or a report belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The one of this number.
    Id(u32),
    /// One with this many bytes of payload.
    Payload(usize),
    /// It does not tell: the one that is on its way.
    Unknown,
}

/// How a probe was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Evidence {
    /// Its bytes came back: the way back carries them as well, whole or in fragments.
    Echo,
    /// The answer told the probe's length.
    Length,
    /// A datagram came that does not tell to which probe.
    Datagram,
    /// The target's host said by ICMP that it got it and nobody wants it.
    Unreachable,
}

/// A probe that was sent, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeRecord {
    /// Its number, counted from 0.
    pub id: u32,
    /// The size of the whole packet, in bytes.
    pub size: u32,
    /// When it was sent.
    pub sent: Time,
    /// What came of it.
    pub result: ProbeResult,
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeResult {
    /// It is on its way, or the search ended before anything was known.
    Waiting,
    /// It reached the target.
    Answered {
        /// How that is known.
        how: Evidence,
        /// When the answer came, since the probe was sent.
        after: Duration,
    },
    /// A router reported that it is too big.
    TooBig {
        /// What it says the next link carries, in bytes; 0 when it does not say.
        mtu: u32,
        /// Which router.
        router: Option<IpAddr>,
        /// When the report came, since the probe was sent.
        after: Duration,
    },
    /// It did not leave this host.
    Unsendable,
    /// Nothing came in time.
    Lost,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The path carries packets of `mtu` bytes and none longer.
    Found {
        /// The path MTU, in bytes.
        mtu: u32,
        /// Why nothing longer passes.
        limit: Limit,
        /// False when so much is lost on the path that chance may explain why nothing longer was answered.
        certain: bool,
    },
    /// Not even the smallest probe was answered.
    Silent,
    /// The search ended before it knew.
    Unfinished {
        /// The largest size that passed, in bytes.
        passes: u32,
        /// The smallest size that did not, if any.
        fails: Option<u32>,
        /// Why it ended.
        why: Unfinished,
    },
}

/// Why nothing longer passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The first link, or what a UDP datagram can be.
    FirstHop,
    /// A router reported it (ICMP "fragmentation needed", ICMPv6 "packet too big").
    TooBig,
    /// A black hole: what is longer vanishes and nobody says so.
    Silence,
}

/// Why a search ended before it knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfinished {
    /// The time was over.
    Time,
    /// As many probes as a search may send were sent.
    Probes,
    /// Sizes that had passed were answered no more.
    Stopped,
}

/// Where a search is, in the words of [RFC 8899 §5.2](https://www.rfc-editor.org/rfc/rfc8899#section-5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing has been answered yet.
    Disabled,
    /// The target answers; whether the base size passes is being asked.
    Base,
    /// The base size passes, and larger ones are being tried.
    Searching,
    /// The base size does not pass: the search goes on below it.
    Error,
    /// The path MTU is known.
    SearchComplete,
}
