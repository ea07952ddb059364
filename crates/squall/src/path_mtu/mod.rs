//! How large a datagram the path to a host carries.
//!
//! [`PathMtu::search`] finds out by sending datagrams that may not be fragmented, with the search of
//! [RFC 8899](https://www.rfc-editor.org/rfc/rfc8899) as `squall_proto::path_mtu::Search` has it.
//! [`PathMtu::send`] sends one of a size that is asked for. Both need Linux, and no special rights.
//!
//! The host need not know of it. A node's `length` service answers best, since its answers are small; an echo
//! does too, but what is found is then what the way back carries as well; any other service that answers will
//! do; and where nobody listens the host's ICMP "port unreachable" is the answer.
//!
//! ```no_run
//! use squall::path_mtu::PathMtu;
//!
//! let report = PathMtu::to("192.0.2.1:1060".parse()?).search()?;
//! if let Some(mtu) = report.mtu() {
//!     println!("packets of {mtu} bytes, {} of them payload", report.payload_of(mtu));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod icmp;
mod link;
mod report;
mod single;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use squall_proto::path_mtu::SearchConfig;
pub use squall_proto::path_mtu::{Evidence, Limit, Outcome, Phase, ProbeRecord, ProbeResult, Unfinished};
use squall_proto::path_mtu::{Input, Search};
use squall_socket::PathMtuDiscovery;

use self::link::{Heard, Link};
pub use self::report::{Complaint, Report};
pub use self::single::{Fate, Single};
use crate::clock::Clock;

/// Finds out how large a datagram the path to one address carries.
pub struct PathMtu {
    target: SocketAddr,
    total: Option<Duration>,
    observer: Option<Observer>,
}

type Observer = Box<dyn FnMut(&Progress) + Send>;

/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The largest packet that has passed, in bytes; 0 before any has.
    pub passes: u32,
    /// The packet that is on its way, in bytes.
    pub asks: u32,
    /// How many were sent.
    pub probes: u32,
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathMtuError {
    /// A group or port 0: no single host is at the end of such a path.
    #[error("cannot probe the path to {target}: {reason}")]
    NotAHost {
        /// What was named.
        target: SocketAddr,
        /// Why not.
        reason: &'static str,
    },
    /// The system refused a call.
    #[error("cannot {what} {target}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Where to.
        target: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl PathMtuError {
    /// Whether this machine has no way to the address: no route, or no address of its family.
    pub fn is_no_route(&self) -> bool {
        use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable, Unsupported};
        match self {
            PathMtuError::System { what, source, .. } => {
                *what == link::REACH
                    && matches!(
                        source.kind(),
                        NetworkUnreachable | HostUnreachable | AddrNotAvailable | Unsupported
                    )
            }
            PathMtuError::NotAHost { .. } => false,
        }
    }
}

impl PathMtu {
    /// The path to `target`. An IPv4 address that is written as an IPv6 one counts as what it is.
    pub fn to(target: SocketAddr) -> Self {
        let target = match target {
            SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
                Some(v4) => SocketAddr::new(v4.into(), v6.port()),
                None => target,
            },
            SocketAddr::V4(_) => target,
        };
        Self { target, total: None, observer: None }
    }

    /// How long to search, or to wait for what becomes of a single datagram. Default 60 s and 1 s.
    pub fn total(mut self, total: Duration) -> Self {
        self.total = Some(total);
        self
    }

    /// Tells `observe` of every probe as it is sent.
    pub fn on_progress(mut self, observe: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observe));
        self
    }

    /// Searches for the path MTU. Some 5 probes where a router reports, some 40 for a black hole; at most one
    /// is on its way at a time.
    ///
    /// # Errors
    /// [`PathMtuError`]. A host that does not answer is none: that is an [`Outcome`].
    pub fn search(&mut self) -> Result<Report, PathMtuError> {
        let mut link = Link::open(self.target, PathMtuDiscovery::Probe)?;
        let kernel_before = link.kernel_mtu()?;
        let mut config = SearchConfig::to(&self.target.ip());
        if let Some(total) = self.total {
            config = config.total(total);
        }
        let header = config.header();
        let clock = Clock::new();
        let mut search = Search::new(config, clock.now());
        let mut first_hop = None;
        while search.outcome().is_none() {
            while let Some(probe) = search.poll_transmit(clock.now()) {
                self.tell(&search, probe.size);
                let payload = probe.size.saturating_sub(header) as usize;
                match link.send(probe.id, payload)? {
                    link::Sent::Away => {}
                    // Lost, with a reason.
                    link::Sent::Failed(error) => link.complain(None, error.to_string()),
                    link::Sent::TooLong { mtu } => {
                        first_hop = mtu;
                        search.handle_input(clock.now(), Input::Unsendable { id: probe.id, mtu });
                    }
                }
            }
            let Some(due) = search.poll_timeout() else { break };
            link.wait(due.since(clock.now()))?;
            while let Some(heard) = link.hear()? {
                match heard {
                    Heard::Answer { probe, how } => {
                        search.handle_input(clock.now(), Input::Answered { probe, how });
                    }
                    Heard::TooBig { probe, mtu, router } => {
                        let router = Some(router);
                        search.handle_input(clock.now(), Input::TooBig { probe, mtu, router });
                    }
                }
            }
            search.handle_timeout(clock.now());
        }
        let outcome = search.outcome().unwrap_or(Outcome::Silent);
        let local = link.local()?;
        let (interface, first_hop) = report::first_hop(local, first_hop);
        Ok(Report {
            target: self.target,
            local,
            outcome,
            header,
            interface,
            first_hop,
            kernel_before,
            kernel_after: link.kernel_mtu()?,
            probes: search.records().to_vec(),
            complaints: link.into_complaints(),
            ignored: search.ignored(),
            elapsed: clock.now().since(squall_proto::Time::ZERO),
        })
    }

    fn tell(&mut self, search: &Search, asks: u32) {
        if let Some(observe) = &mut self.observer {
            let probes = u32::try_from(search.records().len()).unwrap_or(u32::MAX);
            observe(&Progress { passes: search.passes(), asks, probes });
        }
    }
}

impl std::fmt::Debug for PathMtu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PathMtu")
            .field("target", &self.target)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}
